"""Many cells side by side, resumable."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import product
from pathlib import Path
from typing import Final

from censorlab.commands import commands_stopped
from censorlab.matrix.outcome import Cell, Outcome, append, read_outcomes, trim
from censorlab.scenarios.forms import Form
from censorlab.scenarios.model import Scenario

QUICK_RTT_S: Final = 0.06
QUICK: Final = ((0.0,), (QUICK_RTT_S,), 1)
"""Losses, round trips, seeds: every scenario once."""

FULL: Final = ((0.0, 0.02), (0.02, 0.15), 5)

RunCell = Callable[[Cell], list[Outcome]]


def cells(
    scenarios: Iterable[Scenario],
    form: Form,
    losses: Sequence[float],
    rtts_s: Sequence[float],
    seeds: int,
) -> list[Cell]:
    """Return a cell for every combination; all scenarios once before any twice."""
    names = [scenario.name for scenario in scenarios]
    return [
        Cell(name, form, loss, rtt_s, seed)
        for seed, loss, rtt_s, name in product(range(1, seeds + 1), losses, rtts_s, names)
    ]


def sweep(
    wanted: Sequence[Cell],
    run_cell: RunCell,
    *,
    jobs: int,
    path: Path | None,
    code_of: Callable[[str], str],
) -> Iterator[list[Outcome]]:
    """Run the cells that a file does not hold yet; yield each cell's outcomes once stored.

    Without a file all are run, and nothing is stored.

    What the file holds from the same scenario and software (``code_of``) is
    yielded first. A cell is stored as a whole, so a sweep killed at any moment
    goes on where it was. Ending it early kills the running cells, and every other command
    of this process.

    Raises:
        censorlab.matrix.outcome.BadOutcomesError: if the file is not of outcomes.
    """
    known: dict[Cell, list[Outcome]] = {}
    if path is not None:
        trim(path)
        current = {name: code_of(name) for name in {cell.scenario for cell in wanted}}
        for outcome in read_outcomes(path):
            if outcome.code == current.get(outcome.scenario):
                known.setdefault(outcome.cell, []).append(outcome)
    for cell in wanted:
        if cell in known:
            yield known[cell]
    missing = [cell for cell in reversed(wanted) if cell not in known]
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="cell")
    running: set[Future[list[Outcome]]] = set()
    is_complete = False
    try:
        while True:
            # No more are handed out than run: an interrupt then waits for none.
            while missing and len(running) < jobs:
                running.add(pool.submit(run_cell, missing.pop()))
            if not running:
                is_complete = True
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                outcomes = future.result()
                if path is not None:
                    append(path, outcomes)
                yield outcomes
    finally:
        if is_complete:
            pool.shutdown()
        else:
            # Whatever ended the sweep must not wait a minute for cells to finish.
            with commands_stopped():
                pool.shutdown(cancel_futures=True)
