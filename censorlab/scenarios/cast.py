"""Who plays in a scenario: sides, and the programs on them, by arrangement."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from censorlab.authority import AuthorityKeys
from censorlab.scenarios import outskirts, town
from censorlab.scenarios.model import Arrangement
from censorlab.servers.certificates import Leaf, expired_leaf, leaf
from censorlab.servers.clock import skewed_words
from censorlab.servers.data_centre import data_centre
from censorlab.servers.front import Backend, RateLimit, tcp_front
from censorlab.servers.interceptor import mitmproxy, redirect_words
from censorlab.servers.program import Program
from censorlab.servers.quic_site import quic_site
from censorlab.servers.resolver import unbound
from censorlab.servers.web import Site, nginx
from probe.model.observation import Tactic
from probe.model.target import Targets

CLOCK_SKEW: Final = timedelta(days=-400)
SLOW_BYTES_PER_S: Final = 16_000
LIMIT: Final = RateLimit(connections=3, period_s=10)
_BEHIND_LIMIT_PORT: Final = 8443
_ELSEWHERE_PORT: Final = 8080
_PORTAL_NAME: Final = "login.hotel.test"
_BLOCKPAGE_NAME: Final = "block.isp.test"


class Authorities(NamedTuple):
    """Who signs: the authority that everybody trusts, and one that nobody does.

    Certificates are valid around ``now``.
    """

    trusted: AuthorityKeys
    forger: AuthorityKeys
    now: datetime


class Part(NamedTuple):
    """A program and the side that it runs on."""

    side: str
    program: Program


class Cast(NamedTuple):
    """Everything about a scenario's peers.

    ``sides`` have addresses, ``parts`` are started in order, ``furnishing`` are
    commands for the client's side after that. ``clock_skew`` is the client's,
    ``targets`` what a prober is told of the town.
    """

    sides: dict[str, tuple[str, ...]]
    parts: tuple[Part, ...]
    targets: Targets
    furnishing: tuple[tuple[str, ...], ...] = ()
    clock_skew: timedelta = timedelta()

    def client_words(self, words: Sequence[str]) -> Sequence[str]:
        """Return the command that runs a command with the client's clock."""
        return skewed_words(words, self.clock_skew) if self.clock_skew else words


def cast_of(
    arrangements: Iterable[Arrangement],
    authorities: Authorities,
    ways: Collection[Tactic] = (),
) -> Cast:
    """Return the town's usual peers, changed as arranged, and those that ways around need.

    Raises:
        censorlab.servers.program.MissingProgramError: naming a package to install.
    """
    wanted = frozenset(arrangements)
    sides = _sides(wanted, ways)
    targets = town.targets_list(authorities.trusted.certificate)
    return Cast(
        sides=sides,
        parts=(
            *_web(wanted, authorities, sides, ways),
            Part("dc", data_centre()),
            *_resolvers(wanted, authorities, ways),
            *_interceptors(wanted, authorities),
            *(
                Part(side, program)
                for side, program in outskirts.further_programs(
                    ways, authorities.trusted, authorities.now
                )
            ),
        ),
        targets=outskirts.with_further(targets, ways),
        furnishing=_furnishing(wanted),
        clock_skew=CLOCK_SKEW if "clock_skew" in wanted else timedelta(),
    )


def _sides(wanted: frozenset[Arrangement], ways: Collection[Tactic]) -> dict[str, tuple[str, ...]]:
    short = town.WEB_ADDRESSES[town.SHORT_NAME]
    dead: set[str] = set()
    if "service_dead" in wanted:
        dead |= set(short)
    if "dead_data_centre" in wanted:
        dead.add(town.DC_ADDRESSES["dc3"])
    # A host that answers otherwise on a port of its neighbours needs a kernel of its own.
    odd: set[str] = set()
    if "plain_http_on_443" in wanted:
        odd |= set(short)
    if wanted & {"rate_limiter", "slow_server"} or "ech" in ways:
        odd |= set(town.ALL_WEB_ADDRESSES)
    ordinary = (
        *town.ALL_WEB_ADDRESSES,
        town.SITE_ADDRESS,
        *town.SPARE_ADDRESSES,
        *town.ALL_CONTROL_ADDRESSES,
    )
    sides = {
        "client": town.CLIENT_ADDRESSES,
        "server": tuple(a for a in ordinary if a not in dead | odd),
        "dc": tuple(a for a in town.ALL_DC_ADDRESSES if a not in dead),
        "resolver": (town.ISP_RESOLVER, town.PUBLIC_RESOLVER),
    }
    if odd:
        sides["odd"] = tuple(sorted(odd))
    if wanted & {"captive_portal", "certificate_forger", "lying_resolver", "block_page_host"}:
        sides["interceptor"] = ("0.0.0.0/0", "::/0")
    for side, addresses in outskirts.further_sides(ways).items():
        sides[side] = (*sides.get(side, ()), *addresses)
    return sides


def _web(
    wanted: frozenset[Arrangement],
    authorities: Authorities,
    sides: Mapping[str, tuple[str, ...]],
    ways: Collection[Tactic],
) -> list[Part]:
    web_leaf = _leaf(authorities, town.WEB_NAME)
    if "bad_certificate" in wanted:
        web_leaf = expired_leaf(authorities.trusted, town.WEB_NAME, now=authorities.now)
    others = (
        town.SHORT_NAME,
        town.SITE_NAME,
        town.INNOCUOUS_NAME,
        *(host.server_name for host in town.KNOWN_GOOD),
    )
    sites = [
        Site((town.DEFAULT_NAME,), _leaf(authorities, town.DEFAULT_NAME)),
        Site((town.WEB_NAME,), web_leaf),
        *(Site((name,), _leaf(authorities, name)) for name in others),
    ]
    http_port = _ELSEWHERE_PORT if "closed_port" in wanted else 80
    quic_leaf = _leaf(authorities, town.WEB_NAME, *others)
    parts = [
        Part("server", nginx(sites, http_port=http_port)),
        Part("server", quic_site(quic_leaf, sides["server"])),
    ]
    if "ech" in ways:
        trusted, _, now = authorities
        parts += [
            Part("odd", nginx(sites, name="behind", tls_port=outskirts.PAGES_PORT)),
            Part("odd", quic_site(quic_leaf, sides["odd"], name="odd-quic")),
            *(Part("odd", program) for program in outskirts.encrypted_front(trusted, now)),
        ]
    if "plain_http_on_443" in wanted:
        odd = nginx(sites, name="odd", tls_port=_BEHIND_LIMIT_PORT, http_port=443)
        parts.append(Part("odd", odd))
    if "slow_server" in wanted:
        parts.append(Part("odd", nginx(sites, name="odd", bytes_per_s=SLOW_BYTES_PER_S)))
    if "rate_limiter" in wanted:
        behind = Backend("127.0.0.1", _BEHIND_LIMIT_PORT)
        parts.append(Part("odd", nginx(sites, name="odd", tls_port=_BEHIND_LIMIT_PORT)))
        parts.append(Part("odd", tcp_front([443], behind, name="gate", limit=LIMIT)))
    return parts


def _leaf(authorities: Authorities, *names: str) -> Leaf:
    return leaf(authorities.trusted, *names, now=authorities.now)


def _resolvers(
    wanted: frozenset[Arrangement], authorities: Authorities, ways: Collection[Tactic]
) -> list[Part]:
    zone: Mapping[str, tuple[str, ...]] = {**town.ZONE, **outskirts.further_names(ways)}
    keys = outskirts.published_keys(ways)
    if "name_gone" in wanted:
        zone = {name: own for name, own in zone.items() if name != town.SHORT_NAME}
    if "partly_dead" in wanted:
        edges = (town.DEAD_ADDRESSES[0], *zone[town.SHORT_NAME], town.DEAD_ADDRESSES[1])
        zone = {**zone, town.SHORT_NAME: edges}
    own = zone
    if "geo_dns" in wanted:
        own = {**zone, town.SHORT_NAME: town.SPARE_ADDRESSES[:1]}
    certificate = leaf(authorities.trusted, town.RESOLVER_NAME, now=authorities.now)
    return [
        Part("resolver", unbound(own, addresses=[town.ISP_RESOLVER], name="isp", keys=keys)),
        Part(
            "resolver",
            unbound(
                zone, addresses=[town.PUBLIC_RESOLVER], name="public", leaf=certificate, keys=keys
            ),
        ),
    ]


def _interceptors(wanted: frozenset[Arrangement], authorities: Authorities) -> list[Part]:
    parts: list[Part] = []

    def forged(*names: str) -> Leaf:
        return leaf(authorities.forger, *names, now=authorities.now)

    taken = [town.ISP_RESOLVER, town.PUBLIC_RESOLVER, town.NO_RESOLVER_ADDRESS]
    if "captive_portal" in wanted:
        everything = dict.fromkeys(town.ZONE, (town.PORTAL_ADDRESS,))
        portal = Site((_PORTAL_NAME,), forged(_PORTAL_NAME), redirect_to=f"http://{_PORTAL_NAME}/")
        parts.append(Part("interceptor", unbound(everything, addresses=taken, name="portal-dns")))
        parts.append(Part("interceptor", nginx([portal], name="portal")))
    if "certificate_forger" in wanted:
        # It signs for whatever a hello names, as such machines do.
        strangers = (town.INNOCUOUS_NAME, f"*.{town.INNOCUOUS_NAME}")
        sites = [
            *(Site((name,), forged(name)) for name in town.WEB_ADDRESSES),
            Site(strangers, forged(*strangers)),
        ]
        parts.append(Part("interceptor", nginx(sites, name="forger")))
    if "lying_resolver" in wanted:
        zone = {
            name: own for name, own in town.ZONE.items() if not name.endswith(".messenger.test")
        }
        parts.append(Part("interceptor", unbound(zone, addresses=taken, name="liar")))
    if "block_page_host" in wanted:
        page = Site((_BLOCKPAGE_NAME,), forged(_BLOCKPAGE_NAME))
        parts.append(Part("interceptor", nginx([page], name="blockpage")))
    if "local_interceptor" in wanted:
        own = mitmproxy(authorities.forger, authorities.trusted.certificate)
        parts.append(Part("client", own))
    return parts


def _furnishing(wanted: frozenset[Arrangement]) -> tuple[tuple[str, ...], ...]:
    words: list[tuple[str, ...]] = []
    if "local_interceptor" in wanted:
        words.append(redirect_words())
    if "no_route" in wanted:
        words += [("ip", "-4", "route", "del", "default"), ("ip", "-6", "route", "del", "default")]
    return tuple(words)
