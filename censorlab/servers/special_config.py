"""Signed lists of reserve addresses, and resolvers that give them in the JSON form of DNS.

The texts are what ``probe.wire.special_config`` reads, made from the clients' description
of them and not from that module. Run as
``python -m censorlab.servers.special_config CERTIFICATE KEY TEXTS PORT``.
"""

import asyncio
import base64
import hashlib
import json
import os
import ssl
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Address
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from censorlab.servers.certificates import Leaf
from censorlab.servers.program import FOLDER, Program

GOOGLE_PATH: Final = "/resolve"
CLOUDFLARE_PATH: Final = "/dns-query"
NAME: Final = "apv3.stel.com"

DATA_BYTES: Final = 208
"""Room for the object and its length."""

_BACKLOG: Final = 1024
_PIECE_CHARS: Final = 250
"""Telegram's own texts lie in two records, of so many characters and the rest (2026-10)."""
_TXT: Final = 16
_TYPES: Final = frozenset(("16", "TXT", "255", "ANY"))
_NXDOMAIN: Final = 3
_MEDIA_TYPE: Final = "application/dns-json"


class SigningKey(NamedTuple):
    """An RSA key of 2048 bits, PEM; the public half as the clients carry theirs, PKCS #1."""

    private: str
    public: str


class Place(NamedTuple):
    """An address of a data centre; with a secret, of a proxy in front of it."""

    dc_id: int
    address: str
    port: int
    secret: bytes | None = None


def new_signing_key() -> SigningKey:
    """Make a key that no client knows."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return SigningKey(
        private=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        public=key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
        .decode(),
    )


def signed_text(
    key: SigningKey,
    places: Sequence[Place],
    *,
    date: datetime,
    expires: datetime,
    phone_prefix_rules: str = "",
) -> str:
    """Return the base64 of a config that names these places; neighbours share a rule.

    Raises:
        ValueError: if they do not fit: 14 do of one data centre, if they have no secrets.
    """
    rules = [(dc_id, list(group)) for dc_id, group in groupby(places, lambda each: each.dc_id)]
    times = int(date.timestamp()), int(expires.timestamp())
    body = struct.pack("<Iiii", 0x5A592A6C, *times, len(rules))
    for dc_id, group in rules:
        body += struct.pack("<I", 0x4679B65F) + _string(phone_prefix_rules.encode())
        body += struct.pack("<ii", dc_id, len(group))
        body += b"".join(map(_ip_port, group))
    return sign(key, body)


def sign(key: SigningKey, body: bytes) -> str:
    """Return the base64 of any object, signed.

    Raises:
        ValueError: if it does not fit.
    """
    if len(body) > DATA_BYTES - 4:
        raise ValueError(f"{len(body)} bytes do not fit")
    return sign_data(key, struct.pack("<i", len(body) + 4) + body)


def sign_data(key: SigningKey, data: bytes) -> str:
    """Return the base64 of signed data: a length and an object, right or wrong."""
    loaded = serialization.load_pem_private_key(key.private.encode(), password=None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    numbers = loaded.private_numbers()
    modulus = numbers.public_numbers.n
    data = data + os.urandom(DATA_BYTES - len(data))
    block = modulus
    # The block is a number below the modulus; a key of AES that makes it one is soon found.
    while block >= modulus:
        secret = os.urandom(32)
        encryptor = Cipher(AES256(secret), CBC(secret[16:])).encryptor()
        whole = data + hashlib.sha256(data).digest()[:16]
        block = int.from_bytes(secret + encryptor.update(whole) + encryptor.finalize(), "big")
    return base64.b64encode(pow(block, numbers.d, modulus).to_bytes(256, "big")).decode()


def google_answer(name: str, text: str | None) -> dict[str, Any]:
    """Answer as dns.google does: a record to each piece, bare, and here the short one first."""
    return _answer(name, text, _pieces(text or "")[::-1])


def cloudflare_answer(name: str, text: str | None) -> dict[str, Any]:
    """Answer as cloudflare-dns.com does: pieces in quotes."""
    return _answer(name, text, [f'"{piece}"' for piece in _pieces(text or "")])


def discovery(
    leaf: Leaf, texts: Mapping[str, str], *, name: str = "discovery", port: int = 443
) -> Program:
    """Serve the texts over HTTPS as TXT records of their names, on every address.

    `GOOGLE_PATH` and `CLOUDFLARE_PATH` answer each as their resolver does, and so do not
    depend on the name that TLS or HTTP gives; other names do not exist.
    """
    files = {
        f"{name}/certificate.pem": leaf.certificate,
        f"{name}/key.pem": leaf.key,
        f"{name}/texts.json": json.dumps(dict(texts)).encode(),
    }
    return Program(
        name=name,
        package="aiohttp",
        files=files,
        words=(
            *(sys.executable, "-m", "censorlab.servers.special_config"),
            *(f"{FOLDER}/{file}" for file in files),
            str(port),
        ),
        listens=(("tcp", port),),
    )


def application(texts: Mapping[str, str]) -> web.Application:
    """Return the resolvers' two pages."""

    async def google(request: web.Request) -> web.Response:
        return _respond(request, texts, google_answer)

    async def cloudflare(request: web.Request) -> web.Response:
        # Its other form, which is the default, has the query in another parameter.
        if request.headers.get("Accept") != _MEDIA_TYPE:
            raise web.HTTPBadRequest(text="Invalid query")
        return _respond(request, texts, cloudflare_answer)

    app = web.Application()
    app.router.add_get(GOOGLE_PATH, google)
    app.router.add_get(CLOUDFLARE_PATH, cloudflare)
    return app


def _respond(
    request: web.Request,
    texts: Mapping[str, str],
    answer: Callable[[str, str | None], dict[str, Any]],
) -> web.Response:
    name = request.query.get("name", "").rstrip(".").lower()
    if not name:
        raise web.HTTPBadRequest(text="Invalid query")
    text = texts.get(name)
    if text is not None and request.query.get("type", "A").upper() not in _TYPES:
        text = ""  # the name has no record of another type
    return web.json_response(answer(name, text), content_type=_MEDIA_TYPE)


def _answer(name: str, text: str | None, pieces: Sequence[str]) -> dict[str, Any]:
    flags = {"TC": False, "RD": True, "RA": True, "AD": False, "CD": False}
    question = {"name": f"{name}.", "type": _TXT}
    head = {"Status": _NXDOMAIN if text is None else 0, **flags, "Question": [question]}
    records = [{**question, "TTL": 300, "data": piece} for piece in pieces]
    return head | {"Answer": records} if records else head


def _pieces(text: str) -> list[str]:
    return [text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS)]


def _ip_port(place: Place) -> bytes:
    where = struct.pack("<Ii", int(IPv4Address(place.address)), place.port)
    if place.secret is None:
        return struct.pack("<I", 0xD433AD73) + where
    return struct.pack("<I", 0x37982646) + where + _string(place.secret)


def _string(value: bytes) -> bytes:
    head = bytes([len(value)]) if len(value) < 254 else b"\xfe" + struct.pack("<I", len(value))[:3]
    return (head + value) + bytes(-len(head + value) % 4)


async def _serve(certificate: str, key: str, texts: Mapping[str, str], port: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    runner = web.AppRunner(application(texts), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port, ssl_context=context, backlog=_BACKLOG).start()
    await asyncio.Event().wait()


def main(words: Sequence[str]) -> None:
    """Serve until killed."""
    certificate, key, texts, port = words
    asyncio.run(_serve(certificate, key, json.loads(Path(texts).read_bytes()), int(port)))


if __name__ == "__main__":
    main(sys.argv[1:])
