"""How well the statistics of `analysis.stats` hold what they promise, on series of known truth.

Claims: 95 % intervals hold the truth in 93 to 97 % of cases, with and without overdispersion;
a block of 30 % at 3 measurements an hour is found within 12 h (median) at no more than one
false alarm in 2000 h, at base failure rates of 1, 5 and 10 %; 1000 series of 2000 cells take
less than 60 s. With ``REACHWATCH_DATA`` (or ../shared/data): the real daily series.

Run: ``python benchmarks/detection.py [SERIES]``. The limit beside the delays is measured in the
same run: the optimal detector of as many false alarms that is told base rate and block.
"""

import csv
import os
import sys
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter

import numpy as np
import orjson

from analysis.stats.design import DAILY, HOURLY, Design, alarm_threshold
from analysis.stats.intervals import by_probe, jeffreys
from analysis.stats.levels import Level, log_ratio
from analysis.stats.offline import change_points
from analysis.stats.online import detect
from analysis.stats.pooling import pool
from analysis.stats.volume import busy

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("REACHWATCH_DATA", ROOT.parent / "shared" / "data")) / "daily"
FIRST, LAST = date(2021, 1, 1), date(2023, 3, 31)
RATE = 3
ONSET = 700


def drawn(share: float, rho: float, n: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rho == 0:
        return rng.binomial(n, share)
    size = (1 - rho) / rho
    return rng.binomial(n, rng.beta(share * size, (1 - share) * size, n.shape))


def coverage(rng: np.random.Generator) -> list[bool]:
    print("coverage of 95 % intervals")
    held = []
    for n in (20, 72, 300, 3000):
        truth = rng.uniform(0.02, 0.98, 40000)
        found = jeffreys(rng.binomial(n, truth), n)
        share = float(np.mean((found.low <= truth) & (truth <= found.high)))
        held.append(0.93 <= share <= 0.97)
        print(f"  independent, n = {n:<5} {share:6.1%}")
    for n_probes in (8, 20, 60):
        for rho in (0.0, 0.05, 0.2, 0.5):
            hits = []
            for _ in range(1000):
                truth = rng.uniform(0.05, 0.6)
                n = rng.integers(1, 21, n_probes)
                found = by_probe(drawn(truth, rho, n, rng), n)
                hits.append(found.low <= truth <= found.high)
            held.append(0.93 <= np.mean(hits) <= 0.97)
            print(f"  {n_probes:>2} probes of 1 to 20, rho {rho:<4} {np.mean(hits):6.1%}")
    hits = []
    for _ in range(400):
        truth = rng.beta(2, 8, 25)
        n = rng.integers(1, 60, 25)
        found = pool(rng.binomial(n, truth), n)
        hits.append((found.low <= truth) & (truth <= found.high))
    held.append(0.93 <= np.mean(hits) <= 0.97)
    print(f"  25 networks, pooled           {np.mean(hits):6.1%}")
    return held


def limit_h(base: float, share: float, rng: np.random.Generator) -> float:
    """Return the median delay of the same sum with base and block known (optimal: Lorden 1971)."""
    known = Level(base, 0.0, 0.0, 10**9, 1e12)
    n = np.full((400, 1000), RATE)
    calm = log_ratio(rng.binomial(n, base), n, known, share, 50.0)
    threshold = alarm_threshold(calm, HOURLY.cells_per_false_alarm)
    k = rng.binomial(RATE, base, (2000, 300))
    k[:, 200:] = rng.binomial(RATE, share, (2000, 100))
    n = np.full(k.shape, RATE)
    sums = np.cumsum(log_ratio(k, n, known, share, 50.0), axis=1)
    sums -= np.minimum(np.minimum.accumulate(sums, axis=1), 0.0)
    return float(np.median(np.argmax(sums[:, 200:] > threshold, axis=1) + 1))


def detection(n_series: int, rng: np.random.Generator) -> list[bool]:
    print(f"\nonline, {RATE} measurements an hour, {n_series} series each")
    held = []
    started, cells = perf_counter(), 0
    for base in (0.01, 0.05, 0.1):
        alarms = hours = 0
        for seed in range(n_series):
            n = np.full(HOURLY.warm_up + 2000, RATE)
            found = detect(rng.binomial(n, base), n, HOURLY, seed)
            alarms += sum(change.direction == "onset" for change in found)
            hours += 2000
            cells += n.size
        rate = alarms / hours * 2000
        held.append(rate <= 1)
        print(f"  base {base:4.0%}: {rate:.2f} false onsets in 2000 h")
        for share in (0.3, base + 0.3 * (1 - base)):
            delays, lifted = [], []
            for seed in range(n_series):
                shares = np.full(ONSET + 350, base)
                shares[ONSET : ONSET + 200] = share
                n = np.full(shares.size, RATE)
                found = detect(rng.binomial(n, shares), n, HOURLY, seed)
                cells += n.size
                for wanted, start, into in (
                    ("onset", ONSET, delays),
                    ("lifting", ONSET + 200, lifted),
                ):
                    at = (c.detected for c in found if c.direction == wanted)
                    into.append(next((one - start + 1 for one in at if one >= start), np.inf))
            held.append(float(np.median(delays)) <= 12)
            late = np.quantile(delays, 0.9, method="higher")
            limit = limit_h(base, share, rng)
            print(
                f"    share {share:5.1%}: onset after {np.median(delays):4.1f} h (90 %:"
                f" {late:.0f} h; limit {limit:.0f} h), lifting after {np.median(lifted):.0f} h"
            )
    took = perf_counter() - started
    scaled = took / cells * 2e6
    held.append(scaled <= 60)
    print(f"  1000 series of 2000 cells: {scaled:.0f} s on one core")
    return held


def column(path: Path, name: str) -> np.ndarray:
    found = np.zeros((LAST - FIRST).days + 1, np.int64)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            cell = (date.fromisoformat(row["date"]) - FIRST).days
            if 0 <= cell < found.size:
                found[cell] = int(row[name])
    return found


def real(rng: np.random.Generator) -> list[bool]:
    known = orjson.loads((ROOT / "tests/analysis/stats/known_events.json").read_bytes())
    held = []
    for country in ("RU", "IR", "MM", "TR"):
        path = DATA / f"ooni-data-{country.lower()}.csv"
        n = column(path, "total")
        k = n - column(path, "ok")
        print(f"\n{country}, online (shares of all measurements by day)")
        unexplained: dict[int, int] = {}
        for change in detect(k, n, DAILY, 1):
            first, at, last = (
                FIRST + timedelta(days=cell) for cell in (change.first, change.cell, change.last)
            )
            why = [
                event["what"]
                for event in known[country]
                if date.fromisoformat(event["first"]) - timedelta(days=2)
                <= at
                <= date.fromisoformat(event["last"]) + timedelta(days=2)
            ]
            if change.direction == "onset" and not why:
                unexplained[at.year] = unexplained.get(at.year, 0) + 1
            print(
                f"  {change.direction:<7} {at} [{first} to {last}] {change.before:.3f} ->"
                f" {change.after:.3f}  {'; '.join(why)}"
            )
        print(f"  unexplained onsets by year: {unexplained or 'none'}")
        held.append(max(unexplained.values(), default=0) <= 3)
        points = change_points(k, n, rng)
        dates = [str(FIRST + timedelta(days=p.cell)) for p in points if p.is_rise]
        print(f"  afterwards, rises: {', '.join(dates) or 'none'}")
        design = Design(0.7, 1000, warm_up=14, settle=7, memory=240, cap=2.0)
        dates = [
            str(FIRST + timedelta(days=c.cell))
            for c in detect(*busy(n, 14), design, 1)
            if c.direction == "onset"
        ]
        print(f"  much more measured from: {', '.join(dates) or 'none'}")
    return held


def main() -> None:
    rng = np.random.default_rng(1)
    held = coverage(rng) + detection(int(sys.argv[1]) if len(sys.argv) > 1 else 200, rng)
    if DATA.is_dir():
        held += real(rng)
    print(f"\n{sum(held)} of {len(held)} claims hold")
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
