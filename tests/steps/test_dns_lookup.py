"""Lookups keep every message, in order, and call each outcome by its word."""

import errno
from collections.abc import Callable, Sequence

import dns.message
import dns.rrset
import msgspec
import pytest
import trio
import trustme

import loopback
from fakes import (
    OWNER,
    Arrival,
    FakeNetwork,
    FakeTcpConnection,
    Row,
    context_of,
    play,
)
from loopback import closed_port, server_context, tcp_peer, tls, udp_peer
from probe.model.observation import Observation
from probe.model.step import DnsLookup, Owner, QueryType
from probe.model.target import Resolver, ResolverProtocol
from probe.net.tls import TlsStream, TrustStores
from probe.net.trio_network import TrioNetwork
from probe.steps.dns_lookup import (
    HOLD_OPEN_S,
    MAX_RESPONSES,
    doh_lookup,
    stream_lookup,
    system_lookup,
    udp_lookup,
)
from probe.wire.dns import frame

HOST = "192.0.2.53"
NAME = "www.example.org"
Reply = Callable[[bytes], bytes]


def spec_of(
    protocol: ResolverProtocol = "udp",
    *,
    hostname: str = NAME,
    query_type: QueryType = "A",
    owners: tuple[Owner, ...] = (OWNER,),
    ranges: tuple[str, ...] = (),
    address: str = HOST,
    port: int = 53,
) -> DnsLookup:
    return DnsLookup(
        hostname=hostname,
        query_type=query_type,
        resolver=Resolver(
            id=f"r-{protocol}",
            protocol=protocol,
            address=address,
            port=port,
            server_name="dns.example",
        ),
        owners=owners,
        expected_ranges=ranges,
        timeout_s=1.5,
    )


def answer(*addresses: str, rcode: int = 0, other_id: bool = False, framed: bool = False) -> Reply:
    """Return how a resolver answers the query that was sent."""

    def reply(sent: bytes) -> bytes:
        query = dns.message.from_wire(sent[2:] if framed else sent)
        message = dns.message.make_response(query)
        message.set_rcode(rcode)  # type: ignore[arg-type] # any number may arrive
        message.id ^= 1 if other_id else 0
        if addresses:
            message.answer.append(
                dns.rrset.from_text(query.question[0].name, 60, "IN", "A", *addresses)
            )
        return frame(message.to_wire()) if framed else message.to_wire()

    return reply


NXDOMAIN, REFUSED, SERVFAIL, NOTIMP = 3, 5, 2, 4


def ask(*arrivals: Arrival, spec: DnsLookup | None = None) -> list[Observation]:
    """Ask a written-down resolver over UDP; the socket must be closed."""
    network = FakeNetwork([Row(HOST, arrivals=arrivals)])

    async def scene() -> list[Observation]:
        rows = await udp_lookup(context_of(network, address=HOST, port=53), spec or spec_of())
        assert all(udp.is_closed for udp in network.opened)
        return rows

    return play(scene)


def only(rows: Sequence[Observation]) -> Observation:
    (row,) = rows
    return row


def test_two_answers_are_both_kept() -> None:
    """A forged answer wins the race; the true one follows within the window."""
    row = only(
        ask(Arrival(0.02, answer("203.0.113.9"), ip_ttl=200), Arrival(0.3, answer("192.0.2.80")))
    )

    assert row.failure is None
    assert [r.t for r in row.responses] == pytest.approx([0.02, 0.3])
    assert [r.answers[0].value for r in row.responses] == ["203.0.113.9", "192.0.2.80"]
    assert [r.ip_ttl for r in row.responses] == [200, 64]
    assert row.accepted_addresses() == ("203.0.113.9",)


def test_the_window_closes_after_the_first_valid_answer() -> None:
    """Half a second later, not at the deadline; what comes after is not seen."""
    row = only(
        ask(Arrival(0.1, answer("192.0.2.80")), Arrival(0.1 + HOLD_OPEN_S + 0.1, answer("1.2.3.4")))
    )

    assert len(row.responses) == 1
    assert row.t - row.t0 == pytest.approx(0.1 + HOLD_OPEN_S)


def test_the_window_is_not_prolonged() -> None:
    """A second answer neither extends it nor does a late first one the deadline."""
    row = only(ask(Arrival(0.1, answer("1.1.1.1")), Arrival(0.5, answer("2.2.2.2"))))
    assert row.t - row.t0 == pytest.approx(0.1 + HOLD_OPEN_S)
    late = only(ask(Arrival(1.4, answer("1.1.1.1"))))
    assert late.failure is None
    assert late.t - late.t0 == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("reply", "failure", "rcode"),
    [
        (answer(rcode=NXDOMAIN), "dns_nxdomain_error", "NXDOMAIN"),
        (answer(rcode=REFUSED), "dns_refused_error", "REFUSED"),
        (answer(rcode=SERVFAIL), "dns_servfail_error", "SERVFAIL"),
        (answer(rcode=NOTIMP), "dns_server_misbehaving", "NOTIMP"),
        (answer(), "dns_no_answer", "NOERROR"),
    ],
    ids=["nxdomain", "refused", "servfail", "notimp", "empty"],
)
def test_a_denial_is_named(reply: Reply, failure: str, rcode: str) -> None:
    """The failure is the table's word, the response code a fact beside it."""
    row = only(ask(Arrival(0.1, reply)))

    assert (row.failure, row.rcode, row.failure_detail) == (failure, rcode, None)
    assert row.responses[0].is_valid


def test_the_first_valid_answer_decides() -> None:
    """As for an ordinary stub: a denial that comes first is what applications get."""
    row = only(ask(Arrival(0.1, answer(rcode=NXDOMAIN)), Arrival(0.2, answer("192.0.2.80"))))

    assert row.failure == "dns_nxdomain_error"
    assert len(row.responses) == 2


def test_a_wrong_id_is_no_answer() -> None:
    """Alone it is a failure of its own; before a true answer it is only kept."""
    row = only(ask(Arrival(0.1, answer("203.0.113.9", other_id=True))))
    assert row.failure == "dns_reply_with_wrong_query_id"
    assert (row.rcode, row.responses[0].is_valid) == (None, False)
    assert row.t - row.t0 == pytest.approx(1.5)

    row = only(
        ask(
            Arrival(0.1, answer("203.0.113.9", other_id=True)), Arrival(0.2, answer(rcode=NXDOMAIN))
        )
    )
    assert (row.failure, row.failure_detail) == ("dns_nxdomain_error", None)
    assert [r.is_valid for r in row.responses] == [False, True]


def test_silence() -> None:
    """The deadline is the plan's."""
    row = only(ask())

    assert (row.failure, row.responses) == ("generic_timeout_error", ())
    assert row.t - row.t0 == pytest.approx(1.5)
    assert row.sent_bytes > 0


def test_a_malformed_answer_is_kept() -> None:
    """Its size and time are facts; the wait goes on."""
    row = only(ask(Arrival(0.1, b"nonsense")))

    assert row.failure == "generic_timeout_error"
    assert [(r.rcode, r.is_valid, r.size_bytes) for r in row.responses] == [("MALFORMED", False, 8)]


def test_an_icmp_error_is_named() -> None:
    """A resolver's closed port answers at once."""
    row = only(ask(Arrival(0.1, errno.ECONNREFUSED)))

    assert (row.failure, row.failure_detail) == ("connection_refused", "ECONNREFUSED")


def test_an_icmp_error_does_not_undo_an_answer() -> None:
    """It came after it."""
    row = only(ask(Arrival(0.1, answer("192.0.2.80")), Arrival(0.2, errno.ECONNREFUSED)))

    assert (row.failure, row.failure_detail) == (None, None)


@pytest.mark.parametrize(
    ("what", "failure"),
    [
        (answer("192.0.2.80"), None),
        (answer("192.0.2.80", other_id=True), "dns_reply_with_wrong_query_id"),
        (b"nonsense", "dns_server_misbehaving"),
    ],
    ids=["valid", "wrong id", "nonsense"],
)
def test_a_flood_is_bounded(what: bytes | Reply, failure: str | None) -> None:
    """A thousand datagrams fill neither memory nor the record, and are no timeout."""
    row = only(ask(*(Arrival(0.001 * i, what) for i in range(1000))))

    assert row.failure == failure
    assert len(row.responses) == MAX_RESPONSES
    assert row.t - row.t0 < 0.1


def test_a_record_of_another_class_does_not_end_the_run() -> None:
    """Anybody on the way can send one."""

    def chaos(sent: bytes) -> bytes:
        wire = bytearray(answer("1.2.3.4")(sent))
        place = wire.rindex(b"\x00\x01\x00\x01\x00\x00\x00\x3c")
        wire[place + 3] = 3
        return bytes(wire)

    assert only(ask(Arrival(0.1, chaos))).failure in {"dns_no_answer", "generic_timeout_error"}


def test_answers_are_compared_with_published_ranges() -> None:
    """Expected, not expected, bogon."""
    row = only(
        ask(
            Arrival(0.1, answer("91.108.4.1", "8.8.8.8", "10.0.0.1")),
            spec=spec_of(ranges=("91.108.4.0/22",)),
        )
    )

    found = {a.value: (a.is_expected, a.is_bogon) for a in row.responses[0].answers}
    assert found == {
        "91.108.4.1": (True, False),
        "8.8.8.8": (False, False),
        "10.0.0.1": (False, True),
    }


OWNERS = (
    OWNER,
    Owner(endpoint_id="a.example:80", member="a.example", service_id="a", target_id="a/other"),
    Owner(endpoint_id="example.com:443", member="IANA", control_id="resolvable_name/example"),
)


def test_every_owner_gets_a_row_and_bytes_count_once() -> None:
    """One question, several endpoints: what was spent is not spent again."""
    rows = ask(Arrival(0.1, answer("192.0.2.80")), spec=spec_of(owners=OWNERS))

    assert [row.endpoint_id for row in rows] == [owner.endpoint_id for owner in OWNERS]
    assert [row.role for row in rows] == ["test", "test", "control"]
    assert len({row.observation_id for row in rows}) == 3
    assert rows[0].sent_bytes > 0
    assert rows[0].received_bytes == rows[0].responses[0].size_bytes
    assert {(row.sent_bytes, row.received_bytes) for row in rows[1:]} == {(0, 0)}
    assert {row.responses for row in rows} == {rows[0].responses}


def test_a_bad_name_is_recorded() -> None:
    """No datagram is sent for it."""
    row = only(ask(spec=spec_of(hostname="a..b")))

    assert row.failure == "unknown_failure: bad_name"
    assert row.sent_bytes == 0


def test_cancelling_closes_and_propagates() -> None:
    """Somebody else's cancellation gives no observation."""
    network = FakeNetwork([Row(HOST)])

    async def scene() -> bool:
        with trio.move_on_after(1) as outer:
            await udp_lookup(context_of(network, address=HOST), spec_of())
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)
    assert network.opened[0].is_closed


def system(
    delay_s: float, outcome: tuple[str, ...] | str, query_type: QueryType = "A"
) -> Observation:
    """Ask the system resolver as it is written down."""
    family = 6 if query_type == "AAAA" else 4
    network = FakeNetwork(names={(NAME, family): (delay_s, outcome)})

    async def scene() -> Observation:
        spec = spec_of("system", query_type=query_type)
        return only(await system_lookup(context_of(network), spec))

    return play(scene)


def test_the_system_resolver_answers() -> None:
    """Addresses are all it shows: no response code, no TTL, no hop limit."""
    row = system(0.1, ("192.0.2.80", "8.8.8.8"))

    assert (row.failure, row.rcode) == (None, None)
    assert row.accepted_addresses() == ("192.0.2.80", "8.8.8.8")
    assert {a.ttl_s for a in row.responses[0].answers} == {None}
    assert row.t - row.t0 == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("EAI_NONAME", "dns_nxdomain_error"),
        ("EAI_AGAIN", "dns_temporary_failure"),
        ("EAI_FAIL", "dns_non_recoverable_failure"),
        ("EAI_NODATA", "dns_no_answer"),
        ("EAI_MEMORY", "unknown_failure: EAI_MEMORY"),
    ],
)
def test_the_system_resolver_fails(name: str, failure: str) -> None:
    """getaddrinfo's word is the detail."""
    row = system(0.1, name)

    assert (row.failure, row.failure_detail, row.responses) == (failure, name, ())


def test_the_system_resolver_is_silent() -> None:
    """Its own patience is longer than ours."""
    row = system(30, ("192.0.2.80",), "AAAA")

    assert (row.failure, row.query_type) == ("generic_timeout_error", "AAAA")
    assert row.t - row.t0 == pytest.approx(1.5)


def over_stream(*arrivals: Arrival) -> Observation:
    """Ask over a written-down stream."""
    row = Row(HOST, arrivals=arrivals)

    async def scene() -> Observation:
        context = context_of(FakeNetwork([row]), address=HOST, port=53)
        return only(await stream_lookup(context, spec_of("tcp"), FakeTcpConnection(row)))

    return play(scene)


def test_a_stream_answers() -> None:
    """At once: nothing races on a stream."""
    row = over_stream(Arrival(0.1, answer("192.0.2.80", framed=True)))

    assert (row.failure, row.rcode, row.responses[0].ip_ttl) == (None, "NOERROR", None)
    assert row.t - row.t0 == pytest.approx(0.1)


def test_a_stream_answers_in_pieces() -> None:
    """The length may come apart too."""
    whole = answer("192.0.2.80", framed=True)
    row = over_stream(
        Arrival(0.1, lambda sent: whole(sent)[:1]),
        Arrival(0.2, lambda sent: whole(sent)[1:10]),
        Arrival(0.3, lambda sent: whole(sent)[10:]),
    )

    assert row.failure is None
    assert row.t - row.t0 == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("arrival", "failure", "detail"),
    [
        (Arrival(0.1, b""), "eof_error", None),
        (Arrival(0.1, errno.ECONNRESET), "connection_reset", "ECONNRESET"),
        (Arrival(9.0, b""), "generic_timeout_error", None),
        (Arrival(0.1, frame(b"nonsense") * 50), "dns_server_misbehaving", "ShortHeader"),
    ],
    ids=["close", "reset", "silence", "flood"],
)
def test_a_stream_fails(arrival: Arrival, failure: str, detail: str | None) -> None:
    """Each end has its word."""
    row = over_stream(arrival)

    assert (row.failure, row.failure_detail) == (failure, detail)
    assert len(row.responses) <= MAX_RESPONSES


def over_https(*arrivals: Arrival) -> Observation:
    """Ask by DoH over a written-down stream."""
    row = Row(HOST, arrivals=arrivals)

    async def scene() -> Observation:
        connection = FakeTcpConnection(row)
        context = context_of(FakeNetwork([row]), address=HOST, port=443)
        return only(await doh_lookup(context, spec_of("doh"), connection, connection))

    return play(scene)


def https(reply: Reply | bytes, status: bytes = b"200 OK") -> Reply:
    """Wrap a DNS answer into an HTTP response."""

    def respond(sent: bytes) -> bytes:
        _, _, query = sent.partition(b"\r\n\r\n")
        body = reply if isinstance(reply, bytes) else reply(query)
        return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)

    return respond


def test_doh_answers() -> None:
    """Id 0, as caches like it (RFC 8484 4.1); bytes are the connection's."""
    row = over_https(Arrival(0.1, https(answer("192.0.2.80"))))

    assert (row.failure, row.rcode) == (None, "NOERROR")
    assert row.accepted_addresses() == ("192.0.2.80",)
    assert row.received_bytes > row.responses[0].size_bytes


@pytest.mark.parametrize(
    ("arrivals", "failure", "detail"),
    [
        ((Arrival(0.1, https(b"", b"500 Oops")),), "http_request_failed", "status 500"),
        ((Arrival(0.1, https(b"<html>")),), "dns_server_misbehaving", "ShortHeader"),
        ((Arrival(0.1, https(answer(rcode=NXDOMAIN))),), "dns_nxdomain_error", None),
        (
            (Arrival(0.1, https(answer("1.2.3.4", other_id=True))),),
            "dns_reply_with_wrong_query_id",
            "dns_reply_with_wrong_query_id",
        ),
        ((Arrival(0.1, b"SSH-2.0-x\r\n\r\n"),), "http_request_failed", None),
        ((Arrival(0.1, b"HTTP/1.1 200 OK\r\nContent-Le"), Arrival(0.2, b"")), "eof_error", None),
        ((Arrival(0.1, errno.EPIPE),), "connection_reset", "EPIPE"),
        ((), "generic_timeout_error", None),
    ],
    ids=["500", "page", "nxdomain", "wrong id", "ssh", "close", "reset", "silence"],
)
def test_doh_fails(arrivals: tuple[Arrival, ...], failure: str, detail: str | None) -> None:
    """HTTP's failures, DNS's and the network's stay apart."""
    row = over_https(*arrivals)

    assert row.failure == failure
    assert detail is None or row.failure_detail == detail


@pytest.mark.anyio
async def test_a_real_resolver_over_udp() -> None:
    """Two datagrams with their hop limits; then a closed port."""
    network = TrioNetwork()
    async with udp_peer(
        lambda query: ((0.0, answer("203.0.113.9")(query)), (0.02, answer("192.0.2.80")(query)))
    ) as port:
        spec = spec_of(address=loopback.ADDRESS, port=port)
        row = only(await udp_lookup(context_of(network, address=loopback.ADDRESS), spec))
    closed = spec_of(address=loopback.ADDRESS, port=closed_port())
    refused = only(await udp_lookup(context_of(network, address=loopback.ADDRESS), closed))

    assert [r.answers[0].value for r in row.responses] == ["203.0.113.9", "192.0.2.80"]
    assert row.responses[0].t < row.responses[1].t
    assert row.responses[0].ip_ttl in {64, None}
    assert refused.failure == "connection_refused"


@pytest.mark.anyio
async def test_a_real_resolver_over_tls() -> None:
    """DoT: a framed answer, and a resolver that leaves."""
    authority = trustme.CA()
    trust = TrustStores({"ours": [authority.cert_pem.bytes().decode()]})
    network = TrioNetwork()

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        query = await stream.receive_some()
        await stream.send_all(answer("192.0.2.80", framed=True)(bytes(query)))
        await stream.receive_some()

    async with tcp_peer(tls(server_context(authority, "dns.example"), serve)) as port:
        connection = network.open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            stream = TlsStream(connection, trust.context("ours", ()), "dns.example")
            await stream.handshake()
            context = context_of(network, address=loopback.ADDRESS)
            first = only(await stream_lookup(context, spec_of("dot"), stream))
            second = only(await stream_lookup(context, spec_of("dot"), stream))
        finally:
            connection.close()

    assert first.failure is None
    assert second.failure == "eof_error"


def test_rows_can_be_stored() -> None:
    """What a step builds is within the bounds that the stored form declares."""
    for rows in (ask(Arrival(0.1, answer("192.0.2.80"))), ask(Arrival(0.1, b"nonsense"))):
        row = only(rows)
        assert msgspec.convert(msgspec.to_builtins(row), Observation) == row
