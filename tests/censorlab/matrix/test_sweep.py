"""Verdict beside truth, and a sweep that goes on where it was killed."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from censorlab.matrix.outcome import (
    Answer,
    BadOutcomesError,
    Cell,
    Judged,
    Outcome,
    Run,
    SaidOfWay,
    append,
    label_of,
    outcome_of,
    read_outcomes,
)
from censorlab.matrix.sweep import cells, sweep
from censorlab.scenarios.model import Truth, named

BLOCKED = Truth(states=("blocked", "likely_blocked"), mechanism="sni_rst", n_ok=0)
HIDDEN = Truth(states=("ok", "blocked"), mechanism="concurrency_policing", is_hidden=True)
BENIGN = Truth(states=("ok", "insufficient"), benign_cause="slow_line")
CELL = Cell("sni_rst", "middlebox", 0.0, 0.06, 1)


def judged(
    state: str, mechanism: str | None = None, n_ok: int = 0, cause: str | None = None
) -> Judged:
    return Judged(
        target_id="messenger/web",
        state=state,
        mechanism=mechanism,
        n_ok=n_ok,
        n_total=2,
        benign_cause=cause,
    )


@pytest.mark.parametrize(
    ("truth", "said", "right", "alarm"),
    [
        (BLOCKED, judged("blocked", "sni_rst"), True, False),
        (BLOCKED, judged("likely_blocked", "sni_rst"), True, False),
        (BLOCKED, judged("blocked", "sni_drop"), False, False),
        (BLOCKED, judged("blocked", "sni_rst", n_ok=1), False, False),
        (BLOCKED, judged("impaired", "sni_rst"), False, False),
        (BLOCKED, judged("ok"), False, False),
        (BLOCKED, None, False, False),
        (HIDDEN, judged("ok"), True, False),
        (HIDDEN, judged("blocked", "sni_drop"), False, False),
        (BENIGN, judged("ok", n_ok=2), True, False),
        (BENIGN, judged("insufficient"), True, False),
        (BENIGN, judged("impaired"), False, False),
        (BENIGN, judged("likely_blocked", "ip_drop"), False, True),
    ],
)
def test_right_wrong_and_false_alarm(
    truth: Truth, said: Judged, *, right: bool, alarm: bool
) -> None:
    """State, mechanism and n_ok all count; only benign truths can have false alarms."""
    answer = Answer({} if said is None else {said.target_id: said})
    outcome = outcome_of(Run(CELL, 1.0, "code", ""), "messenger/web", truth, answer)
    assert (outcome.is_right, outcome.is_false_alarm) == (right, alarm)


@pytest.mark.parametrize(
    ("said", "label"),
    [
        (judged("blocked", "sni_rst"), "sni_rst"),
        (judged("impaired", "sni_rst"), "~sni_rst"),
        (judged("impaired"), "impaired"),
        (judged("insufficient", cause="clock_skew"), "clock_skew"),
        (None, "none"),
    ],
)
def test_a_label_tells_a_claim_from_a_likeness(said: Judged | None, label: str) -> None:
    assert label_of(said) == label


def outcome(cell: Cell, code: str = "v1") -> Outcome:
    answer = Answer({"messenger/web": judged("ok")})
    return outcome_of(Run(cell, 1.0, code, ""), "messenger/web", BLOCKED, answer)


CELLS = cells(named(["clean", "sni_rst"]), "middlebox", [0.0, 0.02], [0.02], 2)


def run(path: Path, measure: Callable[[Cell], list[Outcome]], code: str = "v1") -> list[Cell]:
    found = sweep(CELLS, measure, jobs=1, path=path, code_of=lambda _: code)
    return [own[0].cell for own in found]


def test_cells_are_every_combination_and_each_scenario_comes_before_any_twice() -> None:
    assert len(set(CELLS)) == len(CELLS) == 2 * 2 * 2
    assert [cell.scenario for cell in CELLS[:2]] == ["clean", "sni_rst"]


def test_a_killed_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    """What was stored is not measured again, and is part of the result."""
    path = tmp_path / "outcomes.ndjson"
    measured: list[Cell] = []

    def dying(cell: Cell) -> list[Outcome]:
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append(cell)
        return [outcome(cell)]

    with pytest.raises(KeyboardInterrupt):
        run(path, dying)
    with path.open("ab") as file:
        file.write(b'{"scenario": "cle')  # what a kill in the middle of a write leaves
    again: list[Cell] = []

    def living(cell: Cell) -> list[Outcome]:
        again.append(cell)
        return [outcome(cell)]

    assert sorted(run(path, living)) == sorted(CELLS)
    assert set(again).isdisjoint(measured)
    assert len(again) + len(measured) == len(CELLS)
    assert len(list(read_outcomes(path))) == len(CELLS)


def test_other_software_or_another_row_is_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.ndjson"
    run(path, lambda cell: [outcome(cell, "v1")], "v1")
    measured: list[Cell] = []

    def measure(cell: Cell) -> list[Outcome]:
        measured.append(cell)
        return [outcome(cell, "v2")]

    run(path, measure, "v2")
    assert sorted(measured) == sorted(CELLS)


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.ndjson"
    path.write_bytes(b'{"a": 1}\n{"b": 2}\n')
    with pytest.raises(BadOutcomesError, match=r"outcomes\.ndjson:1"):
        run(path, lambda cell: [outcome(cell)])


def test_ways_are_stored_with_their_outcome(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.ndjson"
    truth = msgspec.structs.replace(BLOCKED, ways={"http3": "works"})
    way = SaidOfWay(target_id="messenger/web", tactic="http3", result="works", n_ok=2, n_total=2)
    answer = Answer({"messenger/web": judged("ok")}, (way,))
    found = outcome_of(Run(CELL, 1.0, "code", ""), "messenger/web", truth, answer)
    append(path, [found])
    assert list(read_outcomes(path)) == [found]
    assert found.ways[0].is_right
