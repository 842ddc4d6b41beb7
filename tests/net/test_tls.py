"""The TLS pump against real peers: what it reports, and that it reports it in every failure."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trio
import trustme

import loopback
from censorlab.opening.tls import read_client_hello
from loopback import after_hello, alert, hold, reset, server_context, tcp_peer, tls
from probe.model.step import NO_TRUST, PUBLIC_TRUST, TlsProfile
from probe.net.tls import (
    CertificateError,
    HandshakeError,
    TlsStream,
    TrustError,
    TrustStores,
)
from probe.net.trio_network import TrioTcpConnection

pytestmark = pytest.mark.anyio

AUTHORITY = trustme.CA()
NAME = "www.example.org"
STORES = TrustStores({"ours": [AUTHORITY.cert_pem.bytes().decode()]})


async def handshake(
    attend: loopback.Attend,
    *,
    name: str = NAME,
    trust: str = "ours",
    alpn: tuple[str, ...] = (),
    profile: TlsProfile = "default",
    raises: type[Exception] | None = None,
) -> tuple[TlsStream, TrioTcpConnection, Exception | None]:
    """Shake hands with a peer and close the connection."""
    async with tcp_peer(attend) as port:
        connection = TrioTcpConnection(loopback.ADDRESS, port)
        stream = TlsStream(connection, STORES.context(trust, alpn, profile), name)
        found: Exception | None = None
        try:
            with trio.fail_after(5):
                await connection.connect()
                if raises is None:
                    await stream.handshake()
                else:
                    with pytest.raises(raises) as caught:
                        await stream.handshake()
                    found = caught.value
        finally:
            connection.close()
    return stream, connection, found


async def test_a_verified_handshake() -> None:
    """Version, cipher, protocol, chain and the size of the first flight."""
    context = server_context(AUTHORITY, NAME, alpn=("http/1.1",))
    stream, connection, _ = await handshake(tls(context, hold), alpn=("h2", "http/1.1"))

    assert stream.version() == "TLSv1.3"
    assert (stream.cipher() or "").startswith("TLS_")
    assert stream.alpn() == "http/1.1"
    assert len(stream.presented_chain()) == 1
    assert stream.first_flight_bytes is not None
    assert 200 < stream.first_flight_bytes < connection.sent_bytes


async def test_a_hello_without_tls_13() -> None:
    """TlsProfile ``tls12`` offers nothing newer, and verifies all the same."""
    hellos: list[bytes] = []

    async def keep(client: trio.SocketStream) -> None:
        hellos.append(await client.receive_some())

    stream, _, _ = await handshake(tls(server_context(AUTHORITY, NAME), hold), profile="tls12")
    await handshake(keep, profile="tls12", raises=EOFError)
    await handshake(keep, raises=EOFError)
    other = server_context(AUTHORITY, "a.example")
    _, _, error = await handshake(tls(other, hold), profile="tls12", raises=CertificateError)

    assert stream.version() == "TLSv1.2"
    read = [read_client_hello(hello) for hello in hellos]
    assert [hello.version for hello in read if hello] == [0x0303, 0x0304]
    assert isinstance(error, CertificateError)
    assert error.code == 62


async def test_data_goes_both_ways() -> None:
    """What is sent comes back, more than a record of it, and then the end."""

    async def echo_once(stream: trio.SSLStream[trio.SocketStream]) -> None:
        got = b""
        while len(got) < 100_000:
            got += await stream.receive_some()
        await stream.send_all(got)
        await stream.aclose()

    async with tcp_peer(tls(server_context(AUTHORITY, NAME), echo_once)) as port:
        connection = TrioTcpConnection(loopback.ADDRESS, port)
        try:
            await connection.connect()
            stream = TlsStream(connection, STORES.context("ours", ()), NAME)
            await stream.handshake()
            await stream.send_all(b"x" * 100_000)
            got = b""
            while data := await stream.receive_some():
                got += data
            assert got == b"x" * 100_000
            assert await stream.receive_some() == b""
        finally:
            connection.close()


async def test_an_end_without_close_notify_is_an_end() -> None:
    """Many servers just close."""

    async def say_and_leave(stream: trio.SSLStream[trio.SocketStream]) -> None:
        await stream.send_all(b"bye")
        await trio.aclose_forcefully(stream)

    async with tcp_peer(tls(server_context(AUTHORITY, NAME), say_and_leave)) as port:
        connection = TrioTcpConnection(loopback.ADDRESS, port)
        try:
            await connection.connect()
            stream = TlsStream(connection, STORES.context("ours", ()), NAME)
            await stream.handshake()
            assert await stream.receive_some() == b"bye"
            assert await stream.receive_some() == b""
        finally:
            connection.close()


async def test_a_broken_record_is_an_error() -> None:
    """Bytes that do not decrypt are no data and no end."""

    async def break_in(client: trio.SocketStream) -> None:
        stream = trio.SSLStream(
            client, server_context(AUTHORITY, NAME), server_side=True, https_compatible=True
        )
        await stream.do_handshake()
        await client.send_all(b"\x17\x03\x03\x00\x20" + b"x" * 32)

    async with tcp_peer(break_in) as port:
        connection = TrioTcpConnection(loopback.ADDRESS, port)
        try:
            await connection.connect()
            stream = TlsStream(connection, STORES.context("ours", ()), NAME)
            await stream.handshake()
            with pytest.raises(HandshakeError, match=r"BAD_RECORD_MAC|DECRYPTION_FAILED"):
                await stream.receive_some()
        finally:
            connection.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_for_another_name(version: ssl.TLSVersion) -> None:
    """Code 62, and the chain that was presented."""
    context = server_context(AUTHORITY, "www.example.com")
    context.maximum_version = version
    stream, _, error = await handshake(tls(context, hold), raises=CertificateError)

    assert isinstance(error, CertificateError)
    assert error.code == 62
    assert len(stream.presented_chain()) == 1


async def test_an_authority_that_is_not_ours() -> None:
    """Code 20, under other anchors and under the public web's."""
    for trust in ("ours", PUBLIC_TRUST):
        context = server_context(trustme.CA(), NAME)
        stream, _, error = await handshake(tls(context, hold), trust=trust, raises=CertificateError)
        assert isinstance(error, CertificateError)
        assert error.code == 20
        assert stream.presented_chain()


async def test_an_expired_certificate() -> None:
    """Code 10."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    context = server_context(AUTHORITY, NAME, not_before=past, not_after=past + timedelta(days=1))
    _, _, error = await handshake(tls(context, hold), raises=CertificateError)

    assert isinstance(error, CertificateError)
    assert error.code == 10


async def test_a_contrast_asks_for_the_handshake_only() -> None:
    """Without trust any certificate will do, and is still presented."""
    context = server_context(trustme.CA(), "www.example.com")
    stream, _, _ = await handshake(tls(context, hold), trust=NO_TRUST)

    assert stream.version() == "TLSv1.3"
    assert stream.presented_chain()


@pytest.mark.parametrize(
    ("attend", "raises"),
    [
        (after_hello(b""), EOFError),
        (reset, ConnectionResetError),
        (after_hello(b"HTTP/1.1 400 Bad Request\r\n\r\n"), HandshakeError),
        (after_hello(b"\x00" * 100), HandshakeError),
        (after_hello(alert(40)), HandshakeError),
        (after_hello(alert(112)), HandshakeError),
        (after_hello(b"\x16\x03\x03\x40"), EOFError),
    ],
    ids=["close", "reset", "http", "zeros", "alert 40", "alert 112", "half a record"],
)
async def test_a_handshake_cut_off(attend: loopback.Attend, raises: type[Exception]) -> None:
    """Each kind of end is told apart, the first flight is known, and there is no chain."""
    stream, _, _ = await handshake(attend, raises=raises)

    assert stream.first_flight_bytes
    assert stream.presented_chain() == ()


@pytest.mark.parametrize(
    ("number", "word"), [(40, "HANDSHAKE_FAILURE"), (112, "UNRECOGNIZED_NAME")]
)
async def test_an_alert_is_named(number: int, word: str) -> None:
    """The alert's name is in the reason."""
    _, _, error = await handshake(after_hello(alert(number)), raises=HandshakeError)

    assert isinstance(error, HandshakeError)
    assert word in error.reason


async def test_a_silent_peer_is_waited_for_until_cancelled() -> None:
    """The pump has no deadline of its own; the first flight was sent, nothing came."""
    async with tcp_peer(hold) as port:
        connection = TrioTcpConnection(loopback.ADDRESS, port)
        try:
            await connection.connect()
            stream = TlsStream(connection, STORES.context("ours", ()), NAME)
            with trio.move_on_after(0.1) as scope:
                await stream.handshake()
        finally:
            connection.close()

    assert scope.cancelled_caught
    assert stream.first_flight_bytes == connection.sent_bytes
    assert connection.received_bytes == 0


def test_contexts_are_shared() -> None:
    """One context per trust, protocols and profile: building one costs tens of milliseconds."""
    assert STORES.context("ours", ()) is STORES.context("ours", ())
    assert STORES.context("ours", ()) is not STORES.context("ours", ("h2",))
    assert STORES.context("ours", ()) is not STORES.context("ours", (), "tls12")


@pytest.mark.parametrize("pem", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAA==\n"])
def test_an_anchor_that_does_not_parse(pem: str) -> None:
    """It names the trust key, not a line of OpenSSL."""
    with pytest.raises(TrustError, match="'broken'"):
        TrustStores({"broken": [pem]}).context("broken", ())


def test_verification_flags_are_explicit() -> None:
    """The same certificate gets the same verdict on every version of Python."""
    flags = STORES.context("ours", ()).verify_flags
    assert flags == ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST
