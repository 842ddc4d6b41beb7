"""From a URL or ``host:port`` in somebody else's list to an endpoint that may be measured.

A list must not make a volunteer's machine scan the network it stands in: addresses that are
not public, names that only a local network knows, and numbers that a system would read as
an address are kept out unless the person asks for them.
"""

import ipaddress
import re
from typing import Final, NamedTuple
from urllib.parse import SplitResult, quote, urlsplit

import msgspec

from probe.model.target import Endpoint, Probe
from probe.wire.addresses import a_label, is_address, is_bogon
from probe.wire.lists.words import is_secret_name

MAX_URL_CHARS: Final = 2048

_WEB: Final = {"https": 443, "http": 80}
_STREAMS: Final = ("tcp", "tls")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_PARAMETER: Final = re.compile(r";([^=;/]{1,100})=[^;/]*")
"""Of a part of a path, as ``;jsessionid=…`` (RFC 3986, section 3.3)."""

_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_SUFFIXES: Final = frozenset(
    {"localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "private"}
)
"""Last labels that public DNS does not have (RFC 6761, RFC 6762, ICANN 2018 and 2024)."""

_LOCAL_DOMAIN: Final = "home.arpa"
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class BadPlaceError(ValueError):
    """Nothing that may be measured; says why, without repeating what may hold a secret."""


class Place(NamedTuple):
    """An endpoint, and what of the text was left out of it."""

    endpoint: Endpoint
    notes: tuple[str, ...]


def read_place(text: str, *, private: bool) -> Place:
    """Read ``http://``, ``https://``, ``tcp://`` or ``tls://``.

    ``private``: also take addresses and names of local networks.

    Raises:
        BadPlaceError: anything else.
    """
    if len(text) > MAX_URL_CHARS:
        raise BadPlaceError(f"longer than {MAX_URL_CHARS} characters")
    text = text.strip()
    if found := _CONTROL.search(text):
        raise BadPlaceError(f"control character U+{ord(found[0]):04X}")
    scheme, mark, _ = text.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in {*_WEB, *_STREAMS}:
        raise BadPlaceError("not a URL of http, https, tcp or tls")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadPlaceError("not a URL (RFC 3986)") from None
    host = _host(parts, private=private)
    if port is None:
        port = _WEB.get(scheme)
    if port is None:
        raise BadPlaceError(f"{scheme}:// needs a port")
    path, notes = _path(parts) if scheme in _WEB else ("/", ())
    if "@" in parts.netloc:
        notes = ("credentials are left out", *notes)
    is_literal = is_address(host)
    probes = _probes(scheme, is_literal=is_literal)
    if is_literal and scheme in {"https", "tls"}:
        # RFC 6066: an address is no server name, so there is none to shake hands under.
        path, notes = "/", (*notes, "an address without a name: only whether it connects")
    try:
        # `convert` checks the bounds that a constructor does not.
        endpoint = msgspec.convert(
            {
                "address": host,
                "port": port,
                "probes": probes,
                "server_name": host if "tls" in probes else "",
                "alpn": ("http/1.1",) if {"tls", "http"} <= set(probes) else (),
                "path": path,
            },
            Endpoint,
        )
    except msgspec.ValidationError as error:
        raise BadPlaceError(str(error)) from None
    return Place(endpoint, notes)


def _host(parts: SplitResult, *, private: bool) -> str:
    name = (parts.hostname or "").rstrip(".")
    if is_address(name):
        if not private and _is_local_address(name):
            raise BadPlaceError("not a public address: kept out")
        if "%" in name:
            raise BadPlaceError("an address with a zone means something on one machine only")
        return str(ipaddress.ip_address(name))
    try:
        host = a_label(name).lower().rstrip(".")
    except UnicodeError:
        raise BadPlaceError("not a host name (RFC 3490)") from None
    if not _HOST.fullmatch(host):
        raise BadPlaceError("not a host name")
    *_, last = labels = host.split(".")
    if _NUMBER.fullmatch(last):
        # The system would take 127.1 or 2130706433 for an address.
        raise BadPlaceError("a number where a host name should be")
    is_local = (
        len(labels) == 1 or last in _LOCAL_SUFFIXES or f".{host}".endswith("." + _LOCAL_DOMAIN)
    )
    if is_local and not private:
        raise BadPlaceError("a name of local networks: kept out")
    return host


def _is_local_address(text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        # Ways to write an IPv4 address that a router on the way may turn back into it.
        inside = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inside is not None and is_bogon(str(inside)):
            return True
    return is_bogon(text)


def _path(parts: SplitResult) -> tuple[str, tuple[str, ...]]:
    shown = _PARAMETER.sub(lambda found: "" if is_secret_name(found[1]) else found[0], parts.path)
    path = quote(shown, safe="/%:@!$&'()*+,;=~-._") or "/"
    if shown != parts.path:
        return path, ("a part of the path is left out: it may hold a secret",)
    if not parts.query:
        return path, ()
    names = [field.partition("=")[0] for field in parts.query.split("&")]
    if any(map(is_secret_name, names)):
        return path, ("the query is left out: it may hold a secret",)
    return f"{path}?{quote(parts.query, safe='/?%:@!$&()*+,;=~-._[]{}|')}", ()


def _probes(scheme: str, *, is_literal: bool) -> tuple[Probe, ...]:
    first: tuple[Probe, ...] = ("tcp",) if is_literal else ("dns", "tcp")
    if scheme == "http":
        return (*first, "http")
    if is_literal or scheme == "tcp":
        return first
    return (*first, "tls", "http") if scheme == "https" else (*first, "tls")
