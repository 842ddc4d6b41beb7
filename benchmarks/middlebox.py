"""What the middlebox costs and how exact its line is, beside the kernel's own forwarding.

Claims: at least 20 000 packets/s on one core; at most 0.5 ms added to a round
trip without delay; delays to within 1 ms; losses to within 0.3 points of 10 000
packets; two runs with one seed lose the same packets. Run, as root for the TUN
link: ``python benchmarks/middlebox.py``. Exit code 1: a bar is missed.

Every figure stands beside its limit and beside a peer's in the same run: median
[min..max] of repetitions taken in turns. The peer is a Linux router between the
same two sides with the same traffic; for delays a process that only sleeps, on
the middle's core while it works, since the kernel's own delay (netem) is not
everywhere; for losses the random numbers of nftables. The middle has a core to
itself, both ends share another.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from censorlab.packet.line import Line
from censorlab.rules import IpDrop, Rule, SniRst, UdpDrop
from censorlab.world.messages import Link, Order
from censorlab.world.system import UnsupportedSystemError
from censorlab.world.world import RouterWorld, World

LINKS: tuple[Link, ...] = ("tun", "veth")
SERVER = "198.51.100.1"
SIDES = {"client": ("10.77.0.2",), "server": (SERVER,)}
RULES: dict[str, tuple[Rule, ...]] = {
    "none": (),
    "three": (
        SniRst(server_name="*.blocked.test"),
        IpDrop(addresses=("203.0.113.0/24", "2001:db8:bad::/48")),
        UdpDrop(port=443),
    ),
}

ROUNDS = 3
PARTS = 5
PACKETS_PER_S = 20_000
ADDED_S = 0.0005
DELAY_ERROR_S = 0.001
LOSS_POINTS = 0.3
LOSS_PACKETS = 10_000
LOSS_RATE = 20_000
DELAYS = ((0.005, 1000, 2100), (0.025, 1000, 2100), (0.075, 1000, 2100), (0.025, 5000, 5100))
"""Seconds one way, packets per second, packets."""

_TRAFFIC = str(Path(__file__).resolve().with_name("middlebox_traffic.py"))
_LEAD_S, _WINDOW_S, _FLOOD_S = 0.2, 0.5, 0.9


class End:
    """A process that sends, receives or sleeps when told."""

    def __init__(self, role: str, world: World | RouterWorld | None = None) -> None:
        words = [sys.executable, _TRAFFIC, role, SERVER]
        self.process = subprocess.Popen(
            world.words(role, words) if world else words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.result()

    def do(self, order: str, **arguments: float) -> None:
        """Start an order."""
        assert self.process.stdin is not None
        print(json.dumps({"do": order, **arguments}), file=self.process.stdin, flush=True)

    def result(self) -> Any:
        """Wait for what the order gives."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


class Bench:
    """A world with an end on either side, its middle on a core of its own."""

    def __init__(self, name: str, world: World | RouterWorld, core: int) -> None:
        self.name = name
        self.world = world
        os.sched_setaffinity(world.middle_pid, {core})
        self.client, self.server = End("client", world), End("server", world)

    def apply(self, rules: Sequence[Rule] = (), line: Line | None = None, seed: int = 0) -> None:
        """Put them in force, where there is a middlebox."""
        if isinstance(self.world, World):
            self.world.apply(rules, line, seed)

    def cpu_s(self) -> float:
        """Return the processor time that the middle's process has used."""
        fields = Path(f"/proc/{self.world.middle_pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def flood(self) -> tuple[float, float]:
        """Return small packets per second that arrive, and per second of processor time."""
        self.client.do("flood", seconds=_FLOOD_S)
        time.sleep(_LEAD_S)
        start, cpu = time.monotonic(), self.cpu_s()
        self.server.do("count", seconds=_WINDOW_S)
        rate = self.server.result()
        seconds, cpu = time.monotonic() - start, self.cpu_s() - cpu
        self.client.result()
        self.server.do("drain")
        self.server.result()
        return rate, rate * seconds / max(cpu, 0.01)

    def stream(self) -> float:
        """Return a TCP connection's Mbit/s."""
        self.server.do("swallow", lead_s=_LEAD_S, seconds=_WINDOW_S)
        self.client.do("pour")
        rate: float = self.server.result()
        self.client.result()
        return rate / 1e6

    def ping(self) -> list[float]:
        """Return the seconds of 700 round trips, sorted."""
        self.server.do("echo")
        self.client.do("ping", n=700, rate=1000)
        took = sorted(self.client.result())
        self.server.result()
        return took

    def pace(self, n: int, rate: float) -> list[tuple[int, float]]:
        """Return (number, seconds under way) of what arrives of ``n`` packets."""
        self.server.do("record")
        self.client.do("pace", n=n, rate=rate)
        self.client.result()
        return [(number, seconds) for number, seconds in self.server.result()]


class Report:
    """Prints figures as they come, and remembers whether a limit was passed."""

    def __init__(self) -> None:
        self.missed: list[str] = []
        print(f"{'':42}{'median [min..max]':>32}{'limit':>10}{'ratio':>8}{'peer':>11}{'ratio':>8}")

    def row(
        self,
        name: str,
        figures: Sequence[float],
        *,
        limit: float | None = None,
        at_least: bool = False,
        peer: float | None = None,
        digits: int = 3,
    ) -> None:
        """Print one measure; its median is held against the limit.

        Where the peer itself misses a limit from above, this machine is to blame.
        """
        middle = median(figures)
        spread = f"{middle:.{digits}f} [{min(figures):.{digits}f}..{max(figures):.{digits}f}]"
        cells = f"{name:42}{spread:>32}"
        cells += f"{limit:>10g}{middle / limit:>8.2f}" if limit is not None else f"{'':18}"
        if peer is not None:
            cells += f"{peer:>11.{digits}f}" + (f"{middle / peer:>8.2f}" if peer else "")
        if limit is not None and (middle < limit if at_least else abs(middle) > limit):
            if peer is not None and not at_least and peer > limit:
                cells += "  so does the peer"
            else:
                self.missed.append(name)
                cells += "  MISSED"
        print(cells, flush=True)


def quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@contextmanager
def benches() -> Iterator[tuple[list[Bench], End]]:
    """Give the router's bench and one for each link that this machine allows; and a timer."""
    core, *others = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, others[:1] or {core})
    with ExitStack() as stack:
        found = [Bench("router", stack.enter_context(RouterWorld(SIDES)), core)]
        for link in LINKS:
            try:
                world = stack.enter_context(World(SIDES, link=link))
            except UnsupportedSystemError as error:
                print(f"{link}: not measured: {error}")
                continue
            found.append(Bench(link, world, core))
        for bench in found:
            stack.callback(bench.client.process.communicate)
            stack.callback(bench.server.process.communicate)
        timer = End("timer")
        os.sched_setaffinity(timer.process.pid, {core})
        stack.callback(timer.process.communicate)
        yield found, timer


def speed(all_benches: Sequence[Bench], report: Report) -> None:
    """Packets per second, Mbit/s, and what a round trip takes longer."""
    router, *boxes = all_benches
    for rules_name, rules in RULES.items():
        rates: dict[str, list[float]] = {bench.name: [] for bench in all_benches}
        per_cpu: dict[str, list[float]] = {bench.name: [] for bench in all_benches}
        streams: dict[str, list[float]] = {bench.name: [] for bench in all_benches}
        trips: dict[str, list[list[float]]] = {bench.name: [] for bench in all_benches}
        for bench in boxes:
            bench.apply(rules)
        for _ in range(ROUNDS):
            for bench in all_benches:
                rate, efficiency = bench.flood()
                rates[bench.name].append(rate)
                per_cpu[bench.name].append(efficiency)
                streams[bench.name].append(bench.stream())
                trips[bench.name].append(bench.ping())
        for name in (bench.name for bench in boxes):
            what = f"{name}, rules {rules_name}: "
            peer = median(rates[router.name])
            limit = PACKETS_PER_S
            report.row(
                what + "packets/s", rates[name], limit=limit, at_least=True, peer=peer, digits=0
            )
            report.row(what + "packets/CPU-s", per_cpu[name], limit=limit, at_least=True, digits=0)
            report.row(
                what + "TCP Mbit/s", streams[name], peer=median(streams[router.name]), digits=0
            )
            for share in (0.5, 0.95, 0.99):
                base = [quantile(took, share) for took in trips[router.name]]
                here = [quantile(took, share) for took in trips[name]]
                report.row(
                    what + f"added ms, p{100 * share:.0f}",
                    [1000 * (b - a) for a, b in zip(base, here, strict=True)],
                    limit=1000 * ADDED_S,
                    peer=1000 * median(base),
                )


def delays(all_benches: Sequence[Bench], report: Report, timer: End) -> None:
    """Time under way beyond the delay that was asked for, in fifths of each run."""
    for delay_s, rate, n in DELAYS:
        for bench in all_benches[1:]:
            bench.apply((), Line(delay_s=delay_s))
            timer.do("sleep", n=n * 1000 // rate, rate=1000)
            errors = [seconds - delay_s for _, seconds in bench.pace(n, rate)]
            own = sorted(timer.result())
            size = len(errors) // PARTS
            parts = [sorted(errors[k * size : (k + 1) * size]) for k in range(PARTS)]
            what = f"{bench.name}, {1000 * delay_s:.0f} ms, {rate}/s: error ms, "
            for share in (0.01, 0.5, 0.99):
                report.row(
                    what + f"p{100 * share:.0f}",
                    [1000 * quantile(part, share) for part in parts],
                    limit=1000 * DELAY_ERROR_S,
                    peer=1000 * quantile(own, share),
                )
            exact = sum(abs(error) <= DELAY_ERROR_S for error in errors) / len(errors)
            punctual = sum(late <= DELAY_ERROR_S for late in own) / len(own)
            print(
                f"{'':42}within 1 ms: {100 * exact:.2f} % of {len(errors)},"
                f" the peer {100 * punctual:.2f} %"
            )
            if min(errors) < 0:
                report.missed.append(what + "early")


def lost_numbers(bench: Bench) -> frozenset[int]:
    arrived = {number for number, _ in bench.pace(LOSS_PACKETS, LOSS_RATE)}
    if isinstance(bench.world, World):
        counts = bench.world.counts()
        if counts.up_out != len(arrived):
            print(f"{bench.name}: this machine lost {counts.up_out - len(arrived)} more")
    return frozenset(range(LOSS_PACKETS)) - arrived


def losses(all_benches: Sequence[Bench], report: Report) -> None:
    """Packets that do not arrive, for three seeds; then one of them again."""
    router, *boxes = all_benches
    for percent in (1, 5, 20):
        peer = peer_loss_error(router, percent)
        for bench in boxes:
            line = Line(loss=percent / 100)
            lost = {}
            for seed in (1, 2, 3):
                bench.apply((), line, seed)
                lost[seed] = lost_numbers(bench)
            found = [100 * len(numbers) / LOSS_PACKETS - percent for numbers in lost.values()]
            what = f"{bench.name}, loss {percent} %: "
            # Every seed has to keep the limit, not the middle one.
            report.row(
                what + "worst error, points", [max(map(abs, found))], limit=LOSS_POINTS, peer=peer
            )
            print(f"{'':42}errors {', '.join(f'{error:+.2f}' for error in found)}")
            if percent == 5:
                bench.apply((), line, 1)
                again, another = lost_numbers(bench) ^ lost[1], lost[2] ^ lost[1]
                print(f"{'':42}other packets, same seed: {len(again)}, another: {len(another)}")
                if again or not another:
                    report.missed.append(what + "one seed, one fate")


def peer_loss_error(router: Bench, percent: int) -> float | None:
    """Return by how many points nftables' random numbers miss the share; None without them."""
    assert isinstance(router.world, RouterWorld)
    table = (
        "table inet loss { chain forward { type filter hook forward priority 0;"
        f" numgen random mod 100 < {percent} drop\n}}\n}}\n"
    )
    try:
        router.world.apply([Order(words=("nft", "-f", "-"), given=table)])
    except UnsupportedSystemError:
        return None
    lost = lost_numbers(router)
    router.world.apply([Order(words=("nft", "flush", "ruleset"))])
    return abs(100 * len(lost) / LOSS_PACKETS - percent)


def main() -> None:
    start = time.monotonic()
    report = Report()
    with benches() as (found, timer):
        speed(found, report)
        delays(found, report, timer)
        losses(found, report)
    print(
        f"{time.monotonic() - start:.0f} s; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    for name in report.missed:
        print(f"missed: {name}")
    sys.exit(bool(report.missed))


if __name__ == "__main__":
    main()
