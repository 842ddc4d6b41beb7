"""A resolver over QUIC (RFC 9250) that knows the simulated internet and asks nobody.

Debian 12 has none: the transport is aioquic's, the messages are dnspython's. Run by
`doq` as ``python -m censorlab.servers.doq CERTIFICATE KEY RECORDS ADDRESS...``.
"""

import asyncio
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import orjson
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent, StreamDataReceived

from censorlab.servers.certificates import Leaf
from censorlab.servers.program import FOLDER, Program

DOQ_PORT: Final = 853

TTL_S: Final = 300

_PROTOCOL_ERROR: Final = 0x2
"""DOQ_PROTOCOL_ERROR (RFC 9250 section 4.3)."""

_MAX_MESSAGE_BYTES: Final = 65535


def doq(
    records: Mapping[str, Iterable[str]],
    leaf: Leaf,
    addresses: Sequence[str],
    *,
    name: str = "doq",
) -> Program:
    """Answer these names with these IPv4 and IPv6 addresses; others do not exist.

    Answers keep the order of the addresses given. Listens on UDP/853 of ``addresses``,
    which the kernel has to own.
    """
    known = {owner.rstrip(".").lower(): list(given) for owner, given in records.items()}
    files = {
        f"{name}/certificate.pem": leaf.certificate,
        f"{name}/key.pem": leaf.key,
        f"{name}/records.json": orjson.dumps(known),
    }
    return Program(
        name=name,
        package="aioquic",
        files=files,
        words=(
            *(sys.executable, "-m", "censorlab.servers.doq"),
            *(f"{FOLDER}/{file}" for file in files),
            *addresses,
        ),
        listens=(("udp", DOQ_PORT),),
    )


def answer(records: Mapping[str, Sequence[str]], query: bytes) -> bytes:
    """Answer one message from ``records``: addresses by lower-case name, without the last dot.

    Raises:
        ValueError: it is no question, or has an id (RFC 9250 section 4.2.1).
    """
    try:
        asked = dns.message.from_wire(query)
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"no message: {type(error).__name__}") from None
    if asked.id != 0 or asked.flags & dns.flags.QR or len(asked.question) != 1:
        raise ValueError("no question over QUIC")
    question = asked.question[0]
    reply = dns.message.make_response(asked, recursion_available=True)
    known = records.get(question.name.to_text(omit_final_dot=True).lower())
    if known is None:
        reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()
    wanted = {"A": ".", "AAAA": ":"}.get(dns.rdatatype.to_text(question.rdtype))
    found = [address for address in known if wanted is not None and wanted in address]
    # A set of its own for each: dnspython shuffles those of one.
    reply.answer.extend(
        dns.rrset.from_text(question.name, TTL_S, question.rdclass, question.rdtype, address)
        for address in found
    )
    # What a client takes in a datagram does not matter on a stream.
    return reply.to_wire(max_size=_MAX_MESSAGE_BYTES)


class _Resolver(QuicConnectionProtocol):
    """One connection; each stream that a client opens has one question."""

    def __init__(self, *args: Any, records: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._records = records
        self._waiting: dict[int, bytes] = {}

    def _reply(self, data: bytes) -> bytes:
        """Answer all that a stream brought; raises ValueError."""
        if int.from_bytes(data[:2], "big") != len(data) - 2:
            raise ValueError("a stream has one message, and its length before it")
        reply = answer(self._records, data[2:])
        return len(reply).to_bytes(2, "big") + reply

    def quic_event_received(self, event: QuicEvent) -> None:
        """Answer the question that is complete."""
        if not isinstance(event, StreamDataReceived):
            return
        data = self._waiting.pop(event.stream_id, b"") + event.data
        if not event.end_stream and len(data) <= 2 + _MAX_MESSAGE_BYTES:
            self._waiting[event.stream_id] = data
            return
        try:
            reply = self._reply(data)
        except ValueError:
            self._quic.close(_PROTOCOL_ERROR)
        else:
            self._quic.send_stream_data(event.stream_id, reply, end_stream=True)
        self.transmit()


async def listen(
    certificate: Path,
    key: Path,
    records: Mapping[str, Sequence[str]],
    addresses: Sequence[str],
    port: int = DOQ_PORT,
) -> None:
    """Serve on from when this returns, for as long as the loop runs. Takes PEM files."""
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["doq"])
    configuration.load_cert_chain(certificate, key)
    # One socket to an address: a wildcard's answers would leave from the first.
    for address in addresses:
        await serve(
            address,
            port,
            configuration=configuration,
            create_protocol=partial(_Resolver, records=records),
        )


async def _serve(
    certificate: Path, key: Path, records: Mapping[str, Sequence[str]], addresses: Sequence[str]
) -> None:
    await listen(certificate, key, records, addresses)
    await asyncio.Event().wait()


def main(words: Sequence[str]) -> None:
    """Serve until killed."""
    certificate, key, records, *addresses = words
    known = orjson.loads(Path(records).read_bytes())
    asyncio.run(_serve(Path(certificate), Path(key), known, addresses))


if __name__ == "__main__":
    main(sys.argv[1:])
