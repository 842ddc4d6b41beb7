"""OONI's rows become the facts that the prober's own importer makes of them."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

import ooni_measurements as ooni
from analysis.warehouse import build, open_tables
from analysis.warehouse.document import document
from analysis.warehouse.failure_class import ALL, CLASSES, class_sql
from analysis.warehouse.schema import TABLES
from probe.model.failure import FAILURES
from probe.store.from_ooni.convert import convert
from probe.store.from_ooni.measurement import parse


def tables(tmp_path: Path, *measurements: bytes) -> dict[str, list[dict[str, Any]]]:
    source = tmp_path / "x.jsonl"
    source.write_bytes(b"\n".join(measurements))
    assert not build([source], tmp_path / "w", threads=1).faults
    return {
        name: table.to_pyarrow().to_pylist() for name, table in open_tables(tmp_path / "w").items()
    }


def one_line(path: Path) -> bytes:
    return orjson.dumps(orjson.loads(path.read_bytes()))


MADE_UP = [orjson.dumps(one) for one in ooni.one_of_each()]


def check_against_importer(tmp_path: Path, measurement: bytes) -> None:
    rows = tables(tmp_path, measurement)["observations"]
    expected = [row for row in convert(parse(measurement)).rows if row.role == "test"]

    def connects(found: Any, get: Any) -> Counter[Any]:
        return Counter(
            tuple(get(row, name) for name in ("target_id", "address", "port", "failure"))
            for row in found
            if get(row, "step") == "tcp"
        )

    assert connects(rows, dict.get) == connects(expected, getattr)
    assert {row["target_id"] for row in rows if row["step"] != "dns"} == {
        row.target_id for row in expected if row.step != "dns"
    }
    assert {(row["hostname"], row["failure"]) for row in rows if row["step"] == "dns"} >= {
        (row.hostname, row.failure)
        for row in expected
        if row.step == "dns" and row.resolver_id != "test-helper" and row.target_id is not None
    }


@pytest.mark.parametrize("number", range(len(MADE_UP)))
def test_made_up_measurements_agree_with_the_importer(tmp_path: Path, number: int) -> None:
    """The same connects, targets and lookups, by two programs with nothing in common."""
    check_against_importer(tmp_path, MADE_UP[number])


def test_real_measurements_agree_with_the_importer(tmp_path: Path) -> None:
    """The same of OONI's own."""
    for number, path in enumerate(ooni.all_real()):
        folder = tmp_path / str(number)
        folder.mkdir()
        check_against_importer(folder, one_line(path))


def test_a_real_block_of_telegrams_web_is_seen(tmp_path: Path) -> None:
    """Data centres work, one way to the web client timed out and one did not."""
    path = ooni.real("telegram_RU_AS8402_20221109.json")
    found = {row["target_id"]: row for row in tables(tmp_path, one_line(path))["measurements"]}

    assert (found["telegram/dc_pool"]["n_ok"], found["telegram/dc_pool"]["n_total"]) == (5, 5)
    assert found["telegram/web"]["http_failure"] == "generic_timeout_error"
    assert found["telegram/web"]["http_ok"] < found["telegram/web"]["http_total"]


def summary(tmp_path: Path, **test_keys: Any) -> dict[str, Any]:
    measurement = orjson.dumps(ooni.measurement("web_connectivity", **test_keys))
    (row,) = tables(tmp_path, measurement)["measurements"]
    return row


def test_a_name_that_fails_is_a_failed_member(tmp_path: Path) -> None:
    """No connect was tried: the lookup is what failed."""
    row = summary(
        tmp_path,
        queries=[{"hostname": "a.example", "query_type": "A", "failure": "dns_nxdomain_error"}],
    )

    assert (row["outcome"], row["failed_step"], row["failure"], row["failure_class"]) == (
        "failed", "dns", "dns_nxdomain_error", "dns",
    )  # fmt: skip


def test_a_name_alone_says_nothing_of_its_host(tmp_path: Path) -> None:
    """Found, but nothing was tried there: no data, never fine."""
    row = summary(tmp_path, queries=[ooni.query("a.example", "192.0.2.1")])

    assert (row["outcome"], row["n_total"], row["dns_ok"]) == ("no_data", 0, 1)


def test_one_way_that_works_is_enough_and_the_rest_is_counted(tmp_path: Path) -> None:
    """An address that fails beside one that works makes no member fail."""
    row = summary(
        tmp_path,
        queries=[ooni.query("a.example", "192.0.2.1", "2001:db8::1")],
        tcp_connect=[
            {"ip": "192.0.2.1", "port": 443, "status": {"success": True, "failure": None}},
            {"ip": "2001:db8::1", "port": 443,
             "status": {"success": False, "failure": "network_unreachable"}},
        ],
    )  # fmt: skip

    assert (row["outcome"], row["tcp_ok"], row["tcp_total"]) == ("ok", 1, 2)
    assert row["tcp_failure"] == "network_unreachable"


def test_failures_that_differ_are_mixed(tmp_path: Path) -> None:
    """No one of them stands for all."""
    row = summary(
        tmp_path,
        tcp_connect=[
            {"ip": "192.0.2.1", "port": 443, "status": {"success": False, "failure": failure}}
            for failure in ("connection_reset", "generic_timeout_error")
        ],
    )  # fmt: skip

    assert (row["failure"], row["failure_class"]) == ("mixed", "mixed")


def test_what_could_identify_is_not_kept(tmp_path: Path) -> None:
    """Neither the report, the resolver's address, seconds, nor addresses in texts."""
    secret = "203.0.113.77"
    measurement = ooni.telegram() | {
        "report_id": f"20240101T000000Z_{secret}",
        "probe_ip": secret,
        "resolver_ip": secret,
        "measurement_start_time": "2024-03-01 10:00:59",
    }
    keys = measurement["test_keys"]
    keys["requests"][0]["failure"] = f"unknown_failure: read tcp {secret}:5->192.0.2.1:443"
    keys["requests"][0]["response"] = {
        "code": 403, "body": f"<title>Blocked for {secret}, customer 12345678</title>",
    }  # fmt: skip
    found = tables(tmp_path, orjson.dumps(measurement))

    assert secret not in repr(found)
    assert "12345678" not in repr(found)
    assert {str(row["start_time"]) for row in found["measurements"]} == {"2024-03-01 10:00:00"}
    assert any(row["failure"] == "unknown_failure: other" for row in found["observations"])


def test_every_failure_string_has_a_class() -> None:
    """Ours are in one table; each gets a word from the list, and its own if it has one."""
    for text in FAILURES:
        (found,) = duckdb.sql(f"SELECT {class_sql('f')} FROM (SELECT '{text}' AS f)").fetchall()[0]
        assert found in ALL
        own = [name for name, strings in CLASSES.items() if text in strings]
        assert found == own[0] if own else found not in CLASSES


def test_tables_page_is_that_of_the_definition() -> None:
    """docs/tables.md says what the files hold."""
    page = Path(__file__).resolve().parents[3] / "docs" / "tables.md"
    assert page.read_text() == document()


def test_files_hold_the_columns_of_the_definition(tmp_path: Path) -> None:
    """Names and types, in order."""
    tables(tmp_path, *MADE_UP)
    for name in ("observations", "measurements"):
        path = next((tmp_path / "w" / name).rglob("*.parquet"))
        described = duckdb.sql(
            f"DESCRIBE SELECT * FROM read_parquet('{path}', hive_partitioning = false)"
        ).fetchall()
        assert [row[:2] for row in described] == [
            (column.name, column.type) for column in TABLES[name].columns
        ]


URLS: dict[str, tuple[str | None, int, str]] = {
    "https://a.example/": ("a.example", 443, "/"),
    "http://a.example": ("a.example", 80, ""),
    "http://a-b.example/x/y_z.html": ("a-b.example", 80, "/x/y_z.html"),
    "https://a.example:8443/x": ("a.example", 8443, "/x"),
    "https://user:pw@a.example/x": ("a.example", 443, "/x"),
    "https://a.example/x?secret=1#2": ("a.example", 443, "/x"),
    "https://a.example?x": ("a.example", 443, ""),
    "https://[2001:db8::1]:444/": (None, 444, "/"),
    "https://192.0.2.1/": (None, 443, "/"),
    "none-at-all": (None, 80, ""),
    "": (None, 80, ""),
}


def test_urls_are_taken_apart(tmp_path: Path) -> None:
    """Host, port and path; what may hold a secret is not kept."""
    pages = [
        {"request": {"url": url}, "response": {"code": 200}, "failure": None, "t": number}
        for number, url in enumerate(URLS)
    ]
    measurement = orjson.dumps(ooni.measurement("web_connectivity", requests=pages))
    rows = sorted(tables(tmp_path, measurement)["observations"], key=lambda row: row["t"])

    assert [(row["hostname"], row["port"], row["path"]) for row in rows] == list(URLS.values())


def summary_of(tmp_path: Path, measurement: dict[str, Any]) -> dict[str, Any]:
    found = tables(tmp_path, orjson.dumps(measurement))["measurements"]
    return next(row for row in found if row["target_id"] == f"web/{ooni.HOST}")


def again(measurement: dict[str, Any], name: str, **changes: Any) -> dict[str, Any]:
    """Add a try of the first step of a kind."""
    rows = measurement["test_keys"][name]
    rows.append(orjson.loads(orjson.dumps(rows[0])) | changes)
    return measurement


TIMEOUT = {"failure": "generic_timeout_error", "success": False}


@pytest.mark.parametrize(
    ("name", "changes", "step"),
    [
        ("tcp_connect", {"status": TIMEOUT}, "tcp"),
        ("tls_handshakes", {"failure": "connection_reset"}, "tls"),
        ("requests", {"failure": "eof_error"}, "http"),
    ],
)
def test_what_passes_and_fails_at_one_place_is_reached_in_part(
    tmp_path: Path, name: str, changes: dict[str, Any], step: str
) -> None:
    """Its members work and are counted so; that they do not always is the outcome."""
    row = summary_of(tmp_path, again(ooni.page(), name, **changes))

    assert (row["outcome"], row["n_ok"], row["n_total"]) == ("partial", 1, 1)
    assert row["failed_step"] == step
    assert row["failure"] == changes.get("failure", TIMEOUT["failure"])


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("tcp_connect", {"ip": "2001:db8::1", "status": TIMEOUT}),
        ("tls_handshakes", {"address": "[2001:db8::1]:443", "failure": "connection_reset"}),
        ("tcp_connect", {"ip": "192.0.2.7", "status": TIMEOUT}),
        ("queries", {"query_type": "AAAA", "failure": "dns_no_answer", "answers": None}),
    ],
)
def test_failures_elsewhere_do_not_make_it_partial(
    tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    """IPv6 that is broken, another address, the other family's lookup."""
    one = ooni.page()
    one["test_keys"]["queries"].append(ooni.query(ooni.HOST, "2001:db8::1", "192.0.2.7"))
    row = summary_of(tmp_path, again(one, name, **changes))
    assert (row["outcome"], row["failure"]) == ("ok", None)


def test_the_known_block_of_telegram_web_is_not_called_fine(tmp_path: Path) -> None:
    """The page came once and timed out once, while the data centres answered."""
    source = ooni.real("telegram_RU_AS8402_20221109.json")
    found = {row["target_id"]: row for row in tables(tmp_path, one_line(source))["measurements"]}

    web = found["telegram/web"]
    assert (web["outcome"], web["failed_step"], web["failure_class"]) == (
        "partial",
        "tcp",
        "timeout",
    )
    assert found["telegram/dc_pool"]["outcome"] == "ok"


def test_columns_beside_the_facts_are_read(tmp_path: Path) -> None:
    """Engine, networks of answers, certificates, redirects, hashes of bodies."""
    one = ooni.page()
    one["annotations"] |= {"engine_name": "e", "architecture": "arm64", "origin": "autorun"}
    keys = one["test_keys"]
    keys["requests"].append(ooni.http("http://example.org/x", 301))
    keys["requests"][0]["request"]["body"] = "abc"
    rows = tables(tmp_path, orjson.dumps(one))
    (measurement,) = [r for r in rows["measurements"] if r["target_id"] == f"web/{ooni.HOST}"]
    steps = {(row["step"], row["position"]): row for row in rows["observations"]}

    assert (measurement["engine_name"], measurement["architecture"]) == ("e", "arm64")
    assert measurement["origin"] == "autorun"
    assert steps["dns", 1]["answer_asns"] == "93"
    assert steps["tls", 1]["certificate_is_valid"] is True
    assert steps["tls", 1]["certificate_chain_length"] == 1
    assert steps["tls", 1]["certificate_sha256"] == hashlib.sha256(b"no certificate").hexdigest()
    assert steps["tls", 1]["certificate_subject"] is None
    assert steps["http", 1]["redirected_from"] == "example.org"
    assert steps["http", 1]["request_body_bytes"] == 3
    body = keys["requests"][0]["response"]["body"].encode()
    assert steps["http", 1]["body_sha1"] == hashlib.sha1(body).hexdigest()


def test_real_certificates_are_read(tmp_path: Path) -> None:
    """Whose, by whom, for which names and until when."""
    rows = tables(tmp_path, one_line(ooni.real("telegram_US_20221110.json")))["observations"]
    (leaf,) = {
        (r["certificate_subject"], r["certificate_names"], str(r["certificate_not_after"]))
        for r in rows
        if r["step"] == "tls"
    }
    assert leaf == (
        "CN=*.web.telegram.org", "*.web.telegram.org web.telegram.org", "2023-09-30 00:39:34",
    )  # fmt: skip


def test_an_address_of_ipv6_is_one_place(tmp_path: Path) -> None:
    """A URL has it in brackets, a connect has not: both are the same member's."""
    address = "2001:db8::1"
    pages = [{"request": {"url": f"http://[{address}]/"}, "response": {"code": 200}}]
    connects = [{"ip": address, "port": 80, "status": {"success": True}}]
    one = ooni.measurement("web_connectivity", requests=pages, tcp_connect=connects)
    (row,) = tables(tmp_path, orjson.dumps(one))["measurements"]

    assert (row["target_id"], row["n_ok"], row["n_total"]) == (f"web/{address}", 1, 1)


def test_what_does_not_say_how_it_ended_is_no_success(tmp_path: Path) -> None:
    """Rows without an outcome are no data, however many."""
    one = ooni.measurement(
        "telegram",
        tcp_connect=[{"ip": "149.154.175.50", "port": 443, "status": {}}, {}],
        requests=[{"request": {"url": "https://web.telegram.org/"}, "response": None}, {}],
        tls_handshakes=[{}, None],
    )
    found = tables(tmp_path, orjson.dumps(one))

    assert found["observations"] == []
    assert [(row["outcome"], row["n_total"]) for row in found["measurements"]] == [("no_data", 0)]
