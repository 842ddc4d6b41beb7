"""Writes a made-up history as result files, through the prober's own codec."""

import gzip
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from probe.model.codec import encode_line
from probe.model.layout import VERDICTS, run_path
from probe.model.vantage import RunColumns
from probe.model.verdict import LayerCount, Mechanism, State, Verdict

FIRST_DAY = date(2030, 3, 1)
HOSTILE = "x/<img src=http://198.51.100.1/ onerror=alert(1)>"


class Phase(NamedTuple):
    """So many days on which the web target is in one state; None for no data."""

    days: int
    state: State | None
    mechanism: Mechanism | None = None
    proxy: bool = False


HISTORY = (
    Phase(3, "ok"),
    Phase(3, "likely_blocked", "ip_drop"),
    Phase(3, "blocked", "sni_rst"),
    Phase(1, None),
    Phase(1, "insufficient"),
    Phase(3, "impaired", "throttling"),
    Phase(3, "blocked", "sni_rst", proxy=True),
    Phase(3, "ok"),
)


def write_history(root: Path, *, target_id: str = "messenger/web", mixed: bool = False) -> None:
    """Write one run a day; with ``mixed``, three on blocked days, one of them fine."""
    day = FIRST_DAY
    number = 0
    for phase in HISTORY:
        for _ in range(phase.days):
            if phase.state is not None:
                states = [phase.state]
                if mixed and phase.state == "blocked":
                    states = ["blocked", "ok", "blocked"]
                for state in states:
                    number += 1
                    write_run(root, number, day, verdicts_of(phase, state, target_id))
            day += timedelta(days=1)


def verdicts_of(phase: Phase, state: State, target_id: str) -> list[Verdict]:
    """Return a day's verdicts: direct, and through a proxy where there was one."""
    is_ok = state == "ok"
    has_data = state != "insufficient"
    common: dict[str, Any] = {
        "target_id": target_id,
        "service_id": "messenger",
        "combination_rule": "all_of",
        "rules_version": 1,
        "attempts": 2,
        "control_state": "ok" if has_data else "failed",
        "controls_ok": 3 if has_data else 0,
        "controls_total": 3,
    }
    direct = Verdict(
        **common,
        state=state,
        mechanism=None if is_ok else phase.mechanism,
        benign_cause=None if has_data else "no_network",
        rule_id="target.reachable" if is_ok else "tls.rst_contrast",
        n_ok=2 if is_ok else 0,
        n_total=2 if has_data else 0,
        layers=(LayerCount(step="tcp", n_ok=2, n_total=2),) if has_data else (),
    )
    if not phase.proxy:
        return [direct]
    around = Verdict(
        **common,
        tactic="socks5",
        proxy_id="proxy-1",
        state="ok",
        rule_id="target.reachable",
        n_ok=2,
        n_total=2,
    )
    return [direct, around]


def write_run(root: Path, number: int, day: date, verdicts: list[Verdict]) -> None:
    """Write the verdict file of one run at noon."""
    run = RunColumns(
        run_id=f"{number:016x}",
        measurement_start_time=f"{day}T12:00:00Z",
        targets_sha256="ab" * 32,
        software_version="0.1.0",
        network_type="lab",
        lab=True,
    )
    path = run_path(root, run, VERDICTS)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(b"".join(encode_line(run, v) for v in verdicts), mtime=0))
