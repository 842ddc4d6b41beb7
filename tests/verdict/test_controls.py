"""Is it me? What the controls of a run allow to be said, and what they look like."""

import msgspec
import pytest

from facts import Scene
from probe.model.verdict import BenignCause, ControlState
from probe.verdict.controls import (
    BUSY_S,
    BUSY_TIMES,
    WITNESSES,
    assess,
    is_usable,
    passed_controls,
)
from verdict.cases import listed
from verdict.scenes import (
    CONNECTED,
    EARLY,
    OK,
    PLAIN_PAGE,
    RESET_HELLO,
    SILENT,
    TIMEOUT,
    UNHEARD_HELLO,
    A,
    B,
    clean,
    twice,
    verdict_of,
)

INF = float("inf")


@pytest.mark.parametrize(
    ("outcomes", "state", "cause"),
    [
        ((None, None, None), "ok", None),
        ((None, None, TIMEOUT), "ok", None),
        ((None, TIMEOUT, "connection_reset"), "degraded", None),
        ((TIMEOUT, TIMEOUT), "failed", "no_network"),
        (("connection_reset", "ssl_failed_handshake"), "failed", "captive_portal"),
        (("ssl_unknown_authority", "ssl_unknown_authority"), "failed", "local_interception"),
        (("ssl_invalid_hostname", TIMEOUT), "failed", "local_interception"),
    ],
)
def test_one_round(
    outcomes: tuple[str | None, ...], state: ControlState, cause: BenignCause | None
) -> None:
    """Two operators are the Internet; one may be a walled garden; none is local."""
    controls = assess(Scene().controls(*outcomes).rows)

    assert (controls.state, controls.cause) == (state, cause)
    assert (controls.n_ok, controls.n_total) == (outcomes.count(None), len(outcomes))
    assert controls.reasons


@pytest.mark.parametrize("code", [9, 10])
def test_a_wrong_clock(code: int) -> None:
    """All certificates not yet valid, or expired."""
    scene = Scene().controls("ssl_invalid_certificate", "ssl_invalid_certificate", verify_code=code)
    assert assess(scene.rows).cause == "clock_skew"


def test_two_hosts_of_one_operator_are_one() -> None:
    """One operator's outage or walled garden must not decide."""
    scene = Scene().controls(None, None, member="one operator")
    assert assess(scene.rows).state == "degraded"


def test_no_controls_asked() -> None:
    """A list without controls can be measured; nothing is called blocked."""
    controls = assess(Scene().chain(("tcp", None), address="192.0.2.9").rows)
    assert (controls.state, controls.n_total) == ("degraded", 0)
    assert is_usable([])


def test_no_route() -> None:
    """A host without a route has asked, and got its answer."""
    scene = Scene()
    scene.add(step="route", role="control", failure="network_unreachable", control_id="r")
    controls = assess(scene.rows)
    assert (controls.state, controls.cause) == ("failed", "no_network")
    assert not is_usable(scene.rows)


def test_usable_means_that_some_control_answered() -> None:
    """Measuring behind none would only record our own line."""
    assert is_usable(Scene().controls(None, TIMEOUT).rows)
    assert not is_usable(Scene().controls(TIMEOUT, "connection_reset").rows)


def test_rounds_are_kept_apart() -> None:
    """Before and after the measurement."""
    rows = Scene().controls(None, None).controls(None, TIMEOUT, attempt=2).rows
    assert passed_controls(rows) == {"operator-1", "operator-2"}
    assert passed_controls(rows, 2) == {"operator-1"}
    assert assess(rows).state == "degraded"


@pytest.mark.parametrize(("outcome", "works"), [(None, True), (TIMEOUT, False)])
def test_ipv6(outcome: str | None, *, works: bool) -> None:
    """It works if one control answered over it."""
    rows = Scene().controls(None, None).controls(outcome, ip_version=6).rows
    assert assess(rows).ipv6_works is works


# -- targets that stand in for controls ------------------------------------------------


def answering(number: int) -> Scene:
    """So many networks in which targets answered, and no control asked."""
    scene = Scene()
    for network in range(number):
        scene.chain(*OK, address=f"91.108.{network}.1")
    return scene


@pytest.mark.parametrize(
    ("number", "state"), [(0, "degraded"), (WITNESSES - 1, "degraded"), (WITNESSES, "ok")]
)
def test_answers_of_targets_stand_in_for_controls(number: int, state: ControlState) -> None:
    """One network more than operators, since all may be of one."""
    assert assess(answering(number).rows).state == state


def test_one_network_is_one_witness() -> None:
    """However many hosts in it answer."""
    scene = Scene()
    for host in range(9):
        scene.chain(*OK, address=f"91.108.1.{host}")
    assert assess(scene.rows).state == "degraded"


def test_answers_without_any_certificate_are_no_witnesses() -> None:
    """A portal answers plain HTTP for everybody."""
    scene = Scene()
    for network in range(9):
        scene.chain(*PLAIN_PAGE, address=f"91.108.{network}.1")
    assert assess(scene.rows).state == "degraded"


def test_a_certificate_that_nobody_verified_is_no_witness() -> None:
    """A detail beside a success says so, as in imported handshakes: a portal has one too."""
    scene = answering(9)
    rows = [msgspec.structs.replace(row, failure_detail="not verified") for row in scene.rows]
    assert assess(rows).state == "degraded"

    one = scene.rows[1]
    assert one.step == "tls"
    assert assess([*rows, one]).state == "ok"


def test_a_host_set_apart_is_not_missed_in_the_last_round() -> None:
    """Names that fail are sent to it, so it is not asked again: the others are counted."""
    scene = Scene().controls(None, None, None).controls(None, None, attempt=2)
    controls = assess(scene.rows)
    assert (controls.state, controls.n_ok, controls.n_total) == ("ok", 2, 2)


def test_controls_that_were_asked_speak_for_themselves() -> None:
    """Where two operators were asked, nobody stands in for them."""
    scene = answering(9).controls(None, TIMEOUT)
    assert assess(scene.rows).state == "degraded"
    assert assess(answering(9).controls(TIMEOUT, TIMEOUT).rows).state == "failed"


def test_witnesses_of_before_do_not_answer_for_after() -> None:
    """The one control that was asked was lost in between."""
    scene = answering(9).controls(None).controls(TIMEOUT, attempt=2)
    assert assess(scene.rows).state != "ok"


# -- special controls --------------------------------------------------------------------


def test_a_sign_in_page() -> None:
    """Connects that then do not speak TLS; and a page that answers for everybody."""
    scene = Scene().controls(TIMEOUT, TIMEOUT)
    assert assess(scene.rows).cause == "no_network"

    for columns in ({"status_code": 302}, {"status_code": 511}):
        failed = Scene().controls("generic_timeout_error", "connection_reset")
        assert assess(failed.control("portal", *PLAIN_PAGE, **columns).rows).cause == (
            "captive_portal"
        )


@pytest.mark.parametrize("status", [200, 204])
def test_the_page_that_should_be_there_is_no_portal(status: int) -> None:
    """Hellos time out, and plain HTTP gets through."""
    scene = Scene()
    for number in (1, 2):
        scene.control(None, *UNHEARD_HELLO, member=f"operator-{number}")
    scene.control("portal", *PLAIN_PAGE, status_code=status)
    assert assess(scene.rows).cause == "no_network"


def test_special_controls_are_no_known_good_hosts() -> None:
    """Beats, portals and QUIC neither prove nor disprove a line."""
    scene = clean()
    before = assess(scene.rows)
    scene.control("portal", *PLAIN_PAGE, member="p", status_code=200).control(
        "heartbeat", *CONNECTED, member="h"
    )
    scene.control("quic", ("quic", TIMEOUT), member="q").control("unroutable", *SILENT, member="u")
    assert assess(scene.rows) == before


@pytest.mark.parametrize(("steps", "expected"), [(CONNECTED, True), (SILENT, False)])
def test_somebody_where_nobody_can_be(
    steps: tuple[tuple[str, str | None], ...], *, expected: bool
) -> None:
    """Connecting to an address of documentation (RFC 5737) takes an interceptor."""
    controls = assess(clean().control("unroutable", *steps).rows)
    assert controls.is_intercepted is expected
    assert (controls.local_cause == "local_interception") is expected


@pytest.mark.parametrize(
    ("resent", "of", "expected"),
    [(3, 10, True), (2, 4, False), (3, 12, False), (4, 12, True), (0, 10, False)],
)
def test_a_lossy_line(resent: int, of: int, *, expected: bool) -> None:
    """Three connects, and three in ten, that had to be sent again."""
    scene = clean()  # two connects that went well
    for number in range(of - 2):
        scene.control("heartbeat", *CONNECTED, tcp_retransmits=int(number < resent))
    controls = assess(scene.rows)
    assert controls.is_lossy is expected
    assert (controls.local_cause == "lossy_line") is expected


def test_a_clock_is_compared_with_the_median() -> None:
    """One host with a wrong clock of its own does not make ours wrong."""
    scene = clean()
    for offset in (1.0, 2.0, 500_000.0):
        scene.control(None, *PLAIN_PAGE[1:], clock_offset_s=offset)
    assert assess(scene.rows).clock_offset_s == 2.0
    assert assess(clean().rows).clock_offset_s is None


@pytest.mark.parametrize(
    ("beats", "expected"),
    [
        ("", ()),
        ("+++", ()),
        ("+-+", ((1.0, 3.1),)),
        ("--+", ((0.0, 3.1),)),
        ("+--", ((1.0, INF),)),
        ("-+-", ((0.0, 2.1), (2.0, INF))),
    ],
)
def test_bad_times(beats: str, expected: tuple[tuple[float, float], ...]) -> None:
    """From the last good beat to the next; a beat a second, of a tenth of a second each."""
    scene = Scene().controls(None)
    for number, beat in enumerate(beats, 1):
        steps = CONNECTED if beat == "+" else SILENT
        scene.control("heartbeat", *steps, t0=float(number), t=number + 0.1)
    assert assess(scene.rows[::-1]).bad_times == expected


@pytest.mark.parametrize(
    ("took_s", "usual_s", "resent", "is_bad"),
    [
        (BUSY_S - 0.01, 0.01, 0, False),
        (BUSY_S + 0.01, 0.01, 0, True),
        (BUSY_S + 0.01, BUSY_S, 0, False),
        (BUSY_TIMES * BUSY_S + 0.01, BUSY_S, 0, True),
        (1.1, 0.01, 1, False),
    ],
    ids=["quick", "in a queue", "a long way", "a long way and a queue", "a lost SYN"],
)
def test_a_beat_that_waited_in_our_own_queue(
    took_s: float, usual_s: float, resent: int, *, is_bad: bool
) -> None:
    """Late by itself, where nothing had to be sent twice."""
    scene = Scene().controls(None, None, t0=0.0, t=usual_s)
    scene.control("heartbeat", *CONNECTED, t0=5.0, t=5.0 + took_s, tcp_retransmits=resent)
    assert bool(assess(scene.rows).bad_times) is is_bad


# -- lists of what may be reached ----------------------------------------------------------


def test_listed_hosts_answer_and_others_vanish() -> None:
    """More operators whose hellos vanish than such that answer."""
    assert assess(listed().rows).is_allowlisted
    assert not assess(clean().rows).is_allowlisted


@pytest.mark.parametrize("steps", [RESET_HELLO, SILENT])
def test_controls_that_fail_otherwise_are_no_allowlist(
    steps: tuple[tuple[str, str | None], ...],
) -> None:
    """A reset says something; a silent connect may be a dead host."""
    scene = clean()
    for number in (3, 4, 5):
        scene.control(None, *steps, member=f"operator-{number}")
    assert not assess(scene.rows).is_allowlisted


def test_an_acknowledged_hello_did_not_vanish() -> None:
    """Somebody's kernel has it."""
    scene = clean()
    for number in (3, 4, 5):
        scene.control(None, *UNHEARD_HELLO, member=f"operator-{number}", bytes_acked=518)
    assert not assess(scene.rows).is_allowlisted


def test_a_line_without_any_answer_has_no_list() -> None:
    """It is gone."""
    scene = Scene()
    for number in (3, 4, 5):
        scene.control(None, *UNHEARD_HELLO, member=f"operator-{number}", bytes_acked=1)
    assert not assess(scene.rows).is_allowlisted


def test_a_target_that_is_reset_by_name_is_so_on_any_line() -> None:
    """An allowlist explains what vanishes, not a reset of one name beside another that passes."""
    scene = twice(listed(), *RESET_HELLO, **EARLY).beside("other_name", *OK, address=A)
    scene.chain(*OK, address=B)
    assert verdict_of(scene).rule_id == "tls.rst_contrast"
