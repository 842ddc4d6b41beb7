"""A QUIC server (RFC 9000) on aioquic: completes handshakes, and closes what is asked of it.

Run as ``python -m censorlab.servers.quic_site CERTIFICATE KEY ADDRESS...``.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aioquic.asyncio.server import serve
from aioquic.quic.configuration import QuicConfiguration

from censorlab.servers.certificates import Leaf
from censorlab.servers.program import FOLDER, Program

QUIC_PORT: Final = 443


def quic_site(leaf: Leaf, addresses: Sequence[str], *, name: str = "quic") -> Program:
    """Answer QUIC Initials on UDP/443 of the addresses, whatever name they give."""
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


async def _serve(certificate: Path, key: Path, addresses: Sequence[str]) -> None:
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3", "hq-interop"])
    configuration.load_cert_chain(certificate, key)
    # One socket to an address: a wildcard's answers would leave from the first.
    for address in addresses:
        await serve(address, QUIC_PORT, configuration=configuration)
    await asyncio.Event().wait()


def main(words: Sequence[str]) -> None:
    """Serve until killed."""
    certificate, key, *addresses = words
    asyncio.run(_serve(Path(certificate), Path(key), addresses))


if __name__ == "__main__":
    main(sys.argv[1:])
