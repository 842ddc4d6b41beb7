"""Records come out of files one at a time, in every form that OONI's files have."""

import gzip
import sys
from pathlib import Path

import orjson
import pytest

import ooni_measurements as ooni
from probe.store.from_ooni import read
from probe.store.from_ooni.read import Record, Unreadable, read_records

DOCUMENTS = ooni.one_of_each()
LINES = b"".join(orjson.dumps(document) + b"\n" for document in DOCUMENTS)
PRETTY = orjson.dumps(DOCUMENTS[0], option=orjson.OPT_INDENT_2)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "measurements"
    path.write_bytes(data)
    return path


def documents(path: Path) -> list[object]:
    found = list(read_records(path))
    assert all(isinstance(item, Record) for item in found)
    return [orjson.loads(item.data) for item in found if isinstance(item, Record)]


def compressed(data: bytes) -> bytes:
    """Compress with zstd; skips where nothing here can."""
    pa = pytest.importorskip("pyarrow", reason="zstd needs pyarrow")
    codec = pa.Codec("zstd")
    return bytes(codec.compress(data, asbytes=True))


@pytest.mark.parametrize(
    "data",
    [LINES, LINES.rstrip(), LINES.replace(b"\n", b"\n\n"), LINES.replace(b"\n", b"\r\n")],
    ids=["lines", "no last newline", "blank lines", "CRLF"],
)
def test_lines(tmp_path: Path, data: bytes) -> None:
    assert documents(written(tmp_path, data)) == DOCUMENTS
    assert documents(written(tmp_path, gzip.compress(data))) == DOCUMENTS


def test_one_document_over_many_lines(tmp_path: Path) -> None:
    assert documents(written(tmp_path, PRETTY)) == DOCUMENTS[:1]
    assert documents(written(tmp_path, gzip.compress(PRETTY))) == DOCUMENTS[:1]


def test_several_gzip_members(tmp_path: Path) -> None:
    """RFC 1952 allows them, and joined files have them."""
    halves = gzip.compress(LINES[:3000]) + gzip.compress(LINES[3000:])

    assert documents(written(tmp_path, halves)) == DOCUMENTS


def test_zstd(tmp_path: Path) -> None:
    assert documents(written(tmp_path, compressed(LINES))) == DOCUMENTS


def test_zstd_without_pyarrow_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (found,) = read_records(written(tmp_path, b"\x28\xb5\x2f\xfd rest"))

    assert isinstance(found, Unreadable)
    assert "extra 'analysis'" in found.reason


@pytest.mark.parametrize("cut", [10, 200, -5])
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_cut_file_is_unreadable_from_there(tmp_path: Path, kind: str, cut: int) -> None:
    """What was whole before is kept; the place is named; nothing is raised."""
    whole = gzip.compress(LINES) if kind == "gzip" else compressed(LINES)
    found = list(read_records(written(tmp_path, whole[:cut])))

    kept = [item for item in found if isinstance(item, Record)]
    assert [orjson.loads(item.data) for item in kept[:-1]] == DOCUMENTS[: len(kept[:-1])]
    assert len(found) <= len(DOCUMENTS) + 1
    assert kind == "zstd" or isinstance(found[-1], Unreadable)


def test_damaged_compression_is_unreadable(tmp_path: Path) -> None:
    for whole in (gzip.compress(LINES), compressed(LINES)):
        found = list(read_records(written(tmp_path, whole[:30] + b"\xff" * 40 + whole[70:])))

        assert isinstance(found[-1], Unreadable)
        assert found[-1].reason


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (found,) = read_records(tmp_path / "none")

    assert found == Unreadable(1, "No such file or directory")


def test_a_record_that_is_too_long_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines around it are read, and never more than the limit is held."""
    monkeypatch.setattr(read, "MAX_RECORD_BYTES", 1000)
    data = b'{"a":1}\n' + b'{"b":"' + b"x" * 5000 + b'"}\n{"c":3}\n'
    found = list(read_records(written(tmp_path, data)))

    assert [item.number for item in found] == [1, 2, 3]
    assert isinstance(found[1], Unreadable)
    assert isinstance(found[2], Record)


def test_a_bomb_costs_no_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand to one, without a newline."""
    monkeypatch.setattr(read, "MAX_RECORD_BYTES", 100_000)
    found = list(read_records(written(tmp_path, gzip.compress(b" " * 50_000_000))))

    assert [type(item) for item in found] == [Unreadable]
