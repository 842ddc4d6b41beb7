"""What the town has besides where a scenario asks for certain ways around.

A host with a key for encrypted hellos, data centres behind WebSockets, and lists of fresh
addresses with one to be found there. They are not part of every scenario because each
is a server more to start.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from os import urandom
from threading import Lock
from typing import Final, NamedTuple

import msgspec

from censorlab.authority import AuthorityKeys
from censorlab.scenarios import town
from censorlab.servers.certificates import leaf
from censorlab.servers.data_centre import data_centre
from censorlab.servers.ech_hello import EchKey
from censorlab.servers.ech_site import ech_site
from censorlab.servers.front import Backend, name_front
from censorlab.servers.program import Program
from censorlab.servers.special_config import (
    GOOGLE_PATH,
    NAME,
    Place,
    SigningKey,
    discovery,
    new_signing_key,
    signed_text,
)
from probe.model.observation import Tactic
from probe.model.target import Discovery, Endpoint, Target, Targets

WEBSOCKET: Final = "messenger/websocket"
PUBLIC_NAME: Final = "front.lab.test"
"""What encrypted hellos name openly: of the operator, not of the service."""

DISCOVERY_NAME: Final = "dns.discovery.test"
DISCOVERY_ADDRESS: Final = "216.239.34.10"
FRESH_ADDRESS: Final = "91.108.56.130"
"""A data centre that no list names: outside the service's ranges."""

PAGES_PORT: Final = 8443
"""Where web sites are behind `encrypted_front`."""
_ENCRYPTED_PORT: Final = 8444
_CONFIG_LIFE: Final = timedelta(days=30)


class Secrets(NamedTuple):
    """Keys that nobody outside the lab knows; made once in a process."""

    ech: EchKey
    signing: SigningKey


_making = Lock()


def secrets() -> Secrets:
    """Return the keys."""
    # Cells of a sweep start side by side, and a cache alone lets each make its own.
    with _making:
        return _new_secrets()


@lru_cache(maxsize=1)
def _new_secrets() -> Secrets:
    return Secrets(EchKey(urandom(32), PUBLIC_NAME), new_signing_key())


def further_sides(ways: Collection[Tactic]) -> dict[str, tuple[str, ...]]:
    """Return the addresses that these ways need, by side; "dc" has others already."""
    sides: dict[str, tuple[str, ...]] = {}
    if "websocket" in ways:
        sides["websocket"] = town.WEBSOCKET_ADDRESSES
    if "special_config" in ways:
        sides["discovery"] = (DISCOVERY_ADDRESS,)
        sides["dc"] = (FRESH_ADDRESS,)
    return sides


def further_names(ways: Collection[Tactic]) -> dict[str, tuple[str, ...]]:
    """Return what the zone has of them."""
    if "websocket" not in ways:
        return {}
    return {name: (address,) for name, address in town.WEBSOCKET_HOSTS.values()}


def published_keys(ways: Collection[Tactic]) -> Mapping[str, bytes]:
    """Return the keys for encrypted hellos in the zone, by name."""
    return dict.fromkeys(town.WEB_ADDRESSES, secrets().ech.published) if "ech" in ways else {}


def further_programs(
    ways: Collection[Tactic], trusted: AuthorityKeys, now: datetime
) -> list[tuple[str, Program]]:
    """Return the sides' programs, without those before the web sites."""
    programs: list[tuple[str, Program]] = []
    if "websocket" in ways:
        names = [name for name, _ in town.WEBSOCKET_HOSTS.values()]
        own = leaf(trusted, *names, now=now)
        programs.append(("websocket", data_centre(443, name="websocket", leaf=own)))
    if "special_config" in ways:
        places = [Place(number, FRESH_ADDRESS, 443) for number in (1, 2, 3, 4, 5)]
        text = signed_text(secrets().signing, places, date=now, expires=now + _CONFIG_LIFE)
        own = leaf(trusted, DISCOVERY_NAME, now=now)
        programs.append(("discovery", discovery(own, {NAME: text})))
    return programs


def encrypted_front(trusted: AuthorityKeys, now: datetime) -> list[Program]:
    """Return what stands before web sites on `PAGES_PORT` and reads encrypted hellos."""
    own = leaf(trusted, PUBLIC_NAME, now=now)
    pages, encrypted = (Backend("127.0.0.1", port) for port in (PAGES_PORT, _ENCRYPTED_PORT))
    return [
        ech_site(secrets().ech, own, port=_ENCRYPTED_PORT),
        name_front(443, pages, {PUBLIC_NAME: encrypted}),
    ]


def with_further(targets: Targets, ways: Collection[Tactic]) -> Targets:
    """Return a targets list that names them."""
    (service,) = targets.services
    if "special_config" in ways:
        service = msgspec.structs.replace(
            service,
            discovery=(
                Discovery(
                    id="discovery",
                    address=DISCOVERY_ADDRESS,
                    server_name=DISCOVERY_NAME,
                    host=DISCOVERY_NAME,
                    path=f"{GOOGLE_PATH}?name={NAME}&type=16",
                ),
            ),
            discovery_keys=(secrets().signing.public,),
        )
    further: tuple[Target, ...] = ()
    if "websocket" in ways:
        further = (
            Target(
                id=WEBSOCKET,
                service=town.SERVICE,
                combination_rule="any_of",
                name="Data centres by WebSocket",
                endpoints=tuple(
                    Endpoint(
                        address=name,
                        port=443,
                        probes=("dns", "tcp", "tls", "mtproto"),
                        server_name=name,
                        alpn=("http/1.1",),
                        path="/apiws",
                        group=dc,
                        dc_id=int(dc.removeprefix("dc")),
                        mtproto_transport="websocket",
                    )
                    for dc, (name, _) in town.WEBSOCKET_HOSTS.items()
                ),
            ),
        )
    return msgspec.structs.replace(
        targets, services=(service,), targets=(*targets.targets, *further)
    )
