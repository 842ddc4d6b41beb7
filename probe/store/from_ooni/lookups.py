"""Questions to resolvers -> rows of step ``dns``, the test helper's answers beside ours."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

import dns.rcode

from probe.model import failure as failures
from probe.model.observation import DnsAnswer, DnsResponse
from probe.model.target import ResolverProtocol
from probe.store.from_ooni.connections import Lookup, failed
from probe.store.from_ooni.facts import failure_of
from probe.store.from_ooni.measurement import BadRecordError, HelperDns, address_of, shown
from probe.wire.addresses import ip_version, is_bogon
from probe.wire.dns import MAX_ANSWERS

TEST_HELPER: Final = "test-helper"

MAX_LATE: Final = 15
"""Late replies kept of a lookup; more than one is a flood, not a race."""

QueryType = Literal["A", "AAAA"]
_TYPES: Final[tuple[QueryType, ...]] = ("A", "AAAA")

_PROTOCOLS: Final[dict[str, ResolverProtocol]] = {
    "": "system",
    "system": "system",
    "getaddrinfo": "system",
    "golang_net_resolver": "system",
    "udp": "udp",
    "tcp": "tcp",
    "dot": "dot",
    "doh": "doh",
    "doh3": "doh",
}
_HEADER_BYTES: Final = 12


class Question(NamedTuple):
    """One question of one type, as our rows have it."""

    hostname: str
    query_type: QueryType
    resolver_id: str
    resolver_protocol: ResolverProtocol
    failure: str | None
    failure_detail: str | None
    rcode: str | None
    responses: tuple[DnsResponse, ...]
    t0: float
    t: float


class Resolvers:
    """Names for resolvers, by order of appearance: which ones they were is not kept."""

    def __init__(self) -> None:
        self._names: dict[tuple[ResolverProtocol, str], str] = {}

    def name(self, protocol: ResolverProtocol, address: str) -> str:
        """Return the name of a resolver; the system's has one name everywhere."""
        if protocol == "system":
            return "system"
        same = sum(known[0] == protocol for known in self._names)
        return self._names.setdefault((protocol, address), f"ooni-{protocol}-{same + 1}")


def questions(lookups: Sequence[Lookup], duplicates: Sequence[Lookup]) -> Iterator[Question]:
    """Yield what was asked, in OONI's order; raises BadRecordError.

    ``getaddrinfo`` asks for both types at once: its answers are two questions here,
    its failure is the failure of both. Types other than A and AAAA are left out.
    """
    resolvers = Resolvers()
    by_question: dict[tuple[int | None, str, str], list[Lookup]] = defaultdict(list)
    for other in duplicates:
        by_question[_question(other)].append(other)
    for i, lookup in enumerate(lookups):
        query = lookup.query
        here = f"$.test_keys.queries[{i}]"
        protocol = _PROTOCOLS.get(query.engine or "")
        if protocol is None:
            raise BadRecordError(f"{here}.engine: {shown(query.engine or '')} is not known")
        resolver = resolvers.name(protocol, query.resolver_address or "")
        late = by_question[_question(lookup)][:MAX_LATE] if query.transaction_id else ()
        for kind in _types(lookup):
            failure, detail = failure_of(query.failure)
            responses = tuple(
                response
                for item in (lookup, *late)
                if (response := _response(item, kind, protocol)) is not None
            )
            t = query.t or 0.0
            yield Question(
                hostname=lookup.hostname,
                query_type=kind,
                resolver_id=resolver,
                resolver_protocol=protocol,
                failure=failure,
                failure_detail=detail,
                rcode=responses[0].rcode if responses and protocol != "system" else None,
                responses=responses,
                t0=round(t if query.t0 is None else min(query.t0, t), 6),
                t=round(t, 6),
            )


def helper_questions(helper: HelperDns, hostname: str) -> Iterator[Question]:
    """Yield what an honest resolver elsewhere said; raises BadRecordError.

    The test helper asks over HTTPS; when is not recorded, so both times are 0.
    """
    addresses = [
        address_of(text, f"$.test_keys.control.dns.addrs[{i}]")
        for i, text in enumerate((helper.addrs or ())[:MAX_ANSWERS])
    ]
    failure, detail = failure_of(helper.failure)
    # It gives an empty list without failure for a name without addresses.
    failure = failure or (None if addresses else failures.DNS_NO_ANSWER)
    for kind in _TYPES:
        own = tuple(_answer(kind, a, None) for a in addresses if _kind(a) == kind)
        if own or failure is not None:
            response = DnsResponse(
                t=0.0, rcode="NOERROR", is_valid=True, answers=own, size_bytes=0, ip_ttl=None
            )
            yield Question(
                hostname=hostname,
                query_type=kind,
                resolver_id=TEST_HELPER,
                resolver_protocol="doh",
                failure=failure,
                failure_detail=detail,
                rcode="NOERROR" if own else None,
                responses=(response,) if own else (),
                t0=0.0,
                t=0.0,
            )


def _types(lookup: Lookup) -> tuple[QueryType, ...]:
    query = lookup.query
    if query.query_type in {"A", "AAAA"}:
        return ("A",) if query.query_type == "A" else ("AAAA",)
    if query.query_type != "ANY":
        return ()
    found = {_kind(address) for address in lookup.addresses}
    return _TYPES if failed(query.failure) else tuple(kind for kind in _TYPES if kind in found)


def _question(lookup: Lookup) -> tuple[int | None, str, str]:
    """Return what a late reply has in common with the first one."""
    return lookup.query.transaction_id, lookup.hostname, lookup.query.query_type


def _response(lookup: Lookup, kind: QueryType, protocol: ResolverProtocol) -> DnsResponse | None:
    """Return what came back; None if nothing is known to have."""
    query = lookup.query
    raw = query.raw_response or b""
    if not raw and failed(query.failure):
        return None
    answers = []
    for answer in query.answers or ():
        address = answer.ipv4 or answer.ipv6
        if address and _kind(address) == kind:
            answers.append(_answer(kind, address, answer.ttl))
        elif answer.answer_type == "CNAME" and answer.hostname:
            name = answer.hostname.rstrip(".")[:255]
            ttl = answer.ttl
            answers.append(
                DnsAnswer(type="CNAME", value=name, ttl_s=ttl, is_bogon=False, is_expected=None)
            )
    began = query.t if query.t0 is None else query.t0
    return DnsResponse(
        t=round(max(0.0, (query.t or 0.0) - (began or 0.0)), 6),
        rcode=_rcode(raw) if protocol != "system" else "NOERROR",
        is_valid=True,
        answers=tuple(answers[:MAX_ANSWERS]),
        size_bytes=len(raw),
        ip_ttl=None,
    )


def _rcode(raw: bytes) -> str:
    """Return the name of a message's response code (RFC 1035, 4.1.1)."""
    code = raw[3] & 15 if len(raw) >= _HEADER_BYTES else 0
    return dns.rcode.to_text(dns.rcode.Rcode(code))


def _kind(address: str) -> str:
    return "A" if ip_version(address) == 4 else "AAAA"


def _answer(kind: str, address: str, ttl: int | None) -> DnsAnswer:
    return DnsAnswer(
        type=kind, value=address, ttl_s=ttl, is_bogon=is_bogon(address), is_expected=None
    )
