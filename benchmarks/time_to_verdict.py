"""How long a whole check takes until its verdicts, and how many bytes, by mechanism.

Claims, medians at a round trip of 60 ms: silently dropped hello <= 5 s, dropped SYN
<= 7 s, everything else that is blocked <= 3 s; and <= 1 MB for any check without
``--also``. Run as root: ``python benchmarks/time_to_verdict.py [SEEDS]``.

The limit is measured side by side: the same check in the same world on a clean line,
which is what start-up, controls and the plan's own round trips cost. Results are ratios
to the claims. Transfers that are slowed or frozen are listed apart: a body that takes
seconds is what they consist of.
"""

import sys
from collections import defaultdict
from datetime import UTC, datetime
from statistics import median
from time import monotonic

import orjson

from censorlab.authority import new_authority
from censorlab.matrix.outcome import Cell
from censorlab.matrix.run import line_of
from censorlab.scenarios.cast import Authorities
from censorlab.scenarios.model import Scenario, all_scenarios
from censorlab.scenarios.stage import middlebox_stage

RTT_S = 0.06
MAX_BYTES = 1_000_000
LIMITS_S = {"dropped hello": 5.0, "dropped SYN": 7.0, "everything else": 3.0}
_HELLO = {"sni_drop", "sni_drop_reply", "mtproto_drop", "tls_fingerprint", "allowlist"}
_SYN = {"ip_drop", "port_block", "sni_residual"}
_TRANSFER = {"freeze", "throttling", "faketls_drop"}


def class_of(scenario: Scenario) -> str:
    """Return the claim that a scenario falls under."""
    mechanisms = {truth.mechanism for truth in scenario.truths if truth.mechanism}
    for name, own in (
        ("dropped hello", _HELLO),
        ("dropped SYN", _SYN),
        ("transfer", _TRANSFER),
    ):
        if mechanisms & own:
            return name
    return "everything else"


def check(scenario: Scenario, seed: int) -> tuple[float, int]:
    """Return seconds and bytes of one check."""
    now = datetime.now(UTC)  # noqa: TID251 - certificates of a lab are valid around the present
    authorities = Authorities(new_authority("trusted"), new_authority("forger"), now)
    cell = Cell(scenario.name, "middlebox", 0.0, RTT_S, seed)
    scenario = scenario.without_ways()
    with middlebox_stage(scenario, line_of(scenario, cell), seed, authorities) as stage:
        words = [sys.executable, "-m", "probe.cli.main", "check", stage.targets]
        words += ["--results", stage.results, "-f", "json", "-q", "--yes"]
        words += ["--seed", str(seed)]
        started = monotonic()
        done = stage.run_client(words, timeout_s=120)
        seconds = monotonic() - started
    rows = orjson.loads(done.stdout.splitlines()[-1])["observations"]
    return seconds, sum(row["sent_bytes"] + row["received_bytes"] for row in rows)


def main() -> None:
    seeds = range(1, 1 + (int(sys.argv[1]) if len(sys.argv) > 1 else 1))
    took: dict[str, list[float]] = defaultdict(list)
    most = ("", 0)
    for scenario in all_scenarios():
        if scenario.is_benign and scenario.name != "clean":
            continue
        name = "clean" if scenario.is_benign else class_of(scenario)
        for seed in seeds:
            seconds, cost = check(scenario, seed)
            took[name].append(seconds)
            most = max(most, (scenario.name, cost), key=lambda one: one[1])
            print(f"{name:<16} {scenario.name:<26} {seconds:6.2f} s {cost / 1000:7.0f} kB")
    floor = median(took["clean"])
    print(f"\nclean line: {floor:.2f} s")
    failed = most[1] > MAX_BYTES
    for name, limit in LIMITS_S.items():
        value = median(took[name])
        failed |= value > limit
        print(
            f"{name:<16} median of {len(took[name]):>2}: {value:5.2f} s = {value / limit:.2f} of "
            f"the limit {limit:.0f} s, {value / floor:.1f} x the clean line"
        )
    print(
        f"{'transfer':<16} median of {len(took['transfer']):>2}: {median(took['transfer']):5.2f} s"
    )
    print(f"most bytes: {most[0]}, {most[1] / MAX_BYTES:.2f} of 1 MB")
    sys.exit(failed)


if __name__ == "__main__":
    main()
