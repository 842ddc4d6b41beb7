"""What a run promises to do: step specifications, chains, the plan.

A chain is one connection's worth of steps in the order they happen on the wire.
A chain without an address waits for DNS: it is expanded once per answered
address, up to ``max_addresses``, and nothing else may open a socket.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from probe.model.observation import (
    FollowUp,
    HelloProfile,
    HelloSplit,
    MtprotoTransport,
    Role,
    Tactic,
)
from probe.model.target import CombinationRule, QueryType, Resolver

PUBLIC_TRUST: Final = "public"
"""Trust key of the public web's authorities: certifi's bundle, the same on every
machine. The system store is not used: an antivirus or employer adds its own
authority there, and interception by it is a fact to record, not to hide."""

LIST_TRUST: Final = "list"
"""Trust key of the target list's own anchors; a service's own go by its id."""

TlsProfile = Literal["default", "tls12", "chrome", "firefox", "safari"]
"""Forms of hello with which a whole handshake can be made."""

NO_TRUST: Final = "none"
"""Trust key of a contrast: the name sent is not the server's, so only whether the
handshake completes is of interest, not whose certificate it is."""


class Owner(Struct, frozen=True, kw_only=True):
    """Whose fact it is: an endpoint of a target, a control, or a resolver."""

    endpoint_id: str
    member: str
    service_id: str | None = None
    target_id: str | None = None
    combination_rule: CombinationRule | None = None
    control_id: str | None = None


class DnsLookup(Struct, frozen=True, kw_only=True, tag=True):
    """Ask one resolver one question.

    A host name that serves several endpoints is asked about once; the answer is
    recorded for each owner.
    """

    hostname: str
    query_type: QueryType
    resolver: Resolver
    owners: tuple[Owner, ...]
    expected_ranges: tuple[str, ...]
    timeout_s: float


class TcpConnect(Struct, frozen=True, kw_only=True, tag=True):
    """Connect to the chain's address and port."""

    timeout_s: float


class ProxyConnect(Struct, frozen=True, kw_only=True, tag=True):
    """Ask the proxy behind the connection for a tunnel to the chain's endpoint.

    ``proxy_index`` points into the run's proxies; their addresses and secrets
    are never part of a plan.
    """

    proxy_index: int
    timeout_s: float


class TlsHandshake(Struct, frozen=True, kw_only=True, tag=True):
    """Handshake and verify. ``trust`` is a key of the run's trust stores.

    A browser's profile needs the extra ``fingerprint``. ``split``: how the hello is
    cut within its server name, if at all.
    """

    server_name: str
    alpn: tuple[str, ...]
    trust: str
    timeout_s: float
    profile: TlsProfile = "default"
    split: HelloSplit | None = None


class HelloProbe(Struct, frozen=True, kw_only=True, tag=True):
    """Send one ClientHello of our own making and wait for the first answer.

    ``hop_limit``: the hello's packets die after so many routers (None: the
    system's); the handshake of TCP before it went the whole way.
    """

    server_name: str
    profile: HelloProfile
    timeout_s: float
    hop_limit: int | None = None


class EchProbe(Struct, frozen=True, kw_only=True, tag=True):
    """Send one ClientHello whose name is encrypted to the key that the host publishes.

    The key comes from the run's HTTPS lookup of ``server_name`` (RFC 9848); without
    one the step is skipped.
    """

    server_name: str
    timeout_s: float


class MtprotoHandshake(Struct, frozen=True, kw_only=True, tag=True):
    """Send req_pq_multi in one transport and verify the resPQ.

    ``host`` and ``path`` are of the transports over HTTP. ``public_keys``: RSA keys in
    PEM whose fingerprints are expected beside Telegram's own.
    """

    transport: MtprotoTransport
    dc_id: int
    timeout_s: float
    host: str = ""
    path: str = ""
    public_keys: tuple[str, ...] = ()


class MtprotoKeyProof(Struct, frozen=True, kw_only=True, tag=True):
    """Go on from a verified resPQ to server_DH_params, which needs the RSA key's owner."""

    timeout_s: float
    public_keys: tuple[str, ...] = ()


class ProxyHandshake(Struct, frozen=True, kw_only=True, tag=True):
    """Reach a data centre through the run's MTProxy ``proxy_index``: a verified resPQ.

    ``trust`` is for the certificate of a WEB proxy.
    """

    proxy_index: int
    dc_id: int
    timeout_s: float
    trust: str = PUBLIC_TRUST


class SpecialConfig(Struct, frozen=True, kw_only=True, tag=True):
    """Fetch a signed list of data centre addresses and verify its signature.

    ``host`` is the Host header (not the server name where the request is fronted);
    ``form`` says how the answer carries the text. ``public_keys`` as in `MtprotoHandshake`.
    """

    host: str
    path: str
    form: Literal["dns_json", "text"]
    timeout_s: float
    public_keys: tuple[str, ...] = ()


class Http3Request(Struct, frozen=True, kw_only=True, tag=True):
    """Finish a QUIC handshake, verify the certificate, GET a path over HTTP/3 (RFC 9114)."""

    server_name: str
    path: str
    trust: str
    max_body_bytes: int
    timeout_s: float


class TinyWrites(Struct, frozen=True, kw_only=True, tag=True):
    """Write two bytes at a time: a limit of packets shows, one of bytes does not."""

    writes: int
    timeout_s: float


class UdpProbe(Struct, frozen=True, kw_only=True, tag=True):
    """Send one small datagram and listen for an answer or an ICMP error."""

    timeout_s: float


class QuicHandshake(Struct, frozen=True, kw_only=True, tag=True):
    """Send a QUIC Initial (RFC 9001) naming a server and wait for the first answer."""

    server_name: str
    timeout_s: float


class HttpRequest(Struct, frozen=True, kw_only=True, tag=True):
    """GET a path with a bounded body."""

    host: str
    path: str
    max_body_bytes: int
    timeout_s: float


StepSpec = (
    DnsLookup
    | TcpConnect
    | ProxyConnect
    | TlsHandshake
    | HttpRequest
    | HelloProbe
    | MtprotoHandshake
    | TinyWrites
    | UdpProbe
    | QuicHandshake
    | EchProbe
    | MtprotoKeyProof
    | ProxyHandshake
    | SpecialConfig
    | Http3Request
)

Trigger = Literal[
    "start",
    "passed",
    "connect_failed",
    "hello_failed",
    "hello_varies",
    "certificate_failed",
    "http_failed",
    "http_slow",
    "mtproto_failed",
    "quic_failed",
    "ech_failed",
    "answer_odd",
    "resolver_failed",
    "last",
    "asked",
    "way",
]
"""When a chain runs: at once, or as a declared follow-up of its endpoint.

``passed``: after the endpoint's own chain succeeded. ``connect_failed`` …
``ech_failed``: the step failed, or is silent for so long that it probably will.
``hello_varies``: the second form of hello passes. ``answer_odd``: a plain-HTTP answer that may
be somebody else's. ``resolver_failed``: no encrypted resolver that names of a long list were shared
out to answered them. ``http_slow``: a body far slower than the control's; such chains
run in interleaved pairs. ``last``: after everything, because it may disturb
controls. ``asked``: only if the person asked for it. ``way``: after everything, on
request, where the direct way failed: a way around.
"""


class Chain(Struct, frozen=True, kw_only=True):
    """Steps over one connection, and what they are for.

    ``attempts`` is how often the chain is tried at most until it succeeds; for
    ``http_slow`` it is the largest number of pairs.
    """

    role: Role
    owner: Owner
    port: int
    steps: tuple[StepSpec, ...]
    address: str | None = None
    hostname: str | None = None
    tactic: Tactic = "none"
    proxy_id: str | None = None
    trigger: Trigger = "start"
    follow_up: FollowUp | None = None
    attempts: Annotated[int, Meta(ge=1)] = 1
    max_addresses: int = 1


class Budget(Struct, frozen=True, kw_only=True):
    """What a plan costs if all answers come at once: sockets, and bytes both ways.

    Retries and follow-ups come on top where something fails; silence is cheap, and
    beyond ``max_bytes`` no follow-up is started. ``ways_bytes`` are for ways around,
    beside the rest.
    """

    sockets: int
    bytes: int
    max_bytes: int
    ways_bytes: int = 0


class Plan(Struct, frozen=True, kw_only=True):
    """Everything a run may do: controls, lookups, chains, follow-ups."""

    seed: int
    controls: tuple[Chain, ...]
    lookups: tuple[Chain, ...]
    chains: tuple[Chain, ...]
    follow_ups: tuple[Chain, ...]
    budget: Budget
