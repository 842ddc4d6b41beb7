"""The simulated internet of the namespaces: names, addresses, and its targets list.

Addresses are global ones, as a prober expects them: nothing can leave a world,
and an address of documentation would be a bogon. The data centres have
Telegram's own, so that unmodified clients can be pointed at them.
"""

from typing import Final, NamedTuple

from censorlab.servers.resolver import DOH_PATH
from probe.model.target import Control, Endpoint, Resolver, Service, Target, Targets

SERVICE: Final = "messenger"
DC_POOL: Final = "messenger/dc_pool"
WEB: Final = "messenger/web"
SITE: Final = "messenger/site"

ADDRESS_RANGES: Final = ("149.154.160.0/20", "2001:67c:4e8::/48")

DC_ADDRESSES: Final = {
    "dc1": "149.154.175.50",
    "dc2": "149.154.167.51",
    "dc3": "149.154.174.100",
    "dc4": "149.154.166.91",
    "dc5": "149.154.171.5",
}
DC_PORTS: Final = (443, 5222)
WEB_NAME: Final = "web.messenger.test"
SHORT_NAME: Final = "t.messenger.test"
SITE_NAME: Final = "site.messenger.test"
"""Plain HTTP, as some services still have it."""

WEB_ADDRESSES: Final = {
    WEB_NAME: ("149.154.165.120", "149.154.170.100", "2001:67c:4e8:1033:1:100:0:a"),
    SHORT_NAME: ("149.154.164.13", "149.154.172.13"),
}
SITE_ADDRESSES: Final = {SITE_NAME: ("149.154.161.20",)}

WEBSOCKET_HOSTS: Final = {
    "dc1": ("ws1.messenger.test", "149.154.175.100"),
    "dc2": ("ws2.messenger.test", "149.154.167.99"),
    "dc3": ("ws3.messenger.test", "149.154.174.110"),
    "dc4": ("ws4.messenger.test", "149.154.166.120"),
    "dc5": ("ws5.messenger.test", "149.154.171.60"),
}
"""Where browsers reach a data centre, in its network, as Telegram has it; there only where a
scenario asks for that way."""
WEBSOCKET_ADDRESSES: Final = tuple(address for _, address in WEBSOCKET_HOSTS.values())

SPARE_ADDRESSES: Final = ("149.154.162.10", "149.154.163.10")
"""Of the service too: where a resolver may send clients of another region."""

DEAD_ADDRESSES: Final = ("149.154.168.7", "149.154.169.7")
"""Routed, and nobody is there."""

UNROUTABLE_ADDRESS: Final = "192.0.2.1"
NO_RESOLVER_ADDRESS: Final = "3.3.3.3"
"""No resolver there; whoever takes all of UDP/53 answers all the same."""

INNOCUOUS_NAME: Final = "www.example.test"
DEFAULT_NAME: Final = "default.lab.test"
"""On the certificate shown for any server name that the town does not host."""

PAGE_PATH: Final = "/page"


class KnownGood(NamedTuple):
    """A control host: another operator, another network, never blocked alone."""

    id: str
    operator: str
    scope: str
    server_name: str
    addresses: tuple[str, ...]


KNOWN_GOOD: Final = (
    KnownGood(
        "alpha",
        "Alpha (simulated)",
        "foreign",
        "www.alpha.test",
        ("93.184.215.14", "2606:2800:21f:cb07::14"),
    ),
    KnownGood("beta", "Beta (simulated)", "foreign", "www.beta.test", ("151.101.65.140",)),
    KnownGood("gamma", "Gamma (simulated)", "ZZ", "www.gamma.test", ("77.88.44.242",)),
)

PAGED_ADDRESSES: Final = tuple(host.addresses[0] for host in KNOWN_GOOD[:2])

ISP_RESOLVER: Final = "195.34.32.116"
PUBLIC_RESOLVER: Final = "9.9.9.9"
RESOLVER_NAME: Final = "dns.lab.test"

PORTAL_ADDRESS: Final = "172.20.0.1"

ZONE: Final[dict[str, tuple[str, ...]]] = {
    **WEB_ADDRESSES,
    **SITE_ADDRESSES,
    **{host.server_name: host.addresses for host in KNOWN_GOOD},
    RESOLVER_NAME: (PUBLIC_RESOLVER,),
}

ALL_DC_ADDRESSES: Final = tuple(DC_ADDRESSES.values())
ALL_WEB_ADDRESSES: Final = tuple(a for own in WEB_ADDRESSES.values() for a in own)
ALL_CONTROL_ADDRESSES: Final = tuple(a for host in KNOWN_GOOD for a in host.addresses)
SITE_ADDRESS: Final = SITE_ADDRESSES[SITE_NAME][0]

PLACES: Final[dict[str, tuple[str, ...]]] = {
    **{f"@{name}": (address,) for name, address in DC_ADDRESSES.items()},
    "@dcs": ALL_DC_ADDRESSES,
    "@web": ALL_WEB_ADDRESSES,
    "@site": (SITE_ADDRESS,),
    "@service": (*ALL_DC_ADDRESSES, *ALL_WEB_ADDRESSES, SITE_ADDRESS, *WEBSOCKET_ADDRESSES),
    "@controls": ALL_CONTROL_ADDRESSES,
    "@domestic": next(host.addresses for host in KNOWN_GOOD if host.scope == "ZZ"),
    "@isp": (ISP_RESOLVER,),
    "@public": (PUBLIC_RESOLVER,),
    "@ranges": ADDRESS_RANGES,
    "@everywhere": ("0.0.0.0/0", "::/0"),
    "@ipv6": ("::/0",),
}
"""What scenarios call addresses, so that the same row fits another topology."""

CLIENT_ADDRESSES: Final = ("10.77.0.2", "fd77::2")


def targets_list(trust_anchor: str) -> Targets:
    """Describe the town for a prober.

    There is no ``resolvable_name`` control: that one asks the host's own resolver.
    """
    return Targets(
        schema_version="1.0",
        name="Simulated messenger in network namespaces",
        updated="2030-03-01",
        services=(
            Service(
                id=SERVICE,
                name="Messenger (simulated)",
                category_code="COMT",
                address_ranges=ADDRESS_RANGES,
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
                        address=address,
                        port=port,
                        probes=("tcp", "mtproto"),
                        group=group,
                        dc_id=int(group.removeprefix("dc")),
                    )
                    for group, address in DC_ADDRESSES.items()
                    for port in DC_PORTS
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
                        port=443,
                        probes=("dns", "tcp", "tls", "http", "quic", "ech"),
                        server_name=name,
                        alpn=("http/1.1",),
                        group=name,
                    )
                    for name in WEB_ADDRESSES
                ),
            ),
            Target(
                id=SITE,
                service=SERVICE,
                combination_rule="all_of",
                name="Plain HTTP",
                endpoints=(
                    Endpoint(
                        address=SITE_NAME,
                        port=80,
                        probes=("dns", "tcp", "http"),
                        server_name=SITE_NAME,
                        group=SITE_NAME,
                    ),
                ),
            ),
        ),
        controls=(
            *(
                Control(
                    id=host.id if ":" not in address else f"{host.id}-v6",
                    kind="known_good",
                    operator=host.operator,
                    scope=host.scope,
                    address=address,
                    server_name=host.server_name,
                    # Two pages tell the line's rate; more would fill a slow one.
                    path=PAGE_PATH if address in PAGED_ADDRESSES else "",
                    has_quic=True,
                )
                for host in KNOWN_GOOD
                for address in host.addresses
            ),
            Control(id="innocuous", kind="innocuous_name", server_name=INNOCUOUS_NAME),
            *(
                Control(
                    id=f"portal-{host.id}",
                    kind="portal_check",
                    operator=host.operator,
                    address=host.addresses[0],
                    port=80,
                    server_name=host.server_name,
                    path=PAGE_PATH,
                )
                for host in KNOWN_GOOD[:1]
            ),
            Control(
                id="unroutable",
                kind="unroutable",
                address=UNROUTABLE_ADDRESS,
                server_name=INNOCUOUS_NAME,
            ),
            Control(
                id="no-resolver",
                kind="no_resolver",
                address=NO_RESOLVER_ADDRESS,
                port=53,
                server_name=KNOWN_GOOD[1].server_name,
            ),
        ),
        resolvers=(
            Resolver(id="isp-udp", protocol="udp", address=ISP_RESOLVER, port=53),
            Resolver(id="isp-tcp", protocol="tcp", address=ISP_RESOLVER, port=53),
            Resolver(id="public-udp", protocol="udp", address=PUBLIC_RESOLVER, port=53),
            Resolver(
                id="public-dot",
                protocol="dot",
                address=PUBLIC_RESOLVER,
                port=853,
                server_name=RESOLVER_NAME,
            ),
            Resolver(
                id="public-doh",
                protocol="doh",
                address=PUBLIC_RESOLVER,
                port=443,
                server_name=RESOLVER_NAME,
                path=DOH_PATH,
            ),
        ),
        trust_anchors=(trust_anchor,),
    )
