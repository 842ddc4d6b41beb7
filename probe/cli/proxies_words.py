"""What came of proxies, in words, in columns, and as QR codes."""

import textwrap
from collections.abc import Sequence
from typing import Any, Final

from probe.cli.render import Style
from probe.run.proxies import ProxyResult
from probe.steps.mtproto_handshake import REPLAY
from probe.steps.proxy_try import CANNOT_REACH, REFUSED, UNKNOWN, WRONG_RECORD, Phase, Try
from probe.steps.web_proxy import NO_BRIDGE, UNKNOWN_BRIDGE, WRONG_FRAMES
from probe.steps.web_proxy import REFUSED as WEB_REFUSED
from probe.wire.proxy_links import Kind

KINDS: Final[dict[Kind, str]] = {
    "socks5": "SOCKS5",
    "socks4": "SOCKS4",
    "http_connect": "HTTP",
    "mtproxy": "MTProxy",
    "mtproxy_dd": "MTProxy dd",
    "mtproxy_ee": "MTProxy ee",
    "web": "WEB proxy",
}

PHASES: Final[dict[Phase, str]] = {
    "name": "name lookup",
    "tcp": "TCP",
    "proxy": "proxy",
    "tls": "TLS",
    "web": "website",
    "fake_tls": "fake TLS",
    "secret": "secret",
    "mtproto": "MTProto",
    "dc": "data centre",
}

CLOCK_LIMIT_S: Final = 60
"""Proxies refuse fake TLS from clocks that differ by two minutes and more."""

_LEAST_COLUMNS: Final = 40
"""Into fewer no sentence is put: it goes below its row."""
_INDENT: Final = 8

_NO_ANSWER: Final[dict[Phase, str]] = {
    "name": "no answer",
    "tcp": "no answer to connecting",
    "proxy": "connected, and no answer to the request",
    "tls": "connected, and no answer to the hello",
    "web": "shakes hands, and does not answer the request",
    "fake_tls": "connected, and no answer to the hello: the secret is wrong, or the hello is "
    "dropped",
    "secret": "connected, and no answer: the secret is wrong, or data is dropped on the way",
    "mtproto": "the way is open, and data is dropped",
    "dc": "no answer",
}
_CUT_OFF: Final[dict[Phase, str]] = {
    "proxy": "closes the connection instead of answering",
    "tls": "cuts the connection off on the hello: the site does, or a filter",
    "web": "shakes hands, and then cuts the connection off",
    "fake_tls": "cuts the connection off on the hello: the proxy does, or a filter",
    "secret": "closes the connection: the secret is wrong, or it reaches no data centre",
    "mtproto": "the way is open, and then cut off",
    "dc": "the secret is right, and the proxy does not know or reach this data centre",
}
_WORDS: Final = {
    REFUSED: "refuses",
    CANNOT_REACH: "works, and cannot reach the data centre",
    REPLAY: "an old answer is repeated: not a data centre",
    WRONG_RECORD: "breaks off its own fake TLS",
    f"{UNKNOWN}faketls_masked": "TLS of somebody who does not know the secret: it is wrong, this "
    "device's clock is, a real site is shown instead, or somebody intercepts",
    f"{UNKNOWN}faketls_not_tls": "answers the hello with another protocol",
    f"{UNKNOWN}mtproto_wrong_nonce": "answers somebody else's question: not a data centre",
    f"{UNKNOWN}mtproto_unknown_keys": "offers keys that are not Telegram's",
    f"{UNKNOWN}mtproto_error_404": "a data centre answers, and does not understand",
    f"{UNKNOWN}mtproto_error_429": "a data centre answers: too many connections from there",
    f"{UNKNOWN}mtproto_error_444": "answers that there is no such data centre",
    NO_BRIDGE: "the site shows its public page: the secret is wrong, no proxy is there any more, "
    "or somebody intercepts",
    UNKNOWN_BRIDGE: "a proxy's page, of a kind that cannot be checked from here",
    WEB_REFUSED: "the site refuses",
    WRONG_FRAMES: "the site breaks off its own protocol",
    "ssl_unknown_authority": "a certificate that no public authority signed: not the site's, or "
    "not ready yet",
    "ssl_invalid_hostname": "another site's certificate",
    "ssl_invalid_certificate": "a certificate that is not valid",
    "ssl_failed_handshake": "no TLS that fits",
    "http_request_failed": "answers with something else than HTTP",
    "dns_nxdomain_error": "no such host",
    "connection_refused": "nobody listens there",
    "host_unreachable": "no way to the host",
    "network_unreachable": "this device has no way to its network",
}
_REFUSALS: Final = {
    "credentials_refused": "wants another user name or password",
    "no_method": "wants a user name and password, or another way to log in",
    "reply_401": "wants other credentials (reply_401)",
    "reply_407": "wants other credentials (reply_407)",
    "endless_reply": "opens the way, and its reply has no end",
    "unfinished_reply": "closes the connection in the middle of its reply",
}
_PROTOCOLS: Final = {"http": "a web server", "tls": "a TLS server"}


def said(each: Try) -> str:
    """Say in words where and how a failed try ended."""
    assert each.phase is not None
    assert each.failure is not None
    detail = f" ({each.detail})" if each.detail else ""
    if each.failure == REFUSED and each.detail in _REFUSALS:
        text = _REFUSALS[each.detail]
    elif each.failure in _WORDS:
        text = _WORDS[each.failure] + detail
    elif each.failure == f"{UNKNOWN}not_mtproto":
        text = f"{_PROTOCOLS.get(each.detail or '', 'something else')} answers, and not MTProto"
    elif each.failure in {"generic_timeout_error", "timed_out"}:
        text = _NO_ANSWER[each.phase] + detail
    elif each.failure in {"eof_error", "connection_reset"}:
        text = _CUT_OFF.get(each.phase, "closes the connection") + detail
    else:
        text = each.failure.removeprefix(UNKNOWN).replace("_", " ") + detail
    return f"{PHASES[each.phase]}: {text}"


def columns(result: ProxyResult, rank: int, *, show: bool) -> dict[str, Any]:
    """Return one proxy's facts for machines; the place of it only if asked for."""
    failed = result.failed_try
    row: dict[str, Any] = {
        "rank": rank if result.successes else None,
        "id": result.candidate.proxy_id,
        "position": result.candidate.position,
        "kind": result.candidate.link.kind,
        "tries": len(result.tries),
        "successes": result.successes,
        "loss": round(result.loss, 3),
        "median_s": None if result.median_s is None else round(result.median_s, 4),
        "hello": result.form,
        "phase": failed.phase if failed else None,
        "failure": failed.failure if failed else None,
        "failure_detail": failed.detail if failed else None,
    }
    if show:
        row["place"] = result.candidate.link.place
    return row


def table(results: Sequence[ProxyResult], style: Style, *, show: bool) -> list[str]:
    """Return one line a proxy, best first."""
    where = max([8, *(len(result.candidate.position) for result in results)])
    lines = [f"  {'':>4}  {'':10} {'median':>8} {'loss':>6}  {'id':8}  {'from':<{where}}  outcome"]
    for rank, result in enumerate(results, 1):
        failed, median_s = result.failed_try, result.median_s
        number = str(rank) if result.successes else "-"
        median = "-" if median_s is None else f"{median_s * 1000:.0f} ms"
        outcome = "works"
        if not result.successes:
            outcome = said(failed) if failed else ""
        elif result.form == "old":
            outcome = "works, for applications of before 2025 only (hello of 517 bytes)"
        if result.successes and failed:
            outcome += f"; else {said(failed)}"
        if show:
            outcome = f"{result.candidate.link.place}  {outcome}"
        works, fails = ("OK", "X") if style.ascii_only else ("●", "✖")
        glyph = works if result.successes else fails
        if style.colour:
            glyph = f"\x1b[{'32' if result.successes else '31'}m{glyph}\x1b[0m"
        start = (
            f"  {number:>4}  {KINDS[result.candidate.link.kind]:10} {median:>8} "
            f"{result.loss:>6.0%}  {result.candidate.proxy_id}  "
            f"{result.candidate.position:<{where}}  "
        )
        first, *others = _fitted(outcome, style, len(start) + 3)
        lines += [f"{start}{glyph} {first}".rstrip(), *others]
    return lines


def _fitted(text: str, style: Style, taken: int) -> list[str]:
    """Return what goes behind the columns taken, and the lines below; a pipe has no width."""
    if style.width is None or len(text) <= style.width - taken:
        return [text]
    indent = taken - 1 if style.width - taken >= _LEAST_COLUMNS else _INDENT
    parts = textwrap.wrap(text, max(style.width - indent - 1, _LEAST_COLUMNS))
    first = parts.pop(0) if indent != _INDENT else ""
    return [first, *(" " * indent + part for part in parts)]


def clock_offset_s(results: Sequence[ProxyResult]) -> float | None:
    """Return by how much the data centres' time differs from ours, None if unknown."""
    known = sorted(
        each.clock_offset_s
        for result in results
        for each in result.tries
        if each.clock_offset_s is not None
    )
    return known[len(known) // 2] if known else None


def qr_lines(matrix: Sequence[Sequence[int]], *, ascii_only: bool) -> list[str]:
    """Draw modules (0 is light) for a dark screen: what is light is drawn.

    Half blocks make a line of two rows; a light margin of four modules is part of the
    matrix.
    """
    if ascii_only:
        return ["".join("  " if dark else "##" for dark in row) for row in matrix]
    rows = [*matrix, *([[1] * len(matrix[0])] if len(matrix) % 2 else [])]
    blocks = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
    return [
        "".join(blocks[bool(up), bool(down)] for up, down in zip(*pair, strict=True))
        for pair in zip(rows[::2], rows[1::2], strict=True)
    ]
