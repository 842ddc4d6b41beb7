"""Take a number of resPQ apart, as every client has to before it may go on.

Brent's form of Pollard's rho (BIT 20, 1980, pages 176-184): about the square root of the
smaller factor in steps, so some ten thousand for Telegram's products of two primes of
31 bits: tens of milliseconds here.
"""

import math
from collections.abc import Iterator
from itertools import count
from typing import Final

_BATCH: Final = 512
"""Steps at a time: about a tenth of a millisecond."""


def factoring(product: int) -> Iterator[int | None]:
    """Yield None while at work, then the smaller of two factors of a composite.

    Between two of them little time passes, so that its caller can let others run.
    """
    root = math.isqrt(product)
    if root * root == product:
        yield root
        return
    if product % 2 == 0:
        yield 2
        return
    # What one constant does not take apart, another will.
    for constant in count(1):
        divisor = None
        for divisor in _walk(product, constant):
            if divisor is None:
                yield None
        if divisor is not None and divisor != product:
            yield min(divisor, product // divisor)
            return


def _walk(product: int, constant: int) -> Iterator[int | None]:
    """Yield None while at work, then a divisor: ``product`` itself if it was in vain."""
    walker = 2
    for length in (2**power for power in count()):
        anchor = walker
        # A cycle no longer than half of this walk was found before, or is met twice.
        for steps in _batches(length // 2):
            for _ in range(steps):
                walker = (walker * walker + constant) % product
            yield None
        for steps in _batches(length - length // 2):
            before, differences = walker, 1
            for _ in range(steps):
                walker = (walker * walker + constant) % product
                differences = differences * (anchor - walker) % product
            divisor = math.gcd(differences, product)
            if divisor == product:
                divisor = _one_by_one(product, constant, anchor, before)
            if divisor != 1:
                yield divisor
                return
            yield None


def _batches(steps: int) -> Iterator[int]:
    for done in range(0, steps, _BATCH):
        yield min(_BATCH, steps - done)


def _one_by_one(product: int, constant: int, anchor: int, walker: int) -> int:
    """Walk a batch again in which all of the product's factors were met."""
    divisor = 1
    while divisor == 1:
        walker = (walker * walker + constant) % product
        divisor = math.gcd(anchor - walker, product)
    return divisor
