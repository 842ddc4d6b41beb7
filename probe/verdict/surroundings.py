"""What one target's facts cannot say alone: the controls, and the run's other targets."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import Final

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.target import ENCRYPTED
from probe.verdict.controls import Controls, assess
from probe.verdict.members import sound
from probe.wire.addresses import is_address, network_of

SILENT_NETWORKS: Final = 3
"""Networks (/24, /48) of one service that are silent at once before silence is
more than a dead host: operators do not lose three networks together while the
rest of the Internet answers."""

MIN_CONNECTS: Final = 8
LOSS_P: Final = 0.001
"""One-sided level at which a service's connects needed retransmissions more often
than the controls': one false contrast in a thousand runs, and it only ever says
`impaired`."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the rest of a run says. ``rows`` are those that say something (`sound`).

    ``silent`` and ``rejected``: networks in which every connect of a service met
    silence, or a router's refusal, by service. ``broken``: resolvers that fail for a
    control name. ``convicted``: addresses that answer for names that are not theirs,
    with the rows that say so. ``vouched``: addresses with a verified certificate.
    ``answers_for_all``: rows in which an address that runs no DNS answered.
    ``issuers``: members by the issuer of a certificate that nobody vouches for.
    ``welcoming``: controls' addresses that answer a harmless stranger's name, ``paged``
    those that gave a whole page under their own.
    ``lossy``: services whose packets are lost and the controls' are not, with rows.
    """

    controls: Controls
    rows: tuple[Observation, ...]
    silent: dict[str | None, frozenset[str]]
    rejected: dict[str | None, frozenset[str]]
    broken: frozenset[str]
    convicted: dict[str, tuple[Observation, ...]]
    vouched: dict[str, tuple[Observation, ...]]
    answers_for_all: tuple[Observation, ...]
    issuers: dict[tuple[str | None, str], frozenset[str]]
    lossy: dict[str | None, tuple[Observation, ...]]
    quic_controls: tuple[Observation, ...]
    welcoming: frozenset[str]
    paged: frozenset[str]
    resolvers: tuple[Observation, ...]


def survey(rows: Sequence[Observation]) -> Surroundings:
    """Look at a whole run once."""
    controls = assess(rows)
    kept = sound(rows, controls.bad_times)
    direct = [o for o in kept if o.tactic == "none"]
    by_service: dict[str | None, list[Observation]] = defaultdict(list)
    for row in direct:
        if row.target_id is not None and (row.ip_version != 6 or controls.ipv6_works):
            by_service[row.service_id].append(row)
    vouched = _by_address(o for o in direct if o.step == "tls" and o.failure is None and _is_own(o))
    return Surroundings(
        controls=controls,
        rows=tuple(kept),
        # On a slow line a time limit that passes is no evidence of silence.
        silent={
            service: frozenset[str]() if controls.is_slow else _networks(own, failures.TIMEOUTS)
            for service, own in by_service.items()
        },
        rejected={
            service: _networks(own, failures.UNREACHABLE | {failures.CONNECTION_REFUSED})
            for service, own in by_service.items()
        },
        broken=broken_resolvers(rows),
        convicted=_convicted(direct, vouched),
        vouched=vouched,
        answers_for_all=tuple(o for o in rows if o.follow_up == "no_resolver" and _has_answer(o)),
        issuers=_issuers(direct),
        lossy={
            service: tuple(found)
            for service, own in by_service.items()
            # Loss that our own load or the line causes strikes whoever is asked then.
            if not (controls.is_slow or controls.is_lossy or controls.bad_times)
            and (found := _lost_more(own, rows))
        },
        welcoming=frozenset(
            _by_address(
                o
                for o in direct
                if o.follow_up == "harmless_elsewhere" and o.step == "tls" and o.failure is None
            )
        ),
        paged=frozenset(
            _by_address(
                o for o in direct if o.role == "control" and o.step == "http" and o.failure is None
            )
        ),
        quic_controls=tuple(o for o in rows if o.role == "control" and o.step == "quic"),
        resolvers=tuple(o for o in direct if o.service_id is None and o.control_id is None),
    )


def _is_own(row: Observation) -> bool:
    """A handshake under the target's own name, verified."""
    return row.role == "test" and row.follow_up is None


def _has_answer(row: Observation) -> bool:
    return any(response.is_valid for response in row.responses)


def _by_address(rows: Iterable[Observation]) -> dict[str, tuple[Observation, ...]]:
    found: dict[str, list[Observation]] = defaultdict(list)
    for row in rows:
        if row.address is not None:
            found[row.address].append(row)
    return {address: tuple(own) for address, own in found.items()}


def network_or_none(address: str | None) -> str | None:
    """Return the network of a stored address; a damaged one has none."""
    return network_of(address) if address is not None and is_address(address) else None


def _networks(rows: Iterable[Observation], outcomes: frozenset[str]) -> frozenset[str]:
    """Networks in which every connect of a service ended in one of these ways."""
    other: set[str] = set()
    found: set[str] = set()
    for row in rows:
        network = network_or_none(row.address)
        if row.step == "tcp" and row.role == "test" and network is not None:
            (found if row.failure in outcomes else other).add(network)
    return frozenset(found - other)


def broken_resolvers(rows: Iterable[Observation]) -> frozenset[str]:
    """Resolvers that do not know a control name, or give an impossible address for it.

    What such a one does to other names it does to all, or to any.
    """
    answers: dict[tuple[str, str], list[Observation]] = defaultdict(list)
    for row in rows:
        is_control = row.control_id is not None and row.follow_up is None
        if row.step == "dns" and is_control and row.resolver_id and row.hostname:
            answers[row.resolver_id, row.hostname].append(row)
    return frozenset(
        resolver
        for (resolver, _), own in answers.items()
        if not any(row.failure is None and not is_bogus(row) for row in own)
    )


def is_bogus(row: Observation) -> bool:
    """Whether all addresses of a lookup are such as no public server can have."""
    answers = [
        answer
        for response in row.responses
        if response.is_valid
        for answer in response.answers
        if answer.type in {"A", "AAAA"}
    ]
    return bool(answers) and all(a.is_bogon and not a.is_expected for a in answers)


def addresses_in(row: Observation) -> frozenset[str]:
    """All addresses of a lookup's valid answers."""
    return frozenset(
        answer.value
        for response in row.responses
        if response.is_valid
        for answer in response.answers
        if answer.type in {"A", "AAAA"}
    )


def _convicted(
    rows: Sequence[Observation], vouched: dict[str, tuple[Observation, ...]]
) -> dict[str, tuple[Observation, ...]]:
    """Addresses that clear-text DNS gives for names to which they do not belong.

    By certificate: what they present does not verify for the name, while another
    address, given by other resolvers, does. By likeness: one address for two names or
    more, which encrypted resolvers place elsewhere, each somewhere else.
    """
    clear: dict[str, dict[str, list[Observation]]] = defaultdict(lambda: defaultdict(list))
    honest: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.step != "dns" or row.hostname is None or row.failure is not None:
            continue
        for address in addresses_in(row):
            if row.resolver_protocol in ENCRYPTED:
                honest[row.hostname].add(address)
            else:
                clear[address][row.hostname].append(row)
    # An expired certificate, or a trusted one for another name, is an edge that its
    # operator forgot or set up wrongly.
    bad = _by_address(
        o
        for o in rows
        if o.step == "tls" and o.failure == failures.SSL_UNKNOWN_AUTHORITY and _is_own(o)
    )
    found: dict[str, tuple[Observation, ...]] = {}
    for address, names in clear.items():
        if address in vouched:
            continue
        lied = {
            name: own
            for name, own in names.items()
            if honest[name] and address not in honest[name] and not _is_published(address, own)
        }
        if not lied:
            continue
        verified = any(other in vouched for name in lied for other in honest[name])
        places = {frozenset(honest[name]) for name in lied}
        if address in bad and verified:
            found[address] = (*bad[address], *(o for own in lied.values() for o in own))
        elif len(lied) > 1 and len(places) > 1:
            found[address] = tuple(o for own in lied.values() for o in own)
    return found


def _is_published(address: str, rows: Iterable[Observation]) -> bool:
    """Whether the address is in the ranges that the service's operator publishes."""
    return any(
        answer.is_expected
        for row in rows
        for response in row.responses
        for answer in response.answers
        if answer.value == address
    )


def _issuers(rows: Iterable[Observation]) -> dict[tuple[str | None, str], frozenset[str]]:
    """Members of a service by the unknown issuer of the certificate shown for them."""
    found: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    for row in rows:
        if row.step == "tls" and row.failure == failures.SSL_UNKNOWN_AUTHORITY and _is_own(row):
            for certificate in row.peer_certificates[:1]:
                if certificate.issuer != certificate.subject:
                    found[row.service_id, certificate.issuer].add(row.member)
    return {key: frozenset(own) for key, own in found.items()}


def _lost_more(own: Iterable[Observation], rows: Iterable[Observation]) -> list[Observation]:
    """Return a service's resent connects if they are more than the controls explain.

    Only connects that succeeded in the end count: a block lets none through.
    """
    tests = [o for o in own if o.step == "tcp" and o.failure is None]
    controls = [o for o in rows if o.role == "control" and o.step == "tcp" and o.failure is None]
    resent = [o for o in tests if o.tcp_retransmits]
    base = sum(1 for o in controls if o.tcp_retransmits)
    if len(tests) < MIN_CONNECTS or not controls:
        return []
    p = fisher_greater(len(resent), len(tests), base, len(controls))
    return resent if p < LOSS_P else []


@lru_cache(maxsize=256)
def fisher_greater(a: int, n: int, b: int, m: int) -> float:
    """One-sided p of Fisher's exact test: ``a`` of ``n`` against ``b`` of ``m``.

    The chance of ``a`` or more of the a+b events among the n, if both had one rate.
    """
    total = comb(n + m, a + b)
    most = min(n, a + b)
    return sum(comb(n, k) * comb(m, a + b - k) for k in range(a, most + 1)) / total
