"""Vertical scales: values to inches, with ticks at round values."""

import math
from itertools import pairwise
from typing import Final, NamedTuple

_TOPS: Final = (
    (0.001, 0.0002), (0.002, 0.0005), (0.005, 0.001), (0.01, 0.002), (0.02, 0.005),
    (0.05, 0.01), (0.1, 0.02), (0.15, 0.05), (0.2, 0.05), (0.3, 0.1), (0.4, 0.1), (0.5, 0.1),
    (0.75, 0.25), (1.0, 0.25),
)  # fmt: skip
"""Tops of an axis of shares, each with its step."""
_MOST_TICKS: Final = 7


class Scale(NamedTuple):
    """A scale from ``low`` at ``bottom`` to ``high`` at ``top`` (inches)."""

    low: float
    high: float
    bottom: float
    top: float
    is_log: bool
    ticks: tuple[float, ...]

    def y(self, value: float) -> float:
        """Where a value lies; what lies outside is drawn at the edge."""
        kept = min(max(value, self.low), self.high)
        if self.is_log:
            part = math.log(kept / self.low) / math.log(self.high / self.low)
        else:
            part = (kept - self.low) / (self.high - self.low)
        return self.bottom + part * (self.top - self.bottom)


def share_scale(highest: float, bottom: float, top: float) -> Scale:
    """Scale shares from zero to the next round value above the highest."""
    high, step = next(((high, step) for high, step in _TOPS if high >= highest), _TOPS[-1])
    ticks = tuple(number * step for number in range(round(high / step) + 1))
    return Scale(0.0, high, bottom, top, is_log=False, ticks=ticks)


def log_scale(lowest: float, highest: float, bottom: float, top: float) -> Scale:
    """Scale positive values by their logarithm, between values that begin with 1, 2 or 5."""
    exponents = range(math.floor(math.log10(lowest)) - 1, math.floor(math.log10(highest)) + 2)
    steps = [factor * 10.0**exponent for exponent in exponents for factor in (1, 2, 5)]
    first = max(number for number, step in enumerate(steps) if step <= lowest or number == 0)
    last = next(number for number, step in enumerate(steps) if step >= highest and number > first)
    ticks = steps[first : last + 1]
    if len(ticks) > _MOST_TICKS:
        decades = [step for step in ticks if round(step / 10 ** math.floor(math.log10(step))) == 1]
        ticks = decades[:: 1 + len(decades) // _MOST_TICKS]
    assert all(one < two for one, two in pairwise(steps))
    return Scale(steps[first], steps[last], bottom, top, is_log=True, ticks=tuple(ticks))


def compact(value: float) -> str:
    """Write a count in at most four characters and a letter: 950, 1.2k, 81k, 3.4M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        # From 999.5 on, rounding reaches the next letter.
        if value >= size * 0.9995:
            scaled = value / size
            return (
                f"{scaled:.1f}".removesuffix(".0") + letter
                if scaled < 9.95
                else (f"{scaled:.0f}{letter}")
            )
    return f"{value:.0f}"


def three_digits(value: float) -> str:
    """Write a number with three digits, and never as a power of ten: 0.24, 12.3, 1,850."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def percent(value: float) -> str:
    """Write a share as per cent, with no more digits than it needs: 0.05 %, 7.4 %, 25 %."""
    scaled = value * 100
    digits = 1 if scaled >= 1 else 2
    text = f"{scaled:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"
