"""A data centre answers with a well-formed resPQ, to a client made of plain bytes."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.servers.data_centre import PORTS, RefusedError, Session, data_centre

pytestmark = pytest.mark.netns
V4, V6 = "198.51.100.7", "2001:db8::7"
NOT_FOUND = (-404).to_bytes(4, "little", signed=True)


@pytest.fixture(scope="module")
def served(inside: Any) -> Any:
    inside.start(data_centre)
    return inside


@pytest.mark.parametrize("transport", ["abridged", "intermediate", "padded"])
@pytest.mark.parametrize("obfuscated", [False, True], ids=["bare", "obfuscated"])
@pytest.mark.parametrize("chunk", [1, 9999], ids=["byte by byte", "whole"])
def test_res_pq_echoes_the_nonce(
    served: Any, transport: str, *, obfuscated: bool, chunk: int
) -> None:
    for address, port in ((V4, PORTS[0]), (V6, PORTS[1]), (V4, PORTS[2])):
        answer = served.res_pq(
            address=address, port=port, transport=transport, obfuscated=obfuscated, chunk=chunk
        )
        assert answer["key_id"] == "00" * 8
        assert answer["message_id"] % 4 == 1
        assert abs((answer["message_id"] >> 32) - time.time()) < 60
        assert answer["constructor"] == "05162463"
        assert answer["echoed"]
        assert answer["pq"] == 0x494C553B * 0x53911073
        # The typical answer of production: 80 bytes of body, 100 in all.
        assert answer["length"] == 80
        assert answer["size"] in range(100, 104 if transport == "padded" else 101)


def test_other_requests_get_a_transport_error(served: Any) -> None:
    packet = bytes(8) + bytes(8) + (20).to_bytes(4, "little") + b"\xaa" * 20
    answer = served.raw(address=V4, port=443, data=(b"\xef\x0a" + packet).hex(), enough=5)
    assert answer["received"] == (b"\x01" + NOT_FOUND).hex()


def test_other_protocols_are_closed(served: Any) -> None:
    tls = b"\x16\x03\x01\x02\x00\x01" + bytes(range(100))
    answer = served.raw(address=V4, port=443, data=tls.hex(), enough=1)
    assert answer == {"received": "", "closed": True}


@given(st.lists(st.binary(min_size=1, max_size=80)))
def test_any_bytes_are_answered_or_refused(pieces: list[bytes]) -> None:
    session = Session()
    try:
        for piece in pieces:
            assert isinstance(session.receive(piece, 0.0, bytes(16)), bytes)
    except RefusedError:
        pass
