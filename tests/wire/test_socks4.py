"""SOCKS4 by the bytes of its description."""

from hypothesis import given
from hypothesis import strategies as st

from probe.wire.socks4 import GRANTED, build_request, read_reply


def test_the_request() -> None:
    assert build_request("66.102.7.99", 80, "Fred").hex() == "04010050426607634672656400"


@given(st.binary(max_size=12))
def test_only_a_whole_reply_has_a_code(data: bytes) -> None:
    code = read_reply(data)
    assert (code is None) == (len(data) != 8 or data[0] != 0)
    assert code is None or code == data[1]


def test_a_granted_request() -> None:
    assert read_reply(bytes((0, 90, 0, 0, 0, 0, 0, 0))) == GRANTED
