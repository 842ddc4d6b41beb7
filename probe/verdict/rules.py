"""The rules as a table: what each needs, claims and excludes.

A rule id is a public contract. The table (``data/rules.toml``) is what `explain`
and the docs show; the other modules of this room decide which row applies.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import resources
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from probe.model.observation import Step
from probe.model.verdict import State

Words = Annotated[str, Meta(min_length=3)]


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row. ``state`` is the most the rule may claim.

    ``needs``: the facts without which it does not apply. ``excludes``: explanations
    that these facts rule out. ``leaves``: those that they do not. ``changes``: what
    else, if it were seen, would change our mind.
    """

    rule_id: Annotated[str, Meta(pattern=r"^[a-z0-9_]+\.[a-z0-9_]+$")]
    state: State
    stage: Step | None = None
    needs: Words
    excludes: Words
    leaves: tuple[Words, ...] = ()
    changes: Words
    source: Words


class _Rules(Mapping[str, Rule]):
    """The table, read at the first look: most commands never need it."""

    def __getitem__(self, rule_id: str) -> Rule:
        return _read()[rule_id]

    def __iter__(self) -> Iterator[str]:
        return iter(_read())

    def __len__(self) -> int:
        return len(_read())


@lru_cache(maxsize=1)
def _read() -> dict[str, Rule]:
    text = (resources.files("probe.verdict") / "data" / "rules.toml").read_text(encoding="utf-8")
    rules = msgspec.convert(tomllib.loads(text)["rule"], list[Rule])
    return {rule.rule_id: rule for rule in rules}


RULES: Final = _Rules()
