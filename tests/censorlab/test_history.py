"""The scripted history is consistent with itself and with the lab it runs on."""

import select
import socket
from contextlib import ExitStack
from datetime import date, timedelta

import msgspec

from censorlab import topology
from censorlab.history import FIRST_DAY, HISTORY
from censorlab.process import LabProcess
from censorlab.rules import Rule
from probe.model.target import Targets
from probe.model.verdict import BLOCKED_STATES

PORTS = {
    key: 1024 + n
    for n, key in enumerate(
        (
            *topology.DC_ADDRESSES,
            *topology.WEB_ADDRESSES,
            *(host.id for host in topology.KNOWN_GOOD),
            *("lab-udp", "lab-tcp", "lab-dot", "lab-doh", "lab2-udp"),
        )
    )
}


def test_days_follow_each_other() -> None:
    """No day is in two phases, and none is left out, the gap included."""
    days = [day for phase in HISTORY for day in phase.dates]
    assert days == [FIRST_DAY + timedelta(days=n) for n in range(len(days))]
    assert [phase.name for phase in HISTORY if not phase.is_measured] == ["gap"]
    assert HISTORY[-1].dates[-1] == date(2030, 3, 23)
    assert all(phase.event.date == phase.first_day for phase in HISTORY)


def test_truths_fit_the_target_list() -> None:
    """Each measured phase has one truth per target and tactic; totals are the list's."""
    targets = topology.targets_list(PORTS, "PEM")
    members = {t.id: len({e.group for e in t.endpoints}) for t in targets.targets}
    for phase in HISTORY:
        tactics = ("none", "socks5") if phase.proxy else ("none",)
        expected = [(t, tactic) for t in members for tactic in tactics if phase.is_measured]
        found = [(truth.target_id, truth.tactic) for truth in phase.truths]
        assert sorted(found) == sorted(expected)
        for truth in phase.truths:
            if truth.state == "insufficient":
                assert (truth.n_ok, truth.n_total, truth.mechanism) == (0, 0, None)
                continue
            assert truth.n_total == members[truth.target_id]
            assert (truth.state == "ok") == (truth.n_ok == truth.n_total)
            assert (truth.mechanism is None) == (truth.state == "ok")
            if truth.state in BLOCKED_STATES:
                assert truth.n_ok == 0


def test_rules_and_list_are_valid() -> None:
    """Rules and targets survive the codec that the lab and the prober use."""
    for phase in HISTORY:
        stored = msgspec.to_builtins(phase.rules)
        assert msgspec.convert(stored, tuple[Rule, ...]) == phase.rules
    targets = topology.targets_list(PORTS, "PEM")
    assert msgspec.convert(msgspec.to_builtins(targets), Targets) == targets
    assert "resolvable_name" not in {control.kind for control in targets.controls}


def open_data_centres(lab: LabProcess) -> int:
    """How many accept a connection at once; on loopback a moment is enough."""
    with ExitStack() as stack:
        socks = []
        for group, address in topology.DC_ADDRESSES.items():
            socks.append(stack.enter_context(socket.socket()))
            socks[-1].settimeout(0)
            socks[-1].connect_ex((address, lab.ready.ports[group]))
        return sum(bool(select.select([], [sock], [], 0.05)[1]) for sock in socks)


def test_the_lab_plays_the_history(lab: LabProcess) -> None:
    """In every phase as many data centres accept as its truth says."""
    for phase in HISTORY:
        lab.apply(phase.rules)
        for truth in phase.truths:
            if truth.target_id == topology.DC_POOL and truth.tactic == "none":
                assert open_data_centres(lab) == truth.n_ok
