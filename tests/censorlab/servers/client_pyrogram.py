"""Pyrogram as it is, run inside a namespace: resPQ in each framing, and a whole key exchange.

Arguments: the data centre's address, its public key in PEM. Prints JSON: what Pyrogram says.
"""

import asyncio
import json
import os
import sys
import types
from hashlib import sha1
from io import BytesIO

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pyrogram import raw
from pyrogram.connection import transport
from pyrogram.crypto import rsa
from pyrogram.raw.core.primitives import Bytes
from pyrogram.session.auth import Auth

FRAMINGS = ("TCPFull", "TCPAbridged", "TCPIntermediate", "TCPAbridgedO", "TCPIntermediateO")


async def ask(framing: str, address: str) -> dict[str, object]:
    stream = getattr(transport, framing)(ipv6=False, proxy=None)
    await stream.connect((address, 443))
    nonce = int.from_bytes(os.urandom(16), "little", signed=True)
    await stream.send(Auth.pack(raw.functions.ReqPqMulti(nonce=nonce)))
    answer = Auth.unpack(BytesIO(await stream.recv()))
    await stream.close()
    return {"answer": type(answer).__name__, "echoed": answer.nonce == nonce}


def tell(key: str) -> None:
    """Put a key beside Telegram's, under the name that it gives itself."""
    public = load_pem_public_key(key.encode())
    assert isinstance(public, RSAPublicKey)
    n, e = public.public_numbers().n, public.public_numbers().e
    name = sha1(Bytes(n.to_bytes(256, "big")) + Bytes(e.to_bytes(3, "big"))).digest()[-8:]
    rsa.server_public_keys[int.from_bytes(name, "little", signed=True)] = rsa.PublicKey(n, e)


async def main(address: str, key: str) -> dict[str, object]:
    found: dict[str, object] = {framing: await ask(framing, address) for framing in FRAMINGS}
    tell(key)
    client = types.SimpleNamespace(ipv6=False, proxy=None)
    # The second centre is at the address by Pyrogram's own list.
    agreed = await Auth(client, 2, test_mode=False).create()
    return found | {"key_bytes": len(agreed)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
