"""What looks like blocking and is not: each blocking rule beside its benign twins.

Every case that blocks is told again with one thing changed that has nothing to do
with a censor; none of these may be called blocked.
"""

from collections.abc import Callable, Iterable

import msgspec
import pytest

from facts import Scene
from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.verdict import BLOCKED_STATES, Verdict
from probe.verdict.controls import SLOW_CONNECT_S
from probe.verdict.judge import judge
from verdict.cases import CASES, Case
from verdict.scenes import CONNECTED, OK, SILENT, TIMEOUT, A

BLOCKING = [case for case in CASES if case.state in BLOCKED_STATES]
ONCE_IS_ENOUGH = frozenset(
    {
        "dns.failure_contrast",
        "dns.bogon",
        "dns.two_answers",
        "dns.intercepted",
        "dns.certificate_contrast",
        "dns.one_for_many",
        "dns.known_answer",
        "tcp.silent_networks",
        "tcp.prohibited",
        "tls.minted",
        "tls.shared_issuer",
        "http.known_page",
        "http.page_contrast",
        "http.early_answer",
    }
)
"""Rules that rest on an artefact or on several places, not on repetition."""

every_blocking_case = pytest.mark.parametrize(
    "case", BLOCKING, ids=[f"{i}-{case.rule_id}" for i, case in enumerate(BLOCKING)]
)


def states(rows: Iterable[Observation]) -> set[str]:
    return {verdict.state for verdict in judge(list(rows))}


def changed(row: Observation, **columns: object) -> Observation:
    return msgspec.structs.replace(row, **columns)


def is_silent(rows: Iterable[Observation]) -> bool:
    """What failed for the target failed in silence, at every layer but DNS."""
    failed = [r for r in rows if r.role == "test" and r.step != "dns" and r.failure is not None]
    return bool(failed) and all(row.failure in failures.TIMEOUTS for row in failed)


@every_blocking_case
def test_controls_that_failed(case: Case) -> None:
    """One answered, or none, or none was asked, or they were lost on the way."""
    rows = case.scene().rows
    own = [row for row in rows if row.role != "control"]
    one = Scene().controls(None, TIMEOUT).rows
    none = Scene().controls(TIMEOUT, TIMEOUT).rows
    lost = Scene().controls(TIMEOUT, TIMEOUT, attempt=2).rows

    assert not states([*one, *renumbered(own)]) & BLOCKED_STATES
    assert not states(own) & BLOCKED_STATES
    assert states([*none, *renumbered(own)]) == {"insufficient"}
    assert states([*lost, *renumbered(rows)]) == {"insufficient"}


def renumbered(rows: Iterable[Observation]) -> list[Observation]:
    """The same rows with ids that rows of another scene do not have."""
    return [
        changed(row, observation_id=f"o9{row.observation_id[1:]}", chain_id=f"c9{row.chain_id[1:]}")
        for row in rows
    ]


@every_blocking_case
def test_the_contrast_fails_too(case: Case) -> None:
    """Whatever separates the target's name or form from another's fails in the same way."""
    rows = case.scene().rows
    contrasts = {row.chain_id: row for row in rows if row.role == "contrast"}
    if not contrasts:
        pytest.skip("rests on no contrast")
    lost = next(row for row in rows if row.role == "test" and row.failure is not None or row.step == "http")
    last = {row.observation_id for row in contrasts.values()}
    twin = [
        changed(row, failure=lost.failure, received_bytes=0, status_code=lost.status_code, peer_certificates=())
        if row.observation_id in last
        else row
        for row in rows
    ]
    assert not states(twin) & BLOCKED_STATES or case.rule_id == "tls.form_vanishes"


@every_blocking_case
def test_the_contrast_is_cut_off_by_a_kill(case: Case) -> None:
    """A contrast of which only the connect was written has not passed."""
    rows = case.scene().rows
    kept = [row for row in rows if row.role != "contrast" or row.step == "tcp"]
    if len(kept) == len(rows):
        pytest.skip("rests on no contrast beyond the connect")
    assert not states(kept) & BLOCKED_STATES


@every_blocking_case
def test_a_single_attempt(case: Case) -> None:
    """What was tried once may be chance, unless no chance produces it."""
    if case.rule_id in ONCE_IS_ENOUGH:
        pytest.skip("rests on an artefact or on several places")
    rows = case.scene().rows
    first = next(r.chain_id for r in rows if r.role == "test" and r.step != "dns")
    kept = [
        row
        for row in rows
        if (row.role != "test" or row.chain_id == first)
        and (row.follow_up != "second_hello" or row.failure is None)
    ]
    assert not states(kept) & BLOCKED_STATES


@every_blocking_case
def test_a_slow_line_explains_silence(case: Case) -> None:
    """Controls that take seconds to connect leave no limit of time that means silence."""
    scene = case.scene()
    if not is_silent(scene.rows):
        pytest.skip("does not rest on silence")
    took = SLOW_CONNECT_S + 0.1
    scene.controls(None, None, attempt=2, t0=20.0, t=20.0 + took)
    (verdict,) = judge(scene.rows)

    assert verdict.state not in BLOCKED_STATES
    assert verdict.benign_cause == "slow_line"


def lossy(scene: Scene) -> Scene:
    """Every second connect to controls is sent twice."""
    for number in range(6):
        scene.control("heartbeat", *CONNECTED, tcp_retransmits=number % 2, t0=30.0, t=30.1)
    return scene


@every_blocking_case
def test_a_lossy_line_explains_silence(case: Case) -> None:
    """Three retransmissions and a third of the controls' connects."""
    scene = case.scene()
    if not is_silent(scene.rows):
        pytest.skip("does not rest on silence")
    (verdict,) = judge(lossy(scene).rows)

    assert verdict.state not in BLOCKED_STATES
    assert verdict.benign_cause == "lossy_line"


@every_blocking_case
def test_something_near_that_takes_every_connection(case: Case) -> None:
    """An address where nobody can be connects: what TCP says is about whoever did that."""
    if case.rule_id.startswith("dns."):
        pytest.skip("a question and its answer are no connection")
    scene = case.scene().control("unroutable", *CONNECTED)
    (verdict,) = judge(scene.rows)

    assert verdict.state not in BLOCKED_STATES
    assert verdict.benign_cause == "local_interception"
    assert judge(case.scene().control("unroutable", *SILENT).rows)[0].state == case.state


@every_blocking_case
def test_beats_that_fail_meanwhile(case: Case) -> None:
    """Silence at a time when a control was silent too says nothing about the target."""
    scene = case.scene()
    if not is_silent(scene.rows):
        pytest.skip("does not rest on silence")
    last = max(row.t for row in scene.rows)
    scene.control("heartbeat", *SILENT, t0=0.0, t=last)
    assert not states(scene.rows) & BLOCKED_STATES


@every_blocking_case
def test_our_own_load(case: Case) -> None:
    """A loop that was late by as much as a time limit hears nothing."""
    rows = case.scene().rows
    if not is_silent(rows):
        pytest.skip("does not rest on silence")
    busy = [changed(row, loop_lag_s=1.0) for row in rows if row.role != "control"]
    assert not states([*Scene().controls(None, None).rows, *renumbered(busy)]) & BLOCKED_STATES


@every_blocking_case
def test_a_member_that_is_one_of_several(case: Case) -> None:
    """Where any member does, one that works makes it partial, never blocked."""
    scene = case.scene()
    scene.chain(*OK, address="198.51.100.7")
    rows = [
        row if row.target_id is None else changed(row, combination_rule="any_of")
        for row in scene.rows
    ]
    (verdict,) = judge(rows)
    assert (verdict.state, verdict.rule_id, verdict.n_ok) == ("impaired", "target.partial", 1)


FINDINGS_BESIDE = [case for case in CASES if case.state == "ok" and case.mechanism is not None]


@pytest.mark.parametrize(
    "case", FINDINGS_BESIDE, ids=[f"{i}-{c.rule_id}" for i, c in enumerate(FINDINGS_BESIDE)]
)
@pytest.mark.parametrize(
    "twin",
    [
        lambda rows: [*Scene().controls(None, TIMEOUT).rows, *renumbered(own(rows))],
        lambda rows: own(rows),
        lambda rows: [*rows, *renumbered(lossy(Scene()).rows)],
        lambda rows: [*rows, *renumbered(Scene().controls(None, None, attempt=2, t0=9.0, t=12.0).rows)],
        lambda rows: [row for row in rows if row.role != "contrast" or row.failure is not None],
        lambda rows: [row for row in rows if row.follow_up not in {"quic", "ech"}],
    ],
    ids=["one control", "no controls", "lossy", "slow", "no contrast", "not tried"],
)  # fmt: skip
def test_another_way_that_fails_for_other_reasons(
    case: Case, twin: Callable[[list[Observation]], list[Observation]]
) -> None:
    """The same doubts hold for the other ways to a target that works."""
    (verdict,) = judge(twin(case.scene().rows))
    assert (verdict.state, verdict.mechanism) == ("ok", None)


def own(rows: Iterable[Observation]) -> list[Observation]:
    return [row for row in rows if row.role != "control"]


def test_twins_are_told_of_every_rule_that_blocks() -> None:
    """The table above is not missing a rule."""
    assert {case.rule_id for case in BLOCKING} >= ONCE_IS_ENOUGH
    assert all(isinstance(verdict, Verdict) for case in BLOCKING for verdict in judge(case.scene().rows))
    assert A
