"""Links to proxies: what is read from them, and that errors repeat nothing of them."""

import base64
import traceback
from contextlib import suppress
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.wire.proxy_links import (
    MAX_DOMAIN_BYTES,
    MAX_LINK_CHARS,
    BadLinkError,
    Kind,
    ProxyLink,
    looks_like_link,
    parse_link,
    parse_secret,
)

KEY = bytes(range(0xA0, 0xB0))
DOMAIN = "www.example.org"

keys = st.binary(min_size=16, max_size=16)
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
names = st.tuples(labels, st.sampled_from(["example", "org", "x1y"])).map(".".join)
hosts = st.one_of(names, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)


@st.composite
def links(draw: st.DrawFn) -> ProxyLink:
    kind: Kind = draw(
        st.sampled_from(
            ["socks5", "socks4", "http_connect", "mtproxy", "mtproxy_dd", "mtproxy_ee", "web"]
        )
    )
    if kind == "web":
        name, secret = draw(names), draw(st.sampled_from([b"", b"\xdd"])) + draw(keys)
        path = draw(st.sampled_from(["", "a", "Some-path/of_2"]))
        return ProxyLink(kind, name, 443, secret=secret, domain=name, path=path)
    host, port = draw(hosts), draw(st.integers(1, 65535))
    if kind.startswith("mtproxy"):
        domain = draw(names) if kind == "mtproxy_ee" else ""
        return ProxyLink(kind, host, port, secret=draw(keys), domain=domain)
    if not draw(st.booleans()):
        return ProxyLink(kind, host, port)
    user = draw(words).replace(":", "")
    return ProxyLink(kind, host, port, user, "" if kind == "socks4" else draw(words))


@given(links())
def test_a_link_is_read_from_its_own_url(link: ProxyLink) -> None:
    assert parse_link(link.url()) == link


@given(links())
def test_a_link_shows_nothing_of_itself(link: ProxyLink) -> None:
    """Neither printed alone nor inside an exception."""
    assert str(link) == repr(link) == f"ProxyLink({link.kind})"
    assert str(ValueError(link)) == repr(link)


@pytest.mark.parametrize(
    "form",
    [
        "tg://proxy?server={host}&port=443&secret={secret}",
        "tg:proxy?server={host}&port=443&secret={secret}",
        "https://t.me/proxy?server={host}&port=443&secret={secret}",
        "http://telegram.me/proxy/?port=443&server={host}&secret={secret}",
        "t.me/proxy?server={host}&amp;port=443&amp;secret={secret}",
        "  HTTPS://T.ME/proxy?server={host}&port=443&secret={secret}&tag=x#end \n",
    ],
)
def test_forms_of_telegrams_links(form: str) -> None:
    """As applications, channels and web pages write them."""
    text = form.format(host="Proxy.Example.", secret=KEY.hex())
    assert parse_link(text) == ProxyLink("mtproxy", "proxy.example", 443, secret=KEY)


@pytest.mark.parametrize(
    ("data", "kind", "domain"),
    [
        (KEY, "mtproxy", ""),
        (b"\xdd" * 16, "mtproxy", ""),
        (b"\xdd" + KEY, "mtproxy_dd", ""),
        (b"\xee" + KEY + DOMAIN.encode(), "mtproxy_ee", DOMAIN),
        (b"\xee" + KEY + b"a" * 60 + b".b", "mtproxy_ee", "a" * 60 + ".b"),
    ],
)
@pytest.mark.parametrize(
    "encode",
    [
        lambda data: data.hex(),
        lambda data: data.hex().upper(),
        lambda data: base64.b64encode(data).decode(),
        lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
    ],
    ids=["hex", "HEX", "base64", "base64url"],
)
def test_kinds_and_encodings_of_secrets(
    data: bytes, kind: str, domain: str, encode: object
) -> None:
    text = encode(data)  # type: ignore[operator] # one of the four above
    secret = parse_secret(text)
    assert (secret.kind, secret.domain) == (kind, domain)
    assert secret.key == (data if kind == "mtproxy" else KEY)
    # In a link a plus sign may stand for itself.
    assert parse_link(f"tg://proxy?server=a.b&port=1&secret={text}").secret == secret.key


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("socks5://h.example:1080", ProxyLink("socks5", "h.example", 1080)),
        ("socks5h://[2001:db8::1]:1080", ProxyLink("socks5", "2001:db8::1", 1080)),
        ("socks5://a%40b:c%3A@h.example:1", ProxyLink("socks5", "h.example", 1, "a@b", "c:")),
        ("socks4a://me@192.0.2.1:1", ProxyLink("socks4", "192.0.2.1", 1, "me", "")),
        ("http://localhost:8888/", ProxyLink("http_connect", "localhost", 8888)),
        ("tg://socks?server=h.example&port=9", ProxyLink("socks5", "h.example", 9)),
        ("t.me/socks?server=h&port=9&user=a&pass=b", ProxyLink("socks5", "h", 9, "a", "b")),
        ("http://bücher.example:1", ProxyLink("http_connect", "xn--bcher-kva.example", 1)),
    ],
)
def test_socks_and_http(text: str, link: ProxyLink) -> None:
    assert parse_link(text) == link


SECRET = KEY.hex()
MARKED = base64.urlsafe_b64encode(b"\x70" + KEY).decode().rstrip("=")


def web(host: str = "proxy.example", secret: bytes = KEY, path: str = "") -> ProxyLink:
    return ProxyLink("web", host, 443, secret=secret, domain=host, path=path)


@pytest.mark.parametrize(
    ("text", "link"),
    [
        (f"tg://webproxy?server=proxy.example&secret={SECRET}", web()),
        (f"https://t.me/webproxy?server=Proxy.Example&secret={SECRET}", web()),
        (f"tg:webproxy?secret={SECRET}&server=https://proxy.example/", web()),
        (f"t.me/webproxy?server=proxy.example&secret=dd{SECRET}", web(secret=b"\xdd" + KEY)),
        (f"tg://webproxy?server=proxy.example&port=8443&secret={SECRET}", web()),
        (
            f"tg://webproxy?server=b%C3%BCcher.example&secret={SECRET}",
            web("xn--bcher-kva.example"),
        ),
        (f"tg://webproxy?server=proxy.example%2FSome/path&secret={MARKED}", web(path="Some/path")),
        (f"tg://webproxy?server=proxy.example&secret={MARKED}", web()),
    ],
)
def test_web_proxies(text: str, link: ProxyLink) -> None:
    """Each is read as tdjson 1.8.69 read it (``getInternalLinkType``), asked by hand."""
    assert parse_link(text) == link


BAD = [
    # What tdjson 1.8.69 takes for no WEB proxy either.
    (f"tg://webproxy?server=192.0.2.1&secret={SECRET}", "not a host name with a dot"),
    (f"tg://webproxy?server=proxy-example&secret={SECRET}", "not a host name with a dot"),
    (f"tg://webproxy?host=proxy.example&secret={SECRET}", "no server"),
    (f"tg://webproxy?server=proxy.example&secret=ee{SECRET}{DOMAIN.encode().hex()}", "dd and 16"),
    (f"tg://webproxy?server=proxy.example/path&secret={SECRET}", "goes with a path"),
    (f"tg://webproxy?server=proxy.example//path&secret={MARKED}", "letters, digits"),
    (f"tg://webproxy?server=http://proxy.example&secret={SECRET}", "not a host name with a dot"),
    (f"tg://webproxy?server=proxy.example:443&secret={SECRET}", "not a host name with a dot"),
    ("", "not a link"),
    ("proxy.example:443", "not a link"),
    ("vless://secret-id@proxy.example:443", "not a link"),
    ("https://proxy.example:443", "over HTTPS"),
    ("http://[proxy.example:1", "not a URL"),
    ("http://proxy.example", "no port"),
    ("socks5://proxy.example:0", "port"),
    ("socks5://proxy.example:65536", "port"),
    ("socks5://proxy.example:\u0661", "port"),
    ("socks5://:1080", "no host"),
    ("http://proxy.example:80/page.html", "page"),
    ("socks5://192.0.2.256:1", "neither a host name nor an address"),
    ("socks5://fe80::1%25eth0:1", "neither a host name nor an address"),
    ("socks5://-proxy-.example:1", "neither a host name nor an address"),
    (f"socks5://{'proxy' * 60}:1", "neither a host name nor an address"),
    (f"socks5://{'p' * 256}:x@proxy.example:1", "longer than 255"),
    ("socks5://пароль:x@proxy.example:1", "not ASCII"),
    ("http://a%3Ab:c@proxy.example:1", "colon"),
    ("socks4://a:password@proxy.example:1", "SOCKS4"),
    ("tg://proxy?port=1&secret=" + SECRET, "no server"),
    ("tg://proxy?server=proxy.example&secret=" + SECRET, "no port"),
    ("tg://proxy?server=proxy.example&port=1", "no secret"),
    (f"tg://proxy?server=proxy.example&server=x&port=1&secret={SECRET}", "server is given twice"),
    (f"tg://proxy?server=proxy.example&port=1&secret={SECRET[:-1]}!", "hexadecimal nor base64"),
    (f"tg://proxy?server=proxy.example&port=1&secret={SECRET[:-2]}", "neither 16 bytes"),
    (f"tg://proxy?server=proxy.example&port=1&secret=dd{SECRET}00", "neither 16 bytes"),
    (f"tg://proxy?server=proxy.example&port=1&secret=ee{SECRET}", "neither 16 bytes"),
    (f"tg://proxy?server=proxy.example&port=1&secret=ee{SECRET}ff2e61", "domain"),
    (f"tg://proxy?server=p&port=1&secret=ee{SECRET}{(b'a.' * 92).hex()}", "domain"),
    (f"tg://proxy?server=proxy.example&port=1&secret={SECRET}" + "&a=b" * 30, "parameters"),
    (f"tg://proxy?server=proxy.example&port=1 &secret={SECRET}", "space"),
    ("tg://proxy?server=proxy.example\0", "control character"),
    ("socks5://proxy.example:1" + "x" * MAX_LINK_CHARS, "longer than"),
]


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_bad_links_are_explained(text: str, reason: str) -> None:
    with pytest.raises(BadLinkError, match=reason) as caught:
        parse_link(text)
    assert "proxy.example" not in str(caught.value)
    assert SECRET[:8] not in str(caught.value)


def test_the_longest_domain() -> None:
    domain = ".".join(["a" * 45] * 4)[:MAX_DOMAIN_BYTES]
    assert parse_secret((b"\xee" + KEY + domain.encode()).hex()).domain == domain


@given(st.text(max_size=300))
def test_any_text_is_a_link_or_an_error(text: str) -> None:
    """Nothing else is ever raised."""
    with suppress(BadLinkError):
        assert 1 <= parse_link(text).port <= 65535


_PREFIXES = st.sampled_from(
    ["tg://proxy?", "t.me/socks?", "socks5://", "http://", "https://", "vless://", ""]
)


@given(_PREFIXES, st.from_regex(r"[a-z]{6,12}\.zz", fullmatch=True), keys, st.text(max_size=9))
def test_no_error_repeats_a_part_of_its_link(
    prefix: str, host: str, key: bytes, noise: str
) -> None:
    """However the link is broken."""
    fields = {"server": host, "user": key.hex(), "secret": f"{key.hex()}{noise}", "port": noise}
    for text in (
        f"{prefix}{urlencode(fields)}",
        f"{prefix}{key.hex()}:{key.hex()}@{host}:{noise}",
        f"{prefix}{noise}{quote(host)}/{key.hex()}",
    ):
        said = ""
        try:
            parse_link(text)
        except BadLinkError as error:
            said = "".join(traceback.format_exception_only(error))
        assert host not in said
        assert key.hex() not in said


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("tg://proxy?x", True),
        (" t.me/proxy?x", True),
        ("socks5://a:1", True),
        ("links.txt", False),
        ("./t.me", False),
        ("/tmp/a", False),
    ],
)
def test_links_and_files_are_told_apart(text: str, *, is_one: bool) -> None:
    assert looks_like_link(text) is is_one
