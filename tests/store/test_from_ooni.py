"""OONI's facts become ours, one to one, and nothing that they do not say."""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ooni_measurements as ooni
from model import mutation
from probe.model import failure as failures
from probe.model.codec import decode_line, encode_line
from probe.model.observation import Observation
from probe.model.verdict import BLOCKED_STATES, Verdict
from probe.store.from_ooni.convert import HELPER, NOT_ASKED, Imported, convert
from probe.store.from_ooni.facts import OTHER, failure_of
from probe.store.from_ooni.lookups import TEST_HELPER
from probe.store.from_ooni.measurement import BadRecordError, SkippedTestError, parse
from probe.verdict.judge import judge


def imported(document: Any) -> Imported:
    return convert(parse(orjson.dumps(document)))


def rows(document: Any, step: str, role: str = "test") -> list[Observation]:
    return [row for row in imported(document).rows if (row.step, row.role) == (step, role)]


def verdicts(source: Any) -> dict[str, Verdict]:
    """Judge a document or a file of one."""
    data = source.read_bytes() if isinstance(source, Path) else orjson.dumps(source)
    return {v.target_id: v for v in judge(convert(parse(data)).rows)}


def chains(found: Iterable[Observation]) -> list[list[tuple[str, str | None]]]:
    """Return the steps and failures of each connection."""
    by_chain: dict[str, list[tuple[str, str | None]]] = {}
    for row in found:
        if row.step != "dns" and row.role == "test":
            by_chain.setdefault(row.chain_id, []).append((row.step, row.failure))
    return list(by_chain.values())


# -- the real ones --------------------------------------------------------------


def test_real_telegram_of_2022_in_russia() -> None:
    """All five data centres answer, and web.telegram.org answers once before it is silent.

    OONI calls the web blocked because its last request timed out; its own facts hold a
    verified page of the same host 15 s earlier. Connects that fall silent after a success,
    while hosts in other networks answer, make it likely, and one rival remains: not sure.
    """
    path = ooni.real("telegram_RU_AS8402_20221109.json")
    found = convert(parse(path.read_bytes())).rows
    web = [r for r in found if (r.target_id, r.member) == ("telegram/web", "web.telegram.org")]
    first, second, other = chains(web)

    assert verdicts(path)["telegram/dc_pool"].state == "ok"
    assert verdicts(path)["telegram/dc_pool"].n_ok == 5
    assert first == [("tcp", None), ("tls", None), ("http", None)]
    assert second == other == [("tcp", "generic_timeout_error")]
    verdict = verdicts(path)["telegram/web"]
    assert (verdict.state, verdict.rule_id) == ("likely_blocked", "tcp.silent_after_success")
    assert (verdict.n_ok, verdict.n_total, verdict.control_state) == (1, 2, "ok")
    assert verdict.failed_members == ("web.telegram.org",)


def test_real_telegram_of_2022_in_the_united_states() -> None:
    """Nothing is blocked."""
    found = verdicts(ooni.real("telegram_US_20221110.json"))

    assert {name: v.state for name, v in found.items()} == {
        "telegram/dc_pool": "ok",
        "telegram/web": "ok",
    }
    assert found["telegram/dc_pool"].n_ok == found["telegram/dc_pool"].n_total == 5


def test_real_signal() -> None:
    """Six of six hosts in Brazil; in Iran one of six, and the line worked for that one."""
    brazil = verdicts(ooni.real("signal_BR_20210414.json"))["signal/web"]
    iran = verdicts(ooni.real("signal_IR_20210415.json"))["signal/web"]

    assert (brazil.state, brazil.n_ok, brazil.control_state) == ("ok", 6, "ok")
    assert (iran.state, iran.stage, iran.n_ok, iran.n_total) == ("impaired", "dns", 1, 6)
    assert "textsecure-service.whispersystems.org" not in iran.failed_members


def test_real_web_connectivity() -> None:
    """A page that answered with a silent IPv6 beside it; and one that no request reached."""
    instagram = verdicts(ooni.real("webconnectivity_US_20230307.json"))
    poker = verdicts(ooni.real("webconnectivity_RU_20201029.json"))

    assert instagram["web/www.instagram.com"].state == "ok"
    assert poker["web/www.pokerroom.com"].state == "impaired"
    assert poker["web/www.pokerroom.com"].stage == "http"


def test_real_measurements_name_no_resolver_and_keep_no_cookie() -> None:
    """What OONI publishes of a volunteer's resolver is not in our lines."""
    for path in ooni.all_real():
        parsed = parse(path.read_bytes())
        stored = b"".join(encode_line(convert(parsed).run, r) for r in convert(parsed).rows)
        for key in ("resolver_ip", "client_resolver", "resolver_network_name"):
            value = parsed.document.get(key) or parsed.document["test_keys"].get(key)
            assert not value or value.encode() not in stored
        assert b"set-cookie" not in stored.lower()


# -- one measurement of each test -----------------------------------------------


def test_a_page_is_one_chain() -> None:
    """Rows of one transaction are one connection, with its facts."""
    found = imported(ooni.page())
    http = rows(ooni.page(), "http")[0]

    assert chains(found.rows) == [[("tcp", None), ("tls", None), ("http", None)]]
    assert {r.target_id for r in found.rows if r.role == "test"} == {f"web/{ooni.HOST}"}
    assert (http.endpoint_id, http.address, http.member) == (
        f"{ooni.HOST}:443",
        ooni.ADDRESS,
        ooni.HOST,
    )
    assert (http.status_code, http.title, http.path) == (200, "Hello", "/")
    assert [(h.name, h.value) for h in http.headers] == [
        ("server", "nginx"),
        ("via", "1.1 [scrubbed]"),
    ]
    assert http.body_text == "you are [scrubbed]"


@pytest.mark.parametrize("step", ["tcp", "tls", "http"])
def test_a_page_that_fails_fails_at_its_step(step: str) -> None:
    """The chain ends there; nobody calls it blocked without known-good hosts."""
    document = ooni.page(step)
    (chain,) = chains(imported(document).rows)
    verdict = verdicts(document)[f"web/{ooni.HOST}"]

    assert chain[-1] == (step, "connection_reset")
    assert all(failure is None for _, failure in chain[:-1])
    assert (verdict.n_ok, verdict.n_total) == (0, 1)
    assert verdict.state not in BLOCKED_STATES


def test_the_test_helper_is_an_honest_resolver_elsewhere() -> None:
    """Its addresses stand against a denial; alike denials mean that the name is gone."""
    document = ooni.page("dns", "dns_nxdomain_error")
    helper = [r for r in rows(document, "dns") if r.resolver_id == TEST_HELPER]
    agreeing = ooni.page("dns", "dns_nxdomain_error")
    agreeing["test_keys"]["control"]["dns"] = {"failure": "dns_name_error", "addrs": []}

    assert [(r.resolver_protocol, r.accepted_addresses()) for r in helper] == [
        ("doh", (ooni.ADDRESS,))
    ]
    assert verdicts(document)[f"web/{ooni.HOST}"].rule_id == "dns.failure_contrast"
    assert verdicts(agreeing)[f"web/{ooni.HOST}"].rule_id == "dns.all_fail"
    assert verdicts(agreeing)[f"web/{ooni.HOST}"].state == "down"


def test_a_test_helper_is_a_control_only_if_it_answered_over_https() -> None:
    """One operator: never enough to call anything blocked."""
    failed = ooni.page()
    failed["test_keys"]["control_failure"] = "connection_reset"
    onion = ooni.page()
    onion["test_helpers"]["backend"] = "httpo://y3zq5fwelrzkkv3s.onion"

    assert [r.server_name for r in rows(ooni.page(), "tls", "control") if r.control_id == HELPER]
    for document in (failed, onion):
        assert HELPER not in {r.control_id for r in imported(document).rows}


def test_data_centres_are_counted_by_number() -> None:
    """Two addresses of one centre are alternatives; any HTTP status is an answer."""
    found = verdicts(ooni.telegram())["telegram/dc_pool"]
    part = verdicts(ooni.telegram(frozenset({"149.154.167.51", "149.154.171.5"})))

    assert (found.state, found.n_ok, found.n_total, found.combination_rule) == (
        "ok",
        5,
        5,
        "any_of",
    )
    assert part["telegram/dc_pool"].failed_members == ("dc5",)
    assert (part["telegram/dc_pool"].state, part["telegram/dc_pool"].n_ok) == ("impaired", 4)


def test_data_centres_that_answer_do_not_hide_a_web_that_fails() -> None:
    """web 0 of 1, data centres 5 of 5."""
    found = verdicts(ooni.telegram(web_failure="connection_reset"))

    assert (found["telegram/web"].n_ok, found["telegram/web"].n_total) == (0, 1)
    assert found["telegram/web"].stage == "tls"
    assert found["telegram/dc_pool"].state == "ok"


def test_every_data_centre_silent_is_not_called_a_block_without_controls() -> None:
    """A dead line looks the same."""
    found = verdicts(ooni.telegram(frozenset(ooni.DATA_CENTRES)))["telegram/dc_pool"]

    assert (found.n_ok, found.n_total, found.mechanism) == (0, 5, "ip_drop")
    assert found.state not in BLOCKED_STATES


def test_signal_counts_hosts() -> None:
    """The lookup that answers 127.0.0.1 on purpose is no member and no bogon."""
    found = verdicts(ooni.signal())["signal/web"]

    assert (found.n_ok, found.n_total, found.failed_members) == (2, 3, ("cdsi.signal.org",))
    assert found.mechanism != "dns_bogon"


def test_whatsapp_has_three_targets() -> None:
    """Hosts behind one address stay apart, and so do the page's two ports."""
    found = verdicts(ooni.whatsapp())

    assert {name: (v.n_ok, v.n_total) for name, v in found.items()} == {
        "whatsapp/endpoints": (2, 2),
        "whatsapp/registration": (1, 1),
        "whatsapp/web": (2, 2),
    }
    endpoints = [r.endpoint_id for r in rows(ooni.whatsapp(), "tcp") if r.member in {"e1", "e2"}]
    assert sorted(endpoints) == [
        "e1.whatsapp.net:443",
        "e2.whatsapp.net:443",
        "e2.whatsapp.net:5222",
    ]


def test_messenger_of_2016() -> None:
    """No times and no engine; one address stands for two names. A third only resolved."""
    found = verdicts(ooni.messenger())["facebook/messenger"]

    assert (found.state, found.n_ok, found.n_total) == ("ok", 2, 2)
    assert [r.member for r in rows(ooni.messenger(), "tcp")] == [
        "b-graph.facebook.com",
        "b-api.facebook.com",
    ]


# -- what joining must not do ---------------------------------------------------


def test_a_redirect_that_arrives_does_not_stand_for_the_page() -> None:
    """http:// answers 301 and https:// is reset: one of two members works."""
    document = ooni.page("tls")
    keys = document["test_keys"]
    keys["tcp_connect"].append(ooni.tcp(ooni.ADDRESS, 80, transaction_id=9, t0=0.1))
    keys["requests"].append(ooni.http(f"http://{ooni.HOST}/", 301, transaction_id=9, t0=0.15))
    found = verdicts(document)[f"web/{ooni.HOST}"]

    assert (found.n_ok, found.n_total, found.failed_members) == (1, 2, (ooni.HOST,))


def test_a_handshake_beside_the_page_does_not_stand_for_the_page() -> None:
    """Web Connectivity asks one of several addresses; the others only shook hands."""
    document = ooni.page("http")
    keys = document["test_keys"]
    keys["tcp_connect"].append(ooni.tcp(ooni.OTHER_ADDRESS, 443, transaction_id=5))
    keys["tls_handshakes"].append(
        ooni.tls(f"{ooni.OTHER_ADDRESS}:443", ooni.HOST, transaction_id=5)
    )
    skipped = [r for r in rows(document, "http") if r.failure == failures.SKIPPED]

    assert [r.failure_detail for r in skipped] == [NOT_ASKED]
    assert verdicts(document)[f"web/{ooni.HOST}"].n_ok == 0


def test_443_beside_an_http_page_is_no_member() -> None:
    """A site without TLS works although its port 443 is closed."""
    document = ooni.page("tcp", "connection_refused")
    document["input"] = f"http://{ooni.HOST}/"
    keys = document["test_keys"]
    keys["tcp_connect"][0]["tags"] = ["depth=0", "fetch_body=false"]
    keys["tcp_connect"].append(ooni.tcp(ooni.ADDRESS, 80, transaction_id=9, t0=0.1))
    keys["requests"].append(ooni.http(f"http://{ooni.HOST}/", transaction_id=9, t0=0.15))
    found = verdicts(document)[f"web/{ooni.HOST}"]

    assert (found.state, found.n_ok, found.n_total) == ("ok", 1, 1)


def test_requests_of_unrecorded_connections_go_to_the_address_that_worked() -> None:
    """Web Connectivity 0.4: connects first, asks for the page later, three times."""
    document = ooni.page("http")
    keys = document["test_keys"]
    for row in (*keys["queries"], *keys["tcp_connect"], *keys["tls_handshakes"]):
        row.pop("transaction_id")
    keys["requests"] = [
        ooni.http(f"https://{ooni.HOST}/", failure="eof_error", t=5.0 + i) for i in range(3)
    ]
    http = rows(document, "http")

    assert {r.address for r in http} == {ooni.ADDRESS}
    assert sorted(r.attempt for r in http) == [1, 2, 3]
    assert verdicts(document)[f"web/{ooni.HOST}"].n_ok == 0


def test_two_answers_to_one_datagram_are_kept_together() -> None:
    """A late reply is part of the lookup: that is what injection looks like."""
    document = ooni.page()
    asked = {
        "engine": "udp",
        "query_type": "A",
        "transaction_id": 7,
        "resolver_address": "9.9.9.9:53",
    }
    document["test_keys"]["queries"].append(ooni.query(ooni.HOST, "198.51.100.1", **asked))
    document["test_keys"]["x_dns_duplicate_responses"] = [
        ooni.query(ooni.HOST, ooni.ADDRESS, **asked)
    ]
    (udp,) = [r for r in rows(document, "dns") if r.resolver_protocol == "udp"]

    assert [a.value for r in udp.responses for a in r.answers] == ["198.51.100.1", ooni.ADDRESS]
    assert udp.responses[0].answers[0].is_bogon
    assert udp.resolver_id == "ooni-udp-1"


def test_an_import_makes_no_controls_of_targets() -> None:
    """Only OONI's own helper is one: whatever else is in a measurement is what was tested."""
    for document in (ooni.telegram(), ooni.signal(), ooni.whatsapp(), ooni.messenger()):
        assert not [r for r in imported(document).rows if r.role == "control"]


def test_answers_in_other_networks_stand_in_for_controls() -> None:
    """Four networks of Telegram's answered; of Signal's two, too few to trust the line."""
    silent = frozenset({"149.154.167.51", "149.154.167.91", "149.154.171.5", "95.161.76.100"})
    few = ooni.telegram(silent | {"149.154.175.50"}, web_failure="connection_reset")

    assert verdicts(ooni.telegram())["telegram/web"].control_state == "ok"
    assert verdicts(ooni.signal())["signal/web"].control_state == "degraded"
    assert verdicts(few)["telegram/web"].control_state == "degraded"


# -- values ---------------------------------------------------------------------


@given(st.sampled_from(failures.FAILURES))
def test_known_failures_are_ours(failure: str) -> None:
    """OONI's strings are the ones that we write."""
    assert failure_of(failure) == (failure, None)


@given(st.text())
def test_any_failure_is_storable(text: str) -> None:
    """Whatever else it says goes beside the failure, without addresses."""
    failure, detail = failure_of(f"unknown_failure: {text} 203.0.113.7!")

    assert failure == OTHER
    assert detail is not None
    assert "203.0.113.7" not in detail
    assert len(detail) <= 200


def test_the_run_says_when_where_and_with_what() -> None:
    """To the minute; the wifi of a probe may be a home's or a café's."""
    run = imported(ooni.page()).run

    assert run.measurement_start_time == "2024-02-12T20:33:00Z"
    assert (run.probe_cc, run.probe_asn, run.network_type) == ("IT", 64500, "unknown")
    assert (run.platform, run.software_version) == ("linux", "ooniprobe/3.21.0")
    long_name = imported(ooni.page() | {"software_name": "ooniprobe-android-unattended"}).run
    assert long_name.software_version.endswith("/3.21.0")


def test_one_content_has_one_name() -> None:
    """Keys that a publisher adds do not change the run; a fact does."""
    run_id = imported(ooni.page()).run.run_id

    assert imported(ooni.page() | {"measurement_uid": "x"}).run.run_id == run_id
    assert imported(ooni.page("tls")).run.run_id != run_id


def test_other_tests_are_named() -> None:
    with pytest.raises(SkippedTestError, match="ndt"):
        imported(ooni.measurement("ndt"))


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("test_keys", "tcp_connect", 0, "ip"), "fe80::1%eth0", "$.test_keys.tcp_connect[0].ip: "),
        (("test_keys", "tcp_connect", 0, "port"), 0, "$.test_keys.tcp_connect[0].port: "),
        (("test_keys", "queries", 0, "hostname"), "a b", "$.test_keys.queries[0].hostname: "),
        (("test_keys", "queries", 0, "engine"), "pigeon", "$.test_keys.queries[0].engine: "),
        (("test_keys", "queries"), [{}] * 2001, "$.test_keys.queries"),
        (
            ("test_keys", "requests", 0, "response", "code"),
            99,
            "$.test_keys.requests[0].response: ",
        ),
        (("measurement_start_time",), "yesterday", "$.measurement_start_time: "),
        (("probe_cc",), "Italy", "$.probe_cc: "),
        (("probe_asn",), "AS99999999999", "$.probe_asn: "),
        (("input",), "https://[", "$.input: "),
    ],
)
def test_a_bad_value_is_named(path: mutation.Path, value: Any, place: str) -> None:
    with pytest.raises(BadRecordError) as caught:
        imported(mutation.replaced(ooni.page(), path, value))

    assert str(caught.value).startswith(place)


def test_bytes_that_are_no_base64_are_named() -> None:
    document = ooni.page()
    document["test_keys"]["tls_handshakes"][0]["peer_certificates"][0]["data"] = "?"

    with pytest.raises(BadRecordError, match=r"^\$\.test_keys\.tls_handshakes\[0\]"):
        imported(document)


def test_a_page_in_base64_is_read_and_cut() -> None:
    """Our own prober reads 64 KiB of a page; equal pages have equal hashes."""
    data = b"\xff" * 70_000
    document = ooni.page()
    document["test_keys"]["requests"][0]["response"]["body"] = {
        "format": "base64",
        "data": base64.b64encode(data).decode(),
    }
    (http,) = rows(document, "http")

    assert (http.body_bytes, http.body_is_truncated) == (64 * 1024, True)


# -- hostile input --------------------------------------------------------------


def outcome(document: Any) -> Imported | str | None:
    """Return what became of a document: a run, what is wrong with it, or another test."""
    try:
        return imported(document)
    except SkippedTestError:
        return None
    except BadRecordError as error:
        return str(error)


def stands(document: Any) -> None:
    """A measurement is refused with a place, or every line of it is storable and judged."""
    found = outcome(document)
    if found is None:
        return
    if isinstance(found, str):
        assert found.startswith("$")
        assert found.isprintable()
        return
    judge(found.rows)
    begun: dict[str, float] = {}
    for row in found.rows:
        assert decode_line(encode_line(found.run, row), Observation) == (found.run, row)
        assert begun.get(row.chain_id, 0.0) <= row.t0 <= row.t
        begun[row.chain_id] = row.t0


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damaged_measurements_are_refused_or_mapped(data: st.DataObject) -> None:
    document: Any = data.draw(st.sampled_from(ooni.one_of_each()))
    for _ in range(data.draw(st.integers(1, 3))):
        places = [path for path in mutation.paths(document) if path]
        path = data.draw(st.sampled_from(places))
        value = data.draw(st.sampled_from(mutation.REPLACEMENTS))
        kinds = [
            lambda path=path, document=document: mutation.deleted(document, path),
            lambda path=path, document=document: mutation.doubled(document, path),
            lambda path=path, value=value, document=document: mutation.replaced(
                document, path, value
            ),
        ]
        document = data.draw(st.sampled_from(kinds))()
    stands(document)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_damaged_real_measurements_are_refused_or_mapped(data: st.DataObject) -> None:
    document = orjson.loads(data.draw(st.sampled_from(ooni.all_real())).read_bytes())
    keys = document["test_keys"]
    keys.pop("network_events", None)
    places = [path for path in mutation.paths(document) if path]
    path = data.draw(st.sampled_from(places))
    stands(mutation.replaced(document, path, data.draw(st.sampled_from(mutation.REPLACEMENTS))))


@given(st.binary())
def test_any_bytes_are_refused_with_a_place(data: bytes) -> None:
    with pytest.raises(BadRecordError, match=r"^\$"):
        parse(data)
