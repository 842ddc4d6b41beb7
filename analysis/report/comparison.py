"""Two parts of one dataset side by side: two periods, networks or countries."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from analysis.dataset import Dataset
from analysis.report.cut import cut
from probe.locale import ENGLISH, Language

_PERIOD: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.\.([0-9]{4}-[0-9]{2}-[0-9]{2})", re.ASCII
)
_NETWORK: Final = re.compile(r"AS([0-9]{1,10})", re.ASCII | re.IGNORECASE)
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}", re.ASCII)


class ComparisonError(ValueError):
    """What to compare with cannot be understood, or nothing is there to be compared with it."""


@dataclass(frozen=True)
class Selection:
    """One side: what of the dataset it takes. None takes all; days are included."""

    country: str | Sequence[str] | None = None
    asn: int | Sequence[int] | None = None
    target: str | Sequence[str] | None = None
    first: date | str | None = None
    last: date | str | None = None

    def of(self, dataset: Dataset) -> Dataset:
        """Return this part of a dataset.

        Raises:
            ValueError: a day that is none.
        """
        return dataset.where(
            country=self.country, asn=self.asn, target=self.target, first=self.first, last=self.last
        )

    def words(self, say: Language = ENGLISH) -> str:
        """Say in a few words what is taken."""
        parts = [_listed(self.country), _listed(self.asn, "AS"), _listed(self.target)]
        if self.first or self.last:
            first, last = self.first or say("the beginning"), self.last or say("the end")
            parts.append(say("{first} to {last}").format(first=first, last=last))
        return cut(", ".join(part for part in parts if part) or say("everything"), 120)


def _listed(value: Any, prefix: str = "") -> str:
    if value is None:
        return ""
    values = [value] if isinstance(value, str | int) else list(value)
    return "+".join(f"{prefix}{one}" for one in values)


@dataclass(frozen=True)
class Comparison:
    """Two sides of one dataset; each narrows what the dataset already holds."""

    a: Selection
    b: Selection


def comparison_of(given: Selection, text: str) -> Comparison:
    """Return what was selected (A) beside the same with another period, network or country (B).

    ``text`` is ``2022-03-01..2022-03-31``, ``AS8402`` or ``IR``.

    Raises:
        ComparisonError: it is none of these, or A selects no such thing itself.
    """
    if found := _PERIOD.fullmatch(text):
        try:
            first, last = map(date.fromisoformat, found.groups())
        except ValueError:
            raise ComparisonError(
                f"{text!r}: expected days, as in 2022-03-01..2022-03-31"
            ) from None
        if first > last:
            raise ComparisonError(f"{text!r}: ends before it begins")
        if given.first is None or given.last is None:
            raise ComparisonError(f"{text!r} is compared with a period: give --from and --to")
        return Comparison(given, replace(given, first=first, last=last))
    if found := _NETWORK.fullmatch(text):
        if given.asn is None:
            raise ComparisonError(f"{text!r} is compared with a network: give --network")
        # A network has one number in whichever country: the other may lie in another.
        return Comparison(given, replace(given, asn=int(found[1]), country=None))
    if _COUNTRY.fullmatch(text):
        if given.country is None:
            raise ComparisonError(f"{text!r} is compared with a country: give --country")
        return Comparison(given, replace(given, country=text.upper(), asn=None))
    raise ComparisonError(
        f"{text!r}: expected a period, a network or a country, as in 2022-03-01..2022-03-31, "
        "AS8402 or IR"
    )
