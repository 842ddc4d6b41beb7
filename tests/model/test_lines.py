"""Lines of a result file, however it was damaged."""

import gzip
import io
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.model.codec import MAX_LINE_BYTES
from probe.model.lines import Damage, Line, read_lines

LINES = [b'{"number":%d}' % number for number in range(40)]
PLAIN = b"".join(line + b"\n" for line in LINES)
ONE_MEMBER = gzip.compress(PLAIN, mtime=0)


def flushed() -> bytes:
    """One gzip stream, flushed after each line, as a running measurement writes it."""
    stream = zlib.compressobj(wbits=31)
    parts = [stream.compress(line + b"\n") + stream.flush(zlib.Z_SYNC_FLUSH) for line in LINES]
    return b"".join([*parts, stream.flush()])


FLUSHED = flushed()
FILES = st.sampled_from([PLAIN, ONE_MEMBER, FLUSHED])


def chunks_of(data: bytes, size: int) -> Iterator[bytes]:
    source = io.BytesIO(data)
    while chunk := source.read(size):
        yield chunk


def read(data: bytes, size: int = 64) -> tuple[list[bytes], Damage | None]:
    """Read everything; check that a damage is the last item and knows its line."""
    found: list[bytes] = []
    damage: Damage | None = None
    for item in read_lines(chunks_of(data, size)):
        assert damage is None
        if isinstance(item, Damage):
            damage = item
            assert damage.number == len(found)
        else:
            assert item.number == len(found) + 1
            found.append(item.data)
    return found, damage


@given(FILES, st.integers(1, 300))
def test_every_line_is_read_whatever_the_chunks(data: bytes, size: int) -> None:
    """Plain, gzip and flushed gzip give the same lines for every size of chunk."""
    assert read(data, size) == (LINES, None)


def test_members_follow_one_another() -> None:
    """Several gzip members are one file (RFC 1952 section 2.2)."""
    assert read(gzip.compress(PLAIN) + gzip.compress(PLAIN)) == (LINES + LINES, None)


@given(FILES, st.data())
def test_a_cut_file_gives_its_complete_lines_and_says_so(
    data: bytes, choice: st.DataObject
) -> None:
    """Cut anywhere: a prefix of the lines; never an exception; at most a cut is reported."""
    end = choice.draw(st.integers(0, len(data) - 1))
    found, damage = read(data[:end])

    assert found == LINES[: len(found)]
    # A plain file cut exactly between two lines cannot know that there were more.
    assert damage is not None or (data is PLAIN and data[:end].endswith(b"\n"))
    assert damage is None or damage.is_cut


def test_a_killed_run_loses_only_the_line_being_written() -> None:
    """Every line that was flushed is read, without the stream's end."""
    stream = zlib.compressobj(wbits=31)
    data = b"".join(
        stream.compress(line + b"\n") + stream.flush(zlib.Z_SYNC_FLUSH) for line in LINES
    )
    found, damage = read(data)

    assert found == LINES
    assert damage is not None
    assert damage.is_cut


@pytest.mark.parametrize("data", [ONE_MEMBER, FLUSHED], ids=["whole", "flushed"])
def test_a_flipped_bit_is_noticed_or_harmless(data: bytes) -> None:
    """Each single bit of a gzip file flipped: damage is reported, or the lines are right.

    Harmless are time, hints and system in the header, and the padding of a flush.
    """
    for place in range(len(data) * 8):
        broken = bytearray(data)
        broken[place // 8] ^= 1 << place % 8
        found, damage = read(bytes(broken), 4096)
        assert damage is not None or found == LINES


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_are_lines_or_damage(data: bytes, size: int) -> None:
    """No bytes at all make the reader raise."""
    read(data, size)


def test_an_empty_file_is_cut() -> None:
    """A file of no bytes holds no line and is no finished file."""
    assert read(b"") == ([], Damage(0, "empty file", is_cut=True))


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_line_without_end_is_damage_and_bounded(compress: type[bytes]) -> None:
    """A bomb of one endless line is given up at the limit; the lines before it stay."""
    bomb = compress(PLAIN + b" " * (8 * MAX_LINE_BYTES))
    read_so_far = 0

    def counted() -> Iterator[bytes]:
        nonlocal read_so_far
        for chunk in chunks_of(bomb, 4096):
            read_so_far += len(chunk)
            yield chunk

    items = list(read_lines(counted()))

    assert [item.data for item in items if isinstance(item, Line)] == LINES
    assert items[-1] == Damage(
        len(LINES), f"a line of more than {MAX_LINE_BYTES} bytes", is_cut=False
    )
    assert read_so_far < len(bomb)


def test_what_follows_the_last_member_is_damage() -> None:
    """Bytes after the end of a gzip file are reported, its lines are read."""
    found, damage = read(ONE_MEMBER + b"not gzip")

    assert found == LINES
    assert damage is not None
    assert not damage.is_cut
