"""Observations: facts as measured, one flat row each.

Kinds share one row type because the stored form is one flat schema: a column
that does not apply to a step is null. Bytes are bytes, times are seconds since
the start of the run on a monotonic clock, and nothing here is a judgement.
"""

from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from probe.model import failure as failures
from probe.model.target import CombinationRule, QueryType, ResolverProtocol

Step = Literal[
    "route",
    "dns",
    "tcp",
    "proxy",
    "tls",
    "http",
    "udp",
    "quic",
    "mtproto",
    "mtproto_key",
    "writes",
    "special_config",
]
STEPS: tuple[Step, ...] = get_args(Step)

Role = Literal["test", "control", "contrast", "resolver"]
"""``test``: the target itself; ``control``: known-good hosts and names;
``contrast``: the target's address under an innocuous name; ``resolver``: the
connection to an encrypted resolver."""

FollowUp = Literal[
    "other_name",
    "name_elsewhere",
    "harmless_elsewhere",
    "second_hello",
    "small_hello",
    "large_hello",
    "ech",
    "ech_other_name",
    "quic",
    "quic_other_name",
    "other_port",
    "neighbour",
    "udp_twin",
    "other_payload",
    "tiny_writes",
    "paired",
    "hop",
    "residual",
    "portal",
    "unroutable",
    "no_resolver",
    "heartbeat",
]
"""Which separating probe or special control a row belongs to; null for the plain
measurement of an endpoint and for known-good hosts. docs/glossary.md says each."""

HelloProfile = Literal["default", "tls12", "small", "large", "ech", "chrome", "firefox", "safari"]
"""The form of a ClientHello: the TLS library's own, the same without TLS 1.3, one of
ours by size and extensions (``ech``: with Encrypted Client Hello, RFC 9849), or a
browser's."""

HelloSplit = Literal["segments", "records"]
"""How a ClientHello is cut within its server name: into two TCP segments, or into two
TLS records (RFC 8446 section 5.1) in one."""

Tactic = Literal[
    "none",
    "socks5",
    "http_connect",
    "mtproxy",
    "encrypted_dns",
    "ipv4",
    "ipv6",
    "other_port",
    "segment_split",
    "record_split",
    "tls12",
    "chrome",
    "firefox",
    "safari",
    "ech",
    "http3",
    "abridged",
    "intermediate",
    "padded",
    "full",
    "http_transport",
    "websocket",
    "special_config",
    "withheld",
]
"""A way around a block; ``none`` is the direct way. docs/glossary.md says each."""

TACTICS: tuple[Tactic, ...] = get_args(Tactic)

MtprotoTransport = Literal[
    "abridged", "intermediate", "padded", "full", "obfuscated", "http", "websocket"
]
"""MTProto's transports: framings over TCP (``obfuscated`` is padded intermediate inside
obfuscated2), the body of a POST, or obfuscated2 inside a WebSocket (RFC 6455)."""

FailureString = Annotated[str, Meta(pattern=failures.PATTERN)]
Seconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]


class DnsAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One resource record: ``value`` is an address or a name.

    ``is_bogon``: the address is not globally routable (RFC 6890).
    ``is_expected``: inside the service's published ranges; null if it has none.
    """

    type: Annotated[str, Meta(max_length=16)]
    value: Annotated[str, Meta(max_length=255)]
    ttl_s: Count | None
    is_bogon: bool
    is_expected: bool | None


class DnsResponse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One datagram (or stream message), kept in order of arrival.

    ``t`` is seconds since the query was sent. ``is_valid``: the id, question
    and sender match the query. ``ip_ttl`` is the hop limit it arrived with.
    """

    t: Seconds
    rcode: Annotated[str, Meta(max_length=16)]
    is_valid: bool
    answers: tuple[DnsAnswer, ...]
    size_bytes: Count
    ip_ttl: Annotated[int, Meta(ge=0, le=255)] | None


class Certificate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One certificate of the presented chain (RFC 5280), leaf first."""

    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    subject: str
    issuer: str
    not_before: str
    not_after: str
    subject_alt_names: tuple[str, ...]


class Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One response header of interest; addresses in the value are scrubbed."""

    name: str
    value: str


class Observation(Struct, frozen=True, kw_only=True):
    """One step against one address, or one query to one resolver.

    ``chain_id`` joins the steps of one connection. ``endpoint_id`` is
    ``address:port`` as the target list names it, ``member`` the group that n of
    N counts. ``attempt`` counts from 1: a retry is an observation of its own.
    ``failure`` is null exactly if the step succeeded. ``failure_detail`` holds
    errno name, verify code or protocol reason. ``loop_lag_s`` is the largest
    delay of our own event loop while the step ran: facts timed under load say so.
    ``first_byte_s`` runs from the step's first byte sent to the first one received.
    ``ech_is_accepted``: the server proved that it read the encrypted hello (RFC 9849
    section 7.2). ``mtproto_key`` is the fingerprint of the RSA key that the peer proved to hold.
    ``config_endpoints`` is how many addresses a verified special config names; which ones
    they are is not kept.
    ``icmp_origin`` says whether an ICMP error came from the address's own network (/24,
    /48), from this device, or from somebody on the path; who that was is not kept.
    """

    observation_id: Annotated[str, Meta(pattern=r"^o[0-9]{5,}$")]
    chain_id: Annotated[str, Meta(pattern=r"^c[0-9]{5,}$")]
    step: Step
    role: Role
    service_id: str | None
    target_id: str | None
    combination_rule: CombinationRule | None
    control_id: str | None
    endpoint_id: str
    member: str
    tactic: Tactic = "none"
    proxy_id: str | None = None
    attempt: Annotated[int, Meta(ge=1)] = 1
    t0: Seconds
    t: Seconds
    failure: FailureString | None
    failure_detail: Annotated[str, Meta(max_length=200)] | None = None
    loop_lag_s: Seconds = 0.0
    sent_bytes: Count = 0
    received_bytes: Count = 0
    follow_up: FollowUp | None = None
    first_byte_s: Seconds | None = None

    hostname: str | None = None
    address: str | None = None
    port: int | None = None
    ip_version: Literal[4, 6] | None = None

    resolver_id: str | None = None
    resolver_protocol: ResolverProtocol | None = None
    query_type: QueryType | None = None
    rcode: str | None = None
    responses: tuple[DnsResponse, ...] = ()

    tcp_rtt_s: Seconds | None = None
    tcp_retransmits: Count | None = None
    tcp_unacked: Count | None = None
    bytes_acked: Count | None = None
    bytes_received: Count | None = None
    icmp_type: Annotated[int, Meta(ge=0, le=255)] | None = None
    icmp_code: Annotated[int, Meta(ge=0, le=255)] | None = None
    icmp_origin: Literal["target", "path", "local"] | None = None

    server_name: str | None = None
    tls_version: str | None = None
    cipher_suite: str | None = None
    alpn: str | None = None
    verify_code: int | None = None
    first_flight_bytes: Count | None = None
    hello_profile: HelloProfile | None = None
    hello_split: HelloSplit | None = None
    ech_is_accepted: bool | None = None
    hop_limit: Annotated[int, Meta(ge=1, le=255)] | None = None
    peer_certificates: tuple[Certificate, ...] = ()

    path: str | None = None
    status_code: Annotated[int, Meta(ge=100, le=999)] | None = None
    headers: tuple[Header, ...] = ()
    title: str | None = None
    body_bytes: Count | None = None
    body_duration_s: Seconds | None = None
    body_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    body_is_truncated: bool | None = None
    body_text: Annotated[str, Meta(max_length=500)] | None = None

    mtproto_transport: MtprotoTransport | None = None
    clock_offset_s: float | None = None
    mtproto_key: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")] | None = None

    config_endpoints: Count | None = None
    config_expires: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None

    def accepted_addresses(self) -> tuple[str, ...]:
        """Addresses of the first valid response, as an ordinary stub would take them."""
        for response in self.responses:
            if response.is_valid:
                return tuple(a.value for a in response.answers if a.type in {"A", "AAAA"})
        return ()
