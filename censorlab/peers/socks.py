"""A SOCKS5 proxy (RFC 1928, CONNECT, no authentication) outside the censor's reach.

It stands abroad: what a client asks for by its public address is reached
directly at its origin, past every relay. It connects to nothing else.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import trio

from censorlab.peers.exact import ClientLeftError, receive_exactly
from censorlab.peers.zone import Zone
from censorlab.relay import Origin, connect, tunnel

_VERSION: Final = 5
_NO_AUTHENTICATION: Final = 0
_NO_ACCEPTABLE_METHOD: Final = 0xFF
_CONNECT: Final = 1
_IPV4: Final = 1
_DOMAIN: Final = 3
_IPV6: Final = 4

_SUCCEEDED: Final = 0
_NOT_ALLOWED: Final = 2
_HOST_UNREACHABLE: Final = 4
_COMMAND_NOT_SUPPORTED: Final = 7
_ADDRESS_TYPE_NOT_SUPPORTED: Final = 8


class _RefusedError(Exception):
    def __init__(self, reply: int) -> None:
        super().__init__(reply)
        self.reply = reply


class SocksProxy:
    """Maps ``(address, port)`` as published to where the true server listens."""

    def __init__(self, origins: Mapping[tuple[str, int], Origin], zone: Zone) -> None:
        self._origins = origins
        self._zone = zone

    async def attend(self, client: trio.SocketStream) -> None:
        """Serve one CONNECT.

        Raises:
            trio.BrokenResourceError: if the client resets it during negotiation.
        """
        try:
            origin = await self._negotiate(client)
        except ClientLeftError:
            return
        except _RefusedError as refusal:
            await client.send_all(_reply(refusal.reply))
            return
        if origin is None:
            return
        async with await connect(origin) as server:
            await client.send_all(_reply(_SUCCEEDED))
            await tunnel(client, server)

    async def _negotiate(self, client: trio.SocketStream) -> Origin | None:
        version, count = await receive_exactly(client, 2)
        if version != _VERSION:
            return None  # not SOCKS5: there is no way to say so in its own terms
        if _NO_AUTHENTICATION not in await receive_exactly(client, count):
            await client.send_all(bytes((_VERSION, _NO_ACCEPTABLE_METHOD)))
            return None
        await client.send_all(bytes((_VERSION, _NO_AUTHENTICATION)))
        _, command, _, address_type = await receive_exactly(client, 4)
        hosts = await self._read_hosts(client, address_type)
        port = int.from_bytes(await receive_exactly(client, 2), "big")
        if command != _CONNECT:
            raise _RefusedError(_COMMAND_NOT_SUPPORTED)
        if not hosts:
            raise _RefusedError(_HOST_UNREACHABLE)
        origin = self._origins.get((hosts[0], port))
        if origin is None:
            raise _RefusedError(_NOT_ALLOWED)
        return origin

    async def _read_hosts(self, client: trio.SocketStream, address_type: int) -> tuple[str, ...]:
        if address_type == _IPV4:
            return (str(IPv4Address(await receive_exactly(client, 4))),)
        if address_type == _IPV6:
            return (str(IPv6Address(await receive_exactly(client, 16))),)
        if address_type == _DOMAIN:
            (length,) = await receive_exactly(client, 1)
            name = (await receive_exactly(client, length)).decode("ascii", "replace")
            return self._zone.get(name.lower().rstrip("."), ())
        raise _RefusedError(_ADDRESS_TYPE_NOT_SUPPORTED)


def _reply(code: int) -> bytes:
    # BND.ADDR and BND.PORT mean nothing to a CONNECT client: zeros, as usual.
    return bytes((_VERSION, code, 0, _IPV4, 0, 0, 0, 0, 0, 0))
