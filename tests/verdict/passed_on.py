"""Runs with ways around in any mix, and the words that would give one away."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from facts import RUN, Scene
from probe.model import failure as failures
from probe.model.codec import encode_line
from probe.model.layout import OBSERVATIONS, VERDICTS, run_path
from probe.model.observation import TACTICS, Observation
from probe.model.vantage import RunColumns
from probe.model.verdict import LayerCount, Verdict
from probe.verdict.words import TACTIC_WORDS, summarise

WAYS = tuple(tactic for tactic in TACTICS if tactic not in {"none", "withheld"})
PROXIES = ("socks5", "http_connect", "mtproxy")
TARGETS = ("a/pool", "a/web")
CONTROLS: dict[str, Any] = {"control_state": "ok", "controls_ok": 3, "controls_total": 3}


class Stored(NamedTuple):
    """One run's rows."""

    run: RunColumns
    verdicts: tuple[Verdict, ...]
    observations: tuple[Observation, ...]


def way(
    tactic: str, n_ok: int, n_total: int, target_id: str = "a/web", proxy_id: str | None = None
) -> Verdict:
    """Return a verdict on a way, as the rules would word it."""
    rule_id = "way.partial" if n_ok else "way.fails"
    verdict = Verdict(
        target_id=target_id,
        service_id="a",
        combination_rule="all_of",
        tactic=tactic,  # type: ignore[arg-type] # one of the words, as the caller says
        proxy_id=proxy_id,
        state="ok" if n_ok == n_total else "impaired",
        mechanism="proxy_block" if proxy_id and not n_ok else None,
        rule_id="way.works" if n_ok == n_total else rule_id,
        rules_version=3,
        n_ok=n_ok,
        n_total=n_total,
        attempts=n_total,
        layers=(LayerCount(step="tcp", n_ok=n_ok, n_total=n_total),),
        failed_members=tuple(f"member-{number}" for number in range(n_total - n_ok)),
        reasons=("o00007",),
        with_encrypted_dns=tactic == "chrome",
        **CONTROLS,
    )
    return msgspec.structs.replace(verdict, summary=summarise(verdict))


def direct(target_id: str) -> Verdict:
    """Return the verdict on a target whose name is cut off."""
    return Verdict(
        target_id=target_id,
        service_id="a",
        combination_rule="all_of",
        state="blocked",
        mechanism="sni_rst",
        rule_id="tls.rst_contrast",
        rules_version=3,
        n_ok=0,
        n_total=4,
        attempts=8,
        summary="blocked, 0/4 work",
        **CONTROLS,
    )


@st.composite
def ways(draw: st.DrawFn, target_id: str) -> list[Verdict]:
    """Any ways at one target, in the order of a file."""
    found = []
    for tactic in sorted(draw(st.sets(st.sampled_from(WAYS), max_size=5)), key=TACTICS.index):
        for number in range(draw(st.integers(1, 2)) if tactic in PROXIES else 1):
            n_total = draw(st.integers(1, 4))
            n_ok = draw(st.one_of(st.just(0), st.integers(0, n_total)))
            name = f"proxy-{7 * number + 1}" if tactic in PROXIES else None
            found.append(way(tactic, n_ok, n_total, target_id, name))
    return found


@st.composite
def runs(draw: st.DrawFn, *, lab: bool) -> list[Stored]:
    """Some runs of real networks or the lab's, each with its observations."""
    found = []
    for number in range(draw(st.integers(1, 3))):
        verdicts = [one for t in TARGETS for one in (direct(t), *draw(ways(t)))]
        found.append(stored(number, verdicts, lab=lab))
    return found


def stored(number: int, verdicts: Sequence[Verdict], *, lab: bool = False) -> Stored:
    """Return a run of its own day with these verdicts, and two facts of each."""
    scene = Scene()
    for verdict in verdicts:
        columns: dict[str, Any] = {"tactic": verdict.tactic, "proxy_id": verdict.proxy_id}
        outcome = None if verdict.n_ok else failures.GENERIC_TIMEOUT
        steps = (("tcp", None), ("tls", outcome))
        scene.chain(*steps, address="192.0.2.7", target_id=verdict.target_id, **columns)
    run = msgspec.structs.replace(
        RUN,
        run_id=f"{number:016x}",
        measurement_start_time=f"2026-11-{number + 1:02}T12:00:00Z",
        lab=lab,
    )
    return Stored(run, tuple(verdicts), tuple(scene.rows))


def judged(given: Sequence[Stored]) -> list[tuple[RunColumns, Verdict]]:
    """Return the runs' verdicts as one list."""
    return [(one.run, verdict) for one in given for verdict in one.verdicts]


def write(root: Path, given: Sequence[Stored]) -> Path:
    """Write result files as a run would have; return their folder."""
    for one in given:
        for kind, rows in ((OBSERVATIONS, one.observations), (VERDICTS, one.verdicts)):
            path = run_path(root, one.run, kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = b"".join(encode_line(one.run, row) for row in rows)
            path.write_bytes(gzip.compress(lines, mtime=0))
    return root


def telling_words(given: Sequence[Stored]) -> set[bytes]:
    """Return what must not be passed on: names of ways that work, and of any proxy."""
    words = set()
    for one in given:
        for verdict in one.verdicts:
            if verdict.tactic != "none" and verdict.n_ok:
                words |= {verdict.tactic, TACTIC_WORDS[verdict.tactic]}
            if verdict.proxy_id is not None:
                words.add(verdict.proxy_id)
    return {word.encode() for word in words}


def directly(given: Sequence[Stored]) -> list[Stored]:
    """Return the runs as if no way around had been tried."""
    return [
        stored(number, [v for v in one.verdicts if v.tactic == "none"], lab=one.run.lab)
        for number, one in enumerate(given)
    ]
