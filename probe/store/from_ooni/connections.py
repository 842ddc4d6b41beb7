"""Rows that OONI keeps in four lists -> connections, each with what happened over it.

New versions number the rows of one connection alike (``transaction_id``). Old ones do
not, and their times must do: a connect belongs to the last request that had begun.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from probe.store.from_ooni.measurement import (
    Http,
    Query,
    Tcp,
    TestKeys,
    Tls,
    Url,
    address_of,
    endpoint_of,
    host_of,
    url_of,
)

_KEYS = "$.test_keys"
_FETCHES = "fetch_body=true"


class Place(NamedTuple):
    """What was to be reached: a host name or an address literal, and a port."""

    host: str
    port: int


class Lookup(NamedTuple):
    """One question, its host name and its answers' addresses checked."""

    query: Query
    hostname: str
    addresses: tuple[str, ...]


class _Asked(NamedTuple):
    http: Http
    url: Url

    @property
    def place(self) -> Place:
        return Place(self.url.host, self.url.port)


@dataclass
class Connection:
    """One connection. ``address`` is None where no row says it."""

    place: Place
    address: str | None
    tcp: Tcp | None = None
    tls: Tls | None = None
    http: Http | None = None
    path: str = "/"
    asked_at: float = 0.0
    """When what led to it had begun at the latest."""

    @property
    def is_open(self) -> bool:
        """Everything up to the request worked."""
        return not (self.tcp and failed(self.tcp.status.failure)) and not (
            self.tls and failed(self.tls.failure)
        )


class Joined(NamedTuple):
    """The facts of a measurement in our order of things.

    ``pages`` are the places of which a page was asked, in order of first mention.
    """

    lookups: tuple[Lookup, ...]
    duplicates: tuple[Lookup, ...]
    connections: tuple[Connection, ...]
    pages: tuple[Place, ...]


def failed(failure: str | bool | None) -> bool:  # noqa: FBT001 - OONI's own type
    """Tell whether a failure is one; the first version wrote false for none."""
    return failure is not None and failure is not False


def join(keys: TestKeys, page: Url | None) -> Joined:
    """Join the rows of a measurement, of whose page ``page`` is the URL if it has one.

    Raises:
        BadRecordError: an address, name or URL is none.
    """
    lookups = _lookups(keys.queries, "queries")
    asked = [
        _Asked(http, url_of(http.request.url, f"{_KEYS}.requests[{i}].request.url"))
        for i, http in enumerate(keys.requests or ())
    ]
    # OONI's list has the newest first in old versions, and any order in others.
    asked.sort(key=lambda item: item.http.t or 0.0)
    hosts = _Hosts(lookups, asked, page)
    connections = _connects(keys, hosts)
    _add_handshakes(keys, connections, hosts)
    _add_requests(asked, connections, lookups)
    pages = dict.fromkeys(
        [*([Place(page.host, page.port)] if page else ()), *(item.place for item in asked)]
    )
    pages.update(
        (connection.place, None)
        for connection in connections
        if connection.tcp and _FETCHES in (connection.tcp.tags or ())
    )
    return Joined(
        lookups,
        _lookups(keys.x_dns_duplicate_responses, "x_dns_duplicate_responses"),
        tuple(connections),
        tuple(pages),
    )


def _lookups(queries: Sequence[Query] | None, key: str) -> tuple[Lookup, ...]:
    found = []
    for i, query in enumerate(queries or ()):
        here = f"{_KEYS}.{key}[{i}]"
        addresses = tuple(
            address_of(text, f"{here}.answers[{j}]")
            for j, answer in enumerate(query.answers or ())
            if (text := answer.ipv4 or answer.ipv6)
        )
        found.append(Lookup(query, host_of(query.hostname, f"{here}.hostname"), addresses))
    return tuple(found)


class _Hosts:
    """Which host an address stands for, and since when."""

    def __init__(
        self, lookups: Sequence[Lookup], asked: Sequence[_Asked], page: Url | None
    ) -> None:
        self._literal = {item.url.host for item in asked} | ({page.host} if page else set())
        self._page = page.host if page else None
        self._since: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for lookup in lookups:
            for address in lookup.addresses:
                self._since[address][lookup.hostname].append(lookup.query.t or 0.0)
        self._reached: set[Place] = set()

    def host(self, address: str, port: int, t: float) -> str:
        """Return the host that a connect to ``address`` at ``t`` was for.

        Several names may share an address. Each (name, port) is tried until it is
        reached, so one that was not comes first, and of those the latest found.
        """
        if address in self._literal:
            return address
        found = self._since.get(address)
        if found is None:
            # Web Connectivity also tries addresses that only its test helper found.
            return self._page or address
        return min(
            found,
            key=lambda name: (
                Place(name, port) in self._reached,
                -max((since for since in found[name] if since <= t), default=-1.0),
            ),
        )

    def reached(self, place: Place) -> None:
        """Note that a connect to a place succeeded."""
        self._reached.add(place)

    def since(self, address: str, host: str, t: float) -> float:
        """Return when the address was last found for the host before ``t``."""
        known = self._since.get(address, {}).get(host, ())
        return max((since for since in known if since <= t), default=0.0)


def _connects(keys: TestKeys, hosts: _Hosts) -> list[Connection]:
    found: list[tuple[str, Tcp]] = [
        (address_of(tcp.ip, f"{_KEYS}.tcp_connect[{i}].ip"), tcp)
        for i, tcp in enumerate(keys.tcp_connect or ())
    ]
    found.sort(key=lambda item: item[1].t or 0.0)
    connections = []
    names = {
        tls.transaction_id: host_of(tls.server_name, f"{_KEYS}.tls_handshakes[{i}].server_name")
        for i, tls in enumerate(keys.tls_handshakes or ())
        if tls.transaction_id and tls.server_name
    }
    for address, tcp in found:
        t = tcp.t or 0.0
        host = names.get(tcp.transaction_id or 0) or hosts.host(address, tcp.port, t)
        place = Place(host, tcp.port)
        if not failed(tcp.status.failure):
            hosts.reached(place)
        asked_at = hosts.since(address, host, t)
        connections.append(Connection(place, address, tcp=tcp, asked_at=asked_at))
    return connections


def _add_handshakes(keys: TestKeys, connections: list[Connection], hosts: _Hosts) -> None:
    rows = sorted(enumerate(keys.tls_handshakes or ()), key=lambda item: item[1].t or 0.0)
    for i, tls in rows:
        here = f"{_KEYS}.tls_handshakes[{i}]"
        end = endpoint_of(tls.address, f"{here}.address") if tls.address else None
        name = host_of(tls.server_name, f"{here}.server_name") if tls.server_name else None
        own = next((c for c in connections if _shakes(c, tls, end, name)), None)
        if own is None:
            address, port = end or (None, 443)
            host = name or (hosts.host(address, port, tls.t or 0.0) if address else None)
            if host is None:
                continue  # neither name nor address: a fact about nothing
            own = Connection(Place(host, port), address)
            connections.append(own)
        own.tls = tls


def _shakes(
    connection: Connection, tls: Tls, end: tuple[str, int] | None, name: str | None
) -> bool:
    tcp = connection.tcp
    if tcp is None or failed(tcp.status.failure) or connection.tls is not None:
        return False
    if tls.transaction_id and tcp.transaction_id:
        return tls.transaction_id == tcp.transaction_id
    if end is not None and end != (connection.address, connection.place.port):
        return False
    if end is None and (name != connection.place.host or connection.place.port == 80):
        return False
    return (tcp.t or 0.0) <= (tls.t or 0.0) or tls.t is None


def _add_requests(
    asked: list[_Asked], connections: list[Connection], lookups: Sequence[Lookup]
) -> None:
    left = [item for item in asked if not _by_number(item, connections)]
    for connection in connections:
        if connection.tcp is None or connection.tcp.transaction_id:
            continue
        t = connection.tcp.t or 0.0
        begun = [
            item for item in left if item.place == connection.place and (item.http.t or 0.0) <= t
        ]
        if not begun:
            continue
        connection.asked_at = max(connection.asked_at, begun[-1].http.t or 0.0)
        if connection.is_open and connection.http is None:
            _carry(connection, begun[-1])
            left.remove(begun[-1])
    for item in left:
        _add_later(item, connections, lookups)


def _by_number(item: _Asked, connections: Iterable[Connection]) -> bool:
    number = item.http.transaction_id
    for connection in connections:
        row = connection.tcp or connection.tls
        if number and row and row.transaction_id == number and connection.http is None:
            _carry(connection, item)
            return True
    return False


def _carry(connection: Connection, item: _Asked) -> None:
    connection.http = item.http
    connection.path = item.url.path


def _add_later(item: _Asked, connections: list[Connection], lookups: Sequence[Lookup]) -> None:
    """Place a request whose own connect is not among the rows.

    Web Connectivity before 0.5 connects and shakes hands with every address first and
    asks for the page over a connection that it does not record: to the first address
    that worked, which is also where a connection that is kept open leads.
    """
    there = [c for c in connections if c.place == item.place]
    carrying = [c for c in there if c.is_open]
    if free := next((c for c in carrying if c.http is None), None):
        _carry(free, item)
        return
    broken = any(not c.is_open for c in there)
    unknown = any(x.hostname == item.url.host and failed(x.query.failure) for x in lookups)
    if failed(item.http.failure) and not carrying and (broken or unknown):
        return  # the request failed because the connect did, or the lookup
    if failed(item.http.failure) and any(_same_failure(c, item.http) for c in there):
        return
    address = carrying[0].address if carrying else None
    connections.append(Connection(item.place, address, http=item.http, path=item.url.path))


def _same_failure(connection: Connection, http: Http) -> bool:
    """Tell whether a request failed with the connect or handshake that it began."""
    row = connection.tcp
    if row is None or connection.is_open or (row.t or 0.0) < (http.t or 0.0):
        return False
    own = row.status.failure if failed(row.status.failure) else None
    return http.failure in {own, connection.tls.failure if connection.tls else None}
