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
from probe.wire.mtproto.framing import MAX_FRAME_BYTES
from probe.wire.mtproto.over_http import HttpPost
from probe.wire.mtproto.res_pq import Rejected, ResPq, TransportError


def post() -> HttpPost:
    return HttpPost("192.0.2.1", now=time.time(), random=random.Random(1).randbytes)


def served(request: bytes) -> bytes:
    """Return what PyPI's mtproto answers in its server role."""
    peer: Connection[Any] = Connection(ConnectionRole.SERVER)
    peer.data_received(request)
    return bytes(peer.send(answer(peer.next_event(), time.time(), b"s" * 16)))


def page(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize("size", [1, 7, 9999])
def test_an_answer_verifies(size: int) -> None:
    """However the response is cut into reads."""
    asking = post()
    assert asking.request_bytes.startswith(b"POST /api HTTP/1.1\r\n")
    wire = served(asking.request_bytes)
    answers = [asking.receive(wire[at : at + size]) for at in range(0, len(wire), size)]
    assert answers[:-1] == [None] * (len(answers) - 1)
    assert isinstance(answers[-1], ResPq)


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
