"""GET over HTTP/3: aioquic's server, Caddy's, bad certificates and servers that mean harm."""

import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import trio
import trustme
from aioquic.buffer import Buffer, encode_uint_var
from aioquic.h3.connection import H3Connection, Setting
from aioquic.h3.events import HeadersReceived
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StreamDataReceived,
)
from aioquic.quic.packet import (
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

import loopback
from censorlab.servers.program import MissingProgramError, executable
from fakes import context_of, play
from probe.model.observation import Observation
from probe.model.step import NO_TRUST, Http3Request, TlsHandshake
from probe.net.tls import TrustStores
from probe.net.trio_network import TrioNetwork
from probe.steps.http3_exchange import MAX_HEAD_BYTES
from probe.steps.http3_request import http3_request
from probe.steps.quic_line import MISSING, Line
from probe.steps.tls_handshake import tls_handshake
from quic_peer import App, ServedNetwork, ServedUdp, Server, configuration_of, quic_peer

NAME = "www.example.org"
HOST = "192.0.2.1"
BODY_BYTES = 20_000
TIMEOUT_S = 8.0

AUTHORITY = trustme.CA()
TRUST = TrustStores({"ours": [AUTHORITY.cert_pem.bytes().decode()]})
GOOD = AUTHORITY.issue_cert(NAME)
Headers = list[tuple[bytes, bytes]]


def spec_of(name: str = NAME, trust: str = "ours") -> Http3Request:
    return Http3Request(
        server_name=name,
        path="/a?b",
        trust=trust,
        max_body_bytes=BODY_BYTES,
        timeout_s=TIMEOUT_S,
    )


@dataclass
class Site:
    """A server's application: gives one response to every request."""

    status: bytes = b"200"
    headers: Headers = field(default_factory=list)
    body: bytes = b"hello"
    ends: bool = True
    requests: list[Headers] = field(default_factory=list)
    http: H3Connection | None = None

    def __call__(self, quic: QuicConnection, event: QuicEvent) -> None:
        if isinstance(event, HandshakeCompleted):
            self.http = H3Connection(quic)
        if self.http is None:
            return
        for one in self.http.handle_event(event):
            if isinstance(one, HeadersReceived):
                self.requests.append(one.headers)
                self.respond(one.stream_id, self.http)

    def respond(self, stream: int, http: H3Connection) -> None:
        http.send_headers(stream, [(b":status", self.status), *self.headers])
        http.send_data(stream, self.body, end_stream=self.ends)


def upon_request(act: Callable[[QuicConnection], None]) -> App:
    """Return a server that does something when the request has come, and answers nothing."""

    def app(quic: QuicConnection, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived) and event.stream_id == 0:
            act(quic)

    return app


def raw(data: bytes, *, ends: bool = False) -> App:
    """Return a server that answers the request with bytes."""
    return upon_request(lambda quic: quic.send_stream_data(0, data, ends))


def fetch(
    app: App,
    *,
    issued: trustme.LeafCert = GOOD,
    alpn: str = "h3",
    spec: Http3Request | None = None,
    forge: Callable[[bytes], list[bytes]] = lambda _sent: [],
) -> tuple[Observation, ServedUdp]:
    """Ask a server in memory, under a clock that jumps."""
    udp = ServedUdp(Server(configuration_of(issued, alpn), app), forge=forge)

    async def scene() -> Observation:
        context = context_of(ServedNetwork(udp=udp), address=HOST, port=443, trust=TRUST)
        return await http3_request(context, spec or spec_of(), HOST, 443)

    row = play(scene)
    assert udp.is_closed
    return row, udp


class Mute(Server):
    """Takes everything and says nothing."""

    def take(self, data: bytes | None, client: tuple[str, int]) -> list[bytes]:
        return []


def mute(forge: Callable[[bytes], list[bytes]] = lambda _sent: []) -> ServedUdp:
    return ServedUdp(Mute(configuration_of(GOOD, "h3"), Site()), forge=forge)


async def real(port: int, name: str = NAME, trust: TrustStores = TRUST) -> Observation:
    context = context_of(TrioNetwork(), address=loopback.ADDRESS, port=port, trust=trust)
    return await http3_request(context, spec_of(name), loopback.ADDRESS, port)


@pytest.mark.anyio
async def test_a_page() -> None:
    """Its status and size are facts, and so is who gave it."""
    site = Site(status=b"404", body=b"x" * 5000)
    async with quic_peer(configuration_of(GOOD, "h3"), site) as server:
        row = await real(server.port)

    assert (row.step, row.failure, row.failure_detail) == ("quic", None, None)
    assert (row.status_code, row.body_bytes, row.body_is_truncated) == (404, 5000, False)
    assert (row.server_name, row.alpn, row.tls_version, row.path) == (
        NAME,
        "h3",
        "TLSv1.3",
        "/a?b",
    )
    assert row.peer_certificates[0].subject_alt_names == (NAME,)
    assert row.received_bytes > 5000
    assert row.first_byte_s is not None
    assert 0 <= row.first_byte_s <= row.t - row.t0
    assert site.requests[0][:4] == [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", f"{NAME}:{server.port}".encode()),
        (b":path", b"/a?b"),
    ]
    assert msgspec.convert(msgspec.to_builtins(row), Observation) == row


def test_the_server_is_told_that_this_was_all() -> None:
    """It need not wait for us."""
    row, udp = fetch(Site())

    assert row.failure is None
    assert row.sent_bytes == sum(map(len, udp.sent))
    assert udp.server.quic is not None
    end = udp.server.quic._close_event
    assert isinstance(end, ConnectionTerminated)
    assert (end.error_code, end.frame_type) == (0x100, None)


def test_an_interim_response_is_not_the_answer() -> None:
    """RFC 9114 4.1."""

    class Early(Site):
        def respond(self, stream: int, http: H3Connection) -> None:
            http.send_headers(stream, [(b":status", b"103"), (b"link", b"</a>")])
            super().respond(stream, http)

    row, _ = fetch(Early())
    assert (row.failure, row.status_code, row.body_bytes) == (None, 200, 5)


CADDYFILE = """{
    auto_https off
    admin off
}
https://www.example.org:%d {
    bind 127.0.0.1
    tls %s/certificate.pem %s/key.pem
    handle /big {
        root * %s
        file_server
    }
    respond /a 410 {
        body "gone"
    }
}
"""


@pytest.fixture(scope="module")
def caddy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server of another make (quic-go) on a port of loopback."""
    try:
        program = executable("caddy", "caddy")
    except MissingProgramError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("caddy")
    port = loopback.closed_port()
    (folder / "certificate.pem").write_bytes(b"".join(p.bytes() for p in GOOD.cert_chain_pems))
    (folder / "key.pem").write_bytes(GOOD.private_key_pem.bytes())
    (folder / "Caddyfile").write_text(CADDYFILE % (port, folder, folder, folder))
    words = (program, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile")
    with subprocess.Popen(
        words, stderr=subprocess.PIPE, env={"HOME": str(folder), "PATH": ""}
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"serving initial configuration" in line:
                break
        yield port
        process.terminate()
        process.stderr.read()


@pytest.mark.anyio
async def test_a_server_of_another_make(caddy: int) -> None:
    """A page; a name that it does not know, and says so before it shows a certificate."""
    page = await real(caddy)
    unknown = await real(caddy, "nobody.example")

    assert (page.failure, page.status_code, page.body_bytes) == (None, 410, 4)
    assert (unknown.failure, unknown.status_code) == ("ssl_failed_handshake", None)


LONG_AGO, SOME_TIME_AGO, SOME_DAY, IN_THE_END = (
    datetime(year, 1, 1, tzinfo=UTC) for year in (2015, 2020, 2980, 2990)
)


def self_signed(name: str) -> trustme.LeafCert:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(LONG_AGO)
        .not_valid_after(IN_THE_END)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return trustme.LeafCert(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate.public_bytes(serialization.Encoding.PEM),
        [],
    )


def for_clients(name: str) -> trustme.LeafCert:
    """Return a certificate of the authority that is for no server."""
    signer = serialization.load_pem_private_key(AUTHORITY.private_key_pem.bytes(), None)
    issuer = x509.load_pem_x509_certificate(AUTHORITY.cert_pem.bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder(
            subject_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]),
            issuer_name=issuer.subject,
        )
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(LONG_AGO)
        .not_valid_after(IN_THE_END)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())  # type: ignore[arg-type] # trustme's keys can sign
    )
    return trustme.LeafCert(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate.public_bytes(serialization.Encoding.PEM),
        [],
    )


def expired(authority: trustme.CA, name: str) -> trustme.LeafCert:
    return authority.issue_cert(name, not_before=LONG_AGO, not_after=SOME_TIME_AGO)


def future(authority: trustme.CA, name: str) -> trustme.LeafCert:
    return authority.issue_cert(name, not_before=SOME_DAY, not_after=IN_THE_END)


OTHER = trustme.CA()

CERTIFICATES: dict[str, tuple[Callable[[], trustme.LeafCert], str | None]] = {
    "good": (lambda: GOOD, None),
    "wildcard": (lambda: AUTHORITY.issue_cert("*.example.org"), None),
    "intermediate": (lambda: AUTHORITY.create_child_ca().issue_cert(NAME), None),
    "name": (lambda: AUTHORITY.issue_cert("a.example"), "ssl_invalid_hostname"),
    "two labels": (lambda: AUTHORITY.issue_cert("*.org"), "ssl_invalid_hostname"),
    "authority": (lambda: OTHER.issue_cert(NAME), "ssl_unknown_authority"),
    "authority and name": (lambda: OTHER.issue_cert("a.example"), "ssl_unknown_authority"),
    "self-signed": (lambda: self_signed(NAME), "ssl_unknown_authority"),
    "self-signed, other name": (lambda: self_signed("a.example"), "ssl_unknown_authority"),
    "expired": (lambda: expired(AUTHORITY, NAME), "ssl_invalid_certificate"),
    "expired, other name": (lambda: expired(AUTHORITY, "a.example"), "ssl_invalid_hostname"),
    "expired, other authority": (lambda: expired(OTHER, NAME), "ssl_unknown_authority"),
    "future": (lambda: future(AUTHORITY, NAME), "ssl_invalid_certificate"),
    "for clients": (lambda: for_clients(NAME), "ssl_invalid_certificate"),
    "for clients, other name": (lambda: for_clients("a.example"), "ssl_invalid_certificate"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", CERTIFICATES)
async def test_a_certificate_goes_by_the_word_that_it_has_over_tls(kind: str) -> None:
    """The same chain over TCP and over QUIC: same failure, same verify code, same facts."""
    make, failure = CERTIFICATES[kind]
    issued = make()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(server)
    async with loopback.tcp_peer(loopback.tls(server, loopback.hold)) as port:
        network = TrioNetwork()
        connection = network.open_tcp(loopback.ADDRESS, port)
        await connection.connect()
        context = context_of(network, address=loopback.ADDRESS, port=port, trust=TRUST)
        tls = TlsHandshake(server_name=NAME, alpn=(), trust="ours", timeout_s=TIMEOUT_S)
        over_tls, _ = await tls_handshake(context, tls, connection)
        connection.close()
    site = Site()
    async with quic_peer(configuration_of(issued, "h3"), site) as peer:
        over_quic = await real(peer.port)

    assert over_tls.failure == failure
    assert (over_quic.failure, over_quic.verify_code) == (failure, over_tls.verify_code)
    assert over_quic.peer_certificates == over_tls.peer_certificates
    assert bool(site.requests) == (failure is None)


def test_a_bad_certificate_s_server_learns_nothing_but_that() -> None:
    """No request, not even the end of the handshake; a close with a TLS alert."""
    row, udp = fetch(Site(), issued=OTHER.issue_cert(NAME))

    assert row.failure == "ssl_unknown_authority"
    assert not any(
        isinstance(event, HandshakeCompleted | StreamDataReceived) for event in udp.server.events
    )
    assert udp.server.quic is not None
    end = udp.server.quic._close_event
    assert end is not None
    assert end.error_code == 0x12A


def test_an_address_may_be_the_name() -> None:
    """It is verified, and not sent (RFC 6066 3)."""
    good, _ = fetch(Site(), issued=AUTHORITY.issue_cert("192.0.2.7"), spec=spec_of("192.0.2.7"))
    bad, _ = fetch(Site(), issued=AUTHORITY.issue_cert("192.0.2.8"), spec=spec_of("192.0.2.7"))

    assert (good.failure, good.status_code) == (None, 200)
    assert (bad.failure, bad.verify_code) == ("ssl_invalid_hostname", 64)


def test_a_contrast_does_not_ask_whose_certificate_it_is() -> None:
    """The name sent is not the server's."""
    row, _ = fetch(Site(), issued=self_signed("a.example"), spec=spec_of(trust=NO_TRUST))

    assert (row.failure, row.status_code) == (None, 200)


def test_a_public_certificate_is_what_certifi_knows() -> None:
    """Ours is not among them."""
    row, _ = fetch(Site(), spec=spec_of(trust="public"))

    assert row.failure == "ssl_unknown_authority"


@pytest.mark.parametrize(
    ("code", "frame", "failure", "detail"),
    [
        (0x170, 0, "ssl_invalid_hostname", "connection_close 0x170"),
        (0x128, 0, "ssl_failed_handshake", "connection_close 0x128"),
        (0x2, 0, "unknown_failure: quic_connection_close", "connection_close 0x2"),
        (0x10B, None, "eof_error", "connection_close 0x10b"),
    ],
    ids=["unknown name", "alert", "refused", "rejected"],
)
def test_a_close_by_the_peer_has_a_word(
    code: int, frame: int | None, failure: str, detail: str
) -> None:
    """Its code is kept, its sentence is not; nobody waits for the deadline."""
    row, _ = fetch(
        upon_request(lambda quic: quic.close(code, frame, "your address is 192.0.2.200"))
    )

    assert (row.failure, row.failure_detail) == (failure, detail)
    assert row.t - row.t0 < 1


def test_a_server_without_h3() -> None:
    """It has no protocol in common with us, and says so."""
    row, _ = fetch(Site(), alpn="other")

    assert (row.failure, row.failure_detail) == ("ssl_failed_handshake", "connection_close 0x178")


def test_a_reset_stream_ends_the_request() -> None:
    """As a connection that is closed."""
    row, _ = fetch(upon_request(lambda quic: quic.reset_stream(0, 0x10C)))

    assert (row.failure, row.failure_detail) == ("eof_error", "stream_reset 0x10c")


def test_a_stream_that_ends_without_a_response() -> None:
    """Is no response."""
    row, _ = fetch(raw(b"", ends=True))

    assert (row.failure, row.status_code) in {("eof_error", None), ("http_request_failed", None)}


def test_a_response_that_stops() -> None:
    """Our deadline ends it; what came is kept."""
    row, _ = fetch(Site(ends=False))

    assert (row.failure, row.status_code, row.body_bytes) == ("generic_timeout_error", 200, 5)
    assert row.t - row.t0 == pytest.approx(TIMEOUT_S)


def frame(kind: int, data: bytes, length: int | None = None) -> bytes:
    return encode_uint_var(kind) + encode_uint_var(len(data) if length is None else length) + data


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (frame(1, b"\0\0" + b"\xd9" * 10, 1 << 40) + bytes(64_000), "headers of more than"),
        (frame(0x21, bytes(64_000)), "headers of more than"),
        (frame(1, b"\0\0\xff\x09\xff\x09") * 9, "headers of more than|protocol_error"),
        (frame(0, b"body first"), "protocol_error 0x105"),
        (frame(1, b"\xff\xff\xff"), "protocol_error 0x200"),
        (frame(1, b"\x02\x00\x80"), "protocol_error 0x200"),
        (frame(4, b""), "protocol_error 0x105"),
    ],
    ids=["headers", "unknown frame", "status", "body", "qpack", "dynamic", "settings"],
)
def test_what_is_no_http3_fails_at_once(data: bytes, detail: str) -> None:
    """However much of it comes."""
    row, _ = fetch(raw(data))

    assert row.failure == "http_request_failed"
    assert any((row.failure_detail or "").startswith(one) for one in detail.split("|"))
    assert row.t - row.t0 < 2


def test_interim_responses_without_end_are_bounded() -> None:
    """They are headers too."""

    class Early(Site):
        def respond(self, stream: int, http: H3Connection) -> None:
            for _ in range(2000):
                http.send_headers(stream, [(b":status", b"103"), (b"link", b"</a" * 10)])

    row, _ = fetch(Early())
    assert row.failure == "http_request_failed"
    assert row.received_bytes < MAX_HEAD_BYTES + BODY_BYTES + 65536


def test_a_body_without_end_is_cut() -> None:
    """The server cannot send more than the window that it was given."""
    row, _ = fetch(Site(body=bytes(10_000_000)))

    assert (row.failure, row.status_code) == (None, 200)
    assert (row.body_bytes, row.body_is_truncated) == (BODY_BYTES, True)
    assert row.received_bytes < 2 * (MAX_HEAD_BYTES + BODY_BYTES)


def test_a_body_of_the_bound_is_whole() -> None:
    """Not one byte is missing."""
    row, _ = fetch(Site(body=bytes(BODY_BYTES)))

    assert (row.body_bytes, row.body_is_truncated) == (BODY_BYTES, False)


def test_headers_cannot_grow_in_the_decoder() -> None:
    """No table to refer to, no pushes: a byte received stands for little."""
    site = Site()
    fetch(site)

    assert site.http is not None
    assert site.http.received_settings is not None
    assert site.http.received_settings[Setting.QPACK_MAX_TABLE_CAPACITY] == 0
    assert site.http.received_settings[Setting.QPACK_BLOCKED_STREAMS] == 0
    assert site.http._max_push_id is None


@pytest.mark.parametrize("datagram", [b"", b"\xc0\0\0\0\1" + bytes(1200)], ids=["empty", "big"])
def test_a_flood_ends_the_request(datagram: bytes) -> None:
    """By its bytes or its number."""
    row, _ = fetch(lambda _quic, _event: None, forge=lambda _sent: [datagram] * 10_000)

    assert row.failure == "unknown_failure: quic_protocol_error"
    assert (row.failure_detail or "").startswith("more than")
    assert row.received_bytes < 200_000


def test_what_comes_beside_the_answer_does_not_spoil_it() -> None:
    """Forged datagrams, as somebody on the path may send."""
    row, _ = fetch(
        Site(), forge=lambda sent: [b"nonsense", sent, b"", bytes((sent[0] ^ 1, *sent[1:]))]
    )

    assert (row.failure, row.status_code) == (None, 200)


def header_of(sent: bytes) -> Any:
    return pull_quic_header(Buffer(data=sent), host_cid_length=8)


def test_retries_without_end() -> None:
    """One is followed (RFC 9000 17.2.5.2), the others are not; then it is silent."""

    def retry(sent: bytes) -> list[bytes]:
        if sent[0] & 0xF0 != 0xC0:
            return []
        header = header_of(sent)
        return [
            encode_quic_retry(1, b"elsewher", header.source_cid, header.destination_cid, b"token")
        ]

    async def scene() -> tuple[Observation, int]:
        udp = mute(retry)
        context = context_of(ServedNetwork(udp=udp), address=HOST, port=443, trust=TRUST)
        return await http3_request(context, spec_of(), HOST, 443), len(udp.sent)

    row, sent = play(scene)
    assert row.failure == "generic_timeout_error"
    assert sent < 10


@pytest.mark.parametrize(
    ("versions", "failure"),
    [([0x1A2A3A4A], "unknown_failure: quic_version"), ([1], None), ([0x6B3343CF, 1], None)],
    ids=["other", "ours", "both"],
)
def test_version_negotiation(versions: list[int], failure: str | None) -> None:
    """One with our version is forged (RFC 9000 6.2); one without it ends the attempt."""

    def negotiate(sent: bytes) -> list[bytes]:
        header = header_of(sent)
        if header.version is None:
            return []
        return [
            encode_quic_version_negotiation(header.destination_cid, header.source_cid, versions)
        ]

    row, _ = fetch(Site(), forge=negotiate)
    if failure is None:
        # The forger's answer came after an Initial that the server read too.
        assert (row.failure, row.status_code) == (None, 200)
    else:
        assert row.failure == failure


def test_silence() -> None:
    """The deadline is the plan's, and costs few datagrams."""

    async def scene() -> tuple[Observation, list[bytes]]:
        udp = mute()
        context = context_of(ServedNetwork(udp=udp), address=HOST, port=443, trust=TRUST)
        return await http3_request(context, spec_of(), HOST, 443), udp.sent

    row, sent = play(scene)
    assert (row.failure, row.failure_detail) == ("generic_timeout_error", None)
    assert row.t - row.t0 == pytest.approx(TIMEOUT_S)
    assert (row.first_byte_s, row.received_bytes) == (None, 0)
    assert len(sent) <= 5


@pytest.mark.anyio
async def test_a_port_that_is_closed() -> None:
    """ICMP says so."""
    row = await real(loopback.closed_port())

    assert (row.failure, row.failure_detail) == ("connection_refused", "ECONNREFUSED")
    if sys.platform == "linux":
        assert (row.icmp_type, row.icmp_code, row.icmp_origin) == (3, 3, "target")


def test_the_server_s_preferred_address_is_not_tried() -> None:
    """It is in no plan; RFC 9000 9.6 leaves it to the client, and aioquic would."""

    class Migrating:
        def datagrams_to_send(self, now: float) -> list[tuple[bytes, tuple[str, int]]]:
            return [(b"here", (HOST, 443)), (b"there", ("203.0.113.9", 443))]

    async def scene() -> list[bytes]:
        udp = mute()
        line = Line(ServedNetwork(udp=udp), HOST, 443)  # type: ignore[arg-type] # as in fakes
        line.open()
        await line.flush(Migrating())  # type: ignore[arg-type] # as far as it is used
        return udp.sent

    assert play(scene) == [b"here"]


@settings(deadline=None, max_examples=60)
@given(data=st.binary(max_size=300), ends=st.booleans())
def test_any_bytes_may_answer(data: bytes, ends: bool) -> None:  # noqa: FBT001
    """Nothing raises, and nothing is called a response that has no status."""
    row, _ = fetch(raw(data, ends=ends))

    assert row.failure is not None or row.status_code is not None


@settings(deadline=None, max_examples=60)
@given(streams=st.lists(st.binary(max_size=60), min_size=1, max_size=3))
def test_any_bytes_may_come_on_streams_of_the_server_s_own(streams: list[bytes]) -> None:
    """Control, push and QPACK streams are the peer's to fill."""

    def act(quic: QuicConnection) -> None:
        for data in streams:
            quic.send_stream_data(quic.get_next_available_stream_id(is_unidirectional=True), data)

    row, _ = fetch(upon_request(act))

    assert row.failure is not None


def test_without_the_extra_it_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a crash, and the way to get it is in the detail."""
    monkeypatch.setitem(sys.modules, "aioquic.quic.connection", None)
    udp = ServedUdp(Server(configuration_of(GOOD, "h3"), Site()))

    async def scene() -> Observation:
        context = context_of(ServedNetwork(udp=udp), address=HOST, port=443, trust=TRUST)
        return await http3_request(context, spec_of(), HOST, 443)

    row = play(scene)
    assert (row.failure, row.failure_detail) == ("unknown_failure: skipped", MISSING)
    assert udp.sent == []


def test_the_library_is_imported_when_it_is_wanted() -> None:
    """Nobody pays for it at start-up."""
    code = (
        "import sys, probe.steps.http3_request, probe.steps.dns_lookup\n"
        "print(sorted({'aioquic', 'OpenSSL', 'pylsqpack'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_cancelling_propagates() -> None:
    """Somebody else's cancellation gives no observation, and the socket is closed."""
    udp = ServedUdp(Server(configuration_of(GOOD, "h3"), Site(ends=False)))

    async def scene() -> bool:
        context = context_of(ServedNetwork(udp=udp), address=HOST, port=443, trust=TRUST)
        with trio.move_on_after(1) as outer:
            await http3_request(context, spec_of(), HOST, 443)
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)
    assert udp.is_closed
