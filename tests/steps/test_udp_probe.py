"""One datagram or two, one observation; what is sent is answered by QUIC and hurts nobody."""

import errno
import sys
from collections.abc import Callable

import pytest
import trio

from fakes import Arrival, FakeNetwork, FakeUdpSocket, Row, context_of, play
from loopback import ADDRESS, closed_port, udp_peer
from probe.model.observation import Observation
from probe.model.step import UdpProbe
from probe.net.api import IcmpError
from probe.net.trio_network import TrioNetwork
from probe.steps.udp_probe import PLAIN, QUIC_BYTES, RESERVED_VERSION, datagram_to, udp_probe

HOST = "192.0.2.1"
SPEC = UdpProbe(timeout_s=2.4)


def probe(
    *arrivals: Arrival, port: int = 5000, icmp_error: IcmpError | None = None
) -> tuple[Observation, FakeUdpSocket]:
    """Probe what is written down; the socket is closed whatever comes."""
    network = FakeNetwork([Row(HOST, arrivals=arrivals, icmp_error=icmp_error)])

    async def scene() -> Observation:
        context = context_of(network, address=HOST, port=port)
        return await udp_probe(context, SPEC, HOST, port)

    row = play(scene)
    (opened,) = network.opened
    assert isinstance(opened, FakeUdpSocket)
    assert opened.is_closed
    assert row.step == "udp"
    return row, opened


@pytest.mark.parametrize("answer", [b"anything", b""])
def test_any_datagram_is_an_answer(answer: bytes) -> None:
    """An empty one too; one datagram was enough."""
    row, opened = probe(Arrival(0.06, answer))

    assert (row.failure, row.failure_detail) == (None, None)
    assert row.first_byte_s == pytest.approx(0.06)
    assert (row.sent_bytes, row.received_bytes) == (len(PLAIN), len(answer))
    assert opened.sent == PLAIN
    assert (row.address, row.port) == (HOST, 5000)


def test_silence_gets_a_second_datagram_and_ends_at_the_deadline() -> None:
    """The second at a third of the time, and no third one."""
    row, opened = probe()

    assert row.failure == "generic_timeout_error"
    assert row.t - row.t0 == pytest.approx(SPEC.timeout_s)
    first, second = opened.sent_times
    assert second - first == pytest.approx(SPEC.timeout_s / 3)
    assert (row.sent_bytes, row.received_bytes) == (2 * len(PLAIN), 0)
    assert (row.first_byte_s, row.icmp_type) == (None, None)


@pytest.mark.anyio
async def test_a_datagram_that_is_lost_once() -> None:
    """A peer that answers every second datagram only is reachable."""
    asked = 0

    def answer(query: bytes) -> tuple[tuple[float, bytes], ...]:
        nonlocal asked
        asked += 1
        return ((0.0, query),) if asked == 2 else ()

    network = TrioNetwork()
    async with udp_peer(answer) as port:
        row = await udp_probe(context_of(network), UdpProbe(timeout_s=0.3), ADDRESS, port)

    assert row.failure is None
    assert (row.sent_bytes, row.received_bytes) == (16, 8)


@pytest.mark.parametrize(
    ("number", "icmp", "failure"),
    [
        (errno.ECONNREFUSED, IcmpError(3, 3, "target"), "connection_refused"),
        (errno.EHOSTUNREACH, IcmpError(3, 13, "path"), "host_unreachable"),
        (errno.EACCES, IcmpError(1, 1, "path"), "permission_denied"),
        (errno.ENETUNREACH, None, "network_unreachable"),
    ],
)
def test_an_error_ends_it(number: int, icmp: IcmpError | None, failure: str) -> None:
    """At once, with what answered; an error of this host has no ICMP."""
    row, _ = probe(Arrival(0.06, number), icmp_error=icmp)

    assert (row.failure, row.failure_detail) == (failure, errno.errorcode[number])
    assert row.t - row.t0 == pytest.approx(0.06)
    found = (row.icmp_type, row.icmp_code, row.icmp_origin)
    assert found == (icmp or (None, None, None))


def test_an_answer_has_no_icmp_error() -> None:
    """What was queued before an answer is not what the step ended with."""
    row, _ = probe(Arrival(0.06, b"x"), icmp_error=IcmpError(3, 1, "path"))

    assert (row.failure, row.icmp_type) == (None, None)


def test_without_a_socket_there_is_an_observation() -> None:
    """No IPv6, no descriptors: a fact like others."""

    class Refusing(FakeNetwork):
        def open_udp(self, address: str, port: int) -> FakeUdpSocket:
            raise OSError(errno.EAFNOSUPPORT, "no such family")

    async def scene() -> Observation:
        return await udp_probe(context_of(Refusing(), address=HOST), SPEC, HOST, 443)

    row = play(scene)
    assert (row.failure, row.failure_detail) == ("address_family_not_supported", "EAFNOSUPPORT")
    assert row.sent_bytes == 0


def test_cancelling_closes_and_propagates() -> None:
    """Somebody else's cancellation is not a timeout of ours."""
    network = FakeNetwork([Row(HOST)])

    async def scene() -> bool:
        with trio.move_on_after(1) as outer:
            await udp_probe(context_of(network, address=HOST), SPEC, HOST, 443)
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)
    assert network.opened[0].is_closed


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has an error queue")
async def test_a_closed_port_of_loopback() -> None:
    """The host itself answers for it (RFC 1122 section 4.1.3.1)."""
    row = await udp_probe(context_of(TrioNetwork()), SPEC, ADDRESS, closed_port())

    assert (row.failure, row.failure_detail) == ("connection_refused", "ECONNREFUSED")
    assert (row.icmp_type, row.icmp_code, row.icmp_origin) == (3, 3, "target")


def test_other_ports_get_nothing_that_means_anything() -> None:
    """Small, and the same for every port and every volunteer."""
    assert {datagram_to(port) for port in (1, 53, 80, 5222, 65535)} == {bytes(8)}


def test_the_quic_port_gets_a_packet_of_no_version() -> None:
    """A long header (RFC 8999 section 5.1), padded, with identifiers of its own each time."""
    one, other = datagram_to(443), datagram_to(443)

    assert len(one) == QUIC_BYTES
    assert one[0] & 0x80
    assert one[1:5] == RESERVED_VERSION
    assert [byte & 0x0F for byte in RESERVED_VERSION] == [0x0A] * 4
    assert one[6:14] != other[6:14]
    assert one[23:] == bytes(QUIC_BYTES - 23)


@pytest.fixture
def negotiate() -> Callable[[bytes], bytes]:
    """A QUIC server's first step, by a library of other authors."""
    pytest.importorskip("aioquic", reason="aioquic is in the lab's extra")
    from aioquic.buffer import Buffer
    from aioquic.quic.packet import encode_quic_version_negotiation, pull_quic_header

    def answer(datagram: bytes) -> bytes:
        assert len(datagram) >= 1200
        header = pull_quic_header(Buffer(data=datagram), host_cid_length=8)
        assert header.version not in {1, 0x6B3343CF}
        return encode_quic_version_negotiation(
            source_cid=header.destination_cid,
            destination_cid=header.source_cid,
            supported_versions=[1],
        )

    return answer


def test_a_quic_server_negotiates(negotiate: Callable[[bytes], bytes]) -> None:
    """The packet is read as one of a version that the server does not have, and answered."""
    row, opened = probe(Arrival(0.06, negotiate), port=443)

    assert row.failure is None
    assert row.sent_bytes == len(opened.sent) == QUIC_BYTES
    assert row.received_bytes > 20
