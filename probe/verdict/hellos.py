"""What happened to the ClientHello, and what its variants at the same place say."""

from collections.abc import Iterable, Sequence

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.verdict import Mechanism, Rival
from probe.verdict.controls import DATES, DAY_S
from probe.verdict.finding import Finding, found, ruled_out
from probe.verdict.fingerprints import match_issuer
from probe.verdict.members import Member, Place
from probe.verdict.surroundings import Surroundings

CUT_OFF = frozenset({failures.CONNECTION_RESET, failures.EOF, "connection_aborted"})

EARLY_SHARE = 0.8
"""An answer sooner than this share of a round trip was given by somebody nearer; the
margin is for a round trip that happened to be slow."""

ONE_SEGMENT = 1300
"""Bytes of a hello that fit one packet of any path; longer ones can meet a black hole
for large packets, which a shorter hello passes."""


def judge_hello(place: Place, failed: list[Observation], around: Surroundings) -> Finding:
    """Apply the rules to an address at which no handshake completed."""
    if (residual := _residual(place, around)) is not None:
        return residual
    outcomes = {row.failure for row in failed}
    if outcomes & failures.CERTIFICATE:
        return _judge_certificate(place, failed, around)
    hellos = [row for row in failed if row.step == "tls"]
    if place.passed("second_hello"):
        return _judge_form(place, hellos, failed)
    same_name = [*hellos, *(r for r in place.missed("second_hello") if r.step == "tls")]
    passed = place.passed("other_name")
    mechanism = _mechanism(failed, same_name)
    if mechanism is None or len(same_name) < 2 or not passed:
        return found(
            "tls.no_contrast",
            mechanism,
            same_name or failed,
            passed=passed,
            missed=place.missed("other_name"),
            depends_on_silence=mechanism != "sni_rst",
        )
    rivals: tuple[Rival, ...] = (
        ruled_out("dead host, blocked address or dead line", passed),
        ruled_out("chance (loss)", same_name),
    )
    is_reset = mechanism == "sni_rst"
    struck = struck_elsewhere(place, same_name, around)
    witnesses = [*on_path(same_name), *struck]
    if witnesses:
        rule_id = "tls.rst_contrast" if is_reset else "tls.silence_contrast"
        rivals = (*rivals, ruled_out("the server itself refuses", witnesses))
    elif answered_elsewhere(place):
        rule_id = "tls.here_only"
    else:
        rule_id = "tls.rst_one_place" if is_reset else "tls.silence_one_place"
    return found(
        rule_id,
        mechanism,
        same_name,
        passed=passed,
        missed=place.missed("other_name"),
        rivals=rivals,
        depends_on_silence=not is_reset,
    )


def on_path(rows: Sequence[Observation]) -> list[Observation]:
    """Return the rows if each shows that the host itself had no part in its end.

    Its kernel acknowledges whatever arrives before a program reads it: bytes that were
    left alone without that never got there. A reset may overtake the acknowledgement,
    but nobody answers sooner than a round trip takes.
    """
    return list(rows) if rows and all(_is_unacknowledged(r) or _is_early(r) for r in rows) else []


def _is_early(row: Observation) -> bool:
    is_cut = row.failure in CUT_OFF and row.tcp_rtt_s is not None
    return is_cut and row.t - row.t0 < EARLY_SHARE * (row.tcp_rtt_s or 0.0)


def answered_elsewhere(place: Place) -> list[Observation]:
    """Return the rows in which the name got an answer at a control's address: an alert is one."""
    return [
        row
        for row in place.last_of("name_elsewhere")
        if row.step in {"tls", "http"} and row.failure not in CUT_OFF | failures.TIMEOUTS
    ]


def struck_elsewhere(
    place: Place, here: Sequence[Observation], around: Surroundings
) -> list[Observation]:
    """Return the rows in which the name was struck at a control's address as it was here.

    A control's host may itself close on strange names, after it has read them: an end
    there counts only if the host never acknowledged what it ended, and silence only
    from a host that answers a harmless stranger's name.
    """
    if answered_elsewhere(place):
        return []
    kind = CUT_OFF if here[0].failure in CUT_OFF else failures.TIMEOUTS
    struck = [
        row
        for row in place.missed("name_elsewhere")
        if row.step == here[0].step and row.failure in kind
    ]
    if kind is CUT_OFF:
        return [row for row in struck if _never_arrived(row) or _is_early(row)]
    # Of a page the host's own, under its own name, says what it is like.
    hosts = around.welcoming if here[0].step == "tls" else around.paged
    return [row for row in struck if row.address in hosts]


def _never_arrived(row: Observation) -> bool:
    return row.bytes_acked is not None and row.bytes_acked <= 1


def _mechanism(failed: Sequence[Observation], hellos: Sequence[Observation]) -> Mechanism | None:
    """Name what every attempt looked like; None if attempts differ.

    An attempt that failed before or after the handshake differs: without it the
    hello was seen to fail less often than it was tried.
    """
    if any(row.step != "tls" for row in failed):
        return None
    outcomes = {row.failure for row in hellos}
    if outcomes <= CUT_OFF:
        return "sni_rst"
    if outcomes <= failures.TIMEOUTS:
        # Without TCP_INFO acknowledged and unacknowledged hellos look alike;
        # the acknowledged form is the weaker claim (something took the hello).
        return "sni_drop" if all(_is_unacknowledged(row) for row in hellos) else "sni_drop_reply"
    return None


def _is_unacknowledged(row: Observation) -> bool:
    """No kernel on the other side ever saw it: hosts acknowledge whatever arrives.

    A reset may overtake the acknowledgement, so only silence says so.
    """
    return row.failure in failures.TIMEOUTS and _never_arrived(row)


def _judge_form(place: Place, hellos: list[Observation], failed: list[Observation]) -> Finding:
    """The same name passes in another form of hello: it is the form that fails."""
    passed = place.passed("second_hello")
    if len(hellos) < 2 or len(hellos) < len(failed):
        return found("tls.no_contrast", None, hellos or failed, passed=passed)
    rivals: tuple[Rival, ...] = (
        ruled_out("a rule on the name alone", passed),
        ruled_out("dead host, blocked address or dead line", passed),
    )
    is_long = any((row.first_flight_bytes or 0) > ONE_SEGMENT for row in hellos)
    outcomes = {row.failure for row in hellos}
    other = place.passed("other_name")
    rule_id = "tls.form_refused"
    short = [*passed, *place.passed("small_hello")]
    is_short = any((row.first_flight_bytes or 0) <= ONE_SEGMENT for row in short)
    if is_long and is_short and not place.passed("large_hello"):
        rule_id = "tls.long_hello"
    elif not outcomes <= CUT_OFF | failures.TIMEOUTS:
        pass  # an alert is a server's word
    elif other and on_path(hellos):
        rule_id = "tls.form_contrast"
        rivals = (*rivals, ruled_out("a server that does not know this form", other))
    elif all(_is_unacknowledged(row) for row in hellos):
        rule_id = "tls.form_vanishes"
        rivals = (*rivals, ruled_out("a server that does not know this form", hellos))
    return found(
        rule_id,
        "tls_fingerprint",
        hellos,
        passed=[*passed, *other],
        rivals=rivals,
        depends_on_silence=bool(outcomes & failures.TIMEOUTS),
    )


def _residual(place: Place, around: Surroundings) -> Finding | None:
    """After a hello was cut off the place itself is silent, where it had just connected."""
    rows = sorted(place.everything(), key=lambda row: (row.t0, row.observation_id))
    same_port = [row for row in rows if row.follow_up not in {"other_port", "udp_twin"}]
    cut = [
        row for row in same_port if row.step == "tls" and row.failure in CUT_OFF | failures.TIMEOUTS
    ]
    if not cut:
        return None
    first = min(row.t for row in cut)
    later = [row for row in same_port if row.step == "tcp" and row.t0 >= first]
    silent = [row for row in later if row.failure in failures.TIMEOUTS]
    if len(silent) < 2 or any(row.failure is None and row.t0 > silent[0].t0 for row in later):
        return None
    open_port = place.passed("other_port")
    # A host that closes on the name and then bans us is the host's own doing.
    if not open_port or not (on_path(cut) or struck_elsewhere(place, cut, around)):
        return found("tls.then_silent", "sni_residual", [*cut, *silent], depends_on_silence=True)
    return found(
        "tls.residual",
        "sni_residual",
        [*cut, *silent],
        passed=open_port,
        rivals=(ruled_out("a host that died, or a blocked address", open_port),),
        depends_on_silence=True,
    )


def _judge_certificate(place: Place, failed: list[Observation], around: Surroundings) -> Finding:
    """Whose certificate is it, if nobody vouches for it?"""
    offset = around.controls.clock_offset_s
    if (
        all(row.verify_code in DATES for row in failed)
        and offset is not None
        and abs(offset) > DAY_S
    ):
        return found("tls.clock", None, failed)
    unknown = [row for row in failed if row.failure == failures.SSL_UNKNOWN_AUTHORITY]
    if len(unknown) < len(failed) or not unknown:
        return found("tls.certificate", None, failed)
    issuers = {c.issuer for row in unknown for c in row.peer_certificates[:1]}
    known = [one for issuer in issuers if (one := match_issuer(issuer)) is not None]
    if any(one.kind == "local" for one in known):
        return found("tls.local_issuer", "tls_mitm", unknown)
    service = failed[0].service_id
    shared = [around.issuers.get((service, issuer), frozenset()) for issuer in issuers]
    strangers = [row for row in place.last_of("other_name") if row.step == "tls"]
    minted = [row for row in strangers if _was_minted(row, issuers)]
    # A control may have its own certificate of the same public authority: only one for the
    # name that was sent is not its own.
    abroad = [
        row
        for row in place.last_of("name_elsewhere")
        if row.step == "tls" and _was_minted(row, issuers)
    ]
    # An authority of the state that also signs for services at home convicts nobody alone.
    known = [one for one in known if not one.signs_services]
    if known or minted:
        rivals = (ruled_out("the server's own mistake", minted),) if minted else ()
        return found("tls.minted", "tls_mitm", unknown, passed=minted, rivals=rivals)
    if abroad:
        # An interceptor of listed names lets the server's own certificate show otherwise.
        rivals = (ruled_out("the server's own mistake", abroad),)
        return found("tls.forged_for_name", "tls_mitm", [*unknown, *abroad], rivals=rivals)
    is_shared = any(len(members) > 1 for members in shared)
    return found(
        "tls.shared_issuer" if is_shared else "tls.unknown_issuer",
        "tls_mitm",
        unknown,
        missed=strangers,
    )


def _was_minted(row: Observation, issuers: set[str]) -> bool:
    """For the name that was sent, by the issuer whom nobody knows: no server has that ready."""
    for certificate in row.peer_certificates[:1]:
        names = {name.lower() for name in certificate.subject_alt_names}
        own = (row.server_name or "").lower()
        above = "*." + own.partition(".")[2]
        return certificate.issuer in issuers and bool(names & {own, above})
    return False


def within_hops(members: Iterable[Member]) -> int | None:
    """Return after how many routers at most a hello with the name was stopped, if known.

    One that was cut off cannot have gone further than its hop limit. One that vanishes
    where a shorter-lived one was still reported dead by a router went no further either.
    """
    rows = [
        row
        for member in members
        for place in member.places
        for row in place.missed("hop")
        if row.hop_limit is not None
    ]
    cut = [row.hop_limit or 0 for row in rows if row.failure in CUT_OFF]
    if cut:
        return min(cut)
    died = max((r.hop_limit or 0 for r in rows if r.failure in failures.UNREACHABLE), default=0)
    silent = [row.hop_limit or 0 for row in rows if row.failure in failures.TIMEOUTS]
    return min((hops for hops in silent if hops > died), default=None) if died else None
