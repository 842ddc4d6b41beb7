"""Asking for the type HTTPS: what a host publishes, and whose word on its key is taken."""

from collections.abc import Callable

import dns.message
import dns.rrset
import pytest
import trio
import trustme
from dns.rdata import GenericRdata
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType

import loopback
from ech_peer import Key, published
from fakes import OWNER, Arrival, FakeNetwork, FakeTcpConnection, Row, context_of, play
from loopback import server_context, tcp_peer, tls
from probe.model.observation import Observation
from probe.model.step import DnsLookup
from probe.model.target import Resolver, ResolverProtocol
from probe.net.tls import TlsStream, TrustStores
from probe.net.trio_network import TrioNetwork
from probe.steps.dns_lookup import doh_lookup, stream_lookup, system_lookup, udp_lookup
from probe.wire.dns import frame

HOST = "192.0.2.53"
NAME = "www.example.org"
LIST = published(Key())
WITH_KEY = b"\x00\x01\x00" + b"\0\1\0\3\2h2" + b"\0\5" + len(LIST).to_bytes(2, "big") + LIST
WITHOUT_KEY = b"\x00\x01\x00" + b"\0\1\0\3\2h2"
AUTHORITY = trustme.CA()


def spec_of(protocol: ResolverProtocol) -> DnsLookup:
    return DnsLookup(
        hostname=NAME,
        query_type="HTTPS",
        resolver=Resolver(
            id=f"r-{protocol}", protocol=protocol, address=HOST, port=53, server_name="dns.example"
        ),
        owners=(OWNER,),
        expected_ranges=("192.0.2.0/24",),
        timeout_s=1.5,
    )


def answer(rdata: bytes | None, rcode: int = 0, change_id: int = 0) -> Callable[[bytes], bytes]:
    def reply(sent: bytes) -> bytes:
        query = dns.message.from_wire(sent)
        message = dns.message.make_response(query)
        message.set_rcode(rcode)  # type: ignore[arg-type] # any number may arrive
        message.id ^= change_id
        if rdata is not None:
            record = GenericRdata(RdataClass.IN, RdataType.HTTPS, rdata)
            message.answer.append(dns.rrset.from_rdata(query.question[0].name, 60, record))
        return message.to_wire()

    return reply


def framed(reply: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda sent: frame(reply(sent[2:]))


def over_http(reply: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def respond(sent: bytes) -> bytes:
        body = reply(sent.partition(b"\r\n\r\n")[2])
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    return respond


def ask(
    protocol: ResolverProtocol, reply: Callable[[bytes], bytes]
) -> tuple[Observation, dict[str, bytes]]:
    """Ask over what is written down: to the step, a stream is a stream."""
    wrap = {"udp": lambda r: r, "doh": over_http}.get(protocol, framed)
    row = Row(HOST, arrivals=(Arrival(0.1, wrap(reply)),))
    network = FakeNetwork([row])

    async def scene() -> tuple[list[Observation], dict[str, bytes]]:
        context = context_of(network, address=HOST, port=53)
        spec = spec_of(protocol)
        if protocol == "udp":
            return await udp_lookup(context, spec), context.run.ech_configs
        stream = FakeTcpConnection(row)
        if protocol == "doh":
            return await doh_lookup(context, spec, stream, stream), context.run.ech_configs
        return await stream_lookup(context, spec, stream), context.run.ech_configs

    (observation,), configs = play(scene)
    return observation, configs


@pytest.mark.parametrize("protocol", ["dot", "doh", "udp", "tcp"])
def test_the_key_is_taken_from_encrypted_resolvers_only(protocol: ResolverProtocol) -> None:
    """Anybody may have sent the others' answers; as an observation all are kept."""
    row, configs = ask(protocol, answer(WITH_KEY))

    assert (row.failure, row.query_type, row.rcode) == (None, "HTTPS", "NOERROR")
    ((found,),) = (response.answers for response in row.responses)
    assert (found.type, found.value, found.ttl_s) == ("HTTPS", "alpn=h2 ech", 60)
    assert (found.is_bogon, found.is_expected) == (False, None)
    assert row.accepted_addresses() == ()
    assert configs == ({NAME: LIST} if protocol in {"dot", "doh"} else {})


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (answer(WITHOUT_KEY), None),
        (answer(None), "dns_no_answer"),
        (answer(WITH_KEY, rcode=3), "dns_nxdomain_error"),
        (answer(WITH_KEY[:-1]), "dns_server_misbehaving"),
        (answer(WITH_KEY, change_id=1), "dns_reply_with_wrong_query_id"),
    ],
    ids=["no key", "no record", "no such name", "malformed", "another's answer"],
)
def test_no_key(reply: Callable[[bytes], bytes], failure: str | None) -> None:
    """Without a valid answer that has one, nothing is remembered."""
    row, configs = ask("doh", reply)

    assert (row.failure, configs) == (failure, {})


def test_the_system_resolver_cannot_be_asked() -> None:
    """A plan that does has a bug."""

    async def scene() -> None:
        await system_lookup(context_of(FakeNetwork()), spec_of("system"))

    with pytest.raises(ValueError, match="HTTPS"):
        play(scene)


@pytest.mark.anyio
async def test_over_a_real_stream_of_tls() -> None:
    """DNS over TLS, as a resolver serves it."""

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        await stream.send_all(framed(answer(WITH_KEY))(bytes(await stream.receive_some())))

    network = TrioNetwork()
    stores = TrustStores({"ours": [AUTHORITY.cert_pem.bytes().decode()]})
    async with tcp_peer(tls(server_context(AUTHORITY, "dns.example"), serve)) as port:
        connection = network.open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            stream = TlsStream(connection, stores.context("ours", ()), "dns.example")
            await stream.handshake()
            context = context_of(network, address=loopback.ADDRESS, port=port)
            (row,) = await stream_lookup(context, spec_of("dot"), stream)
        finally:
            connection.close()

    assert row.failure is None
    assert context.run.ech_configs == {NAME: LIST}
