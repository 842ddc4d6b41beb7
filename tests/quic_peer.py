"""QUIC servers for tests: aioquic's connections, on loopback or without a network."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
import trustme
from aioquic.buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import QuicEvent
from aioquic.quic.packet import pull_quic_header
from aioquic.tls import load_pem_private_key, load_pem_x509_certificates

import loopback
from fakes import FakeNetwork
from probe.net.api import Datagram, IcmpError

App = Callable[[QuicConnection, QuicEvent], None]
"""What a server does about an event."""

CLIENT = ("192.0.2.200", 50000)


def configuration_of(issued: trustme.LeafCert, *alpn: str) -> QuicConfiguration:
    """Return a server's configuration with a certificate."""
    configuration = QuicConfiguration(is_client=False, alpn_protocols=list(alpn))
    certificates = [load_pem_x509_certificates(pem.bytes())[0] for pem in issued.cert_chain_pems]
    configuration.certificate, *configuration.certificate_chain = certificates
    configuration.private_key = load_pem_private_key(issued.private_key_pem.bytes())
    return configuration


@dataclass
class Server:
    """One server without a socket, for one client; ``events`` is all that it saw."""

    configuration: QuicConfiguration
    app: App
    port: int = 0
    events: list[QuicEvent] = field(default_factory=list)
    quic: QuicConnection | None = None

    def timer(self) -> float:
        return (self.quic and self.quic.get_timer()) or float("inf")

    def take(self, data: bytes | None, client: tuple[str, int]) -> list[bytes]:
        """Take a datagram, or know that the timer has passed; return what is sent."""
        now = trio.current_time()
        if data is None:
            assert self.quic is not None
            self.quic.handle_timer(max(self.timer(), now))
        else:
            if self.quic is None:
                header = pull_quic_header(Buffer(data=data))
                self.quic = QuicConnection(
                    configuration=self.configuration,
                    original_destination_connection_id=header.destination_cid,
                )
            self.quic.receive_datagram(data, client, now)
        while (event := self.quic.next_event()) is not None:
            self.events.append(event)
            self.app(self.quic, event)
        return [datagram for datagram, _ in self.quic.datagrams_to_send(now)]


@asynccontextmanager
async def quic_peer(configuration: QuicConfiguration, app: App) -> AsyncIterator[Server]:
    """Serve one client on a port of loopback until left."""
    server = Server(configuration, app)
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as udp:
        await udp.bind((loopback.ADDRESS, 0))
        server.port = udp.getsockname()[1]

        async def serve() -> None:
            client = CLIENT
            while True:
                data = None
                with trio.move_on_after(max(0.0, server.timer() - trio.current_time())):
                    data, client = await udp.recvfrom(65535)
                for datagram in server.take(data, client):
                    await udp.sendto(datagram, client)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield server
            nursery.cancel_scope.cancel()


@dataclass
class ServedUdp:
    """A client's socket whose other end is a server in memory, so much time away.

    ``forge`` may put datagrams before what the server sends in answer to one.
    """

    server: Server
    delay_s: float = 0.01
    forge: Callable[[bytes], list[bytes]] = lambda _sent: []
    sent: list[bytes] = field(default_factory=list)
    is_closed: bool = False

    def __post_init__(self) -> None:
        self._queue: deque[tuple[float, bytes]] = deque()

    def _put(self, datagrams: list[bytes]) -> None:
        self._queue.extend((trio.current_time() + self.delay_s, one) for one in datagrams)

    async def send(self, data: bytes) -> None:
        assert not self.is_closed
        await trio.lowlevel.checkpoint()
        self.sent.append(data)
        self._put(self.forge(data))
        self._put(self.server.take(data, CLIENT))

    async def receive(self) -> Datagram:
        while not self._queue:
            await trio.sleep_until(self.server.timer())
            self._put(self.server.take(None, CLIENT))
        await trio.sleep_until(self._queue[0][0])
        return Datagram(self._queue.popleft()[1], 60)

    def icmp_error(self) -> IcmpError | None:
        return None

    def close(self) -> None:
        self.is_closed = True


@dataclass
class ServedNetwork(FakeNetwork):
    """A network on which that is the only socket."""

    udp: ServedUdp | None = None

    def open_udp(self, address: str, port: int) -> ServedUdp:  # type: ignore[override]
        assert self.udp is not None
        return self.udp
