"""Names whose encrypted resolver gave no answer, asked of one that does.

Of a long list each name is shared out to one encrypted resolver. Where a network keeps some
of those out, as many do, a lie about a name shared out to one of them would be no lie that
anybody could tell.
"""

from collections.abc import Iterable, Sequence

import msgspec

from probe.model.failure import DNS_NO_ANSWER, DNS_NXDOMAIN
from probe.model.observation import Observation
from probe.model.step import Chain, DnsLookup
from probe.model.target import ENCRYPTED
from probe.plan.lookups import NAMES_PER_CONNECTION

_ANSWERS = frozenset({None, DNS_NO_ANSWER, DNS_NXDOMAIN})


def stand_ins(declared: Iterable[Chain], rows: Sequence[Observation]) -> list[Chain]:
    """Return what of the declared stand-ins is to be asked, given all other answers.

    Names are shared out among the resolvers that answered anything, in the plan's order.
    """
    answers = [
        (row.resolver_id, row.hostname)
        for row in rows
        if row.step == "dns" and row.resolver_protocol in ENCRYPTED and row.failure in _ANSWERS
    ]
    known = {hostname for _, hostname in answers}
    works = {resolver_id for resolver_id, _ in answers}
    able = [
        chain
        for chain in declared
        if chain.trigger == "resolver_failed" and chain.owner.endpoint_id in works
    ]
    offered: dict[str, list[DnsLookup]] = {}
    for chain in able:
        for spec in chain.steps:
            if isinstance(spec, DnsLookup) and spec.hostname not in known:
                offered.setdefault(spec.hostname, []).append(spec)
    shares: dict[str, list[DnsLookup]] = {}
    for number, offers in enumerate(offered.values()):
        spec = offers[number % len(offers)]
        shares.setdefault(spec.resolver.id, []).append(spec)
    return [
        msgspec.structs.replace(chain, trigger="start", steps=(*opening, *part))
        for chain in able
        for opening in [[step for step in chain.steps if not isinstance(step, DnsLookup)]]
        for part in _parts(shares.get(chain.owner.endpoint_id, []))
    ]


def _parts(specs: Sequence[DnsLookup]) -> list[Sequence[DnsLookup]]:
    size = NAMES_PER_CONNECTION
    return [specs[first : first + size] for first in range(0, len(specs), size)]
