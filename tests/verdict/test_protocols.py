"""MTProto, and ways beside the ordinary one: QUIC, Encrypted Client Hello, encrypted DNS."""

import pytest

from probe.model.failure import SKIPPED
from probe.model.verdict import BLOCKED_STATES
from verdict.cases import mtproto, quic_nowhere, resolver, ways
from verdict.scenes import (
    CONNECTED,
    EARLY,
    NO_RESPQ,
    NOBODY,
    OK,
    RESET,
    RESET_HELLO,
    SILENT,
    TIMEOUT,
    A,
    B,
    clean,
    twice,
    verdict_of,
)

RESOLVER = {"address": "9.9.9.9", "member": "dot", "endpoint_id": "dot", **NOBODY}


def test_a_data_centre_out_of_order_acknowledges() -> None:
    """Its kernel takes the bytes that its program does not answer."""
    scene = mtproto(TIMEOUT, second=TIMEOUT, other="http_request_failed", acked=105)
    assert verdict_of(scene).rule_id == "mtproto.silent"


def test_a_data_centre_that_resets_is_no_censor() -> None:
    """A reset may overtake the acknowledgement of what caused it."""
    scene = mtproto(RESET, second=RESET, other="http_request_failed", acked=1)
    assert verdict_of(scene).state not in BLOCKED_STATES


def test_an_address_that_takes_nothing_is_not_blocked_by_protocol() -> None:
    """Other bytes vanish there as well."""
    scene = mtproto(TIMEOUT, second=TIMEOUT, other=TIMEOUT, acked=None)
    assert verdict_of(scene).rule_id == "mtproto.silent"


def test_what_a_platform_does_not_count_is_not_known_to_vanish() -> None:
    """Without TCP_INFO nothing says that the bytes were not acknowledged."""
    scene = mtproto(TIMEOUT, second=TIMEOUT, other="http_request_failed", acked=None)
    assert verdict_of(scene).rule_id == "mtproto.silent"


def test_one_framing_tried_once() -> None:
    """One handshake that vanished is chance."""
    scene = clean().chain(*NO_RESPQ, address=A, bytes_acked=1)
    scene.beside("other_payload", *CONNECTED, ("http", None), address=A, bytes_acked=80)
    assert verdict_of(scene).rule_id == "mtproto.silent"


@pytest.mark.parametrize(
    "failure", ["unknown_failure: mtproto_error_404", "unknown_failure: not_mtproto"]
)
def test_an_answer_of_whatever_kind_is_no_silence(failure: str) -> None:
    """In one framing of two."""
    scene = mtproto(TIMEOUT, second=failure, other="http_request_failed", acked=1)
    assert verdict_of(scene).rule_id == "mtproto.other"


def test_a_connect_that_was_lost_is_no_mtproto() -> None:
    """One attempt did not get as far as the protocol."""
    scene = mtproto(TIMEOUT, second=TIMEOUT, other="http_request_failed", acked=1)
    scene.chain(*SILENT, address=A)
    assert verdict_of(scene).state not in BLOCKED_STATES


def test_one_data_centre_of_two() -> None:
    """Any will do: partial, and what it looks like."""
    scene = clean("any_of").chain(*CONNECTED, ("mtproto", None), address=B)
    twice(scene, *NO_RESPQ)
    verdict = verdict_of(scene)
    assert (verdict.rule_id, verdict.mechanism) == ("target.partial", "mtproto_drop")


# -- QUIC --------------------------------------------------------------------------


def test_a_server_without_quic() -> None:
    """It answers no Initial, whatever the name; other hosts do, or were not asked."""
    assert verdict_of(ways("quic", TIMEOUT, TIMEOUT)).mechanism is None
    assert verdict_of(quic_nowhere("one")).mechanism is None

    scene = quic_nowhere("one", "two").control("quic", ("quic", None), member="three")
    assert verdict_of(scene).mechanism is None


def test_two_hosts_of_one_operator_are_one() -> None:
    """Its outage must not decide over UDP."""
    assert verdict_of(quic_nowhere("one", "one")).mechanism is None


def test_any_datagram_heard_shows_that_udp_works() -> None:
    """Even a refusal."""
    scene = ways("quic", TIMEOUT, "connection_refused")
    for member in ("one", "two"):
        scene.control("quic", ("quic", TIMEOUT), member=member)
    assert verdict_of(scene).mechanism is None


def test_quic_that_was_skipped_says_nothing() -> None:
    """Where its library is not installed."""
    scene = ways("quic", SKIPPED, SKIPPED)
    for member in ("one", "two"):
        scene.control("quic", ("quic", SKIPPED), member=member)
    verdict = verdict_of(scene)
    assert (verdict.state, verdict.mechanism) == ("ok", None)


@pytest.mark.parametrize("kind", ["quic", "ech"])
def test_a_way_that_came_through_at_the_second_try(kind: str) -> None:
    """Loss."""
    scene = ways(kind, TIMEOUT, None, step="quic" if kind == "quic" else "tls")
    scene.beside(kind, ("quic" if kind == "quic" else "tls", None), address=A)  # type: ignore[arg-type] # a follow-up
    assert verdict_of(scene).mechanism is None


@pytest.mark.parametrize("kind", ["quic", "ech"])
def test_a_contrast_at_another_address_does_not_count(kind: str) -> None:
    """Two hosts of which one speaks it."""
    step = "quic" if kind == "quic" else "tls"
    scene = ways(kind, TIMEOUT, TIMEOUT, step=step).chain(*OK, address=B)
    scene.beside(f"{kind}_other_name", (step, None), address=B)  # type: ignore[arg-type] # a follow-up
    assert verdict_of(scene).mechanism is None


def test_a_way_does_not_speak_for_a_target_that_fails() -> None:
    """The ordinary way is what is judged; the other is no member and no attempt of it."""
    scene = ways("quic", TIMEOUT, None)
    twice(scene, *RESET_HELLO, address=B, **EARLY)
    scene.beside("other_name", *OK, address=B)
    verdict = verdict_of(scene)
    assert (verdict.rule_id, verdict.n_ok, verdict.n_total) == ("tls.rst_contrast", 1, 2)


def test_a_way_that_works_does_not_hide_a_block() -> None:
    """QUIC passes, TLS over TCP does not."""
    scene = twice(clean(), *RESET_HELLO, **EARLY).beside("other_name", *OK, address=A)
    scene.beside("quic", ("quic", None), address=A, role="test")
    assert verdict_of(scene).rule_id == "tls.rst_contrast"


def test_ech_that_a_server_refuses_by_an_alert() -> None:
    """A server's word is no silence."""
    scene = ways("ech", "ssl_failed_handshake", None, step="tls")
    assert verdict_of(scene).mechanism is None


# -- encrypted DNS -------------------------------------------------------------------


@pytest.mark.parametrize("steps", [RESET_HELLO, SILENT])
def test_a_resolver_that_is_down(steps: tuple[tuple[str, str | None], ...]) -> None:
    """Its other port, or a harmless name there, fails as well."""
    scene = resolver(*steps)
    follow_up = "other_port" if steps is SILENT else "other_name"
    scene.beside(follow_up, *steps, **RESOLVER)  # type: ignore[arg-type] # a follow-up
    assert verdict_of(scene).mechanism is None


def test_a_resolver_that_answered_at_the_second_try() -> None:
    """A lookup that came through is not cut off."""
    scene = resolver(*RESET_HELLO).chain(*OK, role="resolver", **RESOLVER)
    scene.beside("other_name", *OK, **RESOLVER)
    assert verdict_of(scene).mechanism is None


def test_a_resolver_says_nothing_of_targets_that_ask_none() -> None:
    """Addresses need no lookup."""
    scene = clean().chain(*OK, address=A)
    twice(scene, *RESET_HELLO, **{**RESOLVER, "role": "resolver"})
    scene.beside("other_name", *OK, **RESOLVER)
    assert verdict_of(scene).mechanism is None
