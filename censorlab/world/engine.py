"""The middlebox: packets between the client's link and the others', on time."""

import gc
import heapq
import os
import select
import time
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

import msgspec

from censorlab.packet.middlebox import Direction, Middlebox, Outgoing
from censorlab.world.links import PacketLink
from censorlab.world.messages import Change, Counts
from censorlab.world.namespaces import EVERY_ADDRESS, Side

_BATCH_PACKETS: Final = 64
"""Read from one side before the others and the clock are looked at again: under
1 ms of work, so that a flood one way does not delay the rest."""

_NICENESS: Final = -10

_INPUT: Final = 0
_OUTPUT: Final = 1
_DESTINATION: Final = {4: slice(16, 20), 6: slice(24, 40)}
"""Of a packet's bytes, by IP version."""


def be_on_time() -> None:
    """Have this process run as soon as there is something to do, if the system allows it.

    On a machine whose cores are all busy an ordinary process waits up to 10 ms
    for its turn, and a packet with it. A real-time one waits for none but its
    like; the kernel leaves the rest a share of the core (sched(7)). As long as
    packets are few it sleeps. Without root's rights all stays as it is.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:  # also where control groups have no real-time share
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)


class Engine:
    """Carries packets and obeys changes until its input closes.

    ``sides`` are the client, the server, and any number of others that own single
    addresses; one that owns every address gets what a rule diverts.
    """

    def __init__(self, sides: Mapping[str, Side], addresses: Mapping[str, tuple[str, ...]]) -> None:
        links: dict[str, PacketLink] = {
            name: side.link for name, side in sides.items() if side.link is not None
        }
        names = list(links)
        self._client = links[names[0]]
        self._server = links[names[1]]
        self._interceptor = self._server
        self._owners: dict[bytes, PacketLink] = {}
        for name in names[1:]:
            if set(addresses[name]) & set(EVERY_ADDRESS):
                self._interceptor = links[name]
                continue
            self._owners |= {ip_address(a).packed: links[name] for a in addresses[name]}
        self._directions: dict[int, tuple[Direction, PacketLink]] = {
            link.descriptor: ("up" if name == names[0] else "down", link)
            for name, link in links.items()
        }
        self._middlebox = Middlebox()
        self._waiting: list[tuple[float, int, Outgoing]] = []
        self._sequence = 0
        self._n_in: dict[Direction, int] = {"up": 0, "down": 0}
        self._n_out: dict[Direction, int] = {"up": 0, "down": 0}
        self._n_refused = 0
        self._received = b""

    def run(self) -> None:
        """Serve until end of input."""
        # A collection with 65 536 flows takes 0.1 s, in which no packet moves. What
        # handles packets makes no cycles; the rest is collected between rules.
        gc.disable()
        poller = select.epoll()
        for descriptor in (_INPUT, *self._directions):
            poller.register(descriptor, select.EPOLLIN)
        while True:
            # epoll rounds a timeout up to whole milliseconds; select(2) on the
            # poller waits to the microsecond.
            select.select([poller], [], [], self._time_to_next())
            for descriptor, _ in poller.poll(0):
                if descriptor == _INPUT:
                    if not self._obey():
                        return
                else:
                    self._read(*self._directions[descriptor])
            self._send_due(time.monotonic())

    def _time_to_next(self) -> float | None:
        if not self._waiting:
            return None
        return max(0.0, self._waiting[0][0] - time.monotonic())

    def _read(self, direction: Direction, link: PacketLink) -> None:
        read, handle, waiting = link.read, self._middlebox.handle, self._waiting
        for _ in range(_BATCH_PACKETS):
            try:
                packet = read()
            except BlockingIOError:
                return
            now = time.monotonic()
            self._n_in[direction] += 1
            for outgoing in handle(direction, packet, now):
                if outgoing.due <= now and not waiting:
                    self._write(outgoing)
                else:
                    self._sequence += 1
                    heapq.heappush(waiting, (outgoing.due, self._sequence, outgoing))
            # A long batch must not hold up what has become due meanwhile.
            if waiting and waiting[0][0] <= now:
                self._send_due(now)

    def _send_due(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            self._write(heapq.heappop(self._waiting)[2])

    def _write(self, outgoing: Outgoing) -> None:
        packet = outgoing.packet
        if outgoing.direction == "down":
            link = self._client
        elif outgoing.diverted:
            link = self._interceptor
        else:
            link = self._owners.get(packet[_DESTINATION[packet[0] >> 4]], self._server)
        try:
            link.write(packet)
        except OSError:  # a full queue: counted, because it is not the censor's doing
            self._n_refused += 1
            return
        self._n_out[outgoing.direction] += 1

    def _obey(self) -> bool:
        """Carry out the changes that have come; False at the end of input."""
        piece = os.read(_INPUT, 65_536)
        *lines, self._received = (self._received + piece).split(b"\n")
        for line in lines:
            change = msgspec.json.decode(line, type=Change)
            counts = Counts(
                up_in=self._n_in["up"],
                up_out=self._n_out["up"],
                down_in=self._n_in["down"],
                down_out=self._n_out["down"],
                refused=self._n_refused,
            )
            if change.rules is not None:
                self._middlebox = Middlebox(change.rules, change.line, change.seed)
                self._n_in, self._n_out = {"up": 0, "down": 0}, {"up": 0, "down": 0}
                self._n_refused = 0
                gc.collect()
            say(counts)
        return bool(piece)


def say(message: msgspec.Struct) -> None:
    """Write one line to whoever started this process."""
    os.write(_OUTPUT, msgspec.json.encode(message) + b"\n")
