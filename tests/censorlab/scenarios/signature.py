"""From a scenario's signature to probes of the plain client, and its facts back."""

import hashlib
import json
import ssl
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from censorlab.scenarios import town
from censorlab.scenarios.cast import Authorities
from censorlab.scenarios.model import Expected, Scenario, Signature
from censorlab.scenarios.stage import Stage

CLIENT = Path(__file__).with_name("plain_client.py")
NONCE = bytes(range(16, 32))
WRITES, PAUSE_S = 40, 0.03
Facts = dict[str, Any]


def hello(name: str, option: str) -> bytes:
    """OpenSSL's own first flight, with the option's peculiarity."""
    context = ssl.create_default_context()
    if option == "tls12":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    outgoing = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    data = outgoing.read()
    return with_ech(data) if option == "ech" else data


def with_ech(data: bytes) -> bytes:
    """Add a GREASE-like ECH extension (0xfe0d) at the end, and mend the four lengths."""
    inner = b"\x00\x00\x01\x00\x01" + b"\x07" + (32).to_bytes(2, "big") + bytes(32)
    body = inner + (144).to_bytes(2, "big") + bytes(144)
    extension = b"\xfe\x0d" + len(body).to_bytes(2, "big") + body
    at = 9 + 2 + 32
    at += 1 + data[at]
    at += 2 + int.from_bytes(data[at : at + 2], "big")
    at += 1 + data[at]
    extensions = int.from_bytes(data[at : at + 2], "big") + len(extension)
    record = int.from_bytes(data[3:5], "big") + len(extension)
    message = int.from_bytes(data[6:9], "big") + len(extension)
    return (
        data[:3]
        + record.to_bytes(2, "big")
        + data[5:6]
        + message.to_bytes(3, "big")
        + data[9:at]
        + extensions.to_bytes(2, "big")
        + data[at + 2 :]
        + extension
    )


def req_pq() -> bytes:
    """A naive ``req_pq_multi`` in the abridged transport (Telegram's transport pages)."""
    body = bytes(8) + (1).to_bytes(8, "little") + (20).to_bytes(4, "little")
    body += (0xBE7E8EF1).to_bytes(4, "little") + NONCE
    return b"\xef" + bytes([len(body) // 4]) + body


def quic_initial(name: str) -> bytes:
    """An unmodified QUIC client's first datagram."""
    configuration = QuicConfiguration(alpn_protocols=["h3"], server_name=name)
    connection = QuicConnection(configuration=configuration)
    connection.connect(("192.0.2.1", 443), now=0.0)
    return connection.datagrams_to_send(now=0.0)[0][0]


def pieces_of(signature: Signature) -> tuple[list[bytes], float]:
    """What is sent, and the pause between pieces."""
    match signature.probe, signature.option:
        case "mtproto", "obfuscated":
            # Any 64 random bytes are a beginning of obfuscated2; these stay the same.
            return [hashlib.sha512(b"a preamble").digest() + bytes(range(0, 240, 3))], 0.0
        case "mtproto", _:
            return [req_pq()], 0.0
        case "quic", _:
            return [quic_initial(signature.name)], 0.0
        case "dns", _:
            return [dns.message.make_query(signature.name, "A", id=4711).to_wire()], 0.0
        case "udp", _:
            return [b"twin"], 0.0
        case "hello", "split":
            data = hello(signature.name, "")
            return [data[:60], data[60:140], data[140:]], 0.02
        case "hello", "records":
            data = hello(signature.name, "")
            parts = data[5:100], data[100:]
            return [b"".join(data[:3] + len(p).to_bytes(2, "big") + p for p in parts)], 0.0
        case "writes", _:
            data = hello(town.INNOCUOUS_NAME, "")[: 2 * WRITES]
            return [data[n : n + 2] for n in range(0, len(data), 2)], PAUSE_S
        case "hello" | "idle", option:
            return [hello(signature.name, option)], 0.0
    return [], 0.0


KINDS = {"hello": "bytes", "mtproto": "bytes", "writes": "bytes", "idle": "bytes", "quic": "udp"}


def probe_of(signature: Signature, authorities: Authorities) -> dict[str, object]:
    kind = KINDS.get(signature.probe, signature.probe)
    if kind == "dns":
        kind = "tcp_dns" if signature.option == "tcp" else "udp"
    pieces, pause_s = pieces_of(signature)
    address = town.PLACES[signature.at][0] if signature.at[0] == "@" else signature.at
    return {
        "kind": kind,
        "address": address,
        "port": signature.port,
        "name": signature.name,
        "authority": authorities.trusted.certificate,
        "pieces": [piece.hex() for piece in pieces],
        "pause_s": pause_s,
        "idle_s": float(signature.option) if signature.probe == "idle" else 0.0,
        "timeout_s": signature.timeout_s,
        "turn": signature.turn,
    }


def interpret(signature: Signature, facts: Facts) -> Facts:
    """Read what the plain client brought back as bytes."""
    first = bytes.fromhex(facts.get("first", ""))
    if signature.probe == "mtproto" and NONCE in first and b"\x63\x24\x16\x05" in first:
        facts["recv"] = "resPQ"
    facts["first"] = first[:8].decode("latin-1")
    if signature.probe == "dns":
        facts["answers"] = [answer_of(bytes.fromhex(data)) for data in facts["datagrams"]]
    return facts


def answer_of(data: bytes) -> list[str]:
    message = dns.message.from_wire(data)
    records = [str(record) for rrset in message.answer for record in rrset]
    return [dns.rcode.to_text(message.rcode()), *sorted(records)]


def observe(stage: Stage, scenario: Scenario, authorities: Authorities) -> list[list[Facts]]:
    """Make every probe of a scenario; for each its facts, one for each time."""
    probes = []
    for signature in scenario.signature:
        # A new hello or query for each time: servers refuse what they have seen.
        probes += [probe_of(signature, authorities) for _ in range(signature.times)]
    done = stage.run_client([sys.executable, str(CLIENT)], timeout_s=60, given=json.dumps(probes))
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    found = iter(json.loads(done.stdout))
    return [
        [interpret(signature, next(found)) for _ in range(signature.times)]
        for signature in scenario.signature
    ]


def differences(scenario: Scenario, observed: list[list[Facts]]) -> list[str]:
    """Say where facts are not as the scenario's signature has them."""
    lines = []
    for number, (signature, made) in enumerate(zip(scenario.signature, observed, strict=True), 1):
        for fact, expected in signature.sees.items():
            values = [facts.get(fact) for facts in made]
            if not is_as_expected(signature, values, expected):
                shown = values[0] if len(values) == 1 else values
                lines.append(
                    f"probe {number} ({signature.probe} at {signature.at} {signature.name} "
                    f"{signature.option}): {fact} is {shown}, not {expected}; all: {made[0]}"
                )
    return lines


def is_as_expected(signature: Signature, values: list[Any], expected: Expected) -> bool:
    is_range = (
        isinstance(expected, list)
        and len(expected) == 2
        and all(isinstance(limit, int) for limit in expected)
    )
    if signature.times > 1:
        if is_range:
            return expected[0] <= sum(bool(value) for value in values) <= expected[1]
        return sorted(map(str, values)) == sorted(map(str, expected))
    (value,) = values
    if is_range and isinstance(value, int):
        return expected[0] <= value <= expected[1]
    return bool(value == expected)
