"""The time axis at the foot of a chart: where days lie, and their ticks."""

from datetime import date, timedelta
from typing import NamedTuple

from analysis.chart.days import LABEL_IN, ticks
from analysis.chart.sheet import Sheet
from analysis.chart.style import RULE


class DayAxis(NamedTuple):
    """Where days lie, in inches from the lower left corner. ``cell``: width of a day."""

    left: float
    cell: float
    n_days: int
    first: date

    @property
    def right(self) -> float:
        """Where the last day ends."""
        return self.left + self.cell * self.n_days

    @property
    def last(self) -> date:
        """The last day."""
        return self.first + timedelta(days=self.n_days - 1)

    def x(self, day: date) -> float:
        """Where a day begins; also of days before and after."""
        return self.left + self.cell * (day - self.first).days

    def x_within(self, day: date) -> float:
        """Where a day begins, or the end of the axis that is nearer to it."""
        return min(max(self.x(day), self.left), self.right)


def draw_axis(page: Sheet, axis: DayAxis, bottom: float) -> None:
    """Draw the line at ``bottom`` and the ticks below it."""
    page.line((axis.left, axis.right), (bottom, bottom), colour=RULE, width=0.8, dash="-")
    found = ticks(axis.first, axis.n_days, axis.cell)
    places = [axis.x(tick.day) + (axis.cell / 2 if tick.is_centred else 0) for tick in found]
    # One outline with gaps: a line for each would be a quarter of a small chart's bytes.
    xs = [x for place in places for x in (place, place, float("nan"))]
    ys = [y for _ in places for y in (bottom, bottom - 0.04, float("nan"))]
    page.axes.plot(xs, ys, color=RULE, linewidth=0.8, clip_on=False)
    for tick, x in zip(found, places, strict=True):
        if not tick.is_centred and x + LABEL_IN / 4 > axis.right:
            continue  # what it names has no room left on the axis
        page.text(x, bottom - 0.11, tick.minor, size=7.5, ha="center")
        if tick.major:
            page.text(x, bottom - 0.25, tick.major, size=7.5, bold=True, ha="center")
