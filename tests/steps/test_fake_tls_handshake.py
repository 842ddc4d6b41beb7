"""Saying hello to an MTProxy: what comes of it, and when waiting ends."""

import errno
import os

import pytest

from fakes import Arrival, FakeNetwork, FakeTcpConnection, Row, play
from probe.net.api import TcpInfo
from probe.steps.evidence import STALL_RETRANSMITS
from probe.steps.fake_tls_handshake import Ended, fake_tls_handshake
from probe.wire.faketls import FakeTls

HOST = "192.0.2.1"


def say_hello(row: Row) -> tuple[Ended, float]:
    """Return how it ends, and after how long."""

    async def scene() -> tuple[Ended, float]:
        network = FakeNetwork([row])
        now = network.wall_clock().timestamp()
        tls = FakeTls(bytes(16), "www.example.org", "current", now=now, random=os.urandom)
        began = network.now()
        ended = await fake_tls_handshake(FakeTcpConnection(row), tls, network)
        return ended, network.now() - began

    return play(scene)


@pytest.mark.parametrize(
    ("what", "ended"),
    [
        (b"", Ended("eof_error")),
        (errno.ECONNRESET, Ended("connection_reset", "ECONNRESET")),
        (
            b"\x15\x03\x03\x00\x02\x02\x28",
            Ended("unknown_failure: faketls_masked", "alert handshake_failure"),
        ),
        (b"HTTP/1.1 400 \r\n", Ended("unknown_failure: faketls_not_tls", "http")),
    ],
)
def test_each_answer_has_its_word(what: bytes | int, ended: Ended) -> None:
    assert say_hello(Row(HOST, arrivals=(Arrival(0.1, what),))) == (ended, pytest.approx(0.1))


@pytest.mark.parametrize(
    "info",
    [
        TcpInfo(0.06, 0, 0, 0, 1800, 0),
        TcpInfo(0.06, STALL_RETRANSMITS, STALL_RETRANSMITS, 2, 1, 0),
    ],
    ids=["acknowledged and silent", "never acknowledged"],
)
def test_waiting_ends_on_evidence(info: TcpInfo) -> None:
    """Nothing else would end it here."""
    ended, after_s = say_hello(Row(HOST, tcp_info=info))

    assert ended == Ended("generic_timeout_error")
    assert after_s < 4
