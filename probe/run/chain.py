"""One attempt of one chain: its steps over one connection, in order."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import assert_never

from probe.model.observation import Observation
from probe.model.step import (
    Chain,
    DnsLookup,
    HttpRequest,
    ProxyConnect,
    StepSpec,
    TcpConnect,
    TlsHandshake,
)
from probe.net.api import ByteStream, ProxyAddress, TcpConnection
from probe.run.limits import Limits
from probe.steps.context import Context
from probe.steps.dns_lookup import doh_lookup, stream_lookup, system_lookup, udp_lookup
from probe.steps.http_request import http_request
from probe.steps.proxy_connect import proxy_connect
from probe.steps.tcp_connect import tcp_connect
from probe.steps.tls_handshake import tls_handshake
from probe.wire.addresses import network_of

Emit = Callable[[Observation], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Way:
    """Where a chain's connection goes: the endpoint's address, or a proxy's."""

    address: str
    port: int
    proxy: ProxyAddress | None = None


def way_of(chain: Chain, address: str | None, proxies: Sequence[ProxyAddress]) -> Way | None:
    """Return where to connect; None for a chain that opens no connection itself."""
    for step in chain.steps:
        if isinstance(step, ProxyConnect):
            proxy = proxies[step.proxy_index]
            return Way(address=proxy.address, port=proxy.port, proxy=proxy)
    if address is None:
        return None
    return Way(address=address, port=chain.port)


async def walk(
    chain: Chain, context: Context, way: Way | None, limits: Limits, emit: Emit
) -> list[Observation]:
    """Take one attempt's steps, emitting each observation; stop at the first failure."""
    walker = _Walker(chain, context, way, limits)
    taken: list[Observation] = []
    async with AsyncExitStack() as stack:
        for spec in chain.steps:
            rows = await walker.take(spec, stack)
            for row in rows:
                await emit(row)
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

    def __init__(self, chain: Chain, context: Context, way: Way | None, limits: Limits) -> None:
        self._chain = chain
        self._context = context
        self._way = way
        self._limits = limits
        self._connection: TcpConnection | None = None
        self._stream: ByteStream | None = None

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
                row, stream = await tls_handshake(self._context, spec, self._connection)
                self._stream = stream
                return [row]
            case HttpRequest():
                assert self._connection is not None
                assert self._stream is not None
                return [await http_request(self._context, spec, self._stream, self._connection)]
            case DnsLookup():
                return await self._lookup(spec)
        assert_never(spec)

    async def _connect(self, spec: TcpConnect, stack: AsyncExitStack) -> Observation:
        assert self._way is not None
        network = network_of(self._way.address)
        async with self._limits.connect(network):
            await self._limits.pacer.wait_turn()
            row, self._connection = await tcp_connect(
                self._context, spec, self._way.address, self._way.port
            )
        if self._connection is not None:
            stack.callback(self._connection.close)
            self._stream = self._connection
            hello = next((s for s in self._chain.steps if isinstance(s, TlsHandshake)), None)
            if hello is not None:
                # Held until the chain ends: a connection that is still open
                # counts for a middlebox as much as a new one.
                await stack.enter_async_context(self._limits.handshake(network, hello.server_name))
        return row

    async def _lookup(self, spec: DnsLookup) -> list[Observation]:
        match spec.resolver.protocol:
            case "system":
                await self._limits.pacer.wait_turn()
                return await system_lookup(self._context, spec)
            case "udp":
                await self._limits.pacer.wait_turn()
                return await udp_lookup(self._context, spec)
            case "tcp" | "dot":
                assert self._stream is not None
                return await stream_lookup(self._context, spec, self._stream)
            case "doh":
                assert self._stream is not None
                assert self._connection is not None
                return await doh_lookup(self._context, spec, self._stream, self._connection)
        assert_never(spec.resolver.protocol)
