"""QUIC Initials: the RFC's own packet, and damaged ones."""

import contextlib
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.opening.tls import as_records, read_client_hello
from censorlab.packet import quic
from censorlab.packet.errors import MalformedPacketError

INITIAL = bytes.fromhex(Path(__file__).with_name("rfc9001_a2.hex").read_text())
KEYS = quic.client_keys(bytes.fromhex("8394c8f03e515708"))


def test_keys_are_those_of_rfc_9001_a_1() -> None:
    """Key, IV and header protection of the example connection."""
    assert KEYS.key.hex() == "1f369613dd76d5467730efcbe3b1a22d"
    assert KEYS.iv.hex() == "fa044b2f42a3fd3b46fb255c"
    assert KEYS.header.hex() == "9f50449e04a0e810283a1e9933adedd2"


def test_the_packet_of_rfc_9001_a_2_names_example_com() -> None:
    """Decrypted, its CRYPTO frame is a ClientHello that the TLS reader reads."""
    assert quic.destination_id(INITIAL).hex() == "8394c8f03e515708"
    (fragment,) = quic.read_initials(INITIAL, KEYS)
    assert fragment.offset == 0
    hello = read_client_hello(as_records(fragment.data))
    assert hello is not None
    assert (hello.server_name, hello.version) == ("example.com", 0x0304)


def test_a_datagram_may_hold_more_than_one() -> None:
    """Coalesced Initials are all read; what follows them is left alone."""
    assert len(quic.read_initials(INITIAL + INITIAL + bytes(20), KEYS)) == 2


def test_other_keys_or_versions_are_refused() -> None:
    """A packet that is not for these keys, and QUIC version 2."""
    with pytest.raises(MalformedPacketError, match="authenticate"):
        quic.read_initials(INITIAL, quic.client_keys(b"other id"))
    with pytest.raises(MalformedPacketError, match="version"):
        quic.destination_id(INITIAL[:1] + b"\x6b\x33\x43\xcf" + INITIAL[5:])


def test_every_truncation_is_the_documented_error() -> None:
    """The tag authenticates the whole, so no prefix is readable."""
    for end in itertools.chain(range(60), range(60, len(INITIAL), 97)):
        with pytest.raises(MalformedPacketError):
            quic.read_initials(INITIAL[:end] or b"\0", KEYS)


@given(st.integers(0, len(INITIAL) - 1), st.integers(0, 255), st.binary(max_size=40))
def test_damage_escapes_only_as_the_documented_error(at: int, value: int, tail: bytes) -> None:
    """One byte changed, and something appended."""
    with contextlib.suppress(MalformedPacketError):
        quic.read_initials(INITIAL[:at] + bytes((value,)) + INITIAL[at + 1 :] + tail, KEYS)
