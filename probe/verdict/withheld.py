"""What is passed on about ways around: that something works, not what.

A list of what works here tells whoever blocks what to block next; that something works
is news to nobody but those who look for a way. What fails the censor knows already. So of
real networks, unless the person says otherwise:

- observations made by a way are left out;
- if no way works in any of the runs, the verdicts on ways stay, less the names of proxies;
- if one does, the verdicts on ways become one line for each run and target, with tactic
  ``withheld``, that says how far the best of them got.

It goes by all that is passed on together, not by verdict, since the ways that are tried
are known: a list of those that fail would name the one that works by leaving it out. What
the direct measurement shows (other addresses and ports, encrypted lookups, the follow-ups)
is a fact of the direct way and stays.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from probe.model.observation import Observation
from probe.model.vantage import RunColumns
from probe.model.verdict import Verdict
from probe.verdict.rules import RULES

Judged = tuple[RunColumns, Verdict]


class Passed(NamedTuple):
    """Verdicts that may be passed on, and how many were left out or merged for it."""

    rows: list[Judged]
    n_withheld: int


def notice(n: int) -> str:
    """Say that so many rows are withheld, why, and how to include them."""
    rows = "1 row about ways around is" if n == 1 else f"{n} rows about ways around are"
    return (
        f"{rows} withheld: who blocks would learn what to block next; --with-ways includes "
        f"{'it' if n == 1 else 'them'}."
    )


def is_withheld(run: RunColumns, row: Observation) -> bool:
    """Whether an observation is kept back: one of a way around, on a real network."""
    return not run.lab and (row.tactic != "none" or row.proxy_id is not None)


def is_working_way(run: RunColumns, verdict: Verdict) -> bool:
    """Whether a verdict says of a real network that a way around works, at least in part."""
    return _is_way(run, verdict) and _works(verdict)


def withhold(rows: Sequence[Judged], *, is_any_working: bool) -> Passed:
    """Keep back which ways around work, in the order given.

    Args:
        rows: all of each run's verdicts, of one run or more.
        is_any_working: whether `is_working_way` holds for any that is passed on, here or in
            another call. Such rows are never passed on, whatever this says.
    """
    direct: dict[tuple[str, str], Verdict] = {}
    ways: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for run, verdict in rows:
        key = (run.run_id, verdict.target_id)
        if _is_way(run, verdict):
            ways[key].append(verdict)
            is_any_working |= _works(verdict)
        elif verdict.tactic == "none":
            direct.setdefault(key, verdict)
    kept: list[Judged] = []
    n_withheld = 0
    for run, verdict in rows:
        key = (run.run_id, verdict.target_id)
        if not _is_way(run, verdict):
            kept.append((run, verdict))
        elif not is_any_working:
            kept.append((run, msgspec.structs.replace(verdict, proxy_id=None)))
        else:
            n_withheld += 1
            if own := ways.pop(key, None):
                kept.append((run, _merged(own, direct.get(key, own[0]))))
    return Passed(kept, n_withheld)


def _is_way(run: RunColumns, verdict: Verdict) -> bool:
    return not run.lab and (
        verdict.tactic not in {"none", "withheld"} or verdict.proxy_id is not None
    )


def _works(verdict: Verdict) -> bool:
    return verdict.n_ok > 0 or verdict.state == "ok"


def _n_failing(direct: Verdict) -> int:
    if direct.tactic != "none":
        return 0
    return direct.n_total - direct.n_ok or direct.n_total


_SUMMARIES: Final = {
    "way.works": "a way around works",
    "way.partial": "a way around works in part",
    "way.fails": "no way around that was tried works",
    "target.no_data": "no way around was tried to its end",
}


def _merged(ways: Sequence[Verdict], like: Verdict) -> Verdict:
    """Say how far the best way got: everywhere that it was tried, somewhere, nowhere.

    No observations, and no numbers where one works: a way is known by how many members it
    applies to. Where none does, that is so of all members that the direct way fails.
    ``like`` gives the columns that all verdicts on a target share; it is the direct way's,
    if that was judged.
    """
    if any(way.state == "ok" for way in ways):
        rule_id = "way.works"
    elif any(map(_works, ways)):
        rule_id = "way.partial"
    else:
        rule_id = "way.fails" if any(way.n_total for way in ways) else "target.no_data"
    return Verdict(
        target_id=like.target_id,
        service_id=like.service_id,
        combination_rule=like.combination_rule,
        tactic="withheld",
        state=RULES[rule_id].state,
        rule_id=rule_id,
        rules_version=like.rules_version,
        n_ok=0,
        n_total=_n_failing(like) if rule_id == "way.fails" else 0,
        attempts=0,
        control_state=like.control_state,
        controls_ok=like.controls_ok,
        controls_total=like.controls_total,
        summary=_SUMMARIES[rule_id],
    )
