"""Whatever a file holds: good records are kept, bad ones counted with file, line and reason."""

import gzip
import hashlib
import random
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

import ooni_measurements as ooni
from analysis.warehouse import Built, build, open_tables
from analysis.warehouse.faults import MAX_KEPT
from analysis.warehouse.lines import MAX_RECORD_BYTES

GOOD = orjson.dumps(ooni.telegram() | {"report_id": "good"})


def variant(number: int) -> bytes:
    """A good measurement that is no other."""
    return orjson.dumps(ooni.telegram() | {"report_id": f"good-{number}"})


def replaced(key: str, value: Any) -> bytes:
    return orjson.dumps(ooni.telegram() | {key: value})


def with_keys(**test_keys: Any) -> bytes:
    return orjson.dumps(ooni.measurement("telegram", **test_keys))


BAD_LINES = {
    "cut": GOOD[:-20],
    "array": b"[]",
    "text": b'"measurement"',
    "null": b"null",
    "empty object": b"{}",
    "binary": b"\x00\xff\x01\x02",
    "not utf-8": GOOD.replace(b"telegram", b"tele\xffgram"),
    "lone surrogate": GOOD.replace(b'"good"', b'"\\ud800"'),
    "nan": GOOD.replace(b'"input":null', b'"test_runtime":NaN'),
    "nan in a row": GOOD.replace(b'"t":', b'"t":nan,"x":', 1),
    "infinite": GOOD.replace(b'"input":null', b'"test_runtime":1e999'),
    "no country": replaced("probe_cc", None),
    "wrong country": replaced("probe_cc", {"a": 1}),
    "wrong network": replaced("probe_asn", 7),
    "no day": replaced("measurement_start_time", "yesterday"),
    "day that is none": replaced("measurement_start_time", "2024-02-31 10:00:00"),
    "ancient": replaced("measurement_start_time", "1970-01-01 00:00:00"),
    "far": replaced("measurement_start_time", "9999-01-01 00:00:00"),
    "no keys": replaced("test_keys", None),
    "keys a list": replaced("test_keys", []),
    "rows a text": with_keys(tcp_connect="x"),
    "row a number": with_keys(tcp_connect=[5]),
    "port a text": with_keys(tcp_connect=[{"ip": "192.0.2.1", "port": "many", "status": {}}]),
    "time a text": with_keys(tcp_connect=[{"ip": "192.0.2.1", "port": 1, "t": "soon"}]),
    "key twice": GOOD.replace(b'"probe_cc"', b'"probe_cc":"IT","probe_cc"', 1),
    "our marks": GOOD.replace(b"{", b'{"rw_file":0,"rw_line":0,', 1),
    "two in one": GOOD + GOOD,
}


def outcome(tmp_path: Path, data: bytes, name: str = "x.jsonl") -> tuple[Any, int]:
    """Build one file beside a good one; return the build and the file's measurements."""
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    built = build([folder], tmp_path / "w", threads=1)
    return built, open_tables(tmp_path / "w")["measurements"].measurement_id.nunique().execute()


def together(folder: Path, files: dict[str, bytes]) -> tuple[Built, Counter[str]]:
    """Build files as one; return the build, and the measurements of each by its name."""
    names = {}
    for name, data in files.items():
        (folder / name).write_bytes(data)
        names[hashlib.sha256(data).hexdigest()[:16]] = name
    built = build([folder], folder / "w")
    found = open_tables(folder / "w")["measurements"].select("source_file", "measurement_id")
    rows = found.distinct().to_pyarrow().to_pylist()
    return built, Counter(names[row["source_file"]] for row in rows)


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> tuple[Built, Counter[str]]:
    """Each bad line in a file of its own, between two that are good."""
    files = {}
    for number, (name, line) in enumerate(BAD_LINES.items()):
        around = variant(2 * number), variant(2 * number + 1)
        files[f"{name}.jsonl"] = b"\n".join([around[0], b"", line, around[1], b""])
    return together(tmp_path_factory.mktemp("bad"), files)


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named_and_its_neighbours_read(
    bad: tuple[Built, Counter[str]], name: str
) -> None:
    """File, line and reason; the lines around it count."""
    built, n = bad
    (fault,) = [fault for fault in built.faults if fault.path.stem == name]

    assert fault.number == 3
    assert fault.reason
    assert n[f"{name}.jsonl"] == 2


ODD = {
    "unknown test": orjson.dumps(ooni.measurement("strange_new_test", x=1)),
    "no rows": orjson.dumps(ooni.measurement("telegram")),
    "nested bomb where nothing is read": GOOD.replace(
        b'"input":null', b'"x":' + b"[" * 500 + b"]" * 500 + b',"input":null'
    ),
    "input a list": replaced("input", ["a", "b"]),
    "long texts": with_keys(
        queries=[{"hostname": "x" * (10 << 20), "query_type": "A", "failure": "y" * 1000}]
    ),
    "nul": GOOD.replace(b'"good"', b'"a\\u0000b"'),
    "numbers out of range": with_keys(
        tcp_connect=[{"ip": "192.0.2.1", "port": 1 << 40, "status": {"success": True}}]
    ),
    "empty rows": with_keys(tcp_connect=[{}], queries=[{}], requests=[{}], tls_handshakes=[{}]),
    "null rows": with_keys(tcp_connect=[None], queries=[None], requests=[None]),
    "bad base64": with_keys(
        tls_handshakes=[{"server_name": "a.example", "peer_certificates": [{"data": "%%%"}]}]
    ),
    "hostile text": with_keys(queries=[{"hostname": "<script>'; DROP TABLE raw--"}]),
}


def test_odd_measurements_are_kept(tmp_path: Path) -> None:
    """They have a place and a time: they count, with what can be said of them."""
    files = {
        f"{name}.jsonl": line.replace(b'"report_id":"', b'"report_id":"%d' % number)
        for number, (name, line) in enumerate(ODD.items())
    }
    built, n = together(tmp_path, files)

    assert not built.faults
    assert n == Counter(list(files))


def test_texts_are_cut(tmp_path: Path) -> None:
    """No cell of a table grows with its input."""
    outcome(tmp_path, ODD["long texts"])
    row = open_tables(tmp_path / "w")["observations"].to_pyarrow().to_pylist()[0]

    assert max(len(value) for value in row.values() if isinstance(value, str)) <= 255


DAMAGED_FILES: dict[str, tuple[str, bytes, int]] = {
    "empty": ("x.jsonl", b"", 0),
    "empty member": ("x.jsonl.gz", gzip.compress(b"") + gzip.compress(GOOD), 1),
    "not gzip": ("x.jsonl.gz", b"\x1f\x8b" + b"\xff" * 100, 0),
    "not zstd": ("x.jsonl.zst", b"\x28\xb5\x2f\xfd" + b"\xff" * 100, 0),
    "binary": ("x.json", bytes(range(11, 256)), 0),
    "no end": ("x.jsonl", variant(1) + b"\n" + variant(2), 2),
}


def test_damaged_files_are_counted(tmp_path: Path) -> None:
    """Each is named once, unless nothing is wrong with it."""
    files = {f"{name} {file}": data for name, (file, data, _) in DAMAGED_FILES.items()}
    built, found = together(tmp_path, files)
    bad = Counter(fault.path.name for fault in built.faults)

    for name, (file, _, n) in DAMAGED_FILES.items():
        assert found[f"{name} {file}"] == n
        assert bad[f"{name} {file}"] == (0 if n else 1)


def packed(packing: str) -> tuple[str, bytes]:
    # Text that does not compress: half of the packed bytes are then half of the lines.
    rng = random.Random(1)
    data = b"".join(
        orjson.dumps(ooni.telegram() | {"report_id": f"{n}-{rng.randbytes(2000).hex()}"}) + b"\n"
        for n in range(300)
    )
    if packing == "gz":
        return "x.jsonl.gz", gzip.compress(data)
    return "x.jsonl.zst", pa.compress(data, "zstd", asbytes=True)


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_a_cut_file_gives_what_came_before(tmp_path: Path, packing: str) -> None:
    """Every line before the end of a half file, and one fault."""
    name, data = packed(packing)
    built, n = outcome(tmp_path, data[: len(data) // 2], name)
    (fault,) = built.faults

    assert 100 < n < 200
    assert fault.number == n


def test_a_line_beyond_the_limit_is_skipped_in_bounded_memory(tmp_path: Path) -> None:
    """Sixteen megabytes are one record's limit; the next line has its number."""
    giant = b'{"a":"' + b"x" * (MAX_RECORD_BYTES + 10) + b'"}'
    built, n = outcome(tmp_path, b"\n".join([variant(1), giant, b"{", variant(2)]))

    assert [fault.number for fault in built.faults] == [2, 3]
    assert n == 2


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    """A thousand to one: a line without an end is given up, not unpacked."""
    compressor = zlib.compressobj(9, wbits=31)
    bomb = b"".join(compressor.compress(b"[" * (1 << 20)) for _ in range(200)) + compressor.flush()
    built, n = outcome(tmp_path, bomb, "x.jsonl.gz")

    assert built.faults.total == 1
    assert n == 0


def test_bad_lines_among_good_ones_cost_only_themselves(tmp_path: Path) -> None:
    """Also those that only the engine refuses, however many."""
    twice = GOOD.replace(b'"probe_cc"', b'"probe_cc":"IT","probe_cc"', 1)
    nested = GOOD.replace(b'"tcp_connect"', b'"tcp_connect":[],"tcp_connect"', 1)
    unread = GOOD.replace(b'"annotations"', b'"x":{"y":1,"y":2},"annotations"', 1)
    lines = [one for n in range(400) for one in (variant(n), twice, nested)]
    built, n = outcome(tmp_path, b"\n".join([*lines, unread]))

    assert built.faults.total == 800
    assert n == 401


def test_all_bad_lines_are_counted_and_some_kept(tmp_path: Path) -> None:
    """A file of nothing else does not fill memory."""
    built, n = outcome(tmp_path, b"{\n" * 5000 + variant(1))

    assert built.faults.total == 5000
    assert len(built.faults) == MAX_KEPT
    assert built.faults.by_kind.total() == 5000
    assert n == 1


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randrange(1, 20)):
        data[rng.randrange(len(data))] = rng.randrange(256)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    data[start:start] = data[start : start + rng.randrange(200)] * rng.randrange(20)


def _swap(data: bytearray, rng: random.Random) -> None:
    words = [b"null", b"true", b"[]", b"{}", b'"x"', b"1e999", b"-1", b"NaN", b"[[[[", b"\\u0000"]
    at = data.find(b":", rng.randrange(len(data)))
    end = data.find(b",", at)
    if 0 <= at < end:
        data[at + 1 : end] = rng.choice(words)


DAMAGES: list[Callable[[bytearray, random.Random], None]] = [_flip, _cut, _repeat, _swap]


def test_a_thousand_corrupted_files_are_counted(tmp_path: Path) -> None:
    """No crash; what stands in each file before and after the damage is kept.

    Seeded rather than shrunk: all thousand are one build, as they would be for a researcher.
    """
    folder = tmp_path / "in"
    folder.mkdir()
    originals = ooni.one_of_each()
    for number in range(1000):
        rng = random.Random(number)
        own = rng.choice(originals) | {"report_id": f"damaged-{number}"}
        data = bytearray(orjson.dumps(own))
        rng.choice(DAMAGES)(data, rng)
        around = [variant(2 * number), bytes(data), variant(2 * number + 1)]
        raw = b"\n".join(around) + b"\n"
        name, body = rng.choice(
            [
                ("jsonl", raw),
                ("jsonl.gz", gzip.compress(raw, 1)),
                ("jsonl.zst", pa.compress(raw, "zstd", asbytes=True)),
            ]
        )
        (folder / f"{number:04}.{name}").write_bytes(body)
    built = build([folder], tmp_path / "w")
    found = open_tables(tmp_path / "w")["measurements"].measurement_id.nunique().execute()

    assert len(built.imported) == 1000
    assert 2000 <= found <= 3000
    assert built.faults.total + found >= 3000
    assert {path.parent for path in built.faults.by_path} <= {folder}


DAILY_HEAD = "date,country,users,lower,upper,frac\n"


def test_bad_rows_of_daily_counts_are_named(tmp_path: Path) -> None:
    """And the rows around them are read."""
    rows = [
        "2021-13-01,ir,1,2,3,4",
        "2021-01-01,iran,1,2,3,4",
        "2021-01-01,ir,nan,2,3,4",
        "2021-01-01,ir,inf,2,3,4",
        "2021-01-01,ir,-1,2,3,4",
        "2021-01-01,ir,1",
        '2021-01-01,ir,"1,2,3,4',
        "x" * 20_000,
    ]
    good = "2021-01-0{},ir,1,2,3,4\n"
    path = tmp_path / "tor.csv"
    path.write_text(DAILY_HEAD + good.format(1) + "\n".join(rows) + "\n" + good.format(2))
    built = build([path], tmp_path / "w")

    assert [fault.number for fault in built.faults] == list(range(3, 3 + len(rows)))
    assert open_tables(tmp_path / "w")["daily"].count().execute() == 8


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"a,b\n1,2\n", b"\n\n"])
def test_a_table_of_something_else_is_one_fault(tmp_path: Path, data: bytes) -> None:
    """CSV says nothing of what it is."""
    (tmp_path / "x.csv").write_bytes(data)
    assert build([tmp_path], tmp_path / "w").faults.total == 1
