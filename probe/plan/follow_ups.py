"""The separating probes: what is tried beside an endpoint when it fails, declared up front.

Each differs from the plain measurement in one respect, so that its outcome rules
out every explanation that this respect has no part in (censorship methods, 1).
"""

import ipaddress
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from probe.model.observation import FollowUp
from probe.model.step import (
    NO_TRUST,
    Chain,
    HelloProbe,
    HttpRequest,
    MtprotoHandshake,
    QuicHandshake,
    StepSpec,
    TcpConnect,
    TinyWrites,
    TlsHandshake,
    Trigger,
    UdpProbe,
)
from probe.model.target import Control, Service, Target, Targets
from probe.wire.addresses import is_address, network_of, parse_ranges

SLOW_PAIRS: Final = 6
"""Interleaved pairs of a slow transfer and its contrast, at most: a rule asks for
three that our own load did not spoil, and one that is not slow settles it."""

PAIR_BODY_BYTES: Final = 24 * 1024
"""Body of one transfer of a pair: past slow start and past a policer's burst (ten
full packets), small enough that three pairs of two hosts fit the default megabyte."""

ASKED_PAIR_BODY_BYTES: Final = 160 * 1024
"""The same on request: six pairs of these are the 2 MB that a person is told of."""

TINY_WRITES: Final = 40
"""More than the 25 packets of the limit that is reported, both ways counted."""

TINY_WRITES_TIMEOUT_S: Final = 6.0

BESIDE_CONNECT_TIMEOUT_S: Final = 1.6
"""Two SYNs: whether a connect beside a failed one succeeds decides no more than that."""

UDP_TIMEOUT_S: Final = 1.4
"""Two datagrams: routers answer so many a second, and one may be lost."""

QUIC_TIMEOUT_S: Final = 1.6
"""Initials at 0, 0.3 and 0.9 s or so: three of them lost on a line that loses one
packet in fifty each way is a chance of one in 15,000."""

OPERATORS_TO_SPARE_ONE: Final = 3

MAX_HOPS: Final = 12
"""Middleboxes of national firewalls sit within the first hops: of the TSPU's 70 %
within two (IMC 2022); a dozen reaches the border of any country."""

_LABEL: Final = 63

Asked = Literal["locate", "residual", "throttling", "key"]
"""``locate``: at which hop hellos are interfered with. ``residual``: whether a harmless
name fails after a forbidden one, and for how long. ``throttling``: longer transfers.
``key``: whether data centres hold the key of their service."""

_ASKED_FOR: Final[dict[Asked, FollowUp]] = {
    "locate": "hop",
    "residual": "residual",
    "throttling": "paired",
}


def innocuous_name(base: str, length: int) -> str:
    """Return a name under ``base`` of ``length`` characters, or ``base`` if that is longer.

    Hellos of one length are dropped alike by whatever drops by size.
    """
    missing = length - len(base) - 1
    if missing < 1:
        return base
    labels = []
    while missing > 0:
        take = min(missing, _LABEL)
        # A label of nothing would be left after 63 letters and a dot.
        take -= missing - take == 1
        labels.append("w" * take)
        missing -= take + 1
    return ".".join([*labels, base])


def follow_ups_of(
    targets: Targets,
    service: Service,
    target: Target,
    chain: Chain,
    asked: frozenset[Asked] = frozenset(),
) -> list[Chain]:
    """Declare what may follow the chain of one endpoint.

    What the person has to ask for is in it only if ``asked``.
    """
    kinds = {type(step) for step in chain.steps}
    found = [*_beside_connect(service, chain)]
    other = _innocuous(targets.controls, target)
    if TlsHandshake in kinds:
        found += _beside_hello(targets, chain, other, asked)
    elif HttpRequest in kinds and other is not None:
        found += _beside_request(targets, chain, other)
    if MtprotoHandshake in kinds:
        found += _beside_mtproto(chain, other)
    wanted = {_ASKED_FOR[one] for one in asked if one in _ASKED_FOR}
    return [one for one in found if one.trigger != "asked" or one.follow_up in wanted]


def resolver_follow_ups(targets: Targets, opening: Chain) -> list[Chain]:
    """Declare what separates a blocked resolver from one that is down.

    Its address at the port of the other encrypted protocol, and under a harmless name.
    """
    other = next((c for c in targets.controls if c.kind == "innocuous_name"), None)
    connect = _connect(opening)
    hello = next(step for step in opening.steps if isinstance(step, TlsHandshake))
    port = 853 if opening.port == 443 else 443
    found = [_derived(opening, "other_port", "connect_failed", [connect], port=port)]
    if other is not None:
        name = innocuous_name(other.server_name, len(hello.server_name))
        harmless = msgspec.structs.replace(hello, server_name=name, trust=NO_TRUST)
        found.append(
            _derived(opening, "other_name", "hello_failed", [connect, harmless], attempts=2)
        )
    return found


def _derived(
    chain: Chain,
    follow_up: FollowUp,
    trigger: Trigger,
    steps: Iterable[StepSpec],
    *,
    attempts: int = 1,
    port: int | None = None,
) -> Chain:
    return msgspec.structs.replace(
        chain,
        role="contrast",
        follow_up=follow_up,
        trigger=trigger,
        steps=tuple(steps),
        attempts=attempts,
        port=chain.port if port is None else port,
    )


def _innocuous(controls: Iterable[Control], target: Target) -> Control | None:
    return next(
        (c for c in controls if c.kind == "innocuous_name" and c.pairs_with in {"*", target.id}),
        None,
    )


def _connect(chain: Chain) -> TcpConnect:
    return next(step for step in chain.steps if isinstance(step, TcpConnect))


def _beside_connect(service: Service, chain: Chain) -> list[Chain]:
    connect = TcpConnect(timeout_s=BESIDE_CONNECT_TIMEOUT_S)
    found = [
        _derived(
            chain, "other_port", "connect_failed", [connect], port=80 if chain.port != 80 else 443
        ),
        _derived(chain, "udp_twin", "connect_failed", [UdpProbe(timeout_s=UDP_TIMEOUT_S)]),
    ]
    neighbour = _neighbour(service, chain.address)
    if neighbour is not None:
        twin = _derived(chain, "neighbour", "connect_failed", [connect])
        found.append(msgspec.structs.replace(twin, address=neighbour))
    return found


def _neighbour(service: Service, address: str | None) -> str | None:
    """Return the next address of the same network, if the service's operator has it.

    Strangers' hosts are not ours to knock at.
    """
    if address is None or not is_address(address):
        return None
    own = ipaddress.ip_address(address)
    if int(own) == 2**own.max_prefixlen - 1:
        return None  # the last address there is
    beside = own + 1
    owned = any(
        beside in block
        for block in parse_ranges(service.address_ranges)
        if block.version == beside.version
    )
    return str(beside) if owned and network_of(str(beside)) == network_of(address) else None


def _beside_hello(
    targets: Targets, chain: Chain, other: Control | None, asked: frozenset[Asked]
) -> list[Chain]:
    connect = _connect(chain)
    hello = next(step for step in chain.steps if isinstance(step, TlsHandshake))
    request = next((step for step in chain.steps if isinstance(step, HttpRequest)), None)

    def raw(profile: FollowUp, name: str = hello.server_name) -> list[StepSpec]:
        form = {"small_hello": "small", "large_hello": "large"}.get(profile, "ech")
        return [
            connect,
            HelloProbe(server_name=name, profile=form, timeout_s=hello.timeout_s),  # type: ignore[arg-type] # three of the profiles
        ]

    found = [
        _derived(
            chain,
            "second_hello",
            "hello_failed",
            [connect, msgspec.structs.replace(hello, profile="tls12")],
        ),
        _derived(chain, "small_hello", "hello_varies", raw("small_hello")),
        _derived(chain, "large_hello", "hello_varies", raw("large_hello")),
        *_located(chain, connect, hello),
    ]
    found += _elsewhere(targets, chain, hello, request, other)
    if other is None:
        return found
    name = innocuous_name(other.server_name, len(hello.server_name))
    harmless = msgspec.structs.replace(hello, server_name=name, trust=NO_TRUST)
    plain: list[StepSpec] = [connect, harmless]
    found += [
        _derived(chain, "other_name", "hello_failed", plain, attempts=2),
        # Verified, for whose certificate is shown to strangers is the question here.
        _derived(
            chain,
            "other_name",
            "certificate_failed",
            [connect, msgspec.structs.replace(harmless, trust=hello.trust)],
        ),
        _derived(chain, "residual", "asked", plain),
    ]
    if request is not None:
        page = msgspec.structs.replace(request, host=name)
        size = ASKED_PAIR_BODY_BYTES if "throttling" in asked else PAIR_BODY_BYTES
        short = msgspec.structs.replace(page, max_body_bytes=size)
        found += [
            _derived(chain, "other_name", "http_failed", [*plain, page], attempts=2),
            _derived(
                chain,
                "tiny_writes",
                "http_failed",
                [connect, TinyWrites(writes=TINY_WRITES, timeout_s=TINY_WRITES_TIMEOUT_S)],
            ),
            _derived(chain, "paired", "http_slow", [*plain, short], attempts=SLOW_PAIRS),
        ]
    return found


def set_apart(controls: Iterable[Control]) -> Control | None:
    """Return the known-good host to which failing names are sent.

    Of three operators or more one can be spared: residual blocking may close its
    address to us, and the other two still say whether the line lasted.
    """
    known = [c for c in controls if c.kind == "known_good"]
    if len({c.operator or c.id for c in known}) < OPERATORS_TO_SPARE_ONE:
        return None
    foreign = [c for c in known if c.scope == "foreign" and ":" not in c.address]
    return (foreign or known)[-1]


def _elsewhere(
    targets: Targets,
    chain: Chain,
    hello: TlsHandshake,
    request: HttpRequest | None,
    other: Control | None,
) -> list[Chain]:
    """The name at a control's address: there the service's own server has no say.

    A harmless name there, once a run, says what its host makes of strangers' names.
    """
    control = set_apart(targets.controls)
    trigger: Trigger = "hello_failed"
    if control is None:
        control = next((c for c in targets.controls if c.kind == "known_good"), None)
        trigger = "last"
    if control is None:
        return []
    steps: list[StepSpec] = [_connect(chain), msgspec.structs.replace(hello, trust=NO_TRUST)]
    found = [_derived(chain, "name_elsewhere", trigger, steps, port=control.port)]
    if trigger != "last":
        # Whoever signs for the name there signs for it anywhere.
        found.append(
            _derived(chain, "name_elsewhere", "certificate_failed", steps, port=control.port)
        )
    if other is not None:
        stranger = msgspec.structs.replace(hello, server_name=other.server_name, trust=NO_TRUST)
        steps_there: list[StepSpec] = [_connect(chain), stranger]
        found.append(
            _derived(
                chain, "harmless_elsewhere", trigger, steps_there, attempts=2, port=control.port
            )
        )
    if request is not None and control.path and trigger != "last":
        # Inside TLS nobody reads the host: the control's own page, under the name outside.
        page = msgspec.structs.replace(request, host=control.server_name, path=control.path)
        steps = [*steps, page]
        found.append(_derived(chain, "name_elsewhere", "http_failed", steps, port=control.port))
    return [msgspec.structs.replace(one, address=control.address, hostname=None) for one in found]


def _located(chain: Chain, connect: TcpConnect, hello: TlsHandshake) -> list[Chain]:
    """Hellos that die after one hop, two, …: the first that is met by a reset shows where."""
    return [
        _derived(
            chain,
            "hop",
            "asked",
            [
                connect,
                HelloProbe(
                    server_name=hello.server_name, profile="small", timeout_s=2.0, hop_limit=hops
                ),
            ],
        )
        for hops in range(1, MAX_HOPS + 1)
    ]


def _beside_request(targets: Targets, chain: Chain, other: Control) -> list[Chain]:
    request = next(step for step in chain.steps if isinstance(step, HttpRequest))
    name = innocuous_name(other.server_name, len(request.host))
    steps: list[StepSpec] = [_connect(chain), msgspec.structs.replace(request, host=name)]
    found = [
        _derived(chain, "other_name", "http_failed", steps, attempts=2),
        _derived(chain, "other_name", "answer_odd", steps, attempts=2),
    ]
    there = next((c for c in targets.controls if c.kind == "portal_check"), None)
    if there is not None:
        asked = msgspec.structs.replace(request, path=there.path or "/")
        steps = [_connect(chain), asked]
        sent = _derived(chain, "name_elsewhere", "http_failed", steps, port=there.port)
        found.append(msgspec.structs.replace(sent, address=there.address, hostname=None))
    return found


def _beside_mtproto(chain: Chain, other: Control | None) -> list[Chain]:
    handshake = next(step for step in chain.steps if isinstance(step, MtprotoHandshake))
    connect = _connect(chain)
    found = [
        _derived(
            chain,
            "second_hello",
            "mtproto_failed",
            [connect, msgspec.structs.replace(handshake, transport="intermediate")],
        )
    ]
    if other is not None:
        request = HttpRequest(
            host=other.server_name, path="/", max_body_bytes=4096, timeout_s=handshake.timeout_s
        )
        found.append(_derived(chain, "other_payload", "mtproto_failed", [connect, request]))
    return found


def side_ways(
    chain: Chain, controls: Iterable[Control], target: Target, *, has_quic: bool, has_ech: bool
) -> tuple[list[Chain], list[Chain]]:
    """Return the other ways to a TLS endpoint: chains to try at once, and follow-ups.

    They are measured beside the ordinary way, since blocking them shows nowhere else.
    """
    hello = next(step for step in chain.steps if isinstance(step, TlsHandshake))
    other = _innocuous(controls, target)
    started: list[Chain] = []
    following: list[Chain] = []
    names = {"": hello.server_name}
    if other is not None:
        names["_other_name"] = innocuous_name(other.server_name, len(hello.server_name))
    if has_quic:
        for suffix, name in names.items():
            step = QuicHandshake(server_name=name, timeout_s=QUIC_TIMEOUT_S)
            if suffix:
                following.append(_derived(chain, "quic_other_name", "quic_failed", [step]))
            else:
                first = _derived(chain, "quic", "start", [step], attempts=2)
                started.append(msgspec.structs.replace(first, role="test", max_addresses=1))
    if has_ech:
        for suffix, name in names.items():
            steps: list[StepSpec] = [
                _connect(chain),
                HelloProbe(server_name=name, profile="ech", timeout_s=hello.timeout_s),
            ]
            follow_up: FollowUp = "ech_other_name" if suffix else "ech"
            trigger: Trigger = "ech_failed" if suffix else "passed"
            following.append(_derived(chain, follow_up, trigger, steps, attempts=2))
    return started, following
