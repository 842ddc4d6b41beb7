"""Is it me? What the controls of a run allow to be said, and what they look like."""

import pytest

from facts import Scene
from probe.model.verdict import BenignCause, ControlState
from probe.verdict.controls import assess, is_usable, passed_controls

TIMEOUT = "generic_timeout_error"


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
