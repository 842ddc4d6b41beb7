"""MTProto, and the other ways to a place: QUIC, Encrypted Client Hello, encrypted DNS."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.verdict.finding import Finding, found, ruled_out
from probe.verdict.hellos import CUT_OFF, on_path
from probe.verdict.members import Member, Place, gather
from probe.verdict.surroundings import Surroundings

_UNHEARD = CUT_OFF | failures.TIMEOUTS


def judge_mtproto(place: Place, failed: list[Observation]) -> Finding:
    """Apply the rules to a data centre that connects and does not answer MTProto."""
    own = [row for row in failed if row.step == "mtproto"]
    tried = [*own, *(r for r in place.missed("second_hello") if r.step == "mtproto")]
    is_silent = all(row.failure in _UNHEARD and not row.received_bytes for row in tried)
    if len(own) < len(failed) or not is_silent:
        return found("mtproto.other", None, failed)
    if place.passed("second_hello"):
        return found("mtproto.form", "mtproto_drop", own, passed=place.passed("second_hello"))
    taken = [row for row in place.last_of("other_payload") if _was_taken(row)]
    if len(tried) >= 2 and taken and on_path(tried):
        rivals = (
            ruled_out("dead host, blocked address or dead line", taken),
            ruled_out("a data centre out of order: its kernel would acknowledge", tried),
        )
        return found(
            "mtproto.vanishes",
            "mtproto_drop",
            tried,
            passed=taken,
            rivals=rivals,
            depends_on_silence=True,
        )
    return found("mtproto.silent", "mtproto_drop", tried, passed=taken, depends_on_silence=True)


def _was_taken(row: Observation) -> bool:
    """Other bytes arrived: they were acknowledged, answered, or refused by an end of file."""
    if row.step != "http":
        return False
    return row.failure is None or row.received_bytes > 0 or (row.bytes_acked or 0) > 1


def judge_ways(members: Iterable[Member], around: Surroundings) -> Finding | None:
    """Judge the other ways to a target that works by the ordinary one.

    They get no second look from controls of their own, so a bad line keeps them out.
    """
    controls = around.controls
    is_bad = controls.is_slow or controls.is_lossy or controls.is_intercepted
    if controls.state != "ok" or is_bad:
        return None
    rows = list(members)
    return _quic(rows, around) or _ech(rows) or _encrypted_dns(any(m.lookups for m in rows), around)


def _way(members: Sequence[Member], kind: str) -> dict[str, list[Observation]]:
    """The last rows of one other way, by address; steps before it say nothing."""
    found_rows: dict[str, list[Observation]] = defaultdict(list)
    for member in members:
        last: dict[str, Observation] = {}
        for row in sorted(member.ways, key=lambda o: (o.t0, o.observation_id)):
            if row.follow_up == kind and row.failure != failures.SKIPPED:
                last[row.chain_id] = row
        for row in last.values():
            found_rows[row.address or ""].append(row)
    return found_rows


def _contrasted(
    members: Sequence[Member], kind: str, other: str
) -> tuple[list[Observation], list[Observation]]:
    """Failed tries under the name, and passed ones under another at the same addresses."""
    failed: list[Observation] = []
    passed: list[Observation] = []
    others = _way(members, other)
    for address, own in _way(members, kind).items():
        if len(own) >= 2 and all(row.failure in _UNHEARD for row in own):
            good = [row for row in others.get(address, ()) if row.failure is None]
            if good:
                failed += own
                passed += good
    return failed, passed


def _quic(members: Sequence[Member], around: Surroundings) -> Finding | None:
    failed, passed = _contrasted(members, "quic", "quic_other_name")
    if failed:
        rivals = (ruled_out("a server without QUIC, or UDP blocked as a whole", passed),)
        return found("quic.name_contrast", "quic_sni_drop", failed, passed=passed, rivals=rivals)
    own = [row for rows in _way(members, "quic").values() for row in rows]
    other = [row for rows in _way(members, "quic_other_name").values() for row in rows]
    heard = any(row.failure not in failures.TIMEOUTS for row in (*own, *other))
    controls = [row for row in around.quic_controls if row.failure != failures.SKIPPED]
    operators = {row.member for row in controls}
    if len(own) < 2 or heard or len(operators) < 2:
        return None
    if any(row.failure not in failures.TIMEOUTS for row in controls):
        return None
    return found("quic.nowhere", "udp_block", [*own, *other, *controls])


def _ech(members: Sequence[Member]) -> Finding | None:
    failed, passed = _contrasted(members, "ech", "ech_other_name")
    if not failed:
        return None
    rivals = (ruled_out("a server that does not know ECH", passed),)
    return found("tls.ech_contrast", "ech_block", failed, passed=passed, rivals=rivals)


def _encrypted_dns(is_asked: bool, around: Surroundings) -> Finding | None:  # noqa: FBT001 - one caller
    """Encrypted resolvers that are cut off where their address answers otherwise."""
    if not is_asked:
        return None
    failed: list[Observation] = []
    passed: list[Observation] = []
    for member in gather(r for r in around.resolvers if r.step in {"tcp", "tls"}).values():
        for place in member.places:
            lost = place.failed()
            is_all = bool(lost) and len(lost) == len(place.attempts)
            if not is_all or not all(row.failure in _UNHEARD for row in lost) or len(lost) < 2:
                continue
            follow_up = "other_port" if lost[-1].step == "tcp" else "other_name"
            good = (
                place.passed("other_port")
                if follow_up == "other_port"
                else place.passed("other_name")
            )
            if good:
                failed += lost
                passed += good
    if not failed:
        return None
    rivals = (ruled_out("a resolver that is down", passed),)
    return found(
        "dns.encrypted_contrast", "encrypted_dns_blocked", failed, passed=passed, rivals=rivals
    )
