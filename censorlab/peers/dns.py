"""Resolvers: Do53 over UDP and TCP (RFC 1035, 7766) and DoT (RFC 7858).

The UDP resolver applies the censor's DNS rules itself, as an injector beside it
would. TCP and TLS are honest: what a censor can do to those is drop them.
"""

import ssl
from collections.abc import Callable
from typing import Final

import trio

from censorlab.decide import on_query_at
from censorlab.memory import Memory
from censorlab.peers.exact import ClientLeftError, receive_exactly
from censorlab.peers.zone import MalformedQueryError, Query, Zone
from censorlab.rules import Place

TRUE_ANSWER_DELAY_S: Final = 0.02
"""By how much the forged answer comes first: the order is certain, and the gap
is that seen in the field between a national injector and a resolver abroad."""

_MAX_DATAGRAM_BYTES: Final = 65535


async def serve_udp(
    udp: trio.socket.SocketType, place: Place, zone: Zone, memory: Callable[[], Memory]
) -> None:
    """Answer queries on a bound socket until cancelled; closes it."""
    with udp:
        async with trio.open_nursery() as nursery:
            while True:
                wire, client = await udp.recvfrom(_MAX_DATAGRAM_BYTES)
                try:
                    query = Query(wire)
                except MalformedQueryError:
                    continue
                rules = memory().rules
                verdict = on_query_at(rules, place, query.name, query.ip_version)
                if verdict.forgery is not None:
                    await udp.sendto(query.forged(verdict.forgery), client)
                    if verdict.passes:
                        nursery.start_soon(_send_later, udp, query.answer(zone), client)
                elif verdict.passes:
                    await udp.sendto(query.answer(zone), client)


async def _send_later(udp: trio.socket.SocketType, wire: bytes, client: tuple[str, int]) -> None:
    await trio.sleep(TRUE_ANSWER_DELAY_S)
    await udp.sendto(wire, client)


class StreamResolver:
    """Answers queries framed by a two-byte length, over TCP or TLS."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    async def attend(self, client: trio.abc.Stream) -> None:
        """Answer until the client leaves or sends something else.

        Raises:
            trio.BrokenResourceError: if the client resets the connection.
        """
        try:
            while True:
                length = int.from_bytes(await receive_exactly(client, 2), "big")
                query = Query(await receive_exactly(client, length))
                answer = query.answer(self._zone)
                await client.send_all(len(answer).to_bytes(2, "big") + answer)
        except (ClientLeftError, MalformedQueryError):
            return


class TlsResolver:
    """The same inside TLS."""

    def __init__(self, zone: Zone, context: ssl.SSLContext) -> None:
        self._resolver = StreamResolver(zone)
        self._context = context

    async def attend(self, client: trio.SocketStream) -> None:
        """Shake hands and answer; a client that breaks off is left to."""
        tls = trio.SSLStream(client, self._context, server_side=True, https_compatible=True)
        try:
            await self._resolver.attend(tls)
            await tls.aclose()
        except trio.BrokenResourceError:
            return
