"""``--expect FILE``: what a run is expected to say, and where it says something else."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import orjson

from probe.cli.errors import EXIT_BAD_INPUT, CommandError
from probe.model.target import Targets
from probe.model.verdict import Mechanism, State, Verdict

MAX_EXPECT_BYTES: Final = 2**20
"""A line for each of the 5000 targets that a list may have."""

_MAX_NAMED: Final = 20


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The states that are right for a target, and the mechanisms if that is asked."""

    state: State | tuple[State, ...]
    mechanism: Mechanism | tuple[Mechanism, ...] = ()

    @property
    def states(self) -> tuple[State, ...]:
        """The states that are right."""
        return (self.state,) if isinstance(self.state, str) else self.state

    @property
    def mechanisms(self) -> tuple[Mechanism, ...]:
        """The mechanisms that are right; none: any, and none at all."""
        return (self.mechanism,) if isinstance(self.mechanism, str) else self.mechanism


Expectations = Mapping[str, Expected]


class Mismatch(NamedTuple):
    """A target that is not as expected."""

    target_id: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"expected {self.expected}, found {self.found}"


def read_expectations(path: Path) -> Expectations:
    """Read an expectations file.

    It is an object: from a target's id to a state, to a list of states, or to an object
    with ``state`` and perhaps ``mechanism``, each one word or a list.

    Raises:
        CommandError: exit 3, naming the file and the place in it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_EXPECT_BYTES + 1)
    except OSError as error:
        raise CommandError(EXIT_BAD_INPUT, [f"{path}: {error.strerror}"]) from None
    if len(data) > MAX_EXPECT_BYTES:
        raise CommandError(EXIT_BAD_INPUT, [f"{path}: larger than {MAX_EXPECT_BYTES} bytes"])
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise CommandError(EXIT_BAD_INPUT, [f"{path}: not JSON: {error}"]) from None
    if not isinstance(document, dict) or not document:
        raise CommandError(
            EXIT_BAD_INPUT, [f"{path}: $: expected an object from target ids to states"]
        )
    found: dict[str, Expected] = {}
    problems = []
    for target_id, raw in document.items():
        shaped = raw if isinstance(raw, dict) else {"state": raw}
        try:
            found[target_id] = msgspec.convert(shaped, Expected)
        except msgspec.ValidationError as error:
            text, _, inner = str(error).partition(" - at ")
            inner = inner.strip("`").removeprefix("$")
            if shaped is not raw:
                inner = inner.removeprefix(".state")
            problems.append(f"{path}: {_place(target_id)}{inner}: {text}")
            continue
        if not found[target_id].states:
            problems.append(f"{path}: {_place(target_id)}: no state is named")
    _raise_if(problems)
    return found


def check_ids(expected: Expectations, targets: Targets, path: Path) -> None:
    """Check that every target expected is measured.

    Raises:
        CommandError: exit 3, naming those that are not.
    """
    known = [target.id for target in targets.targets]
    problems = []
    for target_id in expected.keys() - set(known):
        close = get_close_matches(target_id, known, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        problems.append(f"{path}: {_place(target_id)}: not among the targets of this run{hint}")
    _raise_if(sorted(problems))


def mismatches(expected: Expectations, verdicts: Sequence[Verdict]) -> tuple[Mismatch, ...]:
    """Return what is not as expected, in the order expected; the direct way counts."""
    direct = {v.target_id: v for v in verdicts if v.tactic == "none"}
    found = []
    for target_id, wanted in expected.items():
        verdict = direct[target_id]
        is_right = verdict.state in wanted.states and (
            not wanted.mechanisms or verdict.mechanism in wanted.mechanisms
        )
        if not is_right:
            said = "|".join(wanted.states) + f" {'|'.join(wanted.mechanisms)}"
            seen = f"{verdict.state} {verdict.mechanism or ''}"
            found.append(Mismatch(target_id, said.strip(), seen.strip()))
    return tuple(found)


def _place(target_id: str) -> str:
    return f"$[{orjson.dumps(target_id).decode()}]"


def _raise_if(problems: Sequence[str]) -> None:
    if problems:
        more = len(problems) - _MAX_NAMED
        rest = [f"and {more} more"] if more > 0 else []
        raise CommandError(EXIT_BAD_INPUT, [*problems[:_MAX_NAMED], *rest])
