"""The request as a POST: verified by a real server, and bounded against a hostile one."""

import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mtproto.enums import ConnectionRole
from mtproto.transport.connection import Connection

from censorlab.servers.data_centre import answer
from probe.wire.mtproto.conversation import Conversation
from probe.wire.mtproto.framing import MAX_FRAME_BYTES
from probe.wire.mtproto.messages import Rejected, TransportError
from probe.wire.mtproto.over_http import HttpPosts
from probe.wire.mtproto.res_pq import ResPq


def posts() -> Conversation:
    return Conversation(HttpPosts("192.0.2.1"), random.Random(1).randbytes)


def post() -> Conversation:
    """Return a conversation that waits for its first answer."""
    asking = posts()
    asking.ask(time.time())
    return asking


class Served:
    """What PyPI's mtproto answers in its server role, over one connection."""

    def __init__(self) -> None:
        self._peer: Connection[Any] = Connection(ConnectionRole.SERVER)

    def __call__(self, request: bytes) -> bytes:
        self._peer.data_received(request)
        packet = self._peer.next_event()
        return bytes(self._peer.send(answer(packet, time.time(), b"s" * 16)))


def page(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize("size", [1, 7, 9999])
def test_an_answer_verifies(size: int) -> None:
    """However the response is cut into reads."""
    asking = posts()
    request = asking.ask(time.time())
    assert request.startswith(b"POST /api HTTP/1.1\r\nHost: 192.0.2.1\r\n")
    wire = Served()(request)
    answers = [asking.receive(wire[at : at + size]) for at in range(0, len(wire), size)]
    assert answers[:-1] == [None] * (len(answers) - 1)
    assert isinstance(answers[-1], ResPq)


def test_a_connection_carries_more_than_one() -> None:
    """Each in a POST of its own; an error without a body is the data centre's by then."""
    asking, served = posts(), Served()
    for _ in range(3):
        assert isinstance(asking.receive(served(asking.ask(time.time()))), ResPq)
    refused = served(asking.send(b"nobody understands that", time.time()))
    assert refused.startswith(b"HTTP/1.1 404")
    assert asking.receive_message(refused) == TransportError(404)
    asking.ask(time.time())
    assert asking.receive(page(b"302 Found", b"")) == Rejected("not_mtproto", "http 302")


def test_another_path() -> None:
    request = HttpPosts("a.example", "/apiw1").send(b"data")
    assert request.startswith(b"POST /apiw1 HTTP/1.1\r\nHost: a.example\r\n")


NOT_FOUND = (-404).to_bytes(4, "little", signed=True)


@pytest.mark.parametrize(
    ("wire", "found"),
    [
        (page(b"404 Not Found", NOT_FOUND), TransportError(404)),
        (page(b"200 OK", NOT_FOUND), TransportError(404)),
        (page(b"404 Not Found", b"<html>" * 9), Rejected("not_mtproto", "http 404")),
        (page(b"404 Not Found", b""), Rejected("not_mtproto", "http 404")),
        (page(b"302 Found", b""), Rejected("not_mtproto", "http 302")),
        (page(b"200 OK", b""), Rejected("mtproto_truncated")),
        (page(b"200 OK", b"<html>" * 9), Rejected("mtproto_wrong_key_id")),
        (page(b"200 OK", bytes(MAX_FRAME_BYTES + 1)), Rejected("mtproto_frame_too_long")),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Rejected("not_mtproto", "no http")),
        (b"\x15\x03\x01\x00\x02\x02\x28", Rejected("not_mtproto", "tls")),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000, Rejected("not_mtproto", "no http")),
        (b"HTTP/1.0 200 OK\r\n\r\n" + bytes(70_000), Rejected("mtproto_frame_too_long")),
    ],
)
def test_a_wrong_answer(wire: bytes, found: object) -> None:
    """A status alone is anybody's."""
    assert post().receive(wire) == found


def test_an_early_end_is_the_networks() -> None:
    with pytest.raises(EOFError):
        post().receive(b"")


@given(pieces=st.lists(st.binary(max_size=100), max_size=5), begins_well=st.booleans())
def test_hostile_bytes_never_pass(*, pieces: list[bytes], begins_well: bool) -> None:
    asking = post()
    head = [b"HTTP/1.1 200 OK\r\n"] if begins_well else []
    for piece in (*head, *filter(None, pieces), b""):
        try:
            answer_or_none = asking.receive(piece)
        except EOFError:
            return
        assert not isinstance(answer_or_none, ResPq)
        if answer_or_none is not None:
            return
    pytest.fail("neither an answer nor an end")
