"""What looks like blocking and is not: each blocking case beside its benign twins.

Every case that blocks is told again with one thing changed that has nothing to do
with a censor; none of these may be called blocked.
"""

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, Final

import msgspec
import pytest

from facts import Scene
from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.verdict import BLOCKED_STATES
from probe.verdict.controls import SLOW_CONNECT_S
from probe.verdict.judge import judge
from probe.verdict.members import MAX_LAG_S
from verdict.cases import CASES, Case, elsewhere
from verdict.scenes import CONNECTED, OK, PAGE, SILENT, TIMEOUT, verdict_of

Rows = list[Observation]

ONCE_IS_ENOUGH: Final = frozenset(
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
        "tls.forged_for_name",
        "http.known_page",
        "http.page_contrast",
        "http.early_answer",
    }
)
"""Rules that rest on an artefact, or on several places at once, not on repetition."""


def own(rows: Iterable[Observation]) -> Rows:
    """Everything but the controls."""
    return [row for row in rows if row.role != "control"]


def with_controls(controls: Scene, rows: Iterable[Observation]) -> Rows:
    """Rows of two scenes: the second get ids that the first do not have."""
    changed = [
        msgspec.structs.replace(
            row, observation_id=f"o9{row.observation_id[1:]}", chain_id=f"c9{row.chain_id[1:]}"
        )
        for row in rows
    ]
    return [*controls.rows, *changed]


def changed(rows: Iterable[Observation], **columns: Any) -> Rows:
    """The same rows with some columns of the target's changed."""
    return [
        msgspec.structs.replace(row, **columns) if row.target_id is not None else row
        for row in rows
    ]


def is_silent(case: Case) -> bool:
    """What failed for the target failed in silence, at every layer but DNS."""
    rows = [r for r in own(case.scene().rows) if r.role != "contrast" or r.follow_up == "ech"]
    outcomes = {row.failure for row in rows if row.step != "dns"} - {None}
    return bool(outcomes) and outcomes <= failures.TIMEOUTS


def has_contrast(case: Case) -> bool:
    """Some separating probe went beyond the connect."""
    return any(row.role == "contrast" and row.step != "tcp" for row in case.scene().rows)


def each(*cases: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "case", cases, ids=[f"{i}-{case.rule_id}" for i, case in enumerate(cases)]
    )


BLOCKING = [case for case in CASES if case.state in BLOCKED_STATES]
SILENCE = [case for case in BLOCKING if is_silent(case)]
CONTRASTED = [case for case in BLOCKING if has_contrast(case)]
NAMED = [
    case
    for case in CONTRASTED
    if case.mechanism in {"sni_rst", "sni_drop", "sni_drop_reply", "tls_fingerprint"}
    or case.mechanism in {"http_host_rst", "faketls_drop", "freeze", "mtproto_drop"}
]
REPEATED = [case for case in BLOCKING if case.rule_id not in ONCE_IS_ENOUGH]
OVER_TCP = [case for case in BLOCKING if not case.rule_id.startswith("dns.")]
BESIDE = [case for case in CASES if case.state == "ok" and case.mechanism is not None]


def states(rows: Rows) -> set[str]:
    return {verdict.state for verdict in judge(rows)}


@each(*BLOCKING)
def test_controls_that_fail(case: Case) -> None:
    """One answered, or none, or none was asked, or they were lost on the way."""
    rows = own(case.scene().rows)
    one = Scene().controls(None, TIMEOUT)
    none = Scene().controls(TIMEOUT, TIMEOUT)
    lost = Scene().controls(None, None).controls(TIMEOUT, TIMEOUT, attempt=2)

    assert not states(rows) & BLOCKED_STATES
    assert not states(with_controls(one, rows)) & BLOCKED_STATES
    assert states(with_controls(none, rows)) == {"insufficient"}
    assert states(with_controls(lost, rows)) == {"insufficient"}


@each(*CONTRASTED)
def test_a_contrast_that_fails_too(case: Case) -> None:
    """What differs in name or form alone meets the same end."""
    rows = case.scene().rows
    met = next(r for r in rows if r.role == "test" and (r.failure or r.step == "http"))
    same = {
        name: getattr(met, name)
        for name in ("failure", "received_bytes", "bytes_acked", "status_code", "body_sha256")
    }
    last = {row.chain_id: row.observation_id for row in rows if row.role == "contrast"}
    twin = [
        msgspec.structs.replace(row, **same, peer_certificates=())
        if row.observation_id == last.get(row.chain_id)
        else row
        for row in rows
    ]
    assert not states(twin) & BLOCKED_STATES


@each(*CONTRASTED)
def test_a_contrast_cut_short_by_a_kill(case: Case) -> None:
    """A contrast of which only the connect was written down has not passed."""
    rows = [row for row in case.scene().rows if row.role != "contrast" or row.step == "tcp"]
    assert not states(rows) & BLOCKED_STATES


def arrived(rows: Rows) -> Rows:
    """The host acknowledged whatever was sent to it, and ended it after a round trip."""
    kept = [row for row in rows if row.follow_up != "name_elsewhere"]
    return changed(kept, bytes_acked=518, tcp_unacked=0, tcp_retransmits=0, tcp_rtt_s=0.01)


@each(*NAMED)
def test_a_host_that_refuses_by_itself(case: Case) -> None:
    """A front whose origin is sick takes what it is sent; what reached it was not dropped."""
    scene = case.scene()
    scene.rows = arrived(scene.rows)
    elsewhere(scene, *(OK if case.rule_id.startswith("tls.") else PAGE))

    assert not states(scene.rows) & BLOCKED_STATES


@each(*NAMED)
def test_a_host_of_which_nothing_else_is_known(case: Case) -> None:
    """The same, with nobody to send the name to: never more than likely."""
    assert "blocked" not in states(arrived(case.scene().rows))


@each(*REPEATED)
def test_a_single_attempt(case: Case) -> None:
    """What was tried once may be chance."""
    rows = case.scene().rows
    first = next(r.chain_id for r in rows if r.role == "test" and r.step != "dns")
    kept = [
        row
        for row in rows
        if row.chain_id == first
        or (row.role != "test" and not (row.follow_up == "second_hello" and row.failure))
    ]
    assert not states(kept) & BLOCKED_STATES


@each(*SILENCE)
def test_a_slow_line(case: Case) -> None:
    """Controls that take seconds to connect leave no time limit that means silence."""
    scene = case.scene().controls(None, None, attempt=2, t0=20.0, t=20.1 + SLOW_CONNECT_S)
    verdict = verdict_of(scene)

    assert verdict.state not in BLOCKED_STATES
    assert verdict.benign_cause == "slow_line"


def lose_packets(scene: Scene) -> Scene:
    """Every second of six connects to controls is sent twice."""
    for number in range(6):
        scene.control("heartbeat", *CONNECTED, tcp_retransmits=number % 2)
    return scene


@each(*SILENCE)
def test_a_lossy_line(case: Case) -> None:
    """Where controls lose packets, what is lost on the way to the target is no block."""
    verdict = verdict_of(lose_packets(case.scene()))

    assert verdict.state not in BLOCKED_STATES
    assert verdict.benign_cause == "lossy_line"


@each(*SILENCE)
def test_beats_that_fail_meanwhile(case: Case) -> None:
    """Silence at a time when a control was silent too says nothing about the target."""
    scene = case.scene()
    last = max(row.t for row in scene.rows)
    scene.control("heartbeat", *SILENT, t0=0.0, t=last)

    assert not states(scene.rows) & BLOCKED_STATES


@each(*SILENCE)
def test_our_own_load(case: Case) -> None:
    """A loop that was late by half a time limit may have missed the answer."""
    assert not states(changed(case.scene().rows, loop_lag_s=MAX_LAG_S + 0.1)) & BLOCKED_STATES


@each(*OVER_TCP)
def test_something_near_that_takes_every_connection(case: Case) -> None:
    """An address where nobody can be connects: TCP speaks of whoever did that."""
    verdict = verdict_of(case.scene().control("unroutable", *CONNECTED))
    quiet = verdict_of(case.scene().control("unroutable", *SILENT))

    assert verdict.state not in BLOCKED_STATES
    assert verdict.benign_cause == "local_interception"
    assert quiet.state == case.state


@each(*BLOCKING)
def test_one_of_several_members(case: Case) -> None:
    """Where any member will do, one that works makes it partial."""
    scene = case.scene().chain(*OK, address="198.51.100.7")
    verdict = judge(changed(scene.rows, combination_rule="any_of"))[0]

    assert (verdict.state, verdict.rule_id) == ("impaired", "target.partial")
    assert (verdict.n_ok, verdict.n_total) == (case.n_ok + 1, case.n_total + 1)


@each(*BESIDE)
@pytest.mark.parametrize("controls", [(), (None, TIMEOUT)], ids=["none asked", "one answered"])
def test_another_way_needs_controls_too(case: Case, controls: tuple[str | None, ...]) -> None:
    """A way that fails beside one that works is a finding between working controls only."""
    rows = own(case.scene().rows)
    (verdict,) = judge(with_controls(Scene().controls(*controls), rows))
    assert (verdict.state, verdict.mechanism) == ("ok", None)


@each(*(case for case in BESIDE if is_silent(case)))
@pytest.mark.parametrize(
    "spoil",
    [
        lose_packets,
        lambda scene: scene.controls(None, None, attempt=2, t0=20.0, t=20.1 + SLOW_CONNECT_S),
        lambda scene: scene.control("heartbeat", *SILENT, t0=0.0, t=20.0),
    ],
    ids=["lossy", "slow", "beats"],
)
def test_another_way_on_a_bad_line(case: Case, spoil: Callable[[Scene], Scene]) -> None:
    """And silence on it is none on a line that is slow, lossy or gone."""
    verdict = verdict_of(spoil(case.scene()))
    assert (verdict.state, verdict.mechanism) == ("ok", None)


@each(*BESIDE)
def test_another_way_tried_once(case: Case) -> None:
    """One failure of a way is chance."""
    rows = case.scene().rows
    tried = [row for row in rows if row.follow_up in {"quic", "ech"} or row.role == "resolver"]
    chains = [list(chain) for _, chain in groupby(tried, key=lambda row: row.chain_id)]
    second = [row for row in chains[1] if row.role != "control"]
    (verdict,) = judge([row for row in rows if row not in second])

    assert (verdict.state, verdict.mechanism) == ("ok", None)


def test_the_exceptions_are_rules_that_block() -> None:
    """A rule that may go by one look is named, and exists."""
    assert {case.rule_id for case in BLOCKING} > ONCE_IS_ENOUGH
