"""Every framing: what is put into a stream is found there, however it is cut."""

import random
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.wire.mtproto.framing import (
    MAX_FRAME_BYTES,
    MAX_PADDING_BYTES,
    Abridged,
    FrameError,
    Framing,
    Full,
    Intermediate,
    Padded,
)


def _padded() -> Framing:
    return Padded(random.Random(1).randbytes)


FRAMINGS: dict[str, Callable[[], Framing]] = {
    "abridged": Abridged,
    "intermediate": Intermediate,
    "padded": _padded,
    "full": Full,
}
every_framing = pytest.mark.parametrize("new", FRAMINGS.values(), ids=FRAMINGS)

packets = st.integers(2, 300).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))


def is_packet(found: bytes, packet: bytes) -> bool:
    """Padding stays on, for only the message says where it ends."""
    return found[: len(packet)] == packet and len(found) - len(packet) <= MAX_PADDING_BYTES


@every_framing
@given(sent=st.lists(packets, min_size=1, max_size=4), data=st.data())
def test_round_trip(new: Callable[[], Framing], sent: list[bytes], data: st.DataObject) -> None:
    """Any packets, in a stream that arrives in any pieces."""
    one, other = new(), new()
    stream = b"".join(one.frame(packet) for packet in sent)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=8)))
    found = []
    waiting = b""
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        waiting += stream[start:end]
        while (got := other.unframe(waiting)) is not None:
            found.append(got[0])
            waiting = waiting[got[1] :]
    assert waiting == b""
    assert len(found) == len(sent)
    assert all(map(is_packet, found, sent))


@every_framing
@given(packet=packets)
def test_no_frame_is_found_early(new: Callable[[], Framing], packet: bytes) -> None:
    """One byte short is short."""
    frame = new().frame(packet)
    assert new().unframe(frame[:-1]) is None
    found = new().unframe(bytearray(frame))
    assert found is not None
    assert found[1] == len(frame)


@every_framing
@given(noise=st.binary(max_size=300))
def test_noise_is_a_frame_or_an_error(new: Callable[[], Framing], noise: bytes) -> None:
    """Nothing else is raised, and nothing is taken that is not there."""
    try:
        found = new().unframe(noise)
    except FrameError:
        return
    assert found is None or (0 < found[1] <= len(noise) and len(found[0]) <= found[1])


def test_the_published_forms() -> None:
    """Tags and lengths as on the page of transports."""
    packet = b"p" * 40
    assert (Abridged.tag, Intermediate.tag, Padded.tag, Full.tag) == (
        b"\xef",
        b"\xee\xee\xee\xee",
        b"\xdd\xdd\xdd\xdd",
        b"",
    )
    assert Abridged().frame(packet) == b"\x0a" + packet
    assert Abridged().frame(packet * 13) == b"\x7f\x82\x00\x00" + packet * 13
    assert Intermediate().frame(packet) == b"\x28\x00\x00\x00" + packet
    full = Full()
    first = b"\x34\x00\x00\x00\x00\x00\x00\x00" + packet
    assert full.frame(packet) == first + zlib.crc32(first).to_bytes(4, "little")
    assert full.frame(packet)[4:8] == b"\x01\x00\x00\x00"


def test_padding_varies() -> None:
    """From none to the most that there may be."""
    padded = _padded()
    assert {len(padded.frame(b"p" * 40)) for _ in range(500)} == set(range(44, 60))


@pytest.mark.parametrize("code", [404, 429, 444])
@pytest.mark.parametrize("new", [Intermediate, _padded, Full], ids=["plain", "padded", "full"])
def test_an_error_where_the_length_should_be(new: Callable[[], Framing], code: int) -> None:
    """The number alone is passed on."""
    wire = (-code).to_bytes(4, "little", signed=True)
    assert new().unframe(wire * 3) == (wire, 4)


LONG = MAX_FRAME_BYTES // 4


def _damaged(at: int) -> bytes:
    frame = bytearray(Full().frame(b"p" * 40))
    frame[at] ^= 1
    return bytes(frame)


def _second() -> bytes:
    full = Full()
    full.frame(b"p" * 40)
    return full.frame(b"p" * 40)


@pytest.mark.parametrize(
    ("new", "wire", "fault"),
    [
        (Abridged, b"\x7f" + LONG.to_bytes(3, "little"), "mtproto_frame_too_long"),
        (Abridged, b"\x7f\xff\xff\xff", "mtproto_frame_too_long"),
        (Abridged, b"\x00", "mtproto_wrong_frame"),
        (Abridged, b"\x80", "mtproto_wrong_frame"),
        (Intermediate, MAX_FRAME_BYTES.to_bytes(4, "little"), "mtproto_frame_too_long"),
        (Intermediate, bytes(4), "mtproto_wrong_frame"),
        (Intermediate, b"\x00\x00\x00\x80", "mtproto_wrong_frame"),
        (_padded, b"\xff\xff\xff\x7f", "mtproto_frame_too_long"),
        (Full, (MAX_FRAME_BYTES + 1).to_bytes(4, "little"), "mtproto_frame_too_long"),
        (Full, b"\x0b\x00\x00\x00", "mtproto_wrong_frame"),
        (Full, b"\x00\x00\x00\x80", "mtproto_wrong_frame"),
        (Full, _damaged(-1), "mtproto_wrong_checksum"),
        (Full, _damaged(20), "mtproto_wrong_checksum"),
        (Full, _second(), "mtproto_wrong_sequence"),
    ],
)
def test_no_frame(new: Callable[[], Framing], wire: bytes, fault: str) -> None:
    """As soon as it can be told, and with its own word."""
    with pytest.raises(FrameError) as caught:
        new().unframe(wire)
    assert caught.value.fault == fault


def test_the_longest_frame_passes() -> None:
    """The limit is on the whole frame."""
    packet = b"p" * (MAX_FRAME_BYTES - 4)
    for new in (Abridged, Intermediate):
        assert new().unframe(new().frame(packet)) == (packet, MAX_FRAME_BYTES)
