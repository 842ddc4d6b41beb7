"""One end of the middlebox benchmark's traffic: orders from standard input, results to output.

Each order is a JSON line ``{"do": NAME, ...}``, each result a JSON line. Started
by ``middlebox.py``, on a side of a world or outside; arguments: role and the
server's address.
"""

import json
import os
import socket
import struct
import sys
import time
from contextlib import suppress

PORT = 4242
SMALL_BYTES = 64
"""Of a datagram's data."""

_STAMP = struct.Struct("!IQ")
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 64_000_000
_IDLE_S = 0.2
_FIRST_S = 3.0
_BULK = bytes(65_536)


def be_on_time(*, wanted: bool) -> None:
    """Run before ordinary processes, so that only the line's lateness is measured.

    Root's alone; a flood does not want it, or one end would starve the other.
    """
    policy = os.SCHED_FIFO if wanted else os.SCHED_OTHER
    with suppress(PermissionError):
        os.sched_setscheduler(0, policy, os.sched_param(int(wanted)))


class Server:
    """Counts, echoes or records what arrives."""

    def __init__(self, address: str) -> None:
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._datagrams.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        except PermissionError:  # needs the host's own root
            self._datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._datagrams.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._datagrams.bind((address, PORT))
        self._listener = socket.create_server((address, PORT))

    def drain(self) -> bool:
        """Forget what earlier orders left."""
        self._datagrams.settimeout(_IDLE_S)
        try:
            while True:
                self._datagrams.recv(2048)
        except TimeoutError:
            return True

    def count(self, seconds: float) -> float:
        """Return datagrams per second for so long."""
        receive = self._datagrams.recv
        start = time.monotonic()
        n = 0
        while time.monotonic() < start + seconds:
            for _ in range(32):
                receive(2048)
            n += 32
        return n / (time.monotonic() - start)

    def echo(self) -> int:
        """Send everything back until nothing comes any more."""
        n = 0
        self._datagrams.settimeout(_FIRST_S)
        try:
            while True:
                data, sender = self._datagrams.recvfrom(2048)
                self._datagrams.sendto(data, sender)
                self._datagrams.settimeout(_IDLE_S)
                n += 1
        except TimeoutError:
            return n

    def record(self) -> list[tuple[int, float]]:
        """Return (number, seconds under way) of each datagram until nothing comes any more.

        Arrival is when the side's kernel got the packet: when this process is
        woken for it says nothing about the line.
        """
        found: list[tuple[int, float]] = []
        self._datagrams.settimeout(_FIRST_S)
        try:
            while True:
                data, ancillary, _, _ = self._datagrams.recvmsg(2048, 64)
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                number, sent = _STAMP.unpack_from(data)
                found.append((number, (seconds * 10**9 + nanoseconds - sent) / 1e9))
                self._datagrams.settimeout(_IDLE_S)
        except TimeoutError:
            return found

    def swallow(self, lead_s: float, seconds: float) -> float:
        """Return bits per second of a stream, for so long after so long a start."""
        stream, _ = self._listener.accept()
        with stream:
            buffer = bytearray(1 << 18)
            start = time.monotonic() + lead_s
            while time.monotonic() < start:
                stream.recv_into(buffer)
            n, start = 0, time.monotonic()
            while time.monotonic() < start + seconds:
                n += stream.recv_into(buffer)
            return 8 * n / (time.monotonic() - start)


class Client:
    """Sends."""

    def __init__(self, address: str) -> None:
        self._server = (address, PORT)
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.connect(self._server)

    def flood(self, seconds: float) -> float:
        """Send as fast as the kernel takes it; return datagrams per second."""
        data, send = bytes(SMALL_BYTES), self._datagrams.send
        start = time.monotonic()
        n = 0
        while time.monotonic() < start + seconds:
            for _ in range(64):
                send(data)
            n += 64
        return n / (time.monotonic() - start)

    def pace(self, n: int, rate: float) -> float:
        """Send numbered and stamped datagrams at so many per second; return how long it took."""
        send = self._datagrams.send
        start = time.monotonic()
        for number in range(n):
            wait = start + number / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            send(_STAMP.pack(number, time.time_ns()).ljust(SMALL_BYTES))
        return time.monotonic() - start

    def ping(self, n: int, rate: float) -> list[float]:
        """Return the seconds that each of ``n`` exchanges took."""
        self._datagrams.settimeout(1.0)
        took = []
        data = bytes(SMALL_BYTES)
        start = time.monotonic()
        for number in range(n):
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
            sent = time.monotonic()
            self._datagrams.send(data)
            self._datagrams.recv(2048)
            took.append(time.monotonic() - sent)
        return took

    def pour(self) -> int:
        """Send a stream until the server closes it."""
        n = 0
        with socket.create_connection(self._server, 5.0) as stream:
            try:
                while True:
                    n += stream.send(_BULK)
            except OSError:
                return n


class Timer:
    """Sleeps, to see how late this machine is by itself."""

    def __init__(self, _address: str) -> None:
        """Take what every role takes."""

    def sleep(self, n: int, rate: float) -> list[float]:
        """Return by how many seconds each of ``n`` appointments was missed.

        They are kept to a timetable, as packets are: one pause of the machine makes
        many late, not one.
        """
        late = []
        start = time.monotonic()
        for number in range(n):
            due = start + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            late.append(time.monotonic() - due)
        return late


ROLES: dict[str, type[Server | Client | Timer]] = {
    "server": Server,
    "client": Client,
    "timer": Timer,
}


def main() -> None:
    role, address = sys.argv[1:]
    end = ROLES[role](address)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        be_on_time(wanted=order["do"] in ("echo", "record", "pace", "ping", "sleep"))
        print(json.dumps(getattr(end, order.pop("do"))(**order)), flush=True)


if __name__ == "__main__":
    main()
