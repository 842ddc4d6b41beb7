"""The simulated internet: names, addresses, and the targets list that describes it.

All addresses are loopback, so nothing can leave the machine. The service
publishes its addresses as its own range: an answer inside 127.0.0.0/8 is then
an expected one, not a bogon.

Where loopback has one address instead of 127.0.0.0/8 (macOS, Windows), every
place is at that one, with a port of its own: see `together`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from censorlab.peers.site import DOH_PATH
from probe.model.target import Control, Endpoint, Resolver, Service, Target, Targets

Placement = Callable[[str], str]
"""From a place's address in the topology to the one where it really is."""

ONE_ADDRESS: Final = "127.0.0.1"


def spread(address: str) -> str:
    """Put each place at its own address: needs all of 127.0.0.0/8."""
    return address


def together(_address: str) -> str:
    """Put every place at `ONE_ADDRESS`."""
    return ONE_ADDRESS


def placed(addresses: Iterable[str], placement: Placement) -> tuple[str, ...]:
    """Where these addresses really are, each once."""
    return tuple(dict.fromkeys(map(placement, addresses)))


SERVICE: Final = "messenger"
SERVICE_RANGE: Final = "127.10.0.0/16"
SERVICE_PATTERN: Final = "*.messenger.test"
DC_POOL: Final = "messenger/dc_pool"
WEB: Final = "messenger/web"

DC_ADDRESSES: Final = {f"dc{n}": f"127.10.{n}.1" for n in range(1, 6)}
WEB_ADDRESSES: Final = {
    "web.messenger.test": ("127.10.21.1", "127.10.22.1"),
    "t.messenger.test": ("127.10.23.1", "127.10.24.1"),
}

INNOCUOUS_NAME: Final = "www.example.test"
DEFAULT_NAME: Final = "default.lab.test"
"""On the certificate shown for any server name that the lab does not host."""

PAGE_PATH: Final = "/page"


class KnownGood(NamedTuple):
    """A control host: another operator, another address, never blocked alone."""

    id: str
    operator: str
    server_name: str
    address: str


KNOWN_GOOD: Final = (
    KnownGood("alpha", "Alpha (simulated)", "www.alpha.test", "127.20.1.1"),
    KnownGood("beta", "Beta (simulated)", "www.beta.test", "127.20.2.1"),
    KnownGood("gamma", "Gamma (simulated)", "www.gamma.test", "127.20.3.1"),
)

RESOLVER_ADDRESS: Final = "127.30.1.1"
RESOLVER_NAME: Final = "dns.lab.test"
HONEST_RESOLVER_ADDRESS: Final = "127.30.2.1"
"""Of the resolver whose path the censor's DNS rules do not cover."""

ALL_DC_ADDRESSES: Final = tuple(DC_ADDRESSES.values())
ALL_WEB_ADDRESSES: Final = tuple(a for pair in WEB_ADDRESSES.values() for a in pair)

ZONE: Final[dict[str, tuple[str, ...]]] = {
    **WEB_ADDRESSES,
    **{host.server_name: (host.address,) for host in KNOWN_GOOD},
    RESOLVER_NAME: (RESOLVER_ADDRESS,),
}


def zone(placement: Placement) -> dict[str, tuple[str, ...]]:
    """Return what an honest resolver answers."""
    return {name: placed(addresses, placement) for name, addresses in ZONE.items()}


ADDED_ADDRESSES: Final = tuple(f"127.40.1.{n}" for n in range(1, 255))
"""For servers added while the lab runs: each takes the first that is free."""


def targets_list(
    ports: Mapping[str, int], trust_anchor: str, placement: Placement = spread
) -> Targets:
    """Describe the lab for a prober.

    ``ports`` are keyed by endpoint group, known-good id and resolver id. There
    is no ``resolvable_name`` control: that one asks the host's own resolver.
    """
    resolver_address = placement(RESOLVER_ADDRESS)
    return Targets(
        schema_version="1.0",
        name="Simulated messenger on loopback",
        updated="2030-03-01",
        services=(
            Service(
                id=SERVICE,
                name="Messenger (simulated)",
                category_code="COMT",
                address_ranges=(SERVICE_RANGE if placement is spread else f"{ONE_ADDRESS}/32",),
            ),
        ),
        targets=(
            Target(
                id=DC_POOL,
                service=SERVICE,
                combination_rule="any_of",
                name="Data centres",
                endpoints=tuple(
                    Endpoint(
                        address=placement(address), port=ports[group], probes=("tcp",), group=group
                    )
                    for group, address in DC_ADDRESSES.items()
                ),
            ),
            Target(
                id=WEB,
                service=SERVICE,
                combination_rule="all_of",
                name="Web",
                endpoints=tuple(
                    Endpoint(
                        address=name,
                        port=ports[name],
                        probes=("dns", "tcp", "tls", "http"),
                        server_name=name,
                        alpn=("http/1.1",),
                        group=name,
                    )
                    for name in WEB_ADDRESSES
                ),
            ),
        ),
        controls=(
            *(
                Control(
                    id=host.id,
                    kind="known_good",
                    operator=host.operator,
                    address=placement(host.address),
                    port=ports[host.id],
                    server_name=host.server_name,
                    path=PAGE_PATH,
                )
                for host in KNOWN_GOOD
            ),
            Control(id="innocuous", kind="innocuous_name", server_name=INNOCUOUS_NAME),
        ),
        resolvers=(
            Resolver(id="lab-udp", protocol="udp", address=resolver_address, port=ports["lab-udp"]),
            Resolver(id="lab-tcp", protocol="tcp", address=resolver_address, port=ports["lab-tcp"]),
            Resolver(
                id="lab-dot",
                protocol="dot",
                address=resolver_address,
                port=ports["lab-dot"],
                server_name=RESOLVER_NAME,
            ),
            Resolver(
                id="lab-doh",
                protocol="doh",
                address=resolver_address,
                port=ports["lab-doh"],
                server_name=RESOLVER_NAME,
                path=DOH_PATH,
            ),
            Resolver(
                id="lab2-udp",
                protocol="udp",
                address=placement(HONEST_RESOLVER_ADDRESS),
                port=ports["lab2-udp"],
            ),
        ),
        trust_anchors=(trust_anchor,),
    )
