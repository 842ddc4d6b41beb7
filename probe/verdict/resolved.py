"""Where a name leads: by the resolver that applications use, and by encrypted ones."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.target import ENCRYPTED, ResolverProtocol

_PREFERENCE: Final[dict[ResolverProtocol, int]] = {
    "system": 0,
    "udp": 1,
    "tcp": 2,
    "dot": 3,
    "doh": 4,
    "doq": 5,
}


class Resolved(NamedTuple):
    """Addresses of one name. ``ordinary`` are those that an application would take.

    A name whose ordinary addresses are none of the encrypted resolvers' leads astray.
    """

    ordinary: frozenset[str]
    encrypted: frozenset[str]

    @property
    def leads_astray(self) -> bool:
        """Whether applications are kept from addresses that encrypted resolvers know."""
        return bool(self.encrypted) and not self.encrypted & self.ordinary


def ordinary_lookups(rows: Iterable[Observation]) -> list[Observation]:
    """The resolver that applications use: the system's, else the first over UDP."""
    listed = [row for row in rows if row.step == "dns"]
    if not listed:
        return []
    first = min(
        listed,
        key=lambda row: (_PREFERENCE[row.resolver_protocol or "doh"], row.resolver_id or ""),
    )
    return [row for row in listed if row.resolver_id == first.resolver_id]


def resolve(rows: Sequence[Observation]) -> Resolved:
    """Gather what one name's lookups answered; ``rows`` may hold other steps."""
    return Resolved(
        ordinary=_addresses(ordinary_lookups(rows)),
        encrypted=_addresses(encrypted_lookups(rows)),
    )


def encrypted_lookups(rows: Iterable[Observation]) -> list[Observation]:
    """Lookups that nobody on the way can answer."""
    return [
        row
        for row in rows
        if row.step == "dns"
        and row.resolver_protocol in ENCRYPTED
        and row.failure != failures.SKIPPED
    ]


def _addresses(rows: Iterable[Observation]) -> frozenset[str]:
    return frozenset(
        address for row in rows if row.failure is None for address in row.accepted_addresses()
    )
