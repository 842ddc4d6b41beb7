"""The censor on a TCP path: reads the opening, then passes bytes on or does not.

Clients speak first in every protocol of the lab (TLS, SOCKS, DNS), so the path
to the origin is opened once the first client bytes have been judged. Bytes that
are not TLS pass unexamined: this censor, like most, fails open.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import trio

from censorlab.door import reset
from censorlab.hello import Hello, MalformedHelloError, read_hello
from censorlab.rules import PASS, Paced, Rule, Treatment, on_hello, on_reply

_CHUNK_BYTES: Final = 65536


class Origin(NamedTuple):
    """Where the true server listens, behind the censor."""

    address: str
    port: int


async def connect(origin: Origin) -> trio.SocketStream:
    """Connect to one of the lab's own servers (loopback, so it never waits)."""
    raw = trio.socket.socket()
    try:
        await raw.connect((origin.address, origin.port))
    except BaseException:
        raw.close()
        raise
    return trio.SocketStream(raw)


class Relay:
    """Attends the connections to one place under the rules then in force.

    ``interceptor`` is the forger that an intercepted connection ends at.
    """

    def __init__(
        self, rules: Callable[[], tuple[Rule, ...]], origin: Origin, interceptor: Origin
    ) -> None:
        self._rules = rules
        self._origin = origin
        self._interceptor = interceptor

    async def attend(self, client: trio.SocketStream) -> None:
        """Judge one connection and carry it to its end.

        Raises:
            trio.BrokenResourceError: if the client resets it before it is judged.
        """
        rules = self._rules()
        opening, hello = await _read_opening(client)
        if not opening:
            return
        treatment = PASS if hello is None else on_hello(rules, hello.server_name)
        if treatment.action == "reset":
            reset(client)
        elif treatment.action == "swallow":
            await _drain(client)
        else:
            origin = self._interceptor if treatment.intercepted else self._origin
            async with await connect(origin) as server:
                await server.send_all(opening)
                await tunnel(client, server, treatment)


async def _read_opening(client: trio.SocketStream) -> tuple[bytes, Hello | None]:
    opening = bytearray()
    while chunk := await client.receive_some(_CHUNK_BYTES):
        opening += chunk
        try:
            hello = read_hello(bytes(opening))
        except MalformedHelloError:
            return bytes(opening), None
        if hello is not None:
            return bytes(opening), hello
    return bytes(opening), None


async def _drain(client: trio.SocketStream) -> None:
    while await client.receive_some(_CHUNK_BYTES):
        pass


async def tunnel(
    client: trio.SocketStream, server: trio.SocketStream, treatment: Treatment = PASS
) -> None:
    """Carry bytes both ways until both sides have ended or one has broken.

    A server's reset becomes a reset of the client; a client's ends the tunnel.
    """
    await _Tunnel(client, server, treatment).run()


class _Tunnel:
    def __init__(
        self, client: trio.SocketStream, server: trio.SocketStream, treatment: Treatment
    ) -> None:
        self._client = client
        self._server = server
        self._treatment = treatment
        self._is_frozen = False

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._upstream, nursery.cancel_scope)
            nursery.start_soon(self._downstream, nursery.cancel_scope)

    async def _upstream(self, scope: trio.CancelScope) -> None:
        try:
            while chunk := await self._client.receive_some(_CHUNK_BYTES):
                if not self._is_frozen:
                    await self._server.send_all(chunk)
            await self._server.send_eof()
        except trio.BrokenResourceError:
            scope.cancel()
        if self._is_frozen:
            scope.cancel()

    async def _downstream(self, scope: trio.CancelScope) -> None:
        state = Paced()
        while True:
            try:
                chunk = await self._server.receive_some(_CHUNK_BYTES)
            except trio.BrokenResourceError:
                reset(self._client)
                scope.cancel()
                return
            try:
                if not chunk:
                    await self._client.send_eof()
                    return
                while chunk:
                    release = on_reply(self._treatment, state, len(chunk), trio.current_time())
                    if release is None:
                        self._is_frozen = True
                        return
                    await trio.sleep_until(release.at)
                    await self._client.send_all(chunk[: release.n_bytes])
                    chunk, state = chunk[release.n_bytes :], release.state
            except trio.BrokenResourceError:
                scope.cancel()
                return
