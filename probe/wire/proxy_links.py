"""Links to proxies, as people pass them on, and what they say.

Telegram's own (core.telegram.org/api/links: ``proxy`` and ``socks``; ``webproxy`` as TDLib
1.8.69 was seen to read it) and URLs of SOCKS and HTTP proxies. Whatever a link holds may be
a secret: no error here repeats any of it, and a link shows nothing of itself when it is
printed.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from probe.wire.addresses import a_label, is_address

Kind = Literal["socks5", "socks4", "http_connect", "mtproxy", "mtproxy_dd", "mtproxy_ee", "web"]
"""``mtproxy``: obfuscated only; ``_dd``: and padded; ``_ee``: inside fake TLS; ``web``: one
of the first two, inside a website's HTTPS."""

MAX_LINK_CHARS: Final = 2048
MAX_DOMAIN_BYTES: Final = 182
"""Of fake TLS, as in Telegram's clients: more would not fit their hello of 517 bytes."""

SECRET_BYTES: Final = 16
WEB_PORT: Final = 443
"""Fixed by the type: links give none, and applications ignore one that does."""

_PADDED_MARK: Final = 0xDD
_PATH_MARK: Final = 0x70
"""Before the secret in links to a WEB proxy below a path, so that applications which know
no paths do not take the link for one without."""

_MAX_CREDENTIAL_CHARS: Final = 255
"""RFC 1929: one byte of length."""

_TELEGRAM: Final = re.compile(
    r"(?:tg:(?://)?|(?:https?://)?(?:www\.)?(?:t|telegram)\.(?:me|dog)/)(proxy|socks|webproxy)/?\?(.*)",
    re.IGNORECASE,
)
_LOOKS_LIKE_LINK: Final = re.compile(r"tg:|[a-z][a-z0-9+.-]*://|(?:t|telegram)\.me/", re.IGNORECASE)
_KINDS: Final[dict[str, Kind]] = {
    "socks5": "socks5",
    "socks5h": "socks5",
    "socks4": "socks4",
    "socks4a": "socks4",
    "http": "http_connect",
}
_EXPECTED: Final = "expected tg://proxy, tg://webproxy, tg://socks, socks5://, socks4:// or http://"
_NO_HOST: Final = "the server is neither a host name nor an address (IPv6: in brackets)"
_PLACE: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([^:]*))?")
_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*"
    r"(?![0-9]+\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?",
    re.IGNORECASE,
)
"""A name whose last label is a number is a mistyped address."""
_WEB_SERVER: Final = re.compile(r"(?:https://)?([^/?#@:]*)(?:/(.*?)/?)?", re.IGNORECASE)
_WEB_PATH: Final = re.compile(
    r"(?=.{1,128}\Z)[a-z0-9][a-z0-9_-]*(?:/[a-z0-9][a-z0-9_-]*)*", re.IGNORECASE
)


class BadLinkError(ValueError):
    """The text is no link to a proxy that can be checked; says why, not what it is."""


class Secret(NamedTuple):
    """An MTProxy's secret: which kind it makes the proxy, its key, the domain it shows."""

    kind: Kind
    key: bytes
    domain: str


@dataclass(frozen=True, repr=False)
class ProxyLink:
    """One proxy. ``host`` is an address or an A-label; ``domain`` is the name TLS shows.

    ``secret`` is 16 bytes; of a WEB proxy with the dd before it, if it has one, because
    its capability is derived from both. ``path`` is where a WEB proxy begins: segments,
    with slashes between them only, or empty.
    """

    kind: Kind
    host: str
    port: int
    username: str | None = None
    password: str | None = None
    secret: bytes = b""
    domain: str = ""
    path: str = ""

    def __repr__(self) -> str:
        return f"ProxyLink({self.kind})"

    @property
    def is_padded(self) -> bool:
        """Whether MTProto's frames get padding: of every secret but a plain one."""
        return self.kind != "mtproxy" and not (
            self.kind == "web" and len(self.secret) == SECRET_BYTES
        )

    @property
    def place(self) -> str:
        """``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self) -> str:
        """Return the link in one form, whichever it was read from.

        Telegram's own where it has one, because its applications open that.
        """
        if self.kind == "web":
            return f"tg://webproxy?{urlencode(self._web_fields())}"
        where = {"server": self.host, "port": str(self.port)}
        if self.secret:
            start = {"mtproxy_dd": b"\xdd", "mtproxy_ee": b"\xee"}.get(self.kind, b"")
            secret = start + self.secret + self.domain.encode()
            return f"tg://proxy?{urlencode({**where, 'secret': secret.hex()})}"
        if self.kind == "socks5":
            given = {"user": self.username, "pass": self.password}
            known = {key: value for key, value in given.items() if value is not None}
            return f"tg://socks?{urlencode({**where, **known})}"
        scheme = "socks4" if self.kind == "socks4" else "http"
        login = "" if self.username is None else quote(self.username, safe="")
        if self.password is not None:
            login += ":" + quote(self.password, safe="")
        return f"{scheme}://{login}{'@' if login else ''}{self.place}"

    def _web_fields(self) -> dict[str, str]:
        if not self.path:
            return {"server": self.host, "secret": self.secret.hex()}
        marked = base64.urlsafe_b64encode(bytes((_PATH_MARK,)) + self.secret).decode()
        return {"server": f"{self.host}/{self.path}", "secret": marked.rstrip("=")}


def looks_like_link(text: str) -> bool:
    """Tell whether somebody who typed this meant a link, and not a file."""
    return _LOOKS_LIKE_LINK.match(text.strip()) is not None


def parse_link(text: str) -> ProxyLink:
    """Read one link.

    Raises:
        BadLinkError: without any part of the text in its message.
    """
    text = text.strip()
    if len(text) > MAX_LINK_CHARS:
        raise BadLinkError(f"longer than {MAX_LINK_CHARS} characters")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise BadLinkError("a space or control character inside the link")
    if match := _TELEGRAM.fullmatch(text):
        return _telegram(match[1].lower(), match[2])
    return _url(text)


def _telegram(command: str, query: str) -> ProxyLink:
    # Lists copied from web pages keep the markup's form of "&".
    query = query.partition("#")[0].replace("&amp;", "&")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise BadLinkError("more than 20 parameters") from None
    fields = dict(pairs)
    for name in ("server", "port", "secret", "user", "pass"):
        if sum(key == name for key, _ in pairs) > 1:
            raise BadLinkError(f"{name} is given twice")
    needed = {"proxy": ("server", "port", "secret"), "webproxy": ("server", "secret")}
    for name in needed.get(command, ("server", "port")):
        if not fields.get(name):
            raise BadLinkError(f"no {name}")
    if command == "webproxy":
        return _web(fields["server"], fields["secret"].replace(" ", "+"))
    host, port = _host(fields["server"]), _port(fields["port"])
    if command == "proxy":
        # In a query "+" means a space; in base64 it is a digit.
        secret = parse_secret(fields["secret"].replace(" ", "+"))
        return ProxyLink(secret.kind, host, port, secret=secret.key, domain=secret.domain)
    username, password = _login("socks5", fields.get("user"), fields.get("pass"))
    return ProxyLink("socks5", host, port, username, password)


def _web(server: str, secret_text: str) -> ProxyLink:
    """Read a WEB proxy's place and secret, by the rules that TDLib 1.8.69 was seen to have."""
    place = _WEB_SERVER.fullmatch(server)
    host = _host(place[1]) if place else ""
    if not place or is_address(host) or "." not in host:
        raise BadLinkError("the server of a WEB proxy is not a host name with a dot in it")
    path = place[2] or ""
    if path and not _WEB_PATH.fullmatch(path):
        raise BadLinkError("the path of a WEB proxy is not of letters, digits, - and _")
    secret = _decoded(secret_text)
    is_marked = len(secret) > SECRET_BYTES and secret[0] == _PATH_MARK
    if path and not is_marked:
        raise BadLinkError("the secret is not in the form that goes with a path")
    if is_marked:
        secret = secret[1:]
    if len(secret) != SECRET_BYTES and not (
        len(secret) == 1 + SECRET_BYTES and secret[0] == _PADDED_MARK
    ):
        raise BadLinkError("the secret of a WEB proxy is neither 16 bytes, nor dd and 16")
    return ProxyLink("web", host, WEB_PORT, secret=secret, domain=host, path=path)


def _url(text: str) -> ProxyLink:
    try:
        parts = urlsplit(text)
        # Of their place it reads IPv6 without brackets as a name and a port.
        place = _PLACE.fullmatch(parts.netloc.rpartition("@")[2])
        scheme, username, password = parts.scheme, parts.username, parts.password
    except ValueError:
        raise BadLinkError("not a URL") from None
    if scheme not in _KINDS:
        if scheme == "https":
            raise BadLinkError(f"proxies over HTTPS cannot be checked; {_EXPECTED}")
        raise BadLinkError(f"not a link to a proxy; {_EXPECTED}")
    if place is None:
        raise BadLinkError(_NO_HOST)
    if not place[1]:
        raise BadLinkError("no host")
    if parts.path not in {"", "/"} or parts.query:
        raise BadLinkError("more than a host and port: the address of a page, not of a proxy")
    if not place[2]:
        raise BadLinkError("no port")
    kind = _KINDS[scheme]
    login = _login(kind, username and unquote(username), password and unquote(password))
    return ProxyLink(kind, _host(place[1]), _port(place[2]), *login)


def _host(text: str) -> str:
    host = text.removeprefix("[").removesuffix("]")
    # Not with a zone, as in fe80::1%eth0: it means something on one system only.
    if is_address(host) and "%" not in host:
        return host
    try:
        host = a_label(host).rstrip(".").lower()
    except UnicodeError:
        raise BadLinkError(_NO_HOST) from None
    if not _HOST.fullmatch(host):
        raise BadLinkError(_NO_HOST)
    return host


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise BadLinkError("the port is no number from 1 to 65535")
    return int(text)


def _login(kind: Kind, username: str | None, password: str | None) -> tuple[str | None, str | None]:
    if username is None and not password:
        return None, None
    for text in (username or "", password or ""):
        if len(text) > _MAX_CREDENTIAL_CHARS or not (text.isascii() and text.isprintable()):
            raise BadLinkError("user or password is longer than 255 characters, or not ASCII")
    if kind == "http_connect" and ":" in (username or ""):
        raise BadLinkError("a colon in the user's name (RFC 7617 allows none)")
    if kind == "socks4" and password:
        raise BadLinkError("a password, which SOCKS4 does not have")
    # Both or none: half a login makes the client offer none at all.
    return username or "", password or ""


def parse_secret(text: str) -> Secret:
    """Read an MTProxy's secret, in hexadecimal, base64 or base64url.

    Raises:
        BadLinkError: it is none of the three kinds.
    """
    data = _decoded(text)
    if len(data) == SECRET_BYTES:
        return Secret("mtproxy", data, "")
    if len(data) == 1 + SECRET_BYTES and data[0] == _PADDED_MARK:
        return Secret("mtproxy_dd", data[1:], "")
    if len(data) > 1 + SECRET_BYTES and data[0] == 0xEE:
        return Secret("mtproxy_ee", data[1 : 1 + SECRET_BYTES], _domain(data[1 + SECRET_BYTES :]))
    raise BadLinkError("the secret is neither 16 bytes, nor dd and 16, nor ee, 16 and a domain")


def _decoded(text: str) -> bytes:
    if re.fullmatch(r"(?:[0-9a-fA-F]{2}){16,}", text):
        return bytes.fromhex(text)
    digits = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadLinkError("the secret is neither hexadecimal nor base64") from None


def _domain(data: bytes) -> str:
    domain = data.decode("ascii", "replace").rstrip(".")
    if len(data) > MAX_DOMAIN_BYTES or not _HOST.fullmatch(domain):
        raise BadLinkError(
            f"the domain in the secret is no host name of at most {MAX_DOMAIN_BYTES} bytes"
        )
    return domain
