"""QUIC Initials and what answers them: aioquic's server, forgers, and nobody."""

import errno
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import trio
import trustme
from aioquic.buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import (
    QuicHeader,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.tls import load_pem_private_key, load_pem_x509_certificates
from hypothesis import given, settings
from hypothesis import strategies as st

import loopback
from censorlab.opening.tls import ClientHello, as_records, read_client_hello
from censorlab.packet.quic import client_keys, destination_id, read_initials
from fakes import Arrival, FakeNetwork, Row, context_of, play
from probe.model.observation import Observation
from probe.model.step import QuicHandshake
from probe.net.api import Datagram, IcmpError
from probe.net.trio_network import TrioNetwork
from probe.steps.quic_handshake import (
    MAX_DATAGRAMS,
    MAX_STRANGE,
    MISSING,
    NOT_QUIC,
    quic_handshake,
)

NAME = "www.example.org"
HOST = "192.0.2.1"
PORT = 443
SPEC = QuicHandshake(server_name=NAME, timeout_s=6.0)
VERSION_1 = 1
INITIAL_BYTES = 1200

_LEAF = trustme.CA().issue_cert("a.example")
_CERTIFICATES = load_pem_x509_certificates(_LEAF.cert_chain_pems[0].bytes())
_KEY = load_pem_private_key(_LEAF.private_key_pem.bytes())

Answer = Callable[[bytes], bytes]


def header_of(initial: bytes) -> QuicHeader:
    return pull_quic_header(Buffer(data=initial))


def server_answers(initial: bytes, alpn: tuple[str, ...] = ("h3",)) -> list[bytes]:
    """Return what an aioquic server of a foreign certificate sends back."""
    configuration = QuicConfiguration(is_client=False, alpn_protocols=list(alpn))
    configuration.certificate, configuration.private_key = _CERTIFICATES[0], _KEY
    server = QuicConnection(
        configuration=configuration,
        original_destination_connection_id=header_of(initial).destination_cid,
    )
    now = time.monotonic()
    server.receive_datagram(initial, ("192.0.2.9", 9), now)
    return [datagram for datagram, _ in server.datagrams_to_send(now)]


def server(initial: bytes) -> bytes:
    return server_answers(initial)[0]


def server_without_h3(initial: bytes) -> bytes:
    return server_answers(initial, ("other",))[0]


def retry(initial: bytes) -> bytes:
    header = header_of(initial)
    return encode_quic_retry(
        VERSION_1, b"elsewher", header.source_cid, header.destination_cid, b"token"
    )


def version_negotiation(*versions: int) -> Answer:
    def answer(initial: bytes) -> bytes:
        header = header_of(initial)
        return encode_quic_version_negotiation(
            header.destination_cid, header.source_cid, list(versions)
        )

    return answer


def initial_with(payload: bytes) -> Answer:
    """Return a forger: it has read our Initial, so it has the keys, and says anything."""

    def answer(initial: bytes) -> bytes:
        client = header_of(initial)
        keys = CryptoPair()
        keys.setup_initial(client.destination_cid, is_client=False, version=VERSION_1)
        padded = payload.ljust(32, b"\0")
        length = (2 + len(padded) + 16) | 0x4000
        header = b"".join(
            (
                bytes((0xC1,)),
                VERSION_1.to_bytes(4, "big"),
                bytes((len(client.source_cid),)) + client.source_cid,
                b"\x08forgery!",
                b"\0",
                length.to_bytes(2, "big"),
                b"\0\0",
            )
        )
        return keys.encrypt_packet(header, padded, 0)

    return answer


@dataclass
class ScriptedUdp:
    """Answers the n-th datagram that is sent to it, after so many seconds."""

    delay_s: float = 0.05
    answers: dict[int, Answer] = field(default_factory=dict)
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    is_closed: bool = False

    def __post_init__(self) -> None:
        self._queue: list[tuple[float, bytes]] = []

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append((trio.current_time(), data))
        if answer := self.answers.get(len(self.sent)):
            self._queue.append((trio.current_time() + self.delay_s, answer(data)))

    async def receive(self) -> Datagram:
        if not self._queue:
            await trio.sleep_forever()
        await trio.sleep_until(self._queue[0][0])
        return Datagram(self._queue.pop(0)[1], 60)

    def icmp_error(self) -> IcmpError | None:
        return None

    def close(self) -> None:
        self.is_closed = True


@dataclass
class ScriptedNetwork(FakeNetwork):
    udp: ScriptedUdp = field(default_factory=ScriptedUdp)

    def open_udp(self, address: str, port: int) -> ScriptedUdp:  # type: ignore[override]
        return self.udp


def scripted(
    answers: dict[int, Answer], spec: QuicHandshake = SPEC, delay_s: float = 0.05
) -> tuple[Observation, list[tuple[float, bytes]]]:
    """Shake hands with a script; return the observation and what was sent when."""

    async def scene() -> tuple[Observation, list[tuple[float, bytes]]]:
        udp = ScriptedUdp(delay_s, answers)
        context = context_of(ScriptedNetwork(udp=udp), address=HOST, port=PORT)
        row = await quic_handshake(context, spec, HOST, PORT)
        assert udp.is_closed
        start = udp.sent[0][0]
        return row, [(round(at - start, 3), data) for at, data in udp.sent]

    return play(scene)


def written(*arrivals: Arrival, icmp: IcmpError | None = None) -> Observation:
    """Shake hands with what is written down."""
    network = FakeNetwork([Row(HOST, arrivals=arrivals, icmp_error=icmp)])

    async def scene() -> Observation:
        context = context_of(network, address=HOST, port=PORT)
        row = await quic_handshake(context, SPEC, HOST, PORT)
        assert all(udp.is_closed for udp in network.opened)
        return row

    return play(scene)


async def real(port: int, timeout_s: float = 6.0) -> Observation:
    """Shake hands with a port of loopback."""
    context = context_of(TrioNetwork(), address=loopback.ADDRESS, port=port)
    spec = QuicHandshake(server_name=NAME, timeout_s=timeout_s)
    return await quic_handshake(context, spec, loopback.ADDRESS, port)


def hello_in(initial: bytes) -> ClientHello:
    """Read an Initial as the lab's censor does."""
    fragments = read_initials(initial, client_keys(destination_id(initial)))
    crypto = b"".join(piece.data for piece in sorted(fragments))
    hello = read_client_hello(as_records(crypto))
    assert hello is not None
    return hello


@pytest.mark.anyio
async def test_a_server_that_answers() -> None:
    """One datagram each way is enough, whatever the certificate; the server got the name."""
    received: list[bytes] = []

    def answer(datagram: bytes) -> tuple[tuple[float, bytes], ...]:
        received.append(datagram)
        return tuple((0.0, reply) for reply in server_answers(datagram))

    async with loopback.udp_peer(answer) as port:
        row = await real(port)

    assert (row.step, row.failure, row.failure_detail) == ("quic", None, None)
    assert (row.server_name, row.port, row.address) == (NAME, port, loopback.ADDRESS)
    assert row.sent_bytes == len(received[0]) == INITIAL_BYTES
    assert row.received_bytes > 100
    assert row.first_byte_s is not None
    assert row.first_byte_s <= row.t - row.t0
    assert (hello_in(received[0]).server_name, hello_in(received[0]).version) == (NAME, 0x0304)


@pytest.mark.anyio
async def test_a_port_that_is_silent() -> None:
    """Our own deadline ends it."""
    async with loopback.udp_peer(lambda _: ()) as port:
        row = await real(port, timeout_s=0.1)

    assert (row.failure, row.failure_detail) == ("generic_timeout_error", None)
    assert (row.sent_bytes, row.received_bytes) == (INITIAL_BYTES, 0)
    assert row.first_byte_s is None


@pytest.mark.anyio
async def test_a_port_that_is_closed() -> None:
    """ICMP says so."""
    row = await real(loopback.closed_port())

    assert (row.failure, row.failure_detail) == ("connection_refused", "ECONNREFUSED")
    assert row.sent_bytes <= INITIAL_BYTES
    if sys.platform == "linux":
        assert (row.icmp_type, row.icmp_code, row.icmp_origin) == (3, 3, "target")


def test_an_icmp_error_is_kept() -> None:
    """With its type, code and where it came from."""
    row = written(Arrival(0.02, errno.EHOSTUNREACH), icmp=IcmpError(3, 13, "path"))

    assert (row.failure, row.failure_detail) == ("host_unreachable", "EHOSTUNREACH")
    assert (row.icmp_type, row.icmp_code, row.icmp_origin) == (3, 13, "path")


def test_an_address_without_a_socket() -> None:
    """A system without IPv6 cannot even ask."""

    class NoIpv6(FakeNetwork):
        def open_udp(self, address: str, port: int) -> ScriptedUdp:  # type: ignore[override]
            raise OSError(errno.EAFNOSUPPORT, "written down")

    async def scene() -> Observation:
        return await quic_handshake(context_of(NoIpv6()), SPEC, "2001:db8::1", PORT)

    row = play(scene)
    assert (row.failure, row.sent_bytes) == ("address_family_not_supported", 0)


def test_silence_costs_three_initials() -> None:
    """Sent as RFC 9002 spaces them, then only waited for; each names the server."""
    row, sent = scripted({})

    assert (row.failure, row.failure_detail) == ("generic_timeout_error", None)
    assert row.t - row.t0 == pytest.approx(SPEC.timeout_s)
    assert [at for at, _ in sent] == [0.0, 1.0, 3.0]
    assert len(sent) == MAX_DATAGRAMS
    assert row.sent_bytes == 3 * INITIAL_BYTES < 4096
    first = client_keys(destination_id(sent[0][1]))
    assert all(b"".join(f.data for f in read_initials(data, first)) for _, data in sent)


def test_a_lost_initial_is_sent_again() -> None:
    """Only the second arrives, and that is success."""
    row, sent = scripted({2: server})

    assert row.failure is None
    assert len(sent) == 2
    assert row.first_byte_s == pytest.approx(1.05)


def test_a_late_answer_is_still_waited_for() -> None:
    """To the last Initial, long after it was sent."""
    row, sent = scripted({3: server}, delay_s=2.9)

    assert row.failure is None
    assert len(sent) == 3
    assert row.t - row.t0 == pytest.approx(5.9)


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (server, ""),
        (retry, ""),
        (version_negotiation(0x0A1A2A3A, 0xFF00001D), ""),
        (server_without_h3, "connection_close 0x1"),  # then the alert's number
        (initial_with(b"\x1c\x02\x00\x00"), "connection_close 0x2"),
        (initial_with(b"\x01"), ""),
        (initial_with(b"\x06\x00\x44\x00nonsense"), ""),
        (initial_with(b"\xff\xff"), ""),
    ],
    ids=["server", "retry", "version", "no h3", "refused", "ping", "crypto", "frame"],
)
def test_an_answer_is_one_that_needs_our_initial(answer: Answer, detail: str) -> None:
    """A close is one too, and is named."""
    row, sent = scripted({1: answer})

    assert row.failure is None
    assert (row.failure_detail or "").startswith(detail)
    assert bool(row.failure_detail) == bool(detail)
    assert len(sent) == 1
    assert row.received_bytes > 0


@pytest.mark.parametrize(
    "answer",
    [
        version_negotiation(VERSION_1),
        lambda initial: initial,
        lambda _: b"",
        lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda initial: server(initial)[:60] + b"damage" + server(initial)[66:],
        lambda initial: server(initial)[:40],
    ],
    ids=["our version", "echo", "empty", "text", "damaged", "cut"],
)
def test_what_is_no_answer(answer: Answer) -> None:
    """It is counted and named, and waiting goes on."""
    row, sent = scripted({1: answer})

    assert (row.failure, row.failure_detail) == ("generic_timeout_error", NOT_QUIC)
    assert len(sent) == 3
    assert row.first_byte_s == pytest.approx(0.05)


def test_the_answer_after_something_strange() -> None:
    """What came before it leaves no mark but its bytes."""
    row, _ = scripted({1: lambda _: b"what?", 2: server})

    assert (row.failure, row.failure_detail) == (None, None)
    assert row.first_byte_s == pytest.approx(0.05)


def test_a_flood_is_counted_and_not_read() -> None:
    """Neither memory nor time grows with it."""
    row = written(*(Arrival(0.01, b"\xc0\0\0\0\1" + bytes(60)) for _ in range(10 * MAX_STRANGE)))

    assert (row.failure, row.failure_detail) == ("generic_timeout_error", NOT_QUIC)
    assert row.received_bytes == 10 * MAX_STRANGE * 65


@settings(deadline=None)
@given(datagram=st.binary(max_size=200))
def test_any_datagram_may_come(datagram: bytes) -> None:
    """Nothing raises; nothing that does not know our Initial is an answer."""
    row, _ = scripted({1: lambda _: datagram})

    assert row.failure == "generic_timeout_error"


frames = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.binary(max_size=100).map(
            lambda data: b"\x06\x00" + (len(data) | 0x4000).to_bytes(2, "big") + data
        ),
        st.binary(max_size=100).map(
            lambda data: (
                b"\x06\x00"
                + (len(data) + 4 | 0x4000).to_bytes(2, "big")
                + b"\x02"
                + len(data).to_bytes(3, "big")
                + data
            )
        ),
    ),
    max_size=4,
).map(b"".join)


@settings(deadline=None)
@given(payload=frames)
def test_any_content_under_our_keys_is_an_answer(payload: bytes) -> None:
    """The library may choke on it; that somebody read our Initial is what is asked."""
    row, _ = scripted({1: initial_with(payload)})

    assert row.failure is None


@pytest.mark.parametrize("name", ["", "192.0.2.7"])
def test_no_name_and_no_address_is_sent(name: str) -> None:
    """RFC 6066 §3 allows host names only."""
    row, sent = scripted({1: server}, QuicHandshake(server_name=name, timeout_s=6.0))

    assert (row.failure, row.server_name) == (None, name)
    assert hello_in(sent[0][1]).server_name is None


def test_the_library_s_warnings_are_not_printed() -> None:
    """They speak of what peers send; without a handler Python prints them."""
    code = (
        "import logging\n"
        "from probe.steps.quic_handshake import _client\n"
        "_client('a.example')\n"
        "logging.getLogger('quic').warning('what a peer sends')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("", "")


def test_without_the_extra_it_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a crash, and the way to get it is in the detail."""
    monkeypatch.setitem(sys.modules, "aioquic.quic.connection", None)
    row = written()

    assert (row.failure, row.failure_detail) == ("unknown_failure: skipped", MISSING)
    assert row.sent_bytes == 0


def test_the_library_is_imported_when_it_is_wanted() -> None:
    """Starting up does not pay for it."""
    code = (
        "import sys, probe.steps.quic_handshake as q\n"
        "print('aioquic' in sys.modules, q.load_library(), 'aioquic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True", "True"]


def test_cancelling_propagates() -> None:
    """Somebody else's cancellation gives no observation, and the socket is closed."""
    network = ScriptedNetwork()

    async def scene() -> bool:
        with trio.move_on_after(1) as outer:
            await quic_handshake(context_of(network, address=HOST), SPEC, HOST, PORT)
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)
    assert network.udp.is_closed
