"""What happened to the request and to its answer."""

from urllib.parse import urlsplit

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.verdict.finding import Finding, found, ruled_out
from probe.verdict.fingerprints import match_page
from probe.verdict.hellos import CUT_OFF, EARLY_SHARE, on_path, struck_elsewhere
from probe.verdict.members import Place
from probe.verdict.surroundings import Surroundings

COUNTRY_CODE = 2
SHORT_LABEL = 3
"""Letters of ``tr``, and of the ``com`` or ``co`` that stand before it."""

RESENT_OFTEN = 3
"""Retransmissions after which a request is not coming through."""

MORE = 1.2
"""A contrast that got further than the stalled transfer by this factor."""


def judge_transfer(place: Place, failed: list[Observation], around: Surroundings) -> Finding:
    """Apply the rules to an address at which no answer was complete."""
    pages = [row for row in failed if row.step == "http"]
    if len(pages) < len(failed):
        return found("http.interrupted", None, failed)
    outcomes = {row.failure for row in pages}
    contrast = [row for row in place.passed("other_name") if row.step == "http"]
    rivals = (ruled_out("a broken server or line", contrast),) if contrast else ()
    # A front with one sick host behind it looks the same from one address.
    witnesses = _unheard(pages) or struck_elsewhere(place, pages, around)
    if witnesses:
        rivals = (*rivals, ruled_out("the server itself refuses", witnesses))
    enough = len(pages) >= 2 and bool(contrast) and bool(witnesses)
    if outcomes <= CUT_OFF:
        rule_id = "http.cut_contrast" if enough else "http.interrupted"
        return found(rule_id, "http_host_rst", pages, passed=contrast, rivals=rivals)
    if not outcomes <= failures.TIMEOUTS:
        return found("http.interrupted", None, pages, passed=contrast)
    # What a server sends before it is asked (session tickets) is no answer.
    if all(row.received_bytes == 0 or _is_left(row) for row in pages):
        is_tls = any(row.step == "tls" for rows in place.attempts for row in rows)
        rule_id = "http.vanished_contrast" if enough else "http.interrupted"
        return found(
            rule_id,
            "faketls_drop" if is_tls else "http_host_rst",
            pages,
            passed=contrast,
            rivals=rivals,
            depends_on_silence=True,
        )
    reached = max(row.received_bytes for row in pages)
    further = [row for row in contrast if row.received_bytes > MORE * reached]
    enough = enough and bool(further)
    return found(
        "http.freeze_contrast" if enough else "http.interrupted",
        "freeze",
        [*pages, *place.missed("tiny_writes")],
        passed=further,
        rivals=rivals if further else (),
        depends_on_silence=True,
    )


def _unheard(pages: list[Observation]) -> list[Observation]:
    """Return the rows if no kernel on the other side acknowledged the request."""
    return pages if on_path(pages) or all(_is_left(row) for row in pages) else []


def _is_left(row: Observation) -> bool:
    """The request was sent again and again, and never acknowledged."""
    return bool(row.tcp_unacked) and (row.tcp_retransmits or 0) >= RESENT_OFTEN


def judge_page(place: Place) -> Finding | None:
    """Is a completed answer over plain HTTP somebody else's?"""
    pages = [rows[-1] for rows in place.attempts if rows[-1].failure is None]
    plain = [row for row in pages if row.step == "http" and not _has_tls(place)]
    if not plain:
        return None
    contrast = [row for row in place.passed("other_name") if row.step == "http"]
    differing = [
        row
        for row in contrast
        if all((row.status_code, row.body_sha256) != (p.status_code, p.body_sha256) for p in plain)
    ]
    matches = [
        match for row in plain if (match := match_page(row)) is not None and not _leads_home(row)
    ]
    rivals = (ruled_out("the same answer for every name", differing),) if differing else ()
    if any(match.confidence == "specific" for match in matches):
        return found("http.known_page", "blockpage", plain, passed=differing, rivals=rivals)
    if matches and differing:
        return found("http.page_contrast", "blockpage", plain, passed=differing, rivals=rivals)
    if matches:
        return found("http.page_says_so", "blockpage", plain)
    refused = [row for row in plain if (row.status_code or 0) >= 300]
    served = [row for row in differing if (row.status_code or 0) < 300]
    if refused and served and all(_is_early(row, place) for row in refused):
        return found("http.early_answer", "blockpage", refused, passed=served, rivals=rivals)
    return None


def _leads_home(row: Observation) -> bool:
    """Whether a redirect stays within the site's own domain: nobody's block page is there."""
    own = (row.hostname or "").lower().rstrip(".").split(".")
    for header in row.headers:
        if header.name == "location":
            host = (urlsplit(header.value).hostname or "").rstrip(".").split(".")
            # One more label below a country's second level: com.tr is nobody's home.
            size = 3 if len(own[-1]) == COUNTRY_CODE and len(own[-2:][0]) <= SHORT_LABEL else 2
            return len(own) >= size and host[-size:] == own[-size:]
    return False


def _has_tls(place: Place) -> bool:
    return any(row.step == "tls" for rows in place.attempts for row in rows)


def _is_early(row: Observation, place: Place) -> bool:
    rtts = [o.tcp_rtt_s for o in place.everything() if o.step == "tcp" and o.tcp_rtt_s is not None]
    return (
        row.first_byte_s is not None
        and len(rtts) > 1
        and row.first_byte_s < EARLY_SHARE * min(rtts)
    )
