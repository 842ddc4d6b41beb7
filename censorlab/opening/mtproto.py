"""What the first bytes of MTProto look like from outside (its transport docs)."""

from typing import Final, Literal

Transport = Literal["abridged", "intermediate", "padded", "obfuscated"]

_INTERMEDIATE: Final = b"\xee" * 4
_PADDED: Final = b"\xdd" * 4
_ABRIDGED: Final = 0xEF
_REQ_PQ_WORDS: Final = range(10, 74)
"""A client's first abridged message is req_pq_multi: 40 bytes and up to 63 words of
padding, counted in words."""
_NO_KEY: Final = bytes(8)
"""What it begins with: the id of a key that is yet to be made."""
_OBFUSCATED_BYTES: Final = 64
"""The random preamble of obfuscated2."""
_ONES_PER_BYTE: Final = (3.2, 4.8)
"""64 random bytes have 4.0 ones a byte with a deviation of 0.18: 4.5 deviations
to either side, so that a run of the lab never turns on chance."""
_TEXT_SHARE: Final = 0.8
"""Random bytes are 38 % printable, with a deviation of 6 points."""


def recognise(data: bytes) -> Transport | None:
    """Return the transport that first client bytes show; None if none, or not yet.

    Obfuscated2 has no mark at all, so it is what looks random and is nothing
    else; the caller has excluded TLS and HTTP.
    """
    if data.startswith(_INTERMEDIATE):
        return "intermediate"
    if data.startswith(_PADDED):
        return "padded"
    is_first_message = len(data) > 1 and data[0] == _ABRIDGED and data[1] in _REQ_PQ_WORDS
    if is_first_message and _NO_KEY.startswith(data[2:10]):  # as much of it as has arrived
        return "abridged"
    if len(data) >= _OBFUSCATED_BYTES and _looks_random(data[:_OBFUSCATED_BYTES]):
        return "obfuscated"
    return None


def _looks_random(data: bytes) -> bool:
    # Three first messages of the full transport in a hundred look random otherwise.
    if _NO_KEY in data:
        return False
    ones = int.from_bytes(data, "big").bit_count() / len(data)
    text = sum(0x20 <= byte < 0x7F for byte in data) / len(data)
    return _ONES_PER_BYTE[0] < ones < _ONES_PER_BYTE[1] and text < _TEXT_SHARE
