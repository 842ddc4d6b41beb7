"""One bounded HTTP/1.1 exchange (RFC 9112), sans-IO over h11."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Final

import h11

from probe.wire.addresses import scrub

HEADERS_OF_INTEREST: Final = frozenset(
    {
        "content-type",
        "content-length",
        "location",
        "server",
        "via",
        "x-cache",
        "retry-after",
        "alt-svc",
    }
)
"""Headers that help to tell a block page, a proxy or a CDN; cookies never."""

MAX_HEADER_CHARS: Final = 300
MAX_TITLE_CHARS: Final = 200
MAX_REASON_CHARS: Final = 120
MAX_HEAD_BYTES: Final = 64 * 1024
"""Bound on status line and headers; the largest precedent (nginx) is 32 KiB."""

_TITLE: Final = re.compile(rb"<title[^>]{0,200}>", re.IGNORECASE)
_TITLE_END: Final = re.compile(rb"</title", re.IGNORECASE)
MAX_TITLE_BYTES: Final = 2000
"""Looked through for a title's end, and only behind the first ``<title>``: a page
of nothing but ``<title>`` took 0.4 s otherwise, in which nothing else is measured."""


_CHARSET: Final = re.compile(r"charset=[\"']?([\w:.-]{1,40})", re.IGNORECASE)
_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
_DATES: Final = (
    re.compile(
        r"[a-z]{3,9}, (?P<day>\d{2})[ -](?P<month>[a-z]{3})[ -](?P<year>\d{4}|\d{2}) "
        r"(?P<time>\d{2}:\d{2}:\d{2}) GMT",
        re.IGNORECASE | re.ASCII,
    ),
    re.compile(
        r"[a-z]{3} (?P<month>[a-z]{3}) (?P<day>[ \d]\d) "
        r"(?P<time>\d{2}:\d{2}:\d{2}) (?P<year>\d{4})",
        re.IGNORECASE | re.ASCII,
    ),
)
"""The forms of RFC 9110 section 5.6.7: today's, RFC 850's and asctime's."""


class HttpError(ValueError):
    """The peer's bytes are not HTTP/1.1."""


class HttpExchange:
    """One request and its response; feed bytes until ``is_complete``.

    ``body`` holds at most ``max_body_bytes``; beyond that the exchange is
    complete and ``is_truncated``. ``date`` is when the response was sent, by the
    sender's clock; ``charset`` is what its header says of the body's encoding.
    """

    def __init__(
        self,
        host: str,
        path: str,
        *,
        max_body_bytes: int,
        method: str = "GET",
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> None:
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        # A plain, common request: an unusual User-Agent is itself a mark.
        given = {name.lower() for name, _ in headers}
        base = [("Host", host), ("User-Agent", "Mozilla/5.0")]
        if "accept" not in given:
            base.append(("Accept", "*/*"))
        if body:
            base.append(("Content-Length", str(len(body))))
        request = h11.Request(method=method, target=path, headers=[*base, *headers])
        self.request_bytes = b"".join(
            self._connection.send(event) or b""
            for event in (request, *((h11.Data(data=body),) if body else ()), h11.EndOfMessage())
        )
        self._max_body_bytes = max_body_bytes
        self.status_code: int | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.date: datetime | None = None
        self.body = b""
        self.is_complete = False
        self.is_truncated = False

    def receive(self, data: bytes) -> None:
        """Feed received bytes; ``b""`` means that the peer closed its side.

        Raises:
            EOFError: if the peer closed before the response was complete.
            HttpError: if the bytes are not a valid response.
        """
        try:
            self._connection.receive_data(data)
            self._drain()
        except h11.RemoteProtocolError as error:
            # The message may quote the peer, and the peer the visitor's address.
            reason = scrub(str(error))[:MAX_REASON_CHARS]
            # The end of the stream is no bytes: only its place can be wrong.
            raise (HttpError(reason) if data else EOFError(reason)) from None

    def _drain(self) -> None:
        while not self.is_complete:
            event = self._connection.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.Response):
                self.status_code = event.status_code
                self.headers = tuple(
                    (name.decode("latin-1"), scrub(value.decode("latin-1"))[:MAX_HEADER_CHARS])
                    for name, value in event.headers
                    if name.decode("latin-1") in HEADERS_OF_INTEREST
                )
                # A time of day is finer than what results may hold, so it is no header
                # of interest.
                self.date = _sent(dict(event.headers))
            elif isinstance(event, h11.Data):
                room = self._max_body_bytes - len(self.body)
                self.body += bytes(event.data[:room])
                if len(event.data) > room:
                    self.is_truncated = True
                    self.is_complete = True
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                self.is_complete = True

    def title(self) -> str | None:
        """Return the page's title, without addresses; None if there is none."""
        start = _TITLE.search(self.body)
        if start is None:
            return None
        end = _TITLE_END.search(self.body, start.end(), start.end() + MAX_TITLE_BYTES)
        if end is None:
            return None
        text = " ".join(self.body[start.end() : end.start()].decode("utf-8", "replace").split())
        return scrub(text)[:MAX_TITLE_CHARS]

    @property
    def charset(self) -> str | None:
        """The encoding that the header names."""
        found = _CHARSET.search(self._content_type)
        return found[1] if found else None

    @property
    def is_text(self) -> bool:
        """Tell whether the body calls itself a page, or nothing at all."""
        media_type = self._content_type.partition(";")[0].strip().lower()
        return media_type.startswith("text/") or media_type in {"", "application/xhtml+xml"}

    @property
    def _content_type(self) -> str:
        return dict(self.headers).get("content-type", "")

    def body_sha256(self) -> str:
        """Hash the body after addresses are replaced.

        A page that prints the visitor's address would otherwise hash to a value
        from which the address can be searched (2^32 tries), and pages that
        differ in nothing else would not compare equal.
        """
        text = self.body.decode("latin-1")
        return hashlib.sha256(scrub(text).encode("latin-1")).hexdigest()


def parse_date(text: str) -> datetime | None:
    """Read an HTTP date (RFC 9110 section 5.6.7); None if it is none."""
    found = next((m for form in _DATES if (m := form.fullmatch(text.strip()))), None)
    if found is None or found["month"].lower() not in _MONTHS:
        return None
    # Two digits are RFC 850's; whoever still writes them means this century.
    year = int(found["year"]) + (2000 if len(found["year"]) == 2 else 0)
    hour, minute, second = map(int, found["time"].split(":"))
    month = _MONTHS.index(found["month"].lower()) + 1
    # A leap second is one that this type does not have.
    second = 59 if second == 60 else second
    try:
        return datetime(year, month, int(found["day"]), hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def _sent(headers: dict[bytes, bytes]) -> datetime | None:
    """Return when a response left, by its sender's clock.

    A cache keeps the origin's Date, and says in Age (RFC 9111 section 5.1) how long ago
    that was.
    """
    date = parse_date(headers.get(b"date", b"").decode("latin-1"))
    age = headers.get(b"age", b"")
    if date is None or not (age.isdigit() and len(age) <= 9):
        return date
    try:
        return date + timedelta(seconds=int(age))
    except OverflowError:
        return None
