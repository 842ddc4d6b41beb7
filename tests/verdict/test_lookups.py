"""DNS: what an answer must show before it is called forged, and what it must not be tricked by."""

from collections.abc import Sequence

import msgspec
import pytest

from facts import Scene
from probe.model.observation import DnsResponse, Observation
from probe.model.verdict import BLOCKED_STATES, Mechanism
from probe.verdict.fingerprints import answers
from probe.verdict.judge import judge
from verdict.cases import ANSWERING, CENSORS_ANSWER, NXDOMAIN, one_for_many, presented
from verdict.scenes import (
    CONNECTED,
    FORGED,
    OK,
    PUBLIC,
    RESET_HELLO,
    TIMEOUT,
    A,
    B,
    clean,
    verdict_of,
)

HOST = "a.example"


@pytest.mark.parametrize("order", [("A", "AAAA"), ("AAAA", "A")])
def test_a_type_without_records_is_no_failure(order: tuple[str, str]) -> None:
    """A host with one kind of address, over either family."""
    has, lacks = order
    address = A if has == "A" else "2001:67c:4e8::1"
    scene = clean().controls(None, ip_version=6)
    for resolver in ("system", "doh"):
        scene.lookup(resolver, None, [address], query_type=has)
        scene.lookup(resolver, "dns_no_answer", query_type=lacks)
    scene.chain(*OK, address=address, member=HOST)

    assert verdict_of(scene).state == "ok"


def test_a_denied_type_is_seen_although_the_other_is_answered() -> None:
    """A censor that denies A records of a host with both."""
    scene = clean().lookup("system", NXDOMAIN).lookup("doh", None, PUBLIC)
    scene.lookup("system", None, ["2606:2800::1"], query_type="AAAA")

    assert verdict_of(scene).rule_id == "dns.failure_contrast"


def test_load_balancing_is_no_injection() -> None:
    """Two answers that share an address, or the same answer twice."""
    scene = clean().lookup("udp", None, ["192.0.2.1", "192.0.2.2"], ["192.0.2.2", "192.0.2.3"])
    scene.chain(*OK, address=A, member=HOST)

    assert verdict_of(scene).state == "ok"


def test_a_datagram_that_came_twice_is_no_injection() -> None:
    """Networks duplicate packets."""
    scene = clean().lookup("udp", None, PUBLIC, PUBLIC).chain(*OK, address=A, member=HOST)
    assert verdict_of(scene).state == "ok"


def test_two_answers_to_a_resolver_that_nobody_uses_are_seen() -> None:
    """An injector answers whatever goes over UDP, to whichever resolver."""
    scene = clean().lookup("system", None, PUBLIC).lookup("udp", None, FORGED, PUBLIC)
    assert verdict_of(scene).rule_id == "dns.two_answers"


def test_a_bogon_everywhere_is_the_names_own() -> None:
    """A name that has a private address has it for every resolver."""
    scene = clean().lookup("system", None, ["10.0.0.1"]).lookup("doh", None, ["10.0.0.1"])
    scene.chain(*OK, address="10.0.0.1", member=HOST)

    assert verdict_of(scene).state == "ok"


@pytest.mark.parametrize("null", ["0.0.0.0", "127.0.0.1", "::"])
def test_a_filter_that_somebody_chose_for_his_network(null: str) -> None:
    """It answers with nothing, and what others answer is public; a censor does so to all."""
    columns = {"query_type": "AAAA" if ":" in null else "A"}
    public = ["2606:2800::1"] if ":" in null else PUBLIC
    scene = clean().lookup("system", None, [null], **columns).lookup("doh", None, public, **columns)
    assert verdict_of(scene).rule_id == "dns.null_answer"

    scene.lookup("udp", None, public, **columns)
    assert verdict_of(scene).rule_id == "dns.null_answer"

    scene.lookup("udp", None, [null], resolver_id="another", **columns)
    assert verdict_of(scene).rule_id == "dns.bogon"


def test_null_beside_another_bogon_is_no_filters_answer() -> None:
    """A page's server in a private network is somewhere."""
    scene = clean().lookup("system", None, ["0.0.0.0", "10.10.34.34"]).lookup("doh", None, PUBLIC)
    assert verdict_of(scene).rule_id == "dns.bogon"


@pytest.mark.parametrize("failure", ["dns_servfail_error", "dns_temporary_failure"])
def test_a_zone_that_one_resolver_finds_broken(failure: str) -> None:
    """It validates signatures, and others do not, or has another of the zone's servers."""
    scene = clean().lookup("system", failure).lookup("doh", None, PUBLIC)
    assert verdict_of(scene).rule_id == "dns.servfail_alone"

    scene.lookup("udp", failure)
    assert verdict_of(scene).rule_id == "dns.failure_contrast"


def test_a_forwarder_that_passes_on_two_servers_answers() -> None:
    """One server's failure, and another's addresses: no two truths."""
    scene = clean().lookup("udp", None, [], PUBLIC).chain(*OK, address=PUBLIC[0], member=HOST)
    (row,) = (row for row in scene.rows if row.step == "dns")
    failed, answered = row.responses
    failed = msgspec.structs.replace(failed, rcode="SERVFAIL")
    scene.rows[scene.rows.index(row)] = msgspec.structs.replace(row, responses=(failed, answered))
    assert verdict_of(scene).state == "ok"


def test_a_resolver_that_knows_nothing_is_broken() -> None:
    """It fails for a control name too; and one that knows the control name is not."""
    asked = {"role": "control", "control_id": "resolvable_name/x", "target_id": None}
    denied = clean().lookup("system", NXDOMAIN).lookup("doh", None, PUBLIC)
    knows = clean().lookup("system", NXDOMAIN).lookup("doh", None, PUBLIC)

    assert verdict_of(denied.lookup("system", NXDOMAIN, **asked)).rule_id == "dns.resolver_broken"
    assert verdict_of(knows.lookup("system", None, PUBLIC, **asked)).state == "likely_blocked"


def test_denied_by_all_is_a_name_that_does_not_exist() -> None:
    """Two resolvers that agree; one alone, or two that differ, say less."""
    agreed = clean().lookup("system", NXDOMAIN).lookup("doh", NXDOMAIN)
    alone = clean().lookup("system", NXDOMAIN).lookup("doh", TIMEOUT)
    differing = clean().lookup("system", NXDOMAIN).lookup("doh", "dns_refused_error")

    assert verdict_of(agreed).state == "down"
    assert verdict_of(alone).state == verdict_of(differing).state == "impaired"


def test_one_resolver_alone_is_never_contradicted() -> None:
    """Without a second opinion a denial is a denial."""
    for failure in (NXDOMAIN, "dns_refused_error", "dns_servfail_error", TIMEOUT):
        assert verdict_of(clean().lookup("system", failure)).state == "impaired"


def test_a_resolver_in_clear_text_that_knows_the_name_is_not_intercepted() -> None:
    """Whoever takes all queries would have taken that one too."""
    scene = clean().lookup("system", NXDOMAIN).lookup("udp", None, PUBLIC)
    scene.lookup("udp", None, PUBLIC, **ANSWERING)

    assert verdict_of(scene).rule_id == "dns.failure_contrast"


def test_silence_from_an_address_that_runs_no_dns_is_as_it_should_be() -> None:
    """Only an answer there shows that somebody takes the queries."""
    scene = clean().lookup("system", NXDOMAIN).lookup("doh", None, PUBLIC)
    scene.lookup("udp", TIMEOUT, **ANSWERING)

    assert verdict_of(scene).rule_id == "dns.failure_contrast"


def geo_dns() -> Scene:
    """Two resolvers place a name at two addresses."""
    return clean().lookup("system", None, [A]).lookup("doh", None, [B])


def test_geo_dns_is_no_hijack() -> None:
    """Two addresses, both with the service's certificate."""
    scene = geo_dns().chain(*OK, address=A, member=HOST).chain(*OK, address=B, member=HOST)
    assert verdict_of(scene).state == "ok"


def test_different_answers_alone_are_no_hijack() -> None:
    """Without a certificate, or a list, nobody is convicted."""
    assert verdict_of(geo_dns()).state == "insufficient"
    assert verdict_of(geo_dns().chain(*CONNECTED, address=A, member=HOST)).state == "ok"


def test_a_verified_certificate_acquits_a_known_address() -> None:
    """A list may be stale; a certificate is not."""
    scene = clean().controls(None, None, ip_version=6)
    scene.lookup("system", None, [CENSORS_ANSWER]).lookup("doh", None, PUBLIC)
    assert verdict_of(scene).rule_id == "dns.known_answer"

    scene.chain(*OK, address=CENSORS_ANSWER, member=HOST)
    assert verdict_of(scene).state == "ok"


def test_a_verified_certificate_acquits_one_address_for_many() -> None:
    """The operator's new front serves all its names."""
    scene = one_for_many().chain(*OK, address=FORGED[0], member=HOST)
    assert verdict_of(scene).state not in BLOCKED_STATES


def test_two_names_with_the_same_true_address_are_one_front() -> None:
    """One address for two names that encrypted resolvers place together, elsewhere."""
    other = {"hostname": "b.example", "member": "b.example", "endpoint_id": "b.example:443"}
    scene = clean().lookup("system", None, [A]).lookup("doh", None, [B])
    scene.lookup("system", None, [A], **other).lookup("doh", None, [B], **other)

    assert verdict_of(scene).state == "insufficient"


def test_an_edge_that_is_set_up_wrongly() -> None:
    """A trusted certificate for another name, at one of two addresses of one name."""
    scene = geo_dns().chain(*OK, address=B, member=HOST)
    scene.chain(*CONNECTED, ("tls", "ssl_invalid_hostname"), address=A, member=HOST)
    assert verdict_of(scene).state not in BLOCKED_STATES


def test_an_address_in_the_published_ranges_is_the_operators() -> None:
    """Whatever it presents for this name, and for however many names it is given."""
    bad = one_for_many()
    presented("CN=Somebody", bad, FORGED[0])
    bad.chain(*OK, address=PUBLIC[0], member=HOST)
    rows = [
        msgspec.structs.replace(row, responses=tuple(expected(r) for r in row.responses))
        for row in bad.rows
    ]
    assert mechanisms(bad.rows) == {"dns_hijack"}
    assert mechanisms(rows) == {"tls_mitm"}


def mechanisms(rows: Sequence[Observation]) -> set[Mechanism | None]:
    """What the direct way meets."""
    return {verdict.mechanism for verdict in judge(rows) if verdict.tactic == "none"}


def expected(response: DnsResponse) -> DnsResponse:
    """The same response, with addresses that the operator publishes."""
    answers = tuple(msgspec.structs.replace(a, is_expected=True) for a in response.answers)
    return msgspec.structs.replace(response, answers=answers)


def test_no_certificate_verifies_anywhere() -> None:
    """A service whose own certificate is bad wherever it is asked: nobody lied."""
    scene = geo_dns()
    for address in (A, B):
        presented("CN=Somebody", scene, address)
    assert verdict_of(scene).mechanism != "dns_hijack"


@pytest.mark.parametrize("code", [9, 10])
def test_an_expired_certificate_at_one_of_two_addresses(code: int) -> None:
    """A careless operator: the right authority signed it for this name."""
    scene = geo_dns().chain(*OK, address=B, member=HOST)
    expired = (*CONNECTED, ("tls", "ssl_invalid_certificate"))
    scene.chain(*expired, address=A, member=HOST, verify_code=code)

    assert verdict_of(scene).state not in BLOCKED_STATES


def known(kind: str) -> str:
    """Return an address of a kind of answer."""
    return next(
        address
        for answer in answers()
        for address in answer.addresses
        if answer.kind == kind and "/" not in address and ":" not in address
    )


@pytest.mark.parametrize("kind", ["product", "borrowed"])
def test_an_address_that_has_an_owner(kind: str) -> None:
    """A filter that the line's owner chose; and a company's own address for its own name.

    The hello that is cut off there says something about names, not about DNS.
    """
    address = known(kind)
    scene = clean().lookup("system", None, [address]).lookup("doh", None, PUBLIC)
    scene.chain(*RESET_HELLO, address=address, member=HOST)

    assert verdict_of(scene).state not in BLOCKED_STATES
