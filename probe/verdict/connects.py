"""What happened to the SYN: silence, refusal, or a router's word."""

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.verdict import Rival
from probe.verdict.finding import Finding, found, ruled_out
from probe.verdict.members import Member, Place
from probe.verdict.surroundings import SILENT_NETWORKS, Surroundings, network_or_none

LONG_SILENCE_S = 10.0
"""Four SYNs and more on any system: on a line that loses one packet in five each way
all are lost once in sixty times, and such a line shows itself at the controls."""

MOMENT_S = 1.0
"""How close a success and a silence must be for the line to have hardly changed."""

_PROHIBITED = frozenset({(3, 9), (3, 10), (3, 13), (1, 1), (1, 5), (1, 6)})
"""Type and code with which a router says "not allowed": network, host, communication
prohibited in ICMP (RFC 1812 5.2.7.1), prohibited, policy, reject route in ICMPv6."""


def judge_connect(
    place: Place, member: Member, failed: list[Observation], around: Surroundings
) -> Finding:
    """Apply the rules to an address at which every attempt failed to connect."""
    own = [row for row in (*failed, *place.last_of("udp_twin")) if row.icmp_origin == "local"]
    if own:
        return found("tcp.own_firewall", "ip_reject", own)
    told = [row for row in (*failed, *place.last_of("udp_twin")) if row.icmp_origin == "path"]
    service = failed[0].service_id
    if told:
        return _rejected(place, [*failed, *told], service, around)
    open_ports = _other_ports(member, place)
    if open_ports:
        return found(
            "tcp.port",
            "port_block",
            failed,
            passed=open_ports,
            rivals=(ruled_out("address dropped as a whole", open_ports),),
            depends_on_silence=True,
        )
    outcomes = {row.failure for row in failed}
    if outcomes <= failures.TIMEOUTS:
        # A dead host in a network where others answer stays a dead host.
        silent = around.silent.get(service, frozenset())
        wide = network_or_none(place.address) in silent and len(silent) >= SILENT_NETWORKS
        return found(
            "tcp.silent_networks" if wide else "tcp.silent",
            "ip_drop",
            failed,
            rivals=_neighbours(place),
            depends_on_silence=True,
        )
    if outcomes == {failures.CONNECTION_REFUSED}:
        return found("tcp.refused", "tcp_rst", failed)
    if outcomes <= failures.UNREACHABLE:
        return _rejected(place, failed, service, around)
    return found("tcp.other", None, failed)


def _neighbours(place: Place) -> tuple[Rival, ...]:
    passed = place.passed("neighbour")
    return (ruled_out("its whole network is out of reach", passed),) if passed else ()


def _rejected(
    place: Place, rows: list[Observation], service: str | None, around: Surroundings
) -> Finding:
    """A router on the path refuses; with a code of policy, for many networks, it is policy."""
    rejected = around.rejected.get(service, frozenset())
    wide = network_or_none(place.address) in rejected
    codes = {(row.icmp_type, row.icmp_code) for row in rows if row.icmp_origin == "path"}
    if wide and len(rejected) >= SILENT_NETWORKS and codes and codes <= _PROHIBITED:
        return found("tcp.prohibited", "ip_reject", rows)
    return found("tcp.unreachable", "ip_reject", rows)


def _other_ports(member: Member, place: Place) -> list[Observation]:
    listed = [
        row
        for other in member.places
        if other.address == place.address and other.port != place.port
        for rows in other.attempts
        for row in rows
        if row.step == "tcp" and row.failure is None
    ]
    return [*listed, *place.passed("other_port")]


def judge_later_silence(place: Place) -> Finding | None:
    """Judge a place that had just answered and then met a whole connect with silence.

    Runs of ours stop at success; others' (OONI's redirects) go there again.
    """
    worked = [rows[-1] for rows in place.attempts if rows[-1].failure is None]
    if not worked or place.attempts[-1][-1].failure is None:
        return None
    last = place.attempts[-1][-1]
    waited = last.t - last.t0
    if last.step != "tcp" or last.failure not in failures.TIMEOUTS or waited < LONG_SILENCE_S:
        return None
    if last.t0 > max(row.t for row in worked) + MOMENT_S:
        return None
    return found(
        "tcp.silent_after_success",
        "ip_drop",
        [last],
        passed=worked,
        rivals=(ruled_out("a dead host or line", worked),),
        depends_on_silence=True,
    )


def judge_loss(service: str | None, around: Surroundings) -> Finding | None:
    """Packets to one service's networks are lost more often than the controls' are."""
    lost = around.lossy.get(service, ())
    return found("line.lossy_to_service", "throttling", lost) if lost else None
