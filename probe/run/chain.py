"""One attempt of one chain: its steps over one connection, in order."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final, assert_never

import trio

from probe.model.observation import Observation
from probe.model.step import (
    Chain,
    DnsLookup,
    EchProbe,
    HelloProbe,
    Http3Request,
    HttpRequest,
    MtprotoHandshake,
    MtprotoKeyProof,
    ProxyConnect,
    ProxyHandshake,
    QuicHandshake,
    SpecialConfig,
    StepSpec,
    TcpConnect,
    TinyWrites,
    TlsHandshake,
    UdpProbe,
)
from probe.net.api import ByteStream, ProxyAddress, TcpConnection
from probe.run.limits import Limits
from probe.steps.context import Context
from probe.steps.dns_lookup import (
    doh_lookup,
    doq_lookup,
    stream_lookup,
    system_lookup,
    udp_lookup,
)
from probe.steps.doq_session import DoqSession
from probe.steps.ech_probe import ech_probe
from probe.steps.hello_probe import hello_probe
from probe.steps.http3_request import http3_request
from probe.steps.http_request import http_request
from probe.steps.mtproto_handshake import MtprotoSession, mtproto_handshake
from probe.steps.mtproto_key_proof import mtproto_key_proof
from probe.steps.proxy_connect import proxy_connect
from probe.steps.proxy_handshake import proxy_handshake
from probe.steps.quic_handshake import quic_handshake
from probe.steps.special_config import FreshEndpoint, special_config
from probe.steps.tcp_connect import tcp_connect
from probe.steps.tiny_writes import tiny_writes
from probe.steps.tls_handshake import tls_handshake
from probe.steps.udp_probe import udp_probe
from probe.wire.addresses import network_of

Emit = Callable[[Observation], Awaitable[None]]
Heard = Callable[[DnsLookup, Sequence[str]], None]
"""Told the addresses of a valid answer as soon as it arrives."""

Found = Callable[[Sequence[FreshEndpoint]], None]
"""Told the data centres of a verified special config."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """Where a chain's connection goes: the endpoint's address, or a proxy's."""

    address: str
    port: int
    proxy: ProxyAddress | None = None


def way_of(chain: Chain, address: str | None, proxies: Sequence[ProxyAddress]) -> Way | None:
    """Return where to connect; None for a chain that opens no connection itself."""
    for step in chain.steps:
        if isinstance(step, ProxyConnect | ProxyHandshake):
            proxy = proxies[step.proxy_index]
            return Way(address=proxy.address, port=proxy.link.port, proxy=proxy)
    if address is None:
        return None
    return Way(address=address, port=chain.port)


CONNECT_PATIENCE_S: Final = 2.0
"""Three SYNs on Linux (0, 1, 2 s) without an answer: on a line that loses one packet
in ten each way the chance of that is under 1 %, so it is worth a second look."""

QUERY_PATIENCE_S: Final = 0.5
"""Who has not answered a datagram by now lost it, or does not want to."""

HELLO_PATIENCE_S: Final = 0.6
HELLO_PATIENCE_RTTS: Final = 4
"""Two retransmissions of a hello, at 0.2 to 0.3 s and twice that."""


@dataclass
class Progress:
    """How far an attempt has come, for whoever wonders whether it hangs."""

    step: str = ""
    since: float = field(default_factory=trio.current_time)
    connection: TcpConnection | None = None

    def enter(self, step: str) -> None:
        """A step begins."""
        self.step = step
        self.since = trio.current_time()

    def look_again_s(self) -> float:
        """Return for how long nothing can become suspicious that is not so now.

        No step's patience ends sooner than a datagram's after it began, so whoever waits for
        a turn, or for an answer to a connect, need not be looked at more often: with 300 hosts
        looking cost more than measuring.
        """
        if self.step in {"tls", "mtproto"}:
            return 0.0
        patience_s = CONNECT_PATIENCE_S if self.step == "tcp" else QUERY_PATIENCE_S
        left_s = patience_s - (trio.current_time() - self.since) if self.step else patience_s
        return min(QUERY_PATIENCE_S, left_s)

    def is_silent(self) -> bool:
        """Tell whether the step has been met with silence for suspiciously long."""
        waited = trio.current_time() - self.since
        if self.step == "tcp":
            return waited > CONNECT_PATIENCE_S
        if self.step in {"dns", "quic"}:
            return waited > QUERY_PATIENCE_S
        if self.step not in {"tls", "mtproto"} or self.connection is None:
            return False
        info = self.connection.tcp_info()
        if info is None or self.connection.received_bytes:
            return False
        return waited > HELLO_PATIENCE_S + HELLO_PATIENCE_RTTS * info.rtt_s


@dataclass(frozen=True)
class Listener:
    """Who is told of an attempt while it runs."""

    emit: Emit
    heard: Heard
    found: Found
    progress: Progress = field(default_factory=Progress)


async def walk(
    chain: Chain, context: Context, way: Way | None, limits: Limits, listener: Listener
) -> list[Observation]:
    """Take one attempt's steps, emitting each observation; stop at the first failure."""
    walker = _Walker(chain, context, way, limits, listener)
    taken: list[Observation] = []
    async with AsyncExitStack() as stack:
        for spec in chain.steps:
            rows = await walker.take(spec, stack)
            for row in rows:
                await listener.emit(row)
            taken.extend(rows)
            if _ends_chain(rows[0]):
                break
    return taken


def _ends_chain(row: Observation) -> bool:
    """A name that does not resolve leaves the connection to its resolver usable."""
    if row.failure is None:
        return False
    return row.step != "dns" or row.rcode is None


class _Walker:
    """The connection of one attempt, as far as it has come."""

    def __init__(
        self,
        chain: Chain,
        context: Context,
        way: Way | None,
        limits: Limits,
        listener: Listener,
    ) -> None:
        self._chain = chain
        self._context = context
        self._way = way
        self._limits = limits
        self._progress = listener.progress
        self._heard = listener.heard
        self._found = listener.found
        self._session: MtprotoSession | None = None
        self._connection: TcpConnection | None = None
        self._stream: ByteStream | None = None
        self._doq: DoqSession | None = None

    async def take(self, spec: StepSpec, stack: AsyncExitStack) -> list[Observation]:
        match spec:
            case TcpConnect():
                return [await self._connect(spec, stack)]
            case ProxyConnect():
                assert self._connection is not None
                assert self._way is not None
                assert self._way.proxy is not None
                destination = (
                    self._chain.hostname or self._chain.address or "",
                    self._chain.port,
                )
                return [
                    await proxy_connect(
                        self._context, spec, self._connection, self._way.proxy, destination
                    )
                ]
            case TlsHandshake():
                assert self._connection is not None
                self._progress.enter("tls")
                row, stream = await tls_handshake(self._context, spec, self._connection)
                self._stream = stream
                return [row]
            case HttpRequest():
                assert self._connection is not None
                assert self._stream is not None
                self._progress.enter("http")
                async with self._limits.transfers:
                    return [await http_request(self._context, spec, self._stream, self._connection)]
            case DnsLookup():
                return await self._lookup(spec, stack)
            case UdpProbe() | QuicHandshake() | Http3Request():
                return [await self._datagrams(spec)]
            case ProxyHandshake():
                return [await self._through_mtproxy(spec)]
            case _:
                assert self._connection is not None
                return [await self._on_connection(spec, self._connection)]

    async def _on_connection(
        self,
        spec: HelloProbe
        | EchProbe
        | MtprotoHandshake
        | MtprotoKeyProof
        | SpecialConfig
        | TinyWrites,
        connection: TcpConnection,
    ) -> Observation:
        assert self._stream is not None
        match spec:
            case HelloProbe():
                self._progress.enter("tls")
                return await hello_probe(self._context, spec, connection)
            case MtprotoHandshake():
                self._progress.enter("mtproto")
                row, self._session = await mtproto_handshake(
                    self._context, spec, self._stream, connection
                )
                return row
            case MtprotoKeyProof():
                assert self._session is not None
                return await mtproto_key_proof(self._context, spec, self._session, connection)
            case EchProbe():
                self._progress.enter("tls")
                return await ech_probe(self._context, spec, connection)
            case SpecialConfig():
                row, fresh = await special_config(self._context, spec, self._stream, connection)
                self._found(fresh)
                return row
            case TinyWrites():
                return await tiny_writes(self._context, spec, connection)
        assert_never(spec)

    async def _through_mtproxy(self, spec: ProxyHandshake) -> Observation:
        assert self._way is not None
        assert self._way.proxy is not None
        async with self._limits.connect(network_of(self._way.address)):
            await self._limits.pacer.wait_turn()
            return await proxy_handshake(self._context, spec, self._way.proxy)

    async def _datagrams(self, spec: UdpProbe | QuicHandshake | Http3Request) -> Observation:
        assert self._way is not None
        await self._limits.pacer.wait_turn()
        if isinstance(spec, UdpProbe):
            return await udp_probe(self._context, spec, self._way.address, self._way.port)
        await self._limits.hello(network_of(self._way.address), spec.server_name)
        self._progress.enter("quic")
        if isinstance(spec, Http3Request):
            async with self._limits.transfers:
                return await http3_request(self._context, spec, self._way.address, self._way.port)
        return await quic_handshake(self._context, spec, self._way.address, self._way.port)

    async def _connect(self, spec: TcpConnect, stack: AsyncExitStack) -> Observation:
        assert self._way is not None
        network = network_of(self._way.address)
        names = [
            s.server_name
            for s in self._chain.steps
            if isinstance(s, TlsHandshake | HelloProbe | EchProbe)
        ]
        if names:
            turn = await stack.enter_async_context(self._limits.handshake(network, names[0]))
            async with turn.lent_when_silent():
                row = await self._connected(spec, network)
            if self._connection is not None:
                await turn.take()
                await self._limits.hello(network, names[0])
        else:
            row = await self._connected(spec, network)
        if self._connection is not None:
            stack.callback(self._connection.close)
            self._stream = self._connection
            self._progress.connection = self._connection
        return row

    async def _connected(self, spec: TcpConnect, network: str) -> Observation:
        assert self._way is not None
        async with self._limits.connect(network):
            await self._limits.pacer.wait_turn()
            self._progress.enter("tcp")
            row, self._connection = await tcp_connect(
                self._context, spec, self._way.address, self._way.port
            )
            # What comes next may wait for a turn, or ask questions for seconds: no silence.
            self._progress.enter("")
        return row

    async def _lookup(self, spec: DnsLookup, stack: AsyncExitStack) -> list[Observation]:
        rows = await self._asked(spec, stack)
        for row in rows[:1]:
            if row.failure is None:
                self._heard(spec, row.accepted_addresses())
        return rows

    async def _asked(self, spec: DnsLookup, stack: AsyncExitStack) -> list[Observation]:
        match spec.resolver.protocol:
            case "system":
                await self._limits.question(spec.query_type)
                return await system_lookup(self._context, spec)
            case "udp":
                await self._limits.question(spec.query_type)
                self._progress.enter("dns")
                return await udp_lookup(self._context, spec, self._answered)
            case "tcp" | "dot":
                assert self._stream is not None
                return await stream_lookup(self._context, spec, self._stream)
            case "doh":
                assert self._stream is not None
                assert self._connection is not None
                return await doh_lookup(self._context, spec, self._stream, self._connection)
            case "doq":
                if self._doq is None:
                    await self._limits.pacer.wait_turn()
                    resolver = spec.resolver
                    await self._limits.hello(network_of(resolver.address), resolver.server_name)
                    self._doq = DoqSession(self._context.run, resolver)
                    stack.push_async_callback(self._doq.leave)
                return await doq_lookup(self._context, spec, self._doq)
        assert_never(spec.resolver.protocol)

    def _answered(self, spec: DnsLookup, addresses: Sequence[str]) -> None:
        """Go on with an answer while the socket waits for a second one."""
        self._progress.enter("")
        self._heard(spec, addresses)
