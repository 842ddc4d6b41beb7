"""The glossary has each word of the vocabulary once, and no other."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from probe.model.observation import STEPS, TACTICS, FollowUp, Role, Step, Tactic
from probe.model.verdict import BLOCKED_STATES, STATES, BenignCause, Mechanism, State

GLOSSARY = Path(__file__).parents[2] / "docs" / "glossary.md"
ROW = re.compile(r"^\| `([a-z0-9_]+)` \| (.+\.) \|$", re.MULTILINE)

SECTIONS: dict[str, Any] = {
    "States": State,
    "Mechanisms": Mechanism,
    "Benign causes": BenignCause,
    "Steps": Step,
    "Roles": Role,
    "Follow-ups": FollowUp,
    "Tactics": Tactic,
}


def words_of(section: str) -> list[str]:
    _, _, rest = GLOSSARY.read_text(encoding="utf-8").partition(f"\n## {section}\n")
    return [word for word, _ in ROW.findall(rest.partition("\n## ")[0])]


@pytest.mark.parametrize("section", SECTIONS)
def test_section_has_each_word(section: str) -> None:
    """Each section lists its words in the order of the code."""
    assert words_of(section) == list(get_args(SECTIONS[section]))


def test_tuples_agree_with_their_types() -> None:
    """The tuples for iterating have the words of the types."""
    assert get_args(State) == STATES
    assert get_args(Step) == STEPS
    assert get_args(Tactic) == TACTICS
    assert set(STATES) > BLOCKED_STATES


def test_no_word_has_two_meanings() -> None:
    """States, mechanisms, benign causes and follow-ups never share a name.

    A step and a follow-up do: `quic` is what one step does, and why.
    """
    sections = ("States", "Mechanisms", "Benign causes", "Follow-ups")
    words = [word for name in sections for word in words_of(name)]
    assert len(words) == len(set(words))
