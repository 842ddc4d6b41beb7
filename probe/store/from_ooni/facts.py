"""Single values of OONI's rows -> single columns of ours."""

import re
from typing import Final

from probe.model import failure as failures
from probe.model.observation import Certificate, Header
from probe.store.from_ooni.connections import failed
from probe.store.from_ooni.measurement import Binary, Response, Tls
from probe.wire.addresses import scrub
from probe.wire.certificate import parse_certificate
from probe.wire.http1 import HEADERS_OF_INTEREST, MAX_HEADER_CHARS, HttpExchange

OTHER: Final = f"{failures.UNKNOWN_PREFIX}other"

MAX_BODY_BYTES: Final = 64 * 1024
"""What our own prober reads of a page: cut alike, equal pages have equal hashes."""

MAX_CHAIN: Final = 10
"""Certificates described per handshake, as our own prober does."""

_MAX_HEADERS: Final = 20
_MAX_DETAIL_CHARS: Final = 200
_MAX_WORD_CHARS: Final = 64

_KNOWN: Final = re.compile(failures.PATTERN)
_SAME: Final = {
    # Android's EAI_NODATA.
    "android_dns_cache_no_data": failures.DNS_NO_ANSWER,
    # What the test helper says for NXDOMAIN (probe-cli, oohelperd).
    "dns_name_error": failures.DNS_NXDOMAIN,
}


def failure_of(failure: str | bool | None) -> tuple[str | None, str | None]:  # noqa: FBT001 - OONI's own type
    """Return our failure string and the detail beside it."""
    if not failed(failure):
        return None, None
    text = str(failure)
    if _KNOWN.fullmatch(text):
        return text, None
    return _SAME.get(text, OTHER), scrub(text)[:_MAX_DETAIL_CHARS]


def word(text: str | None) -> str | None:
    """Return a short name (a version, a cipher) or None for an empty one."""
    return scrub(text)[:_MAX_WORD_CHARS] if text else None


def certificates_of(tls: Tls) -> tuple[Certificate, ...]:
    """Describe the presented chain."""
    chain = tls.peer_certificates or ()
    return tuple(parse_certificate(item.data) for item in chain[:MAX_CHAIN])


def headers_of(response: Response) -> tuple[Header, ...]:
    """Return the headers that our own prober keeps, scrubbed."""
    pairs = response.headers_list or list((response.headers or {}).items())
    found: list[Header] = []
    for name, value in pairs:
        if name.lower() in HEADERS_OF_INTEREST and len(found) < _MAX_HEADERS:
            text = value.data.decode("latin-1") if isinstance(value, Binary) else value
            found.append(Header(name=name.lower(), value=scrub(text)[:MAX_HEADER_CHARS]))
    return tuple(found)


def body_of(response: Response) -> tuple[HttpExchange, bool]:
    """Return an exchange that holds the body, and whether it is cut.

    The exchange knows title and hash of a body; here it never exchanges anything.
    """
    body = response.body
    data = body.data if isinstance(body, Binary) else (body or "").encode()
    exchange = HttpExchange("host.invalid", "/", max_body_bytes=MAX_BODY_BYTES)
    exchange.body = data[:MAX_BODY_BYTES]
    return exchange, bool(response.body_is_truncated) or len(data) > MAX_BODY_BYTES
