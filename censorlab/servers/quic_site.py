"""Web sites over HTTP/3 (RFC 9114), on aioquic: any path gives an ordinary page.

Run as ``python -m censorlab.servers.quic_site CERTIFICATE KEY ADDRESS...``.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, QuicEvent

from censorlab.servers.certificates import Leaf
from censorlab.servers.program import FOLDER, Program
from censorlab.servers.web import PAGE_BYTES, page

QUIC_PORT: Final = 443
_ALPN: Final = "h3"


def quic_site(leaf: Leaf, addresses: Sequence[str], *, name: str = "quic") -> Program:
    """Answer QUIC on UDP/443 of the addresses, whatever name it gives, with one certificate."""
    files = {f"{name}/certificate.pem": leaf.certificate, f"{name}/key.pem": leaf.key}
    return Program(
        name=name,
        package="aioquic",
        files=files,
        words=(
            *(sys.executable, "-m", "censorlab.servers.quic_site"),
            *(f"{FOLDER}/{file}" for file in files),
            *addresses,
        ),
        listens=(("udp", QUIC_PORT),),
    )


class _Site(QuicConnectionProtocol):
    """One connection; a request is answered by the page of the host that it names."""

    _http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        """Take what a client does, once it has agreed on HTTP/3."""
        if isinstance(event, ProtocolNegotiated) and event.alpn_protocol == _ALPN:
            self._http = H3Connection(self._quic)
        if self._http is None:
            return
        for one in self._http.handle_event(event):
            if isinstance(one, HeadersReceived):
                self._answer(self._http, one)
        self.transmit()

    def _answer(self, http: H3Connection, request: HeadersReceived) -> None:
        name = dict(request.headers).get(b":authority", b"").decode(errors="replace")
        body = page(name, PAGE_BYTES)
        headers = [
            (b":status", b"200"),
            (b"content-type", b"text/html"),
            (b"content-length", str(len(body)).encode()),
        ]
        http.send_headers(request.stream_id, headers)
        http.send_data(request.stream_id, body, end_stream=True)


async def _serve(certificate: Path, key: Path, addresses: Sequence[str]) -> None:
    configuration = QuicConfiguration(is_client=False, alpn_protocols=[_ALPN, "hq-interop"])
    configuration.load_cert_chain(certificate, key)
    # One socket to an address: a wildcard's answers would leave from the first.
    for address in addresses:
        await serve(address, QUIC_PORT, configuration=configuration, create_protocol=_Site)
    await asyncio.Event().wait()


def main(words: Sequence[str]) -> None:
    """Serve until killed."""
    certificate, key, *addresses = words
    asyncio.run(_serve(Path(certificate), Path(key), addresses))


if __name__ == "__main__":
    main(sys.argv[1:])
