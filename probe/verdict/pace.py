"""Is a transfer slow, and is it slow because of its name?

Throttling is claimed only from paired, interleaved transfers over the same
address that differ in the server name alone; a slow line slows both.
"""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

from probe.model.observation import Observation

MIN_BODY_BYTES: Final = 16 * 1024
"""Shorter transfers end inside slow start and measure the round trip instead."""

SUSPICION: Final = 0.25
"""Below this share of the control's rate a transfer is measured in pairs. Distance
alone reaches such ratios, so this starts a comparison and decides nothing."""

THROTTLED: Final = 0.5
"""Each pair must fall below this ratio (the Wehe analyser's area of 0.5)."""

MIN_PAIRS: Final = 3
MAX_LAG_S: Final = 0.1
"""With more event-loop lag our own load may be what is slow."""


def rate(row: Observation) -> float | None:
    """Return bytes per second of a completed transfer, None if it says nothing."""
    if row.step != "http" or row.failure is not None or not row.body_duration_s:
        return None
    if row.received_bytes < MIN_BODY_BYTES:
        return None
    return row.received_bytes / row.body_duration_s


def is_slow(row: Observation, rows: Iterable[Observation]) -> bool:
    """Tell whether a transfer is worth measuring in pairs."""
    own = rate(row)
    controls = [r for o in rows if o.role == "control" and (r := rate(o)) is not None]
    return own is not None and bool(controls) and own < SUSPICION * median(controls)


def paired_ratios(tests: Sequence[Observation], contrasts: Sequence[Observation]) -> list[float]:
    """Return target rate / contrast rate of the last transfers, pair by pair.

    Both sequences are of one address, in order of time; the target's first
    transfer, before the pairs, has no partner and is left out.
    """
    test_rates = [rate(o) for o in tests]
    contrast_rates = [rate(o) for o in contrasts]
    paired = zip(test_rates[-len(contrast_rates) :] or [], contrast_rates, strict=False)
    return [own / other for own, other in paired if own is not None and other is not None]


def is_throttled(tests: Sequence[Observation], contrasts: Sequence[Observation]) -> bool:
    """Tell whether every one of at least `MIN_PAIRS` pairs shows the name slowed."""
    ratios = paired_ratios(tests, contrasts)
    lag = max((o.loop_lag_s for o in (*tests, *contrasts)), default=0.0)
    return (
        len(ratios) >= MIN_PAIRS and all(ratio < THROTTLED for ratio in ratios) and lag <= MAX_LAG_S
    )
