"""What the web process is told, what it tells, and the page it serves; no I/O."""

from typing import Final

from msgspec import Struct

from censorlab.authority import AuthorityKeys

DOH_PATH: Final = "/dns-query"
DEFAULT_BODY_BYTES: Final = 48_000
"""Three seconds at the default throttle, and more than the 16 to 25 kB after
which streams are frozen in the field."""

_FILLER: Final = "The quick brown fox jumps over the lazy dog. "


class SiteSettings(Struct, frozen=True, kw_only=True):
    """One line of JSON on the web process's standard input.

    The names of ``zone`` have certificates of ``trusted``; the same names have
    others of ``forger`` at a second port. ``zone`` also answers DNS over HTTPS.
    """

    trusted: AuthorityKeys
    forger: AuthorityKeys
    default_name: str
    zone: dict[str, tuple[str, ...]]
    body_bytes: int


class SiteZone(Struct, frozen=True, kw_only=True):
    """Any further line on its standard input: the zone from now on."""

    zone: dict[str, tuple[str, ...]]


class SitePorts(Struct, frozen=True, kw_only=True):
    """Answers each line once it is in force: where it listens on 127.0.0.1."""

    trusted: int
    forger: int
    plain: int
    """Without TLS."""


def page(host: str, body_bytes: int) -> bytes:
    """An HTML page of exactly ``body_bytes`` (or its frame, if that is longer)."""
    # Only letters, digits, dots and dashes of what the client claims are echoed.
    title = "".join(c for c in host if c.isascii() and (c.isalnum() or c in ".-"))[:100]
    head = f"<!DOCTYPE html><html><head><title>{title} (simulated)</title></head><body><p>"
    tail = "</p></body></html>\n"
    room = max(0, body_bytes - len(head) - len(tail))
    filler = (_FILLER * (room // len(_FILLER) + 1))[:room]
    return f"{head}{filler}{tail}".encode("ascii")
