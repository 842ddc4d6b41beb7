"""Whatever a file holds: good records are kept, bad ones counted with file, line and reason."""

import gzip
import hashlib
import random
import re
import resource
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
from analysis.warehouse import ooni as ooni_importer
from analysis.warehouse.faults import MAX_KEPT
from analysis.warehouse.lines import MAX_RECORD_BYTES
from facts import RUN
from probe.model.codec import encode_line
from probe.model.observation import Observation

Made = tuple[str, bytes, int]
"""A file's name, what it holds, and how many measurements are read of it at least."""

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
    "message cut in a character": with_keys(
        tcp_connect=[{"ip": "192.0.2.1", "port": "\U0001f984" * 70_000, "status": {}}]
    ),
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
    "byte order mark": ("x.jsonl", b"\xef\xbb\xbf" + variant(3) + b"\n" + variant(4), 2),
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


def test_a_gigabyte_in_a_few_kilobytes_stays_small(tmp_path: Path) -> None:
    """Empty lines without end: read in blocks, counted, and nothing of them is kept."""
    block = pa.compress(b"\n" * (64 << 20), "zstd", asbytes=True)
    bomb = bytes(block) * 16
    good = bytes(pa.compress(variant(1) + b"\n{\n", "zstd", asbytes=True))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.jsonl.zst").write_bytes(bomb + good)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    built = build([tmp_path / "in"], tmp_path / "w", threads=1)

    assert len(bomb) < 200_000
    assert [fault.number for fault in built.faults] == [16 * (64 << 20) + 2]
    assert open_tables(tmp_path / "w")["measurements"].count().execute() == 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


def test_bad_lines_without_end_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is said, at its place."""
    monkeypatch.setattr(ooni_importer, "_MAX_BAD", 1000)
    built, n = outcome(tmp_path, variant(1) + b"\n" + b"{\n" * 600_000 + variant(3))

    assert 1000 < built.faults.total < 600_000
    assert built.faults.by_kind["more than … bad lines: the rest is not read"] == 1
    assert n == 1


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


def own_lines() -> list[bytes]:
    """Some observations of ours, as they are stored."""
    made = Observation(
        observation_id="o00001", chain_id="c00001", step="tcp", role="test", service_id="a",
        target_id="a/web", combination_rule="all_of", control_id=None,
        endpoint_id="192.0.2.1:443", member="m", t0=0.0, t=0.1, failure="connection_refused",
        address="192.0.2.1", port=443, ip_version=4,
    )  # fmt: skip
    return [encode_line(RUN, made)] * 3


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


HOSTILE = [
    "<script>alert(1)</script>", "</style><img src=x onerror=alert(1)>", "javascript:alert(1)",
    "\u202egnp.exe", "a\u0000b", "\u001b[31mred\u001b[0m", "'; DROP TABLE obs--",
    "={cmd}|'/C x'!A0",
]  # fmt: skip


def _hostile(data: bytearray, rng: random.Random) -> None:
    """Put a text that is an attack elsewhere where a text is."""
    at = data.find(b':"', rng.randrange(len(data)))
    end = data.find(b'"', at + 2)
    if 0 <= at < end:
        data[at + 1 : end + 1] = orjson.dumps(rng.choice(HOSTILE))


LINE_DAMAGES: list[Callable[[bytearray, random.Random], None]] = [
    _flip, _cut, _repeat, _swap, _hostile,
]  # fmt: skip
FILE_DAMAGES: list[Callable[[bytearray, random.Random], None]] = [_flip, _cut, _repeat]
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda raw: gzip.compress(raw, 1),
    ".zst": lambda raw: bytes(pa.compress(raw, "zstd", asbytes=True)),
}


def ooni_file(number: int, rng: random.Random, originals: list[dict[str, Any]]) -> Made:
    """One line of three is damaged; of every fourth file what it is packed in, too."""
    own = rng.choice(originals) | {"report_id": f"damaged-{number}"}
    data = bytearray(orjson.dumps(own))
    rng.choice(LINE_DAMAGES)(data, rng)
    packing = rng.choice(list(PACKINGS))
    pack = PACKINGS[packing]
    before, after = variant(2 * number), variant(2 * number + 1)
    raw = b"\n".join([before, bytes(data), after]) + b"\n"
    if rng.random() < 0.75:
        return f"{number:04}.jsonl{packing}", pack(raw), 2
    packed = bytearray(pack(raw))
    trouble = rng.randrange(3)
    if trouble == 0:
        rng.choice(FILE_DAMAGES)(packed, rng)
        return f"{number:04}.jsonl{packing}", bytes(packed), 0
    if trouble == 1:
        # Several members, and what is none behind them.
        return f"{number:04}.jsonl{packing}", bytes(packed) + pack(raw) + rng.randbytes(40), 2
    return f"{number:04}.json{packing}", pack(bytes(data)), 0


def own_file(number: int, rng: random.Random, lines: list[bytes]) -> Made:
    """Our own results, of a run each: damaged within a line, or in the packing."""
    raw = b"".join(lines).replace(b'"run_id":"', b'"run_id":"%08x' % number)
    raw = re.sub(rb'("run_id":"[0-9a-f]{16})[0-9a-f]*', rb"\1", raw)
    before, line = raw.splitlines(keepends=True)[:2]
    data = bytearray(line)
    rng.choice(LINE_DAMAGES)(data, rng)
    packed = bytearray(gzip.compress(before + bytes(data) + b"\n" + raw, 1))
    if number % 2:
        rng.choice(FILE_DAMAGES)(packed, rng)
        return f"run-{number}.obs.jsonl.gz", bytes(packed), 0
    return f"run-{number}.obs.jsonl.gz", bytes(packed), 1


def daily_file(number: int, rng: random.Random, _: object) -> Made:
    rows = [f"{day},2021-01-{day:02},{'ir' if day % 2 else 'ru'},1,2.5,3,4" for day in range(1, 20)]
    data = bytearray("\n".join(["," + DAILY_HEAD.strip(), *rows]).encode())
    rng.choice([_flip, _cut, _repeat])(data, rng)
    return f"tor-{number}.csv", bytes(data), 0


def test_a_thousand_corrupted_files_are_counted(tmp_path: Path) -> None:
    """No crash; of each file what stands before and after the damage is kept; places are named.

    Seeded rather than shrunk: all thousand are one build, as they would be for a researcher.
    """
    folder = tmp_path / "in"
    folder.mkdir()
    originals, own = ooni.one_of_each(), own_lines()
    files: dict[str, tuple[bytes, int]] = {}
    for number in range(1000):
        rng = random.Random(number)
        make = (ooni_file, ooni_file, ooni_file, own_file, daily_file)[number % 5]
        name, data, n = make(number, rng, own if make is own_file else originals)  # type: ignore[arg-type]
        files[name] = data, n
        (folder / name).write_bytes(data)
    (folder / "events-x.json").write_bytes(b"\xff{<script>")
    built = build([folder], tmp_path / "w")
    tables = open_tables(tmp_path / "w")
    rows = tables["measurements"].select("source_file", "measurement_id").distinct()
    n_kept = Counter(row["source_file"] for row in rows.to_pyarrow().to_pylist())

    assert len({*built.imported, *built.skipped}) == 1000
    for name, (data, n) in files.items():
        assert n_kept[hashlib.sha256(data).hexdigest()[:16]] >= n, name
    assert {path.parent for path in built.faults.by_path} == {folder}
    assert built.faults.total >= 500
    assert all(fault.reason for fault in built.faults)
    assert {path.name for path in built.events} == {"events-x.json"}
    assert len(tables["daily"].to_pyarrow()) >= 19 * 4


DAILY_HEAD = "date,country,users,lower,upper,frac\n"


def test_bad_rows_of_daily_counts_are_named(tmp_path: Path) -> None:
    """And the rows around them are read."""
    rows = [
        "2021-13-01,ir,1,2,3,4",
        "2021-1-1,ir,1,2,3,4",
        "1800-01-01,ir,1,2,3,4",
        "2021-01-01,iran,1,2,3,4",
        "2021-01-01,<b>,1,2,3,4",
        "2021-01-03,ir,nan,2,3,4",
        "2021-01-03,ir,inf,2,3,4",
        "2021-01-03,ir,-1,2,3,4",
        "2021-01-03,ir,1e9,2,3,4",
        "2021-01-03,ir,1_0,2,3,4",
        "2021-01-03,ir,\u0665,2,3,4",
        "2021-01-03,ir,1.5,2,3,4",
        "2021-01-03,ir,1",
        '2021-01-03,ir,"1,2,3,4',
        "2021-01-01,ir,1,2,3,4",
        "x" * 20_000,
    ]
    good = "2021-01-0{},ir,1,2.5,3,4\n"
    path = tmp_path / "tor.csv"
    path.write_text(
        "# a comment\n" + DAILY_HEAD + good.format(1) + "\n".join(rows) + "\n" + good.format(2)
    )
    built = build([path], tmp_path / "w")

    assert [fault.number for fault in built.faults] == list(range(4, 4 + len(rows)))
    assert open_tables(tmp_path / "w")["daily"].count().execute() == 8


def test_counts_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    """Or lack one; a day that is not there, or a number that nobody told, is no row."""
    rows = ["9,5,1,2,0,4,2030-03-03,8", "9,5,1,2,0,4,2030-03-04,7", "9,5,,2,0,4,2030-03-05,7"]
    (tmp_path / "ooni-data-ir.csv").write_text(
        ",ok,dns,http,tls,error,date,total\n" + "\n".join(rows)
    )
    (tmp_path / "tor.csv").write_text(
        DAILY_HEAD + "2030-03-01,ru,100,,,86\n2030-03-01,,7,1,9,83\n2030-03-01,??,7,1,9,83\n"
    )
    built = build([tmp_path], tmp_path / "w")
    found = open_tables(tmp_path / "w")["daily"].to_pyarrow().to_pylist()

    assert [str(fault).split("/")[-1] for fault in built.faults] == [
        "ooni-data-ir.csv:3: total is not ok + dns + http + tls",
        "ooni-data-ir.csv:4: no number of dns",
    ]
    assert Counter(row["probe_cc"] for row in found) == {"IR": 6, "RU": 2}


def test_real_daily_series_are_read(tmp_path: Path) -> None:
    """Two years and more, without a fault."""
    data = ooni.real("telegram_RU_AS8402_20221109.json").parent.parent / "daily"
    if not data.is_dir():
        pytest.skip("no daily series beside this checkout")
    assert not build([data], tmp_path / "w").faults
    days = open_tables(tmp_path / "w")["daily"].select("source", "probe_cc", "date").distinct()
    counted = Counter((row["source"], row["probe_cc"]) for row in days.to_pyarrow().to_pylist())
    assert {"IR", "MM", "RU", "TR"} <= {country for _, country in counted}
    assert min(counted.values()) > 700


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"a,b\n1,2\n", b"\n\n", b"date,users,users,lower,upper,frac\n"]
)
def test_a_table_of_something_else_is_one_fault(tmp_path: Path, data: bytes) -> None:
    """CSV says nothing of what it is."""
    (tmp_path / "x.csv").write_bytes(data)
    assert build([tmp_path], tmp_path / "w").faults.total == 1
