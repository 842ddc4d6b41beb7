"""Delay, jitter, loss, rate and queue of the line."""

import msgspec
import pytest

from censorlab.packet.line import Line, Pipe


def fates(line: Line, seed: str, n: int = 10_000) -> list[float | None]:
    pipe = Pipe(line, seed)
    return [pipe.carry(1500, k * 0.01) for k in range(n)]


def test_the_same_seed_loses_the_same_packets() -> None:
    """And another seed others."""
    line = Line(loss=0.05)
    lost = [[due is None for due in fates(line, seed)] for seed in ("a", "a", "b")]
    assert lost[0] == lost[1] != lost[2]


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
def test_loss_is_within_three_deviations(loss: float) -> None:
    """Over 100 000 packets; fixed seed, so this never fails by chance."""
    share = sum(due is None for due in fates(Line(loss=loss), "seed", 100_000)) / 100_000
    assert abs(share - loss) < 3 * (loss * (1 - loss) / 100_000) ** 0.5


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
