"""Delay, jitter, loss, rate and queue of the line."""

from bisect import bisect_right
from itertools import pairwise
from statistics import fmean, pvariance

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.packet import udp
from censorlab.packet.line import Line, Losses, Pipe
from censorlab.packet.middlebox import Middlebox
from censorlab.rules import RandomLoss


def fates(line: Line, seed: str, n: int = 10_000) -> list[float | None]:
    pipe = Pipe(line, seed)
    return [pipe.carry(1500, k * 0.01) for k in range(n)]


def test_the_same_seed_loses_the_same_packets() -> None:
    """And another seed others."""
    line = Line(loss=0.05)
    lost = [[due is None for due in fates(line, seed)] for seed in ("a", "a", "b")]
    assert lost[0] == lost[1] != lost[2]


@given(
    share=st.floats(0, 1),
    seed=st.text(max_size=8),
    start=st.integers(0, 5_000),
    n=st.integers(1, 10_000),
)
def test_any_run_of_packets_has_its_share_of_losses(
    share: float, seed: str, start: int, n: int
) -> None:
    """To within 30 packets wherever it starts, which is 0.3 points of 10 000; 15 from the start."""
    losses = Losses(share, seed)
    fates = [losses.strike() for _ in range(start + n)]
    assert abs(sum(fates[start:]) - share * n) <= 30 + 1e-6
    assert abs(sum(fates) - share * len(fates)) <= 15 + 1e-6


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.5])
def test_gaps_between_losses_are_those_of_chance(share: float) -> None:
    """Geometric to within 0.02 of the cumulative distribution; fixed seed."""
    losses = Losses(share, "seed")
    lost = [k for k in range(200_000) if losses.strike()]
    gaps = sorted(b - a for a, b in pairwise(lost))
    for gap in {gaps[len(gaps) * tenth // 10] for tenth in range(1, 10)}:
        found = bisect_right(gaps, gap) / len(gaps)
        assert found == pytest.approx(1 - (1 - share) ** gap, abs=0.02)


def test_losses_of_a_short_run_are_those_of_chance() -> None:
    """100 packets at 5 %: mean 5, variance 4.75, as independent draws have, over 1000 seeds."""
    counts = []
    for seed in range(1000):
        losses = Losses(0.05, str(seed))
        counts.append(sum(losses.strike() for _ in range(100)))
    assert fmean(counts) == pytest.approx(5, abs=0.25)
    assert pvariance(counts) == pytest.approx(4.75, abs=0.8)


@given(
    st.lists(st.tuples(st.integers(40, 1500), st.floats(0, 1)), min_size=1, max_size=300),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
)
def test_fates_hang_on_nothing_but_seed_and_share(
    packets: list[tuple[int, float]], delay_s: float, jitter_s: float
) -> None:
    """Not on sizes, times, delay or jitter; a rate's full queue loses others besides."""

    def lost(line: Line, packets: list[tuple[int, float]]) -> list[bool]:
        pipe, now, found = Pipe(line, "seed"), 0.0, []
        for size, gap_s in packets:
            now += gap_s
            found.append(pipe.carry(size, now) is None)
        return found

    plain = lost(Line(loss=0.2), [(1500, 0.0)] * len(packets))
    assert lost(Line(loss=0.2, delay_s=delay_s, jitter_s=jitter_s), packets) == plain
    shaped = lost(Line(loss=0.2, rate_bytes_per_s=10_000), packets)
    assert all(there for here, there in zip(plain, shaped, strict=True) if here)


def test_loss_at_places_is_as_exact() -> None:
    """The rule's too: two places with one share have one count between them."""
    box = Middlebox((RandomLoss(share=0.2),), seed=3)
    packets = [udp.build((bytes(4), 1), (bytes([9, 9, 9, n]), 443), b"", 64) for n in (1, 2)]
    passed = sum(len(box.handle("up", packets[k % 2], 0.0)) for k in range(10_000))
    assert abs(passed - 8_000) <= 15


def test_jitter_adds_and_never_reorders() -> None:
    """Between delay and delay plus jitter, in order."""
    pipe = Pipe(Line(delay_s=0.05, jitter_s=0.02), "seed")
    dues = []
    for k in range(2000):
        due = pipe.carry(100, k * 0.001)
        assert due is not None
        assert 0.05 <= due - k * 0.001 < 0.07 + 1e-9
        dues.append(due)
    assert dues == sorted(dues)


def test_the_rate_is_kept_and_the_queue_is_finite() -> None:
    """Offered ten times the rate, the line gives its rate and drops the rest."""
    pipe = Pipe(Line(rate_bytes_per_s=32_000, queue_bytes=15_000), "seed")
    dues = [pipe.carry(1000, k / 320) for k in range(3200)]
    delivered = [due for due in dues if due is not None]
    assert len(delivered) * 1000 / 10 == pytest.approx(32_000, rel=0.06)
    assert max(d - k / 320 for k, d in enumerate(dues) if d is not None) < 16_000 / 32_000 + 0.01


def test_lines_are_checked() -> None:
    """A share above one is refused where it is read."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"loss": 2}', type=Line)
