"""A server that reads encrypted hellos, and answers each with one message (`ech_hello`).

Run as ``python -m censorlab.servers.ech_site KEY PUBLIC_NAME CERTIFICATE KEY PORT``.
"""

import ssl
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import trio

from censorlab.servers.certificates import Leaf
from censorlab.servers.ech_hello import BadHelloError, EchKey, answer, read_message
from censorlab.servers.program import FOLDER, Program

_READ_BYTES: Final = 65_536
_MAX_HELLO_BYTES: Final = 65_536


def ech_site(key: EchKey, leaf: Leaf, *, port: int, name: str = "ech") -> Program:
    """Answer hellos on every address; the certificate is that of the public name."""
    files = {
        f"{name}/ech.key": key.private,
        f"{name}/certificate.pem": leaf.certificate,
        f"{name}/key.pem": leaf.key,
    }
    private, certificate, own = (f"{FOLDER}/{file}" for file in files)
    return Program(
        name=name,
        package="trio",
        files=files,
        words=(
            *(sys.executable, "-m", "censorlab.servers.ech_site"),
            *(private, key.public_name, certificate, own, str(port)),
        ),
        listens=(("tcp", port),),
    )


async def _serve(key: EchKey, context: ssl.SSLContext, client: trio.SocketStream) -> None:
    received = b""
    try:
        while len(received) < _MAX_HELLO_BYTES:
            data = await client.receive_some(_READ_BYTES)
            if not data:
                return
            received += data
            if (message := read_message(received)) is not None:
                await client.send_all(answer(message, key, context))
                break
        # Whoever asked has what it wants, and leaves.
        while await client.receive_some(_READ_BYTES):
            pass
    except (BadHelloError, trio.BrokenResourceError):
        return


def main(words: Sequence[str]) -> None:
    """Serve until killed."""
    private, public_name, certificate, own, port = words
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, own)
    context.set_alpn_protocols(["http/1.1"])
    serve = partial(_serve, EchKey(Path(private).read_bytes(), public_name), context)
    trio.run(trio.serve_tcp, serve, int(port))


if __name__ == "__main__":
    main(sys.argv[1:])
