"""The middlebox process: packets between two TUN descriptors, on time.

Started by ``World`` as the first process of its namespaces; ends when its
standard input closes, and everything in the namespaces ends with it.
"""

import heapq
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from censorlab.packet.middlebox import Direction, Middlebox, Outgoing
from censorlab.world.messages import Change, Counts, Layout, Ready
from censorlab.world.namespaces import Side, make_side, set_resolvers
from censorlab.world.tun import UnsupportedSystemError

_BATCH_PACKETS: Final = 64
"""Read from one side before the other and the clock are looked at again: under
1 ms of work, so that a flood one way does not delay the other."""

_MAX_PACKET_BYTES: Final = 65_535
_INPUT: Final = 0
_OUTPUT: Final = 1


class Engine:
    """Carries packets and obeys changes until its input closes."""

    def __init__(self, client: Side, server: Side) -> None:
        self._in: dict[Direction, int] = {"up": client.packets, "down": server.packets}
        self._out: dict[Direction, int] = {"up": server.packets, "down": client.packets}
        self._middlebox = Middlebox()
        self._waiting: list[tuple[float, int, Outgoing]] = []
        self._sequence = 0
        self._n_in: dict[Direction, int] = {"up": 0, "down": 0}
        self._n_out: dict[Direction, int] = {"up": 0, "down": 0}
        self._received = b""

    def run(self) -> None:
        """Serve until end of input."""
        poller = select.epoll()
        for descriptor in (_INPUT, *self._in.values()):
            poller.register(descriptor, select.EPOLLIN)
        while True:
            # epoll rounds a timeout up to whole milliseconds; select(2) on the
            # poller waits to the microsecond.
            select.select([poller], [], [], self._time_to_next())
            ready = {descriptor for descriptor, _ in poller.poll(0)}
            if _INPUT in ready and not self._obey():
                return
            for direction, descriptor in self._in.items():
                if descriptor in ready:
                    self._read(direction, descriptor)
            self._send_due(time.monotonic())

    def _time_to_next(self) -> float | None:
        if not self._waiting:
            return None
        return max(0.0, self._waiting[0][0] - time.monotonic())

    def _read(self, direction: Direction, descriptor: int) -> None:
        for _ in range(_BATCH_PACKETS):
            try:
                packet = os.read(descriptor, _MAX_PACKET_BYTES)
            except BlockingIOError:
                return
            now = time.monotonic()
            self._n_in[direction] += 1
            for outgoing in self._middlebox.handle(direction, packet, now):
                if outgoing.due <= now and not self._waiting:
                    self._write(outgoing)
                else:
                    self._sequence += 1
                    heapq.heappush(self._waiting, (outgoing.due, self._sequence, outgoing))
            # A long batch must not hold up what has become due meanwhile.
            if self._waiting and self._waiting[0][0] <= now:
                self._send_due(now)

    def _send_due(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            self._write(heapq.heappop(self._waiting)[2])

    def _write(self, outgoing: Outgoing) -> None:
        os.write(self._out[outgoing.direction], outgoing.packet)
        self._n_out[outgoing.direction] += 1

    def _obey(self) -> bool:
        """Carry out the changes that have come; False at the end of input."""
        piece = os.read(_INPUT, _MAX_PACKET_BYTES)
        *lines, self._received = (self._received + piece).split(b"\n")
        for line in lines:
            change = msgspec.json.decode(line, type=Change)
            say(
                Counts(
                    up_in=self._n_in["up"],
                    up_out=self._n_out["up"],
                    down_in=self._n_in["down"],
                    down_out=self._n_out["down"],
                )
            )
            if change.rules is not None:
                self._middlebox = Middlebox(change.rules, change.line, change.seed)
                self._n_in, self._n_out = {"up": 0, "down": 0}, {"up": 0, "down": 0}
        return bool(piece)


def say(message: msgspec.Struct) -> None:
    """Write one line to whoever started this process."""
    os.write(_OUTPUT, msgspec.json.encode(message) + b"\n")


def main() -> int:
    """Furnish the namespaces, say where they are, carry packets."""
    # Ctrl-C is for the starter, which ends this process by closing its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    layout = msgspec.json.decode(sys.stdin.buffer.readline(), type=Layout)
    try:
        if layout.resolvers:
            set_resolvers(layout.resolvers)
        client = make_side(layout.client_addresses)
        server = make_side(layout.server_addresses)
    except UnsupportedSystemError as error:
        say(Ready(error=str(error)))
        return 1
    # First process of its namespace: nobody else reaps orphaned clients.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # /proc is the host's, so this link shows the process id that it knows.
    pid = int(Path("/proc/self").readlink().name)
    say(Ready(pid=pid, client_descriptor=client.namespace, server_descriptor=server.namespace))
    Engine(client, server).run()
    return 0


def _end(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
