"""A made-up history of censorship as stored results, one run a day or more.

The year lies ahead so that no picture of it can be taken for a record.
"""

import gzip
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from probe.model.codec import encode_line
from probe.model.layout import OBSERVATIONS, VERDICTS, run_path
from probe.model.observation import Observation
from probe.model.vantage import RunColumns
from probe.model.verdict import LayerCount, Verdict

FIRST_DAY = date(2030, 3, 1)
MEMBERS = {"dc_pool": 5, "web": 2}
PROXY = "proxy-1"


class Phase(NamedTuple):
    """Days of one truth; ``states`` maps (target, tactic) to state, mechanism, n_ok."""

    days: int
    event: str
    states: dict[tuple[str, str], tuple[str, str | None, int]]


def both(dc: tuple[str, str | None, int], web: tuple[str, str | None, int]) -> dict[Any, Any]:
    return {("dc_pool", "none"): dc, ("web", "none"): web}


OK = both(("ok", None, 5), ("ok", None, 2))
AROUND = {("dc_pool", "socks5"): ("ok", None, 5), ("web", "socks5"): ("ok", None, 2)}

PHASES = (
    Phase(3, "Measurement starts", OK),
    Phase(
        3,
        "Null routes to all addresses",
        both(("likely_blocked", "ip_drop", 0), ("likely_blocked", "ip_drop", 0)),
    ),
    Phase(
        3,
        "Null routes lifted; RST on the server name",
        both(("ok", None, 5), ("blocked", "sni_rst", 0)),
    ),
    Phase(3, "Null routes to dc2 and dc4 only", both(("impaired", "ip_drop", 3), ("ok", None, 2))),
    Phase(1, "Volunteer away", {}),
    Phase(
        1, "Volunteer's line dead", both(("insufficient", None, 0), ("insufficient", None, 0))
    ),
    Phase(
        3, "Throttling of the server name", both(("ok", None, 5), ("impaired", "throttling", 0))
    ),
    Phase(
        3,
        "Null routes and RST; volunteer gets a proxy",
        both(("likely_blocked", "ip_drop", 0), ("blocked", "sni_rst", 0)) | AROUND,
    ),
    Phase(3, "All rules lifted", OK),
)


def days_of(phases: tuple[Phase, ...]) -> Iterator[tuple[date, Phase]]:
    day = FIRST_DAY
    for phase in phases:
        for _ in range(phase.days):
            yield day, phase
            day += timedelta(days=1)


def run_columns(day: date, number: int = 0, *, lab: bool = True) -> RunColumns:
    return RunColumns(
        run_id=f"{day.toordinal():08x}{number:08x}",
        measurement_start_time=f"{day}T{12 + number:02}:00:00Z",
        targets_sha256="ab" * 32,
        software_version="0.1.0",
        network_type="lab" if lab else "home",
        lab=lab,
    )


def verdict(
    target: str = "dc_pool",
    state: str = "ok",
    mechanism: str | None = None,
    n_ok: int = 5,
    tactic: str = "none",
    **changes: Any,
) -> Verdict:
    n_total = 0 if state == "insufficient" else MEMBERS.get(target, 5)
    is_cut_off = state == "insufficient"
    tcp_ok = 0 if mechanism == "ip_drop" and not n_ok else n_total
    tcp_ok = n_ok if mechanism == "ip_drop" else tcp_ok
    proxy = (LayerCount(step="proxy", n_ok=n_total, n_total=n_total),) if tactic != "none" else ()
    layers = (
        ()
        if is_cut_off
        else (
            LayerCount(step="tcp", n_ok=tcp_ok, n_total=n_total),
            *proxy,
            LayerCount(step="tls", n_ok=n_ok, n_total=tcp_ok),
        )
    )
    values: dict[str, Any] = {
        "target_id": target,
        "service_id": "messenger",
        "combination_rule": "any_of",
        "tactic": tactic,
        "proxy_id": None if tactic == "none" else PROXY,
        "state": state,
        "mechanism": mechanism,
        "benign_cause": "no_network" if is_cut_off else None,
        "rule_id": "controls.failed" if is_cut_off else f"{mechanism or 'target.reachable'}",
        "rules_version": 1,
        "n_ok": n_ok,
        "n_total": n_total,
        "attempts": n_total,
        "control_state": "failed" if is_cut_off else "ok",
        "controls_ok": 0 if is_cut_off else 3,
        "controls_total": 3,
        "layers": layers,
        "reasons": ("o00001",),
    }
    return Verdict(**{**values, **changes})


def verdicts_of(phase: Phase) -> list[Verdict]:
    return [
        verdict(target, state, mechanism, n_ok, tactic)
        for (target, tactic), (state, mechanism, n_ok) in phase.states.items()
    ]


def observation(number: int = 1, **changes: Any) -> Observation:
    values: dict[str, Any] = {
        "observation_id": f"o{number:05}",
        "chain_id": f"c{number:05}",
        "step": "tcp",
        "role": "test",
        "service_id": "messenger",
        "target_id": "dc_pool",
        "combination_rule": "any_of",
        "control_id": None,
        "endpoint_id": "192.0.2.1:443",
        "member": "dc1",
        "t0": 0.0,
        "t": 0.1,
        "failure": None,
    }
    return Observation(**{**values, **changes})


def history(phases: tuple[Phase, ...] = PHASES, *, lab: bool = True) -> list[
    tuple[RunColumns, Verdict]
]:
    return [
        (run_columns(day, lab=lab), one)
        for day, phase in days_of(phases)
        for one in verdicts_of(phase)
    ]


def write_run(root: Path, run: RunColumns, verdicts: list[Verdict]) -> tuple[Path, Path]:
    """Write one run's two files; return them."""
    facts, judged = run_path(root, run, OBSERVATIONS), run_path(root, run, VERDICTS)
    facts.parent.mkdir(parents=True, exist_ok=True)
    facts.write_bytes(gzip.compress(encode_line(run, observation()), mtime=0))
    judged.write_bytes(gzip.compress(b"".join(encode_line(run, v) for v in verdicts), mtime=0))
    return facts, judged


def write_history(root: Path, phases: tuple[Phase, ...] = PHASES, *, lab: bool = True) -> Path:
    """Write every measured day of a history; return the results directory."""
    for day, phase in days_of(phases):
        if phase.states:
            write_run(root, run_columns(day, lab=lab), verdicts_of(phase))
    return root


def events_of(phases: tuple[Phase, ...] = PHASES) -> list[dict[str, str]]:
    first: dict[str, dict[str, str]] = {}
    for day, phase in days_of(phases):
        first.setdefault(
            phase.event, {"date": str(day), "label": phase.event, "kind": "effective"}
        )
    return list(first.values())
