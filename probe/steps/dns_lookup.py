"""DNS: the system resolver, Do53 over UDP and TCP, DoT (RFC 7858), DoH (RFC 8484), DoQ (RFC 9250).

A UDP lookup keeps its socket open after the first answer and records every
datagram: an injected answer usually wins the race against the real one.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

from probe.model import failure as failures
from probe.model.observation import DnsAnswer, DnsResponse, Observation, Role
from probe.model.step import DnsLookup, Owner
from probe.model.target import ENCRYPTED
from probe.net.api import ByteStream, Datagram, ResolutionError, TcpConnection
from probe.net.tls import HandshakeError
from probe.steps.context import Context
from probe.steps.doq_session import DoqSession
from probe.steps.quic_line import MISSING, QuicError, load_library
from probe.wire import dns as wire
from probe.wire.addresses import is_bogon, is_expected, parse_ranges
from probe.wire.http1 import HttpError, HttpExchange

HOLD_OPEN_S: Final = 0.5
"""How long the socket stays open after a valid answer. Inside China 99 % of
forged answers beat the real one by at most 364 ms (GFWatch), so half a second
shows both; OONI waits the same."""

MAX_RESPONSES: Final = 16
"""Datagrams kept per query: several injectors send up to 3 each; a flood of
more says nothing new and must not fill memory."""

MAX_DOH_BODY_BYTES: Final = 65535
"""A DNS message cannot be longer (RFC 1035 §4.2.2)."""

_ADDRESSES: Final = frozenset({"A", "AAAA"})


@dataclass
class _Lookup:
    """What one lookup gathers."""

    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    responses: list[DnsResponse] = field(default_factory=list)
    ech_config_list: bytes | None = None
    sent_bytes: int = 0
    received_bytes: int = 0

    def addresses(self) -> tuple[str, ...]:
        """Addresses of the first valid response, in its order."""
        valid = next((r for r in self.responses if r.is_valid), None)
        return tuple(a.value for a in valid.answers if a.type in _ADDRESSES) if valid else ()


def _answers(spec: DnsLookup, records: tuple[wire.Record, ...]) -> tuple[DnsAnswer, ...]:
    ranges = parse_ranges(spec.expected_ranges)
    return tuple(
        DnsAnswer(
            type=record.type,
            value=record.value,
            ttl_s=record.ttl_s,
            is_bogon=record.type in _ADDRESSES and is_bogon(record.value),
            is_expected=is_expected(record.value, ranges) if record.type in _ADDRESSES else None,
        )
        for record in records
    )


def _gather(
    lookup: _Lookup, spec: DnsLookup, query: bytes, datagram: Datagram, since_s: float
) -> bool:
    """Record one message; return whether it validly answers the query."""
    message, ttl = datagram
    lookup.received_bytes += len(message)
    try:
        parsed = wire.parse_response(message, query)
    except wire.MalformedMessageError as error:
        response = DnsResponse(
            t=since_s,
            rcode="MALFORMED",
            is_valid=False,
            answers=(),
            size_bytes=len(message),
            ip_ttl=ttl,
        )
        lookup.responses.append(response)
        lookup.detail = str(error)
        return False
    answers = _answers(spec, parsed.records)
    lookup.responses.append(
        DnsResponse(
            t=since_s,
            rcode=parsed.rcode,
            is_valid=parsed.matches,
            answers=answers,
            size_bytes=len(message),
            ip_ttl=ttl,
        )
    )
    if parsed.matches and lookup.failure == failures.GENERIC_TIMEOUT:
        wanted = {"HTTPS"} if spec.query_type == "HTTPS" else _ADDRESSES
        has_answer = any(answer.type in wanted for answer in answers)
        lookup.failure = failures.from_rcode(parsed.rcode, has_answer=has_answer)
        lookup.detail = None
        if lookup.failure is None:
            lookup.ech_config_list = parsed.ech_config_list
    elif not parsed.id_matches and lookup.failure == failures.GENERIC_TIMEOUT:
        lookup.detail = failures.DNS_WRONG_ID
    return parsed.matches


def _observations(
    context: Context, spec: DnsLookup, t0: float, lookup: _Lookup
) -> list[Observation]:
    """Build one row per owner; bytes count once."""
    unanswered = {failures.GENERIC_TIMEOUT, failures.DNS_MISBEHAVING}
    if lookup.failure in unanswered and lookup.detail == failures.DNS_WRONG_ID:
        lookup.failure = failures.DNS_WRONG_ID
    if lookup.ech_config_list is not None and spec.resolver.protocol in ENCRYPTED:
        context.run.ech_configs[spec.hostname] = lookup.ech_config_list
    # getaddrinfo does not show the response code.
    rcode = next(
        (r.rcode for r in lookup.responses if r.is_valid and spec.resolver.protocol != "system"),
        None,
    )
    rows = []
    for index, owner in enumerate(spec.owners):
        rows.append(
            context.observe(
                "dns",
                t0,
                lookup.failure,
                owner=owner,
                role=_role_of(owner),
                failure_detail=lookup.detail if lookup.failure else None,
                hostname=spec.hostname,
                resolver_id=spec.resolver.id,
                resolver_protocol=spec.resolver.protocol,
                query_type=spec.query_type,
                rcode=rcode,
                responses=tuple(lookup.responses),
                sent_bytes=lookup.sent_bytes if index == 0 else 0,
                received_bytes=lookup.received_bytes if index == 0 else 0,
            )
        )
    return rows


def _role_of(owner: Owner) -> Role:
    return "control" if owner.control_id else "test"


async def system_lookup(context: Context, spec: DnsLookup) -> list[Observation]:
    """Ask the system resolver (getaddrinfo), as every application does.

    It shows what applications get; it cannot show rcode, TTL or a second answer.

    Raises:
        ValueError: the question is not for addresses, and getaddrinfo knows no other.
    """
    if spec.query_type not in _ADDRESSES:
        raise ValueError(f"the system resolver cannot be asked for {spec.query_type}")
    t0 = context.now()
    lookup = _Lookup()
    try:
        with trio.move_on_after(spec.timeout_s):
            family = 6 if spec.query_type == "AAAA" else 4
            addresses = await context.run.network.getaddrinfo(spec.hostname, family)
            lookup.failure = None if addresses else failures.DNS_NO_ANSWER
            records = tuple(wire.Record(spec.query_type, value, 0) for value in addresses)
            answers = _answers(spec, records[: wire.MAX_ANSWERS])
            lookup.responses.append(
                DnsResponse(
                    t=round(context.now() - t0, 6),
                    rcode="NOERROR",
                    is_valid=True,
                    answers=tuple(
                        DnsAnswer(
                            type=a.type,
                            value=a.value,
                            ttl_s=None,
                            is_bogon=a.is_bogon,
                            is_expected=a.is_expected,
                        )
                        for a in answers
                    ),
                    size_bytes=0,
                    ip_ttl=None,
                )
            )
    except ResolutionError as error:
        lookup.failure = failures.from_gai_name(error.name)
        lookup.detail = error.name
    return _observations(context, spec, t0, lookup)


def _ignore(_spec: DnsLookup, _addresses: Sequence[str]) -> None:
    """Nobody waits for an early answer."""


async def udp_lookup(
    context: Context,
    spec: DnsLookup,
    answered: Callable[[DnsLookup, Sequence[str]], None] = _ignore,
) -> list[Observation]:
    """Ask over Do53/UDP and keep every datagram until the window closes.

    ``answered`` is told the addresses of the first valid answer as it arrives.
    """
    t0 = context.now()
    lookup = _Lookup()
    try:
        query = wire.build_query(spec.hostname, spec.query_type, random.getrandbits(16))
        udp = context.run.network.open_udp(spec.resolver.address, spec.resolver.port)
    except wire.BadNameError as error:
        lookup.failure, lookup.detail = f"{failures.UNKNOWN_PREFIX}bad_name", str(error)[:200]
        return _observations(context, spec, t0, lookup)
    except OSError as error:
        lookup.failure, lookup.detail = failures.from_os_error(error)
        return _observations(context, spec, t0, lookup)
    try:
        with trio.move_on_after(spec.timeout_s) as window:
            await udp.send(query)
            lookup.sent_bytes += len(query)
            while len(lookup.responses) < MAX_RESPONSES:
                datagram: Datagram = await udp.receive()
                since = round(context.now() - t0, 6)
                if _gather(lookup, spec, query, datagram, since):
                    if sum(response.is_valid for response in lookup.responses) == 1:
                        answered(spec, lookup.addresses())
                    hold = trio.current_time() + HOLD_OPEN_S
                    window.deadline = min(window.deadline, hold)
            if lookup.failure == failures.GENERIC_TIMEOUT:
                # A flood without one valid answer; the deadline has not passed.
                lookup.failure = failures.DNS_MISBEHAVING
    except OSError as error:
        # An ICMP error after a valid answer does not undo the answer.
        if not any(response.is_valid for response in lookup.responses):
            lookup.failure, lookup.detail = failures.from_os_error(error)
    finally:
        udp.close()
    return _observations(context, spec, t0, lookup)


async def stream_lookup(context: Context, spec: DnsLookup, stream: ByteStream) -> list[Observation]:
    """Ask over an open TCP (RFC 7766) or TLS (RFC 7858) connection to a resolver."""
    t0 = context.now()
    lookup = _Lookup()
    try:
        query = wire.build_query(spec.hostname, spec.query_type, random.getrandbits(16))
        with trio.move_on_after(spec.timeout_s):
            await stream.send_all(wire.frame(query))
            lookup.sent_bytes += len(query) + 2
            buffer = b""
            while lookup.failure == failures.GENERIC_TIMEOUT:
                data = await stream.receive_some()
                if not data:
                    lookup.failure = failures.EOF
                    break
                buffer += data
                while (split := wire.unframe(buffer)) is not None:
                    message, buffer = split
                    since = round(context.now() - t0, 6)
                    _gather(lookup, spec, query, Datagram(message, None), since)
                    if len(lookup.responses) >= MAX_RESPONSES:
                        lookup.failure = failures.DNS_MISBEHAVING
                        break
    except wire.BadNameError as error:
        lookup.failure, lookup.detail = f"{failures.UNKNOWN_PREFIX}bad_name", str(error)[:200]
    except HandshakeError as error:
        lookup.failure, lookup.detail = failures.SSL_FAILED_HANDSHAKE, error.reason[:200]
    except OSError as error:
        lookup.failure, lookup.detail = failures.from_os_error(error)
    return _observations(context, spec, t0, lookup)


async def doh_lookup(
    context: Context, spec: DnsLookup, stream: ByteStream, connection: TcpConnection
) -> list[Observation]:
    """Ask by DoH: POST of a DNS message over HTTP/1.1 on an open TLS connection."""
    t0 = context.now()
    lookup = _Lookup()
    before = (connection.sent_bytes, connection.received_bytes)
    try:
        query = wire.build_query(spec.hostname, spec.query_type, 0)  # id 0: RFC 8484 §4.1
        exchange = HttpExchange(
            spec.resolver.server_name,
            spec.resolver.path,
            max_body_bytes=MAX_DOH_BODY_BYTES,
            method="POST",
            headers=(("Content-Type", "application/dns-message"),),
            body=query,
        )
        with trio.move_on_after(spec.timeout_s):
            await stream.send_all(exchange.request_bytes)
            while not exchange.is_complete:
                exchange.receive(await stream.receive_some())
            if exchange.status_code == 200:
                since = round(context.now() - t0, 6)
                if not _gather(lookup, spec, query, Datagram(exchange.body, None), since):
                    lookup.failure = failures.DNS_MISBEHAVING
            else:
                lookup.failure = failures.HTTP_REQUEST_FAILED
                lookup.detail = f"status {exchange.status_code}"
    except wire.BadNameError as error:
        lookup.failure, lookup.detail = f"{failures.UNKNOWN_PREFIX}bad_name", str(error)[:200]
    except EOFError as error:
        lookup.failure, lookup.detail = failures.EOF, str(error)
    except HttpError as error:
        lookup.failure, lookup.detail = failures.HTTP_REQUEST_FAILED, str(error)
    except HandshakeError as error:
        lookup.failure, lookup.detail = failures.SSL_FAILED_HANDSHAKE, error.reason[:200]
    except OSError as error:
        lookup.failure, lookup.detail = failures.from_os_error(error)
    lookup.sent_bytes = connection.sent_bytes - before[0]
    lookup.received_bytes = connection.received_bytes - before[1]
    return _observations(context, spec, t0, lookup)


async def doq_lookup(context: Context, spec: DnsLookup, session: DoqSession) -> list[Observation]:
    """Ask over QUIC, on a stream of its own; the first question makes the connection.

    A handshake that fails is this lookup's failure, by the words that it has over TLS:
    there is no other row that could have it. Bytes of the handshake count with the first
    question. Without aioquic the rows say that the lookup was skipped.
    """
    t0 = context.now()
    lookup = _Lookup()
    before = (session.line.sent_bytes, session.line.received_bytes)
    try:
        query = wire.build_query(spec.hostname, spec.query_type, 0)  # id 0: RFC 9250 §4.2.1
        if not load_library():
            lookup.failure, lookup.detail = failures.SKIPPED, MISSING
            return _observations(context, spec, t0, lookup)
        with trio.move_on_after(spec.timeout_s):
            message, since = await session.ask(query)
            if not _gather(lookup, spec, query, Datagram(message, None), round(since, 6)):
                lookup.failure = failures.DNS_MISBEHAVING
    except wire.BadNameError as error:
        lookup.failure, lookup.detail = f"{failures.UNKNOWN_PREFIX}bad_name", str(error)[:200]
    except QuicError as error:
        lookup.failure, lookup.detail = error.failure, error.detail
    except OSError as error:
        lookup.failure, lookup.detail = failures.from_os_error(error)
    lookup.sent_bytes = session.line.sent_bytes - before[0]
    lookup.received_bytes = session.line.received_bytes - before[1]
    return _observations(context, spec, t0, lookup)
