"""What a search for change points gives, whichever way it was searched."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Segment:
    """Cells ``start`` to ``stop`` (exclusive) of one level, with its interval."""

    start: int
    stop: int
    share: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class ChangePoint:
    """The first cell of a new level, with the interval of that cell."""

    cell: int
    first: int
    last: int
    before: Segment
    after: Segment

    @property
    def is_rise(self) -> bool:
        """Whether more fails afterwards."""
        return self.after.share > self.before.share
