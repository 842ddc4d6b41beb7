"""DNS over QUIC: a server that dnspython's own client accepts, and those that misbehave."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.rrset
import msgspec
import pytest
import trio
import trustme
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StreamDataReceived
from hypothesis import given, settings
from hypothesis import strategies as st

import loopback
from fakes import OWNER, context_of, play
from probe.model.observation import Observation
from probe.model.step import Chain, DnsLookup, Owner
from probe.model.target import QueryType, Resolver
from probe.net.tls import TrustStores
from probe.net.trio_network import TrioNetwork
from probe.run.chain import Listener, walk
from probe.run.limits import Limits
from probe.steps.dns_lookup import doq_lookup
from probe.steps.doq_session import DoqSession
from probe.steps.quic_line import MISSING
from probe.wire.dns import frame
from quic_peer import App, ServedNetwork, ServedUdp, Server, configuration_of

HOST = "192.0.2.53"
RESOLVER = "dns.example"
TIMEOUT_S = 4.0
AUTHORITY = trustme.CA()
PEM = AUTHORITY.cert_pem.bytes().decode()
TRUST = TrustStores({"list": [PEM]})
GOOD = AUTHORITY.issue_cert(RESOLVER)
Reply = Callable[[bytes], bytes]


def spec_of(
    hostname: str = "a.test",
    query_type: QueryType = "A",
    *,
    address: str = HOST,
    port: int = 853,
    server_name: str = RESOLVER,
    owners: tuple[Owner, ...] = (OWNER,),
) -> DnsLookup:
    return DnsLookup(
        hostname=hostname,
        query_type=query_type,
        resolver=Resolver(
            id="r-doq", protocol="doq", address=address, port=port, server_name=server_name
        ),
        owners=owners,
        expected_ranges=(),
        timeout_s=TIMEOUT_S,
    )


@dataclass(frozen=True)
class Served:
    port: int
    authority: Path


SERVER = """
import asyncio, sys
from pathlib import Path
from censorlab.servers.doq import listen

async def main():
    folder = Path(sys.argv[1])
    records = {"a.test": ["192.0.2.9", "2001:db8::9"], "b.test": ["192.0.2.1", "192.0.2.2"]}
    where = (["127.0.0.1"], int(sys.argv[2]))
    await listen(folder / "certificate.pem", folder / "key.pem", records, *where)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The lab's resolver on a port of loopback."""
    folder = tmp_path_factory.mktemp("doq")
    (folder / "certificate.pem").write_bytes(b"".join(p.bytes() for p in GOOD.cert_chain_pems))
    (folder / "key.pem").write_bytes(GOOD.private_key_pem.bytes())
    (folder / "authority.pem").write_text(PEM)
    port = loopback.closed_port()
    words = [sys.executable, "-c", SERVER, str(folder), str(port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield Served(port, folder / "authority.pem")
        process.terminate()


CLIENT = """
import sys, dns.message, dns.query
port, authority, host = sys.argv[1:]
for name, kind in (("b.test", "A"), ("a.test", "AAAA"), ("c.test", "A"), ("a.test", "HTTPS")):
    query = dns.message.make_query(name, kind)
    reply = dns.query.quic(query, "127.0.0.1", 4, int(port), verify=authority, hostname=host)
    print(reply.rcode().name, *(row for rrset in reply.answer for row in rrset))
"""


def test_a_client_of_another_make_accepts_the_lab_s_resolver(served: Served) -> None:
    """dnspython's: so what ours is tested against is DNS over QUIC. (It leaves sockets open.)"""
    words = (sys.executable, "-c", CLIENT, str(served.port), str(served.authority), RESOLVER)
    done = subprocess.run(words, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == [
        "NOERROR 192.0.2.1 192.0.2.2",
        "NOERROR 2001:db8::9",
        "NXDOMAIN",
        "NOERROR",
    ]


@pytest.mark.anyio
async def test_questions_to_a_real_resolver(served: Served) -> None:
    """One handshake for all of them; each row has its own answer, time and bytes."""
    context = context_of(TrioNetwork(), address=loopback.ADDRESS, trust=TRUST)
    rows: list[Observation] = []
    questions: tuple[tuple[str, QueryType], ...] = (
        ("a.test", "A"),
        ("c.test", "A"),
        ("A.test", "AAAA"),
    )
    specs = [
        spec_of(name, kind, address=loopback.ADDRESS, port=served.port) for name, kind in questions
    ]
    session = DoqSession(context.run, specs[0].resolver)
    for spec in specs:
        rows += await doq_lookup(context, spec, session)
    await session.leave()

    assert [row.failure for row in rows] == [None, "dns_nxdomain_error", None]
    assert [row.rcode for row in rows] == ["NOERROR", "NXDOMAIN", "NOERROR"]
    assert [row.accepted_addresses() for row in rows] == [("192.0.2.9",), (), ("2001:db8::9",)]
    assert {row.resolver_protocol for row in rows} == {"doq"}
    assert rows[0].sent_bytes > 1200  # an Initial's
    assert 0 < rows[1].sent_bytes < 200
    assert rows[0].received_bytes > rows[1].received_bytes > 0
    assert rows[0].responses[0].t < rows[0].t - rows[0].t0
    for row in rows:
        assert msgspec.convert(msgspec.to_builtins(row), Observation) == row


@pytest.mark.anyio
async def test_a_chain_of_questions_is_one_connection(served: Served) -> None:
    """As the run walks it; a name that does not exist does not end it."""
    context = context_of(TrioNetwork(), address=loopback.ADDRESS, trust=TRUST)
    where = {"address": loopback.ADDRESS, "port": served.port}
    chain = Chain(
        role="resolver",
        owner=OWNER,
        port=served.port,
        address=loopback.ADDRESS,
        steps=tuple(spec_of(name, **where) for name in ("a.test", "c.test", "b.test")),  # type: ignore[arg-type] # of their types
    )
    emitted: list[Observation] = []
    heard: list[tuple[str, ...]] = []

    async def emit(row: Observation) -> None:
        emitted.append(row)

    listener = Listener(
        emit=emit,
        heard=lambda _spec, addresses: heard.append(tuple(addresses)),
        found=lambda _fresh: None,
    )
    rows = await walk(chain, context, None, Limits(), listener)

    assert rows == emitted
    assert [row.failure for row in rows] == [None, "dns_nxdomain_error", None]
    assert heard == [("192.0.2.9",), ("192.0.2.1", "192.0.2.2")]
    assert sum(row.sent_bytes > 1000 for row in rows) == 1


def answer(*addresses: str, message_id: int = 0) -> Reply:
    """Return how a resolver answers a message."""

    def reply(query: bytes) -> bytes:
        message = dns.message.make_response(dns.message.from_wire(query))
        message.id = message_id
        if addresses:
            name = message.question[0].name
            message.answer.append(dns.rrset.from_text(name, 60, "IN", "A", *addresses))
        return message.to_wire(max_size=65535)

    return reply


class Answers:
    """A resolver's application: ``act`` gets each whole question and its stream."""

    def __init__(self, act: Callable[[QuicConnection, int, bytes], None]) -> None:
        self.act = act
        self.questions: list[bytes] = []

    def __call__(self, quic: QuicConnection, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            assert event.end_stream, "RFC 9250 4.2: the client ends the stream with its question"
            self.questions.append(event.data)
            self.act(quic, event.stream_id, event.data[2:])


def sends(reply: Reply, *, ends: bool = True) -> Answers:
    return Answers(lambda quic, stream, query: quic.send_stream_data(stream, reply(query), ends))


def framed(reply: Reply) -> Reply:
    return lambda query: frame(reply(query))


def ask(
    app: App,
    *specs: DnsLookup,
    issued: trustme.LeafCert = GOOD,
    alpn: str = "doq",
    trust: TrustStores = TRUST,
) -> tuple[list[Observation], ServedUdp]:
    """Ask a resolver in memory, under a clock that jumps."""
    udp = ServedUdp(Server(configuration_of(issued, alpn), app))

    async def scene() -> list[Observation]:
        context = context_of(ServedNetwork(udp=udp), address=HOST, port=853, trust=trust)
        asked = specs or (spec_of(),)
        session = DoqSession(context.run, asked[0].resolver)
        rows = [row for spec in asked for row in await doq_lookup(context, spec, session)]
        await session.leave()
        return rows

    rows = play(scene)
    assert udp.is_closed or not udp.sent
    return rows, udp


def test_what_is_asked_is_what_the_rfc_says() -> None:
    """A length, the id 0, one question to a stream; DOQ_NO_ERROR at the end."""
    app = sends(framed(answer("192.0.2.9")))
    rows, udp = ask(app, spec_of(), spec_of("b.test"))

    assert [row.failure for row in rows] == [None, None]
    streams = [e.stream_id for e in udp.server.events if isinstance(e, StreamDataReceived)]
    assert streams == [0, 4]
    for question, name in zip(app.questions, ("a.test.", "b.test."), strict=True):
        assert int.from_bytes(question[:2], "big") == len(question) - 2
        message = dns.message.from_wire(question[2:])
        assert (message.id, message.question[0].name.to_text()) == (0, name)
    assert udp.server.quic is not None
    end = udp.server.quic._close_event
    assert isinstance(end, ConnectionTerminated)
    assert (end.error_code, end.frame_type) == (0, None)


def test_an_answer_in_pieces() -> None:
    """The length may come apart too, and the end of the stream later or never."""

    def act(quic: QuicConnection, stream: int, query: bytes) -> None:
        for byte in frame(answer("192.0.2.9")(query)):
            quic.send_stream_data(stream, bytes((byte,)))

    rows, _ = ask(Answers(act))
    assert rows[0].failure is None


def test_the_longest_answer() -> None:
    """Of the 64 KiB that a length can announce, nothing is refused."""
    many = [f"10.{n >> 8}.{n & 255}.1" for n in range(4000)]
    rows, _ = ask(sends(framed(answer(*many))))

    assert (rows[0].failure, rows[0].responses[0].size_bytes > 60_000) == (None, True)
    assert rows[0].received_bytes > 60_000


@pytest.mark.parametrize(
    ("app", "failure", "detail"),
    [
        (sends(framed(answer())), "dns_no_answer", None),
        (sends(framed(lambda _: b"nonsense")), "dns_server_misbehaving", "ShortHeader"),
        (
            sends(framed(answer("192.0.2.9", message_id=7))),
            "dns_reply_with_wrong_query_id",
            "dns_reply_with_wrong_query_id",
        ),
        (sends(lambda _: b"\x00"), "eof_error", None),
        (sends(lambda query: frame(answer()(query))[:-1]), "eof_error", None),
        (sends(lambda _: b"\xff\xff", ends=False), "generic_timeout_error", None),
        (
            Answers(lambda quic, stream, _: quic.reset_stream(stream, 0x5)),
            "eof_error",
            "stream_reset 0x5",
        ),
        (Answers(lambda quic, _, __: quic.close(0x4)), "eof_error", "connection_close 0x4"),
        (
            Answers(lambda quic, _, __: quic.close(0xA, 0)),
            "unknown_failure: quic_connection_close",
            "connection_close 0xa",
        ),
        (Answers(lambda _, __, ___: None), "generic_timeout_error", None),
    ],
    ids=[
        *("empty", "nonsense", "id", "length", "cut", "waits", "reset"),
        *("application", "transport", "silence"),
    ],
)
def test_a_lookup_fails_by_its_word(app: Answers, failure: str, detail: str | None) -> None:
    """DNS's failures, the stream's and the connection's stay apart."""
    rows, _ = ask(app)

    assert (rows[0].failure, rows[0].failure_detail) == (failure, detail)


@pytest.mark.parametrize(
    ("issued", "server_name", "failure"),
    [
        (GOOD, "other.example", "ssl_invalid_hostname"),
        (trustme.CA().issue_cert(RESOLVER), RESOLVER, "ssl_unknown_authority"),
    ],
    ids=["name", "authority"],
)
def test_the_resolver_is_verified(issued: trustme.LeafCert, server_name: str, failure: str) -> None:
    """It is asked nothing otherwise, by none of the questions."""
    app = sends(framed(answer("192.0.2.9")))
    specs = [spec_of(name, server_name=server_name) for name in ("a.test", "b.test")]
    rows, _ = ask(app, *specs, issued=issued)

    assert [row.failure for row in rows] == [failure, failure]
    assert rows[1].sent_bytes == rows[1].received_bytes == 0
    assert app.questions == []


def test_without_anchors_of_the_list_it_is_the_public_authorities() -> None:
    """As for DNS over TLS."""
    rows, _ = ask(sends(framed(answer("192.0.2.9"))), trust=TrustStores())

    assert rows[0].failure == "ssl_unknown_authority"


def test_a_server_of_another_protocol() -> None:
    """HTTP/3 on the same port is no resolver."""
    rows, _ = ask(sends(framed(answer())), alpn="h3")

    assert (rows[0].failure, rows[0].failure_detail) == (
        "ssl_failed_handshake",
        "connection_close 0x178",
    )


@pytest.mark.anyio
async def test_a_port_that_is_closed() -> None:
    """Nobody listens for this kind of question."""
    context = context_of(TrioNetwork(), address=loopback.ADDRESS, trust=TRUST)
    spec = spec_of(address=loopback.ADDRESS, port=loopback.closed_port())
    session = DoqSession(context.run, spec.resolver)
    rows = await doq_lookup(context, spec, session)
    await session.leave()

    assert (rows[0].failure, rows[0].failure_detail) == ("connection_refused", "ECONNREFUSED")


def test_every_owner_gets_a_row_and_bytes_count_once() -> None:
    """One question, several endpoints."""
    owners = (OWNER, Owner(endpoint_id="a.test:80", member="a.test", control_id="c"))
    rows, udp = ask(sends(framed(answer("192.0.2.9"))), spec_of(owners=owners))

    assert [row.role for row in rows] == ["test", "control"]
    assert 0 < rows[0].sent_bytes < sum(map(len, udp.sent))
    assert rows[1].sent_bytes == 0


def test_a_bad_name_is_recorded() -> None:
    """No connection is made for it."""
    rows, udp = ask(sends(framed(answer())), spec_of("a..b"))

    assert rows[0].failure == "unknown_failure: bad_name"
    assert udp.sent == []


@settings(deadline=None, max_examples=60)
@given(data=st.binary(max_size=200), ends=st.booleans())
def test_any_bytes_may_answer(data: bytes, ends: bool) -> None:  # noqa: FBT001
    """Nothing raises."""
    rows, _ = ask(sends(lambda _: data, ends=ends))

    assert rows[0].failure is not None


def test_without_the_extra_it_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a crash, and the way to get it is in the detail."""
    monkeypatch.setitem(sys.modules, "aioquic.quic.connection", None)

    async def scene() -> list[Observation]:
        context = context_of(ServedNetwork(), address=HOST, trust=TRUST)
        session = DoqSession(context.run, spec_of().resolver)
        rows = await doq_lookup(context, spec_of(), session)
        await session.leave()
        return rows

    rows = play(scene)
    assert (rows[0].failure, rows[0].failure_detail) == ("unknown_failure: skipped", MISSING)


def test_cancelling_propagates() -> None:
    """Somebody else's cancellation gives no observation, and the socket is closed."""
    udp = ServedUdp(Server(configuration_of(GOOD, "doq"), Answers(lambda _, __, ___: None)))

    async def scene() -> bool:
        context = context_of(ServedNetwork(udp=udp), address=HOST, trust=TRUST)
        session = DoqSession(context.run, spec_of().resolver)
        with trio.move_on_after(1) as outer:
            try:
                await doq_lookup(context, spec_of(), session)
            finally:
                await session.leave()
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)
    assert udp.is_closed
