"""Fresh addresses end to end: fetched, verified, asked for a resPQ, and never written down."""

import json
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from censorlab.servers.special_config import Place, google_answer, new_signing_key, signed_text
from cli.conftest import Command
from local_services import certified, serving, surroundings, telegram_like

CLOSED = "127.0.45.1"
FRESH, ASTRAY = "127.0.45.77", "127.0.45.78"
PORT = 45443


def centre_key() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def listed(around: dict[str, Any], resolver: Any, public_key: str) -> dict[str, Any]:
    """A service with one data centre, closed, and a place to ask for others."""
    discovery = {
        "id": "lab-dns",
        "address": resolver.address,
        "port": resolver.port,
        "server_name": "dns.example",
        "host": "dns.example",
        "path": "/resolve?name=apv3.example&type=16",
    }
    service = {"id": "m", "name": "M", "category_code": "COMT", "discovery_keys": [public_key]}
    end = {"address": CLOSED, "port": PORT, "probes": ["tcp", "mtproto"], "group": "dc2"}
    return {
        "schema_version": "1.0",
        "name": "A messenger with a special config",
        "updated": "2026-11-25",
        "services": [service | {"discovery": [discovery]}],
        "targets": [
            {"id": "m/pool", "service": "m", "combination_rule": "any_of", "endpoints": [end]}
        ],
        **around,
    }


def test_fresh_addresses_are_verified_tried_and_not_stored(
    reachwatch: Command, tmp_path: Path
) -> None:
    """One of two addresses answers: the way works at the data centre that fails directly."""
    signing = new_signing_key()
    now = datetime.fromtimestamp(time.time(), tz=UTC)
    text = signed_text(
        signing,
        [Place(2, ASTRAY, PORT), Place(2, FRESH, PORT)],
        date=now - timedelta(days=1),
        expires=now + timedelta(days=1),
    )
    body = json.dumps(google_answer("apv3.example", text)).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-javascript\r\n"
    page = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with ExitStack() as stack:
        around, authority = stack.enter_context(surroundings({}))
        resolver = stack.enter_context(answering(authority, page))
        stack.enter_context(telegram_like(FRESH, PORT, centre_key()))
        file = tmp_path / "t.json"
        file.write_text(json.dumps(listed(around, resolver, signing.public)))

        done = reachwatch("check", str(file), "--ways", "-f", "json", "-q")

    document = json.loads(done.stdout.splitlines()[-1])
    (way,) = (w for w in document["ways"] if w["tactic"] == "special_config")
    assert (way["result"], way["n_ok"], way["n_total"]) == ("works", 1, 1)
    (config,) = (o for o in document["observations"] if o["step"] == "special_config")
    assert (config["failure"], config["config_endpoints"]) == (None, 2)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "results").rglob("*.gz"))
    assert stored
    for address in (FRESH, ASTRAY):
        assert address not in done.stdout + done.stderr


def answering(authority: trustme.CA, page: bytes) -> Any:
    return serving("127.0.45.53", certified(authority, "dns.example"), page=page)
