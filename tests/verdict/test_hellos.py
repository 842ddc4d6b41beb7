"""Hellos: names, forms and certificates, and the servers that only look like censors."""

from typing import Any

import pytest

from facts import Scene, certificate
from probe.model.failure import SKIPPED
from probe.model.verdict import BLOCKED_STATES
from probe.verdict.fingerprints import issuers
from probe.verdict.judge import judge
from verdict.cases import HARMLESS, elsewhere, form, hello, presented
from verdict.scenes import (
    CONNECTED,
    EARLY,
    OK,
    RESET,
    RESET_HELLO,
    SILENT,
    TAKEN,
    TIMEOUT,
    UNHEARD_HELLO,
    UNKNOWN_ISSUER,
    UNSEEN,
    A,
    B,
    C,
    Steps,
    clean,
    twice,
    verdict_of,
)

DAY_S = 86_400.0
EXPIRED: Steps = (*CONNECTED, ("tls", "ssl_invalid_certificate"))
ALERT: Steps = (*CONNECTED, ("tls", "ssl_failed_handshake"))
RESET_PAGE: Steps = (*OK, ("http", RESET))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (SILENT, UNHEARD_HELLO),
        (RESET_PAGE, RESET_HELLO),
        (RESET_HELLO, UNHEARD_HELLO),
        ((("tcp", RESET),), RESET_HELLO),
    ],
    ids=["connect lost", "page reset", "reset then silence", "connect reset"],
)
def test_one_failed_hello_is_not_every_hello(first: Steps, second: Steps) -> None:
    """ "At every attempt" means attempts that failed in the handshake, and alike."""
    scene = clean().chain(*first, address=A).chain(*second, address=A)
    scene.beside("other_name", *OK, address=A)

    assert verdict_of(scene).state == "impaired"


def test_a_contrast_at_another_address_does_not_count() -> None:
    """Only the same address with another name separates the name from the address."""
    scene = twice(clean(), *RESET_HELLO)
    scene.beside("other_name", *OK, address=B, member=A, endpoint_id=f"{A}:443")

    assert verdict_of(scene).rule_id == "tls.no_contrast"


@pytest.mark.parametrize("failure", ["ssl_failed_handshake", "http_request_failed"])
def test_a_server_that_speaks_is_no_censor(failure: str) -> None:
    """An alert, or an answer that is not TLS, for this name alone."""
    assert verdict_of(hello(failure)).rule_id == "tls.no_contrast"


@pytest.mark.parametrize("steps", [RESET_HELLO, UNHEARD_HELLO])
def test_a_server_that_treats_every_name_alike(steps: Steps) -> None:
    """A server out of order, or a blocked address."""
    scene = twice(clean(), *steps).beside("second_hello", *steps, address=A)
    assert verdict_of(scene.beside("other_name", *steps, address=A)).rule_id == "tls.no_contrast"


# -- the host's own part in it -----------------------------------------------------

CLOSED = "eof_error"
ENDINGS = [RESET, CLOSED, TIMEOUT]


def test_the_name_fails_at_a_strangers_address_too() -> None:
    """A known-good host has no reason to refuse it: the server's own refusal is ruled out."""
    scene = elsewhere(hello(RESET, **TAKEN), *RESET_HELLO, **UNSEEN)
    verdict = verdict_of(scene)
    there = {row.observation_id for row in scene.rows if row.follow_up == "name_elsewhere"}

    assert (verdict.rule_id, verdict.state) == ("tls.rst_contrast", "blocked")
    assert there & {row for rival in verdict.rivals for row in rival.ruled_out_by}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_front_whose_host_behind_it_is_sick(ending: str) -> None:
    """It takes the hello, finds its origin gone, and ends; its other names work."""
    scene = elsewhere(hello(ending, **TAKEN), *OK)
    assert verdict_of(scene).rule_id == "tls.here_only"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "steps",
    [
        (*CONNECTED, ("tls", "ssl_failed_handshake")),
        (*CONNECTED, ("tls", "ssl_invalid_hostname")),
        UNKNOWN_ISSUER,
    ],
    ids=["an alert", "another name's certificate", "a private one"],
)
def test_a_stranger_that_answers_in_whatever_way(ending: str, steps: Steps) -> None:
    """Nothing on the way there minds the name: it was heard."""
    scene = elsewhere(hello(ending, **TAKEN), *steps)
    assert verdict_of(scene).state not in BLOCKED_STATES


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("columns", [TAKEN, {}], ids=["acknowledged", "not known"])
def test_a_hello_that_may_have_arrived_convicts_nobody_alone(
    ending: str, columns: dict[str, Any]
) -> None:
    """Without a try elsewhere one rival stands; a stranger that is silent at once is no try."""
    for scene in (
        hello(ending, **columns),
        elsewhere(hello(ending, **columns), *SILENT),
        elsewhere(hello(ending, **columns), *CONNECTED, ("tls", SKIPPED)),
    ):
        verdict = verdict_of(scene)
        assert verdict.state == "likely_blocked"
        assert verdict.rule_id in {"tls.rst_one_place", "tls.silence_one_place"}
        assert verdict.open_rivals == ("the server itself refuses",)


def test_one_of_two_hellos_was_acknowledged() -> None:
    """Every one must have been lost on the way, or cut too soon."""
    scene = clean()
    for columns in (UNSEEN, TAKEN):
        scene.chain(*UNHEARD_HELLO, address=A, **columns)
    scene.beside("other_name", *OK, address=A)
    assert verdict_of(scene).rule_id == "tls.silence_one_place"


def test_one_of_two_hellos_was_cut_late() -> None:
    """The same of resets."""
    scene = clean().chain(*RESET_HELLO, address=A, **EARLY)
    scene.beside("second_hello", *RESET_HELLO, address=A, tcp_rtt_s=0.01)
    scene.beside("other_name", *OK, address=A)
    assert verdict_of(scene).rule_id == "tls.rst_one_place"


def test_a_server_whose_reset_of_one_name_overtakes_its_acknowledgement() -> None:
    """That nothing was acknowledged before the reset proves nothing: it may be the host's."""
    assert verdict_of(hello(RESET, **UNSEEN)).state == "likely_blocked"
    assert verdict_of(elsewhere(hello(RESET, **UNSEEN), *OK)).rule_id == "tls.here_only"


@pytest.mark.parametrize("failure", [RESET, CLOSED])
def test_a_stranger_that_closes_on_strange_names_by_itself(failure: str) -> None:
    """Its kernel acknowledged the hello first, after a round trip."""
    there = {"tcp_rtt_s": 0.01, **TAKEN}
    scene = elsewhere(hello(RESET, **TAKEN), *CONNECTED, ("tls", failure), **there)
    assert verdict_of(scene).state == "likely_blocked"


@pytest.mark.parametrize(
    ("failure", "rtt_s", "is_early"),
    [(RESET, 0.1, True), (CLOSED, 0.1, True), (RESET, 0.05, False), (TIMEOUT, 0.1, False)],
    ids=["reset", "closed", "after a round trip", "silence"],
)
def test_a_cut_sooner_than_a_round_trip(failure: str, rtt_s: float, *, is_early: bool) -> None:
    """Whoever answers within 50 ms at a distance of 100 is not the host; silence has no time."""
    verdict = verdict_of(hello(failure, **TAKEN, tcp_rtt_s=rtt_s))
    assert (verdict.state == "blocked") is is_early


@pytest.mark.parametrize("other", [RESET, TIMEOUT])
def test_a_stranger_that_was_lost_by_chance(other: str) -> None:
    """The name passed there at the second try, or what ended it is of another kind."""
    ending = TIMEOUT if other == RESET else RESET
    failed: Steps = (*CONNECTED, ("tls", other))
    retried = elsewhere(elsewhere(hello(other, **TAKEN), *failed), *OK)
    another = elsewhere(hello(ending, **TAKEN), *failed)

    assert verdict_of(retried).state not in BLOCKED_STATES
    assert verdict_of(another).state != "blocked"


def test_large_answers_that_are_lost_on_the_way_back() -> None:
    """A path MTU black hole: the hello arrives, a long chain of certificates does not.

    A front's short certificate for the harmless name comes through.
    """
    scene = elsewhere(hello(TIMEOUT, **TAKEN, received_bytes=0), *OK)
    assert verdict_of(scene).state not in BLOCKED_STATES


def test_large_hellos_that_are_lost_on_the_way_there() -> None:
    """The same the other way: whatever they name, and at a stranger's address too."""
    long = {"first_flight_bytes": 1700, **UNSEEN}
    scene = twice(clean(), *UNHEARD_HELLO, **long)
    scene.beside("other_name", *UNHEARD_HELLO, address=A, **long)
    assert verdict_of(elsewhere(scene, *UNHEARD_HELLO, **long)).rule_id == "tls.no_contrast"


# -- certificates ----------------------------------------------------------------


def test_a_self_made_certificate_of_one_host() -> None:
    """Its issuer is itself."""
    scene = clean().chain(
        *UNKNOWN_ISSUER,
        address=A,
        peer_certificates=(certificate("CN=a.example", "a.example"),),
    )
    verdict = verdict_of(scene)
    assert (verdict.rule_id, verdict.state) == ("tls.unknown_issuer", "impaired")


def test_two_hosts_with_certificates_made_alike() -> None:
    """Two self-made ones with the same default name are no authority."""
    scene = clean()
    for address in (A, B):
        shown = (certificate("CN=localhost", subject="CN=localhost"),)
        scene.chain(*UNKNOWN_ISSUER, address=address, peer_certificates=shown)
    assert verdict_of(scene).rule_id == "tls.unknown_issuer"


def test_a_private_authority_of_another_service_is_not_shared() -> None:
    """Two services with a private authority of one vendor's name."""
    shown = (certificate("CN=Appliance CA", "b.example"),)
    scene = presented("CN=Appliance CA").chain(
        *UNKNOWN_ISSUER, address=B, peer_certificates=shown, service_id="b", target_id="b/web"
    )
    assert {verdict.rule_id for verdict in judge(scene.rows)} == {"tls.unknown_issuer"}


def test_a_server_that_shows_its_own_bad_certificate_to_every_name() -> None:
    """The harmless name gets the same certificate, which is not for that name."""
    scene = presented("CN=Somebody").beside(
        "other_name", *OK, address=A, server_name=HARMLESS,
        peer_certificates=(certificate("CN=Somebody", "a.example"),),
    )  # fmt: skip
    assert verdict_of(scene).rule_id == "tls.unknown_issuer"


def test_a_default_host_with_a_certificate_of_a_known_authority() -> None:
    """The harmless name is served, by somebody else's issuer."""
    scene = presented("CN=Somebody").beside(
        "other_name", *OK, address=A, server_name=HARMLESS,
        peer_certificates=(certificate("CN=Public Authority", HARMLESS),),
    )  # fmt: skip
    assert verdict_of(scene).rule_id == "tls.unknown_issuer"


def test_an_expired_certificate() -> None:
    """The operator forgot it; our clock is right, or nothing is known of it."""
    scene = twice(clean(), *EXPIRED, verify_code=10)
    assert verdict_of(scene).rule_id == "tls.certificate"

    scene.control(None, ("http", None), clock_offset_s=12.0)
    assert verdict_of(scene).rule_id == "tls.certificate"


@pytest.mark.parametrize(("offset_s", "code"), [(400 * DAY_S, 10), (-400 * DAY_S, 9)])
def test_a_wrong_clock(offset_s: float, code: int) -> None:
    """Verified hosts say what time it is: the certificate is in order."""
    scene = twice(clean(), *EXPIRED, verify_code=code)
    scene.control(None, ("http", None), clock_offset_s=offset_s)
    verdict = verdict_of(scene)

    assert (verdict.rule_id, verdict.state) == ("tls.clock", "insufficient")
    assert verdict.benign_cause == "clock_skew"


def test_a_wrong_clock_does_not_excuse_a_wrong_name() -> None:
    """Names have no dates."""
    scene = clean().chain(*CONNECTED, ("tls", "ssl_invalid_hostname"), address=A, verify_code=62)
    scene.control(None, ("http", None), clock_offset_s=400 * DAY_S)
    assert verdict_of(scene).rule_id == "tls.certificate"


@pytest.mark.parametrize("issuer", [i.samples[0] for i in issuers() if i.kind == "local"])
def test_an_antivirus_or_employer(issuer: str) -> None:
    """Whatever else is true of it: at two members, and for the harmless name too."""
    scene = presented(issuer, presented(issuer), B).beside(
        "other_name", *OK, address=A, server_name=HARMLESS,
        peer_certificates=(certificate(issuer, HARMLESS),),
    )  # fmt: skip
    verdict = verdict_of(scene)

    assert (verdict.rule_id, verdict.state) == ("tls.local_issuer", "insufficient")
    assert verdict.benign_cause == "local_interception"


@pytest.mark.parametrize("issuer", [i.samples[0] for i in issuers() if i.signs_services])
def test_an_authority_that_also_signs_genuine_certificates(issuer: str) -> None:
    """A bank of that country shows one; signing for our harmless name is another matter."""
    assert verdict_of(presented(issuer)).state not in BLOCKED_STATES

    minted = presented(issuer).beside(
        "other_name", *OK, address=A, server_name=HARMLESS,
        peer_certificates=(certificate(issuer, HARMLESS),),
    )  # fmt: skip
    assert verdict_of(minted).rule_id == "tls.minted"


# -- forms -----------------------------------------------------------------------


@pytest.mark.parametrize("other", [RESET_HELLO, ALERT, UNHEARD_HELLO])
def test_a_server_that_refuses_tls_1_3(other: Steps) -> None:
    """Its older form passes, whatever the name; it resets, sends an alert or says nothing."""
    failure = other[-1][1]
    assert failure is not None
    scene = form(failure, *other, bytes_acked=518)
    assert verdict_of(scene).rule_id == "tls.form_refused"


@pytest.mark.parametrize("failure", ["ssl_failed_handshake", *ENDINGS])
@pytest.mark.parametrize("columns", [TAKEN, {}], ids=["acknowledged", "not known"])
def test_a_virtual_host_that_refuses_tls_1_3(failure: str, columns: dict[str, Any]) -> None:
    """Its neighbour on the same server takes it: an alert, or a close, is a server's word."""
    assert verdict_of(form(failure, *OK, **columns)).rule_id == "tls.form_refused"


def test_a_server_whose_reset_overtakes_its_acknowledgement() -> None:
    """Closing with unread data resets at once: that nothing was acknowledged proves nothing."""
    scene = form(RESET, *RESET_HELLO, bytes_acked=1)
    assert verdict_of(scene).rule_id == "tls.form_refused"


def test_a_form_that_failed_once() -> None:
    """One loss beside a form that passed."""
    scene = clean().chain(*UNHEARD_HELLO, address=A, bytes_acked=1)
    scene.beside("second_hello", *OK, address=A).beside("other_name", *OK, address=A)
    assert verdict_of(scene).state == "impaired"


def test_a_path_that_loses_large_packets() -> None:
    """Every long hello is lost, whatever its form, and short ones pass."""
    scene = form(TIMEOUT, *OK, first_flight_bytes=1700, bytes_acked=1)
    scene.beside("small_hello", *OK, address=A)
    scene.beside("large_hello", *UNHEARD_HELLO, address=A)
    assert verdict_of(scene).rule_id == "tls.long_hello"


def test_a_path_that_loses_large_packets_in_a_run_that_was_killed() -> None:
    """Short and long hellos of one form were not compared; the other form was short."""
    scene = twice(clean(), *UNHEARD_HELLO, first_flight_bytes=1700, **UNSEEN)
    scene.beside("second_hello", *OK, address=A, first_flight_bytes=200)
    assert verdict_of(scene).state not in BLOCKED_STATES


def test_a_long_hello_of_another_form_passes() -> None:
    """Then length is not what it is about."""
    scene = form(TIMEOUT, *OK, first_flight_bytes=1700, bytes_acked=1)
    scene.beside("small_hello", *OK, address=A).beside("large_hello", *OK, address=A)
    assert verdict_of(scene).rule_id == "tls.form_contrast"


# -- what comes after a hello -----------------------------------------------------


def cut_then(*outcomes: str | None, **columns: Any) -> Scene:
    """A hello that is cut off, and what later connects to the same place met."""
    scene = clean().chain(*RESET_HELLO, address=A)
    for failure in outcomes:
        scene.chain(("tcp", failure), address=A, **columns)
    return scene


def test_one_lost_connect_after_a_hello_is_chance() -> None:
    """Two are asked for."""
    assert verdict_of(cut_then(TIMEOUT)).rule_id != "tls.then_silent"


def test_a_place_that_answers_in_between_is_not_closed() -> None:
    """Residual blocking lasts longer than one connect."""
    scene = cut_then(TIMEOUT, TIMEOUT)
    scene.beside("other_name", *OK, address=A)
    assert verdict_of(scene).rule_id not in {"tls.then_silent", "tls.residual"}


def test_silence_before_a_hello_is_no_residue() -> None:
    """What came first cannot have been caused by what came later."""
    scene = twice(clean(), *SILENT).chain(*RESET_HELLO, address=A)
    assert verdict_of(scene).rule_id not in {"tls.then_silent", "tls.residual"}


def test_a_host_that_died_after_a_hello() -> None:
    """Its other port is silent too."""
    scene = cut_then(TIMEOUT, TIMEOUT)
    scene.beside("other_port", *SILENT, address=A, port=80)
    assert verdict_of(scene).rule_id == "tls.then_silent"


def test_another_place_that_is_silent_is_no_residue() -> None:
    """Only the same address and port count."""
    scene = clean().chain(*RESET_HELLO, address=A, member="dc1")
    for address in (B, C):
        scene.chain(*SILENT, address=address, member="dc1")
    scene.beside("neighbour", *SILENT, address="91.108.56.2", endpoint_id=f"{A}:443", member="dc1")
    assert verdict_of(scene).rule_id == "tls.no_contrast"


# -- where -----------------------------------------------------------------------


def located(scene: Scene, *endings: str) -> Scene:
    """One hello per hop limit, from one on."""
    for limit, ending in enumerate(endings, 1):
        scene.beside("hop", *CONNECTED, ("tls", ending), address=A, hop_limit=limit)
    return scene


@pytest.mark.parametrize(
    ("endings", "within"),
    [
        ((RESET,), 1),
        ((TIMEOUT, "host_unreachable", RESET), 3),
        (("host_unreachable", "host_unreachable", TIMEOUT, TIMEOUT, TIMEOUT), 3),
        ((TIMEOUT, TIMEOUT, TIMEOUT), None),
        ((), None),
    ],
    ids=["next door", "three away", "vanishes after two", "silent routers", "not asked"],
)
def test_within_how_many_hops(endings: tuple[str, ...], within: int | None) -> None:
    """Who cut a hello sits before its last hop; routers that say nothing show nothing."""
    assert verdict_of(located(hello(RESET, **EARLY), *endings)).within_hops == within
