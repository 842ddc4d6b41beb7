"""Browsers' hellos against real peers: what they are, and the same words for the same ends."""

import io
import os
import ssl
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
import trio
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

import loopback
from censorlab.opening.tls import ClientHello, read_client_hello
from fakes import Arrival, FakeTcpConnection, Row, play
from loopback import after_hello, alert, hold, reset, server_context, tcp_peer, tls
from probe.model.step import NO_TRUST, PUBLIC_TRUST
from probe.net.browser_hello import BROWSERS, BrowserProfile, MissingExtraError, load_library
from probe.net.browser_tls import BrowserTlsStream
from probe.net.tls import CertificateError, HandshakeError, TlsStream, TrustError, TrustStores
from probe.net.trio_network import TrioTcpConnection

pytest.importorskip("utls")
pytestmark = pytest.mark.anyio

AUTHORITY = trustme.CA()
NAME = "www.example.org"
STORES = TrustStores({"ours": [AUTHORITY.cert_pem.bytes().decode()]})
PAGE = ("h2", "http/1.1")
PAST = datetime(2020, 1, 1, tzinfo=UTC)

each_browser = pytest.mark.parametrize("profile", BROWSERS)
Do = Callable[[BrowserTlsStream], Awaitable[object]]


async def with_peer(
    attend: loopback.Attend,
    profile: BrowserProfile,
    do: Do = BrowserTlsStream.handshake,
    *,
    trust: str = "ours",
    alpn: tuple[str, ...] = PAGE,
) -> BrowserTlsStream:
    """Do something with a stream to a peer, and close the connection."""
    async with tcp_peer(attend) as port:
        connection = TrioTcpConnection(loopback.ADDRESS, port)
        stream = BrowserTlsStream(connection, STORES.context(trust, alpn, profile), NAME)
        try:
            with trio.fail_after(5):
                await connection.connect()
                await do(stream)
        finally:
            connection.close()
    return stream


def hello_of(profile: BrowserProfile, alpn: tuple[str, ...] = PAGE, name: str = NAME) -> bytes:
    """Return the first flight to nobody."""
    row = Row("192.0.2.1", arrivals=(Arrival(0.1, b""),))
    connection = FakeTcpConnection(row)

    async def scene() -> None:
        stream = BrowserTlsStream(connection, STORES.context("ours", alpn, profile), name)
        with pytest.raises(EOFError):
            await stream.handshake()

    play(scene)
    return bytes(connection.sent)


def read(flight: bytes) -> ClientHello:
    hello = read_client_hello(flight)
    assert hello is not None
    return hello


@each_browser
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_verified_handshake(profile: BrowserProfile, version: ssl.TLSVersion) -> None:
    """Version, cipher, protocol, chain and the size of the first flight."""
    context = server_context(AUTHORITY, NAME, alpn=("http/1.1",))
    context.maximum_version = version
    stream = await with_peer(tls(context, hold), profile)

    assert stream.version() == version.name.replace("v1_", "v1.")
    assert stream.cipher()
    assert stream.alpn() == "http/1.1"
    (der,) = stream.presented_chain()
    assert der.startswith(b"\x30")
    assert stream.first_flight_bytes is not None
    assert stream.first_flight_bytes > 1460


@each_browser
async def test_data_go_both_ways(profile: BrowserProfile) -> None:
    """More than a record of them, and then the end."""

    async def echo_once(stream: trio.SSLStream[trio.SocketStream]) -> None:
        got = b""
        while len(got) < 100_000:
            got += await stream.receive_some()
        await stream.send_all(got)
        await stream.aclose()

    async def talk(stream: BrowserTlsStream) -> None:
        await stream.handshake()
        await stream.send_all(b"x" * 100_000)
        got = b""
        while data := await stream.receive_some():
            got += data
        assert got == b"x" * 100_000

    await with_peer(tls(server_context(AUTHORITY, NAME), echo_once), profile, talk)


async def test_ends_of_a_stream() -> None:
    """Closing without a word is an end, and a record that does not decrypt an error."""

    async def leave(stream: trio.SSLStream[trio.SocketStream]) -> None:
        await trio.aclose_forcefully(stream)

    async def break_in(client: trio.SocketStream) -> None:
        context = server_context(AUTHORITY, NAME)
        stream = trio.SSLStream(client, context, server_side=True, https_compatible=True)
        await stream.do_handshake()
        await client.send_all(b"\x17\x03\x03\x00\x20" + b"x" * 32)

    async def hear(stream: BrowserTlsStream) -> None:
        await stream.handshake()
        assert await stream.receive_some() == b""

    async def fail(stream: BrowserTlsStream) -> None:
        await stream.handshake()
        with pytest.raises(HandshakeError) as caught:
            await stream.receive_some()
        assert caught.value.reason == "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"

    await with_peer(tls(server_context(AUTHORITY, NAME), leave), "chrome", hear)
    await with_peer(break_in, "chrome", fail)


@each_browser
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: server_context(AUTHORITY, "a.example"), 62),
        (lambda: server_context(trustme.CA(), NAME), 20),
        (
            lambda: server_context(
                AUTHORITY, NAME, not_before=PAST, not_after=PAST + timedelta(days=1)
            ),
            10,
        ),
    ],
    ids=["name", "authority", "expired"],
)
async def test_a_certificate_that_does_not_verify(
    profile: BrowserProfile,
    version: ssl.TLSVersion,
    make: Callable[[], ssl.SSLContext],
    code: int,
) -> None:
    """OpenSSL's code, as without a profile, and the presented chain."""
    context = make()
    context.maximum_version = version
    found: list[tuple[int, int]] = []

    async def fail(stream: TlsStream) -> None:
        with pytest.raises(CertificateError) as caught:
            await stream.handshake()
        assert caught.value.message
        found.append((caught.value.code, len(stream.presented_chain())))

    await with_peer(tls(context, hold), profile, fail)
    assert found == [(code, 1)]


async def test_trust() -> None:
    """The public web's authorities are not ours; a contrast trusts anybody."""
    context = server_context(trustme.CA(), "a.example")

    async def fail(stream: BrowserTlsStream) -> None:
        with pytest.raises(CertificateError) as caught:
            await stream.handshake()
        assert caught.value.code == 20

    await with_peer(tls(context, hold), "chrome", fail, trust=PUBLIC_TRUST)
    stream = await with_peer(tls(context, hold), "chrome", trust=NO_TRUST)

    assert len(stream.presented_chain()) == 1
    with pytest.raises(TrustError, match="'broken'"):
        TrustStores({"broken": ["no certificate"]}).context("broken", (), "chrome")


@pytest.mark.parametrize("trust", ["ours", NO_TRUST])
@pytest.mark.parametrize(
    ("attend", "raises", "reason"),
    [
        (after_hello(b""), EOFError, ""),
        (reset, ConnectionResetError, ""),
        (after_hello(b"HTTP/1.1 400 Bad Request\r\n\r\n"), HandshakeError, "WRONG_VERSION_NUMBER"),
        (after_hello(b"\x00" * 100), HandshakeError, "WRONG_VERSION_NUMBER"),
        (after_hello(alert(40)), HandshakeError, "ALERT_HANDSHAKE_FAILURE"),
        (after_hello(alert(112)), HandshakeError, "ALERT_UNRECOGNIZED_NAME"),
        (after_hello(b"\x16\x03\x03\x40"), EOFError, ""),
    ],
    ids=["close", "reset", "http", "zeros", "alert 40", "alert 112", "half a record"],
)
async def test_a_handshake_cut_off(
    attend: loopback.Attend, raises: type[Exception], reason: str, trust: str
) -> None:
    """The library calls all of these a certificate that does not verify; they are not."""
    found: list[int | None] = []

    async def fail(stream: BrowserTlsStream) -> None:
        with pytest.raises(raises) as caught:
            await stream.handshake()
        if isinstance(caught.value, HandshakeError):
            assert caught.value.reason == reason
        found.append(stream.first_flight_bytes)
        assert stream.presented_chain() == ()

    await with_peer(attend, "chrome", fail, trust=trust)
    assert found[0]


@pytest.mark.parametrize("trust", ["ours", NO_TRUST])
@settings(max_examples=60, deadline=None)
@given(
    start=st.sampled_from(
        [b"", b"\x16\x03\x03", b"\x15\x03\x03\x00\x02", b"\x16\x03\x03\x00\x30\x02\x00\x00\x2c"]
    ),
    rest=st.binary(max_size=200),
)
def test_hostile_bytes_are_an_end(trust: str, start: bytes, rest: bytes) -> None:
    """Whatever comes, it is one of the pump's own errors."""
    row = Row("192.0.2.1", arrivals=(Arrival(0.1, start + rest), Arrival(0.1, b"")))

    async def scene() -> None:
        context = STORES.context(trust, PAGE, "chrome")
        stream = BrowserTlsStream(FakeTcpConnection(row), context, NAME)
        with pytest.raises((HandshakeError, EOFError)):
            await stream.handshake()
        assert stream.presented_chain() == ()

    play(scene)


def test_chromes_hello_is_that_of_chrome() -> None:
    """JA4 as captured from the browser; extensions in another order each time."""
    utls = sys.modules["utls"]
    first, second = hello_of("chrome"), hello_of("chrome")

    assert read(first).ja4 == utls.Fingerprint.from_preset("chrome:stable").ja4_hash
    assert read(first).ja4.startswith("t13d15")
    assert "h2_8daaf6152771_" in read(first).ja4
    assert read(second).ja4 == read(first).ja4
    assert read(first).has_ech


def test_profiles_differ_in_what_a_censor_goes_by() -> None:
    """JA4: from each other, from this library's own, in suites and in extensions."""
    found = {profile: read(hello_of(profile)) for profile in BROWSERS}
    own = read_client_hello(ours())

    assert own is not None
    assert len({hello.ja4 for hello in found.values()} | {own.ja4}) == 4
    assert {hello.server_name for hello in found.values()} == {NAME}
    # As in Firefox 148 by measurement; what is nearest to Safari 26 has three suites fewer.
    assert found["firefox"].ja4.split("_")[1] == "5b57614c22b0"
    assert found["firefox"].has_ech
    assert not found["safari"].has_ech


def extensions(flight: bytes) -> list[int]:
    """Return the types of a hello's extensions in their order (RFC 8446 section 4.1.2)."""
    body = io.BytesIO(flight[5 + 4 :])
    body.seek(2 + 32)
    for length_bytes in (1, 2, 1):  # session id, cipher suites, compression methods
        body.seek(int.from_bytes(body.read(length_bytes)), os.SEEK_CUR)
    end = int.from_bytes(body.read(2)) + body.tell()
    found = []
    while body.tell() < end:
        found.append(int.from_bytes(body.read(2)))
        body.seek(int.from_bytes(body.read(2)), os.SEEK_CUR)
    assert body.tell() == end == len(flight) - 9
    return found


def without_grease(kinds: list[int]) -> tuple[int, ...]:
    return tuple(kind for kind in kinds if kind & 0x0F0F != 0x0A0A)


FIREFOX_148 = (0, 23, 65281, 10, 11, 35, 16, 5, 34, 18, 51, 43, 13, 45, 28, 27, 65037)
SAFARI_26 = (0, 23, 65281, 10, 11, 16, 5, 13, 18, 51, 45, 43, 27)


@pytest.mark.parametrize(
    ("profile", "browser", "placed_otherwise"),
    [("firefox", FIREFOX_148, {65037, 13, 43}), ("safari", SAFARI_26, {35})],
)
@pytest.mark.parametrize("alpn", [(), ("http/1.1",), PAGE])
def test_extensions_keep_their_order(
    profile: BrowserProfile,
    browser: tuple[int, ...],
    placed_otherwise: set[int],
    alpn: tuple[str, ...],
) -> None:
    """The browser's, but for what the engine places or leaves out; no padding for any name."""
    names = [NAME, "a.example", f"{'long.' * 40}example"]
    orders = {without_grease(extensions(hello_of(profile, alpn, name))) for name in names * 5}
    (order,) = orders
    here = [kind for kind in order if kind not in placed_otherwise]
    there = [kind for kind in browser if kind in here]

    assert order[0] == 0
    assert 21 not in order
    assert here == there
    assert set(browser) - set(order) <= {5, 18, 34, 28} | (set() if alpn else {16})


def test_chromes_extensions_change_their_order() -> None:
    """As the browser's do since version 110."""
    orders = {without_grease(extensions(hello_of("chrome"))) for _ in range(10)}

    assert len(orders) > 1
    assert len({tuple(sorted(order)) for order in orders}) == 1


def ours() -> bytes:
    outgoing = ssl.MemoryBIO()
    connection = STORES.context("ours", PAGE).wrap_bio(
        ssl.MemoryBIO(), outgoing, server_hostname=NAME
    )
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


@each_browser
@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
def test_the_caller_says_what_it_speaks(profile: BrowserProfile, alpn: tuple[str, ...]) -> None:
    """No HTTP/2 is offered that nobody here could answer."""
    flight = hello_of(profile, alpn)

    assert b"\x02h2" not in flight
    assert (b"http/1.1" in flight) == bool(alpn)


@each_browser
def test_an_address_is_not_named(profile: BrowserProfile) -> None:
    assert read(hello_of(profile, name="192.0.2.1")).server_name is None


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra; profiles of the standard library do not need it."""
    monkeypatch.setitem(sys.modules, "utls", None)
    assert not load_library()
    stores = TrustStores({"ours": [AUTHORITY.cert_pem.bytes().decode()]})
    assert stores.context("ours", ())
    with pytest.raises(MissingExtraError, match=r"reachwatch\[fingerprint\]"):
        stores.context("ours", (), "chrome")
