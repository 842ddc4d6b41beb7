"""Make the golden corpus anew: run scenarios in the lab, keep their facts and verdicts.

    python tests/golden/make.py                 # all scenarios, some minutes
    python tests/golden/make.py sni_rst clean   # these alone; the others stay
    python tests/golden/make.py --rejudge       # keep the facts, accept the verdicts of now

Not all scenarios fit: without names, those are kept whose verdicts nothing before them
showed, then those in which nobody blocks anything, then the others, until it is full.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from typing import Any, NamedTuple

import corpus
import orjson
from corpus import Expected

from censorlab.authority import new_authority
from censorlab.matrix.outcome import Cell
from censorlab.matrix.run import PROBER_LIMIT_S, line_of
from censorlab.scenarios.cast import Authorities
from censorlab.scenarios.forms import missing_for_packets
from censorlab.scenarios.model import BadScenarioError, Scenario, named
from censorlab.scenarios.stage import middlebox_stage
from censorlab.servers.program import MissingProgramError
from censorlab.world.world import WorldFailedError
from probe.model.codec import decode_line
from probe.model.verdict import Verdict

SEED = 1
RTT_S = 0.06
JOBS_PER_CORE = 2
"""A run mostly waits; but one that is late measures its own lateness."""


class Kept(NamedTuple):
    """One scenario: its facts as they are stored, and what was made of them."""

    scenario: Scenario
    data: bytes
    verdicts: list[Expected]


class FailedError(Exception):
    """A scenario gave no verdicts, or others than its stored facts give."""


def measure(scenario: Scenario, authorities: Authorities) -> Kept:
    """Run one scenario under the packet engine with the prober of this checkout."""
    cell = Cell(scenario.name, "middlebox", 0.0, RTT_S, SEED)
    scenario = scenario.without_ways()
    with middlebox_stage(scenario, line_of(scenario, cell), SEED, authorities) as stage:
        words = [sys.executable, "-m", "probe.cli.main", "check", stage.targets]
        words += ["--results", stage.results, "--format", "json", "--quiet"]
        words += ["--network-type", "lab", "--seed", str(SEED)]
        try:
            done = stage.run_client(words, timeout_s=PROBER_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise FailedError(f"no verdict in {PROBER_LIMIT_S:.0f} s") from None
    try:
        document = orjson.loads(done.stdout.splitlines()[-1])
        observations, columns = document["observations"], document["verdicts"]
    except (IndexError, KeyError, ValueError):
        raise FailedError((done.stderr or done.stdout)[-300:].strip()) from None
    data = corpus.pack(line(row) for row in sorted(observations, key=likeness))
    by_run = sorted(corpus.expected_of(decode_line(line(one), Verdict).value) for one in columns)
    verdicts = judged_now(data, by_run)
    if verdicts != by_run:
        changed = corpus.differences(scenario.name, by_run, verdicts)
        raise FailedError(f"the run and its stored facts differ: {'; '.join(changed)}")
    return Kept(scenario, data, verdicts)


def judged_now(data: bytes, before: Iterable[Expected]) -> list[Expected]:
    """Judge stored facts, of the targets that there were."""
    rows = [stored.value for stored in corpus.read_facts(data)]
    return corpus.judged(rows, [one.target for one in before])


def line(columns: dict[str, Any]) -> bytes:
    """Return a stored line."""
    return orjson.dumps(columns, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SORT_KEYS)


def likeness(row: dict[str, Any]) -> tuple[str, ...]:
    """Order of lines in which they compress best; to the rules order is nothing."""
    names = ("step", "role", "follow_up", "target_id", "endpoint_id", "chain_id", "observation_id")
    return tuple(row[name] or "" for name in names)


def measured(scenarios: Sequence[Scenario]) -> Iterator[Kept]:
    """Run scenarios side by side; say which failed, and go on."""
    now = datetime.fromtimestamp(time.time(), tz=UTC)
    authorities = Authorities(
        new_authority("Lab (simulated)"), new_authority("Forger (simulated)"), now
    )
    with ThreadPoolExecutor(JOBS_PER_CORE * (os.cpu_count() or 1)) as pool:
        running = {pool.submit(measure, one, authorities): one.name for one in scenarios}
        for future in as_completed(running):
            try:
                kept = future.result()
            except (FailedError, MissingProgramError, WorldFailedError) as error:
                corpus.say(f"FAILED {running[future]}: {error}")
            else:
                corpus.say(f"{kept.scenario.name}: {len(kept.data)} bytes")
                yield kept


def fitting(found: Sequence[Kept]) -> list[Kept]:
    """Choose what fits."""
    seen: set[Expected] = set()
    ranked: list[tuple[int, int, Kept]] = []
    for number, one in enumerate(found):
        is_new = not seen.issuperset(one.verdicts)
        seen.update(one.verdicts)
        rank = 0 if is_new else 1 if one.scenario.is_benign else 2
        ranked.append((rank, number, one))
    chosen: list[Kept] = []
    room = corpus.MAX_BYTES
    for _, _, one in sorted(ranked, key=lambda item: item[:2]):
        if len(one.data) <= room:
            chosen.append(one)
            room -= len(one.data)
        else:
            corpus.say(f"left out, does not fit: {one.scenario.name}")
    return chosen


def store(kept: Sequence[Kept], *, gone: Iterable[str]) -> None:
    """Write the facts and the table, take out what is ``gone``, and say what changed."""
    before = corpus.read_expected()
    expected = {name: verdicts for name, verdicts in before.items() if name not in gone}
    for name in gone:
        corpus.path_of(name).unlink(missing_ok=True)
    for one in kept:
        corpus.path_of(one.scenario.name).write_bytes(one.data)
        expected[one.scenario.name] = one.verdicts
        if one.scenario.name in before:
            name = one.scenario.name
            for text in corpus.differences(name, before[name], one.verdicts):
                corpus.say(text)
    corpus.write_expected(expected)
    total = sum(corpus.path_of(name).stat().st_size for name in corpus.scenarios())
    corpus.say(f"{len(corpus.scenarios())} scenarios, {total} bytes")
    if total > corpus.MAX_BYTES:
        corpus.say(f"more than {corpus.MAX_BYTES} bytes: the test will say so")


def rejudge() -> None:
    """Accept the verdicts of the present rules; facts stay."""
    before = corpus.read_expected()
    expected = {
        name: judged_now(corpus.path_of(name).read_bytes(), before.get(name, []))
        for name in corpus.scenarios()
    }
    changed = [
        text
        for name, verdicts in expected.items()
        for text in corpus.differences(name, before.get(name, []), verdicts)
    ]
    for text in changed:
        corpus.say(text)
    corpus.write_expected(expected)
    corpus.say(f"{len(expected)} scenarios, {len(changed)} verdicts changed")


def main() -> int:
    """Run the command; exit 1 if a scenario failed."""
    parser = argparse.ArgumentParser(description="Make the golden corpus.")
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help="default: all")
    parser.add_argument("--rejudge", action="store_true", help="accept the verdicts of now")
    args = parser.parse_args()
    if args.rejudge:
        rejudge()
        return 0
    if (reason := missing_for_packets()) is not None:
        corpus.say(f"no namespaces here: {reason}")
        return 1
    try:
        wanted = named(args.names)
    except BadScenarioError as error:
        corpus.say(str(error))
        return 2
    order = [scenario.name for scenario in wanted]
    found = sorted(measured(wanted), key=lambda one: order.index(one.scenario.name))
    kept = found if args.names else fitting(found)
    # Of all scenarios, those that failed leave nothing behind that was made before.
    gone = set() if args.names else {*corpus.scenarios(), *corpus.read_expected()}
    store(kept, gone=gone)
    return 0 if len(found) == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
