"""Is a transfer slow, and is it slow because of its name?

Throttling is claimed only from paired, interleaved transfers over the same
address that differ in the server name alone; a slow line slows both.
"""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
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

MIN_SLOW_S: Final = 0.3
"""A transfer that is over sooner is not slow, whatever others do: it is as long as two
round trips to another continent, and shorter ones differ by chance."""

MAX_LAG_SHARE: Final = 0.1
"""Event-loop lag during the target's transfer, as a share of its duration: our own
load may explain this much of its slowness and no more. Lag during the contrast
only makes the contrast slower, which claims less."""


def rate(row: Observation) -> float | None:
    """Return bytes per second of a completed transfer, None if it says nothing."""
    if row.step != "http" or row.failure is not None or not row.body_duration_s:
        return None
    if row.received_bytes < MIN_BODY_BYTES:
        return None
    return row.received_bytes / row.body_duration_s


def is_slow(row: Observation, rows: Iterable[Observation]) -> bool:
    """Tell whether a transfer is worth measuring in pairs."""
    own = rate(row) if (row.body_duration_s or 0.0) >= MIN_SLOW_S else None
    controls = [r for o in rows if o.role == "control" and (r := rate(o)) is not None]
    return own is not None and bool(controls) and own < SUSPICION * median(controls)


def paired_ratios(tests: Sequence[Observation], contrasts: Sequence[Observation]) -> list[float]:
    """Return target rate / contrast rate of each pair that counts, in order of time.

    Both sequences are of one address. The engine runs contrast and target in
    turns, so each target transfer pairs with the contrast before it; the first,
    which raised the suspicion, has none. Pairs under our own load are discarded.
    """
    ratios = []
    turns = sorted(contrasts, key=lambda row: row.t0)
    for contrast, following in zip_longest(turns, turns[1:]):
        own = next((o for o in sorted(tests, key=lambda o: o.t0) if o.t0 >= contrast.t), None)
        if own is None or (following is not None and own.t0 >= following.t0):
            continue  # the target's attempt of this turn got to no transfer
        if (slow := rate(own)) is None or (fast := rate(contrast)) is None:
            continue
        if (own.body_duration_s or 0.0) < MIN_SLOW_S:
            slow = max(slow, fast)
        if own.loop_lag_s <= MAX_LAG_SHARE * (own.t - own.t0):
            ratios.append(slow / fast)
    return ratios


def is_throttled(tests: Sequence[Observation], contrasts: Sequence[Observation]) -> bool:
    """Tell whether every one of at least `MIN_PAIRS` pairs shows the name slowed."""
    ratios = paired_ratios(tests, contrasts)
    return len(ratios) >= MIN_PAIRS and max(ratios) < THROTTLED


def is_settled(tests: Sequence[Observation], contrasts: Sequence[Observation]) -> bool:
    """Tell whether more pairs could not change the answer."""
    ratios = paired_ratios(tests, contrasts)
    return len(ratios) >= MIN_PAIRS or any(ratio >= THROTTLED for ratio in ratios)
