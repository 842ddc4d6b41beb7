"""An obfuscated stream in a WebSocket: verified by a real server, bounded against hostile ones."""

import base64
import hashlib
import random
import re
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Opcode
from websockets.server import ServerProtocol

from censorlab.servers.data_centre import Session
from probe.wire.mtproto.conversation import Conversation
from probe.wire.mtproto.framing import MAX_FRAME_BYTES
from probe.wire.mtproto.messages import Rejected, TransportError
from probe.wire.mtproto.over_websocket import MAX_IDLE_FRAMES, WebSocket
from probe.wire.mtproto.res_pq import Answer, ResPq

BINARY = 2


def conversation(seed: int = 1, *, host: str = "a.example", path: str = "") -> Conversation:
    source = random.Random(seed).randbytes
    return Conversation(WebSocket(host, path, dc_id=2, random=source), source)


class Served:
    """A server by PyPI's websockets, around the lab's data centre."""

    def __init__(self, piece: int = 9999) -> None:
        self._protocol = ServerProtocol(subprotocols=["binary"])  # type: ignore[list-item] # a str
        self._centre = Session()
        self._piece = piece
        self.requests = 0

    def __call__(self, wire: bytes) -> bytes:
        self._protocol.receive_data(wire)
        for event in self._protocol.events_received():
            if not hasattr(event, "opcode"):
                self._protocol.send_response(self._protocol.accept(event))  # type: ignore[arg-type] # a request
            elif event.opcode is Opcode.BINARY:
                self.requests += 1
                sent = self._centre.receive(bytes(event.data), time.time(), b"s" * 16)
                for at in range(0, len(sent), self._piece):
                    self._protocol.send_binary(sent[at : at + self._piece])
        return b"".join(self._protocol.data_to_send())


def talk(asking: Conversation, served: Served, size: int = 9999) -> Answer | None:
    """Ask, and bring each what the other sends, in reads of some size."""
    wire = asking.ask(time.time())
    while wire:
        back, wire = served(wire), b""
        for at in range(0, len(back), size):
            answer = asking.receive(back[at : at + size])
            wire += asking.due()
            if answer is not None:
                return answer
    return None


@pytest.mark.parametrize("piece", [1, 7, 9999])
@pytest.mark.parametrize("size", [1, 13, 9999])
def test_an_answer_verifies(piece: int, size: int) -> None:
    """However the stream is cut into messages, and those into reads."""
    asking, served = conversation(), Served(piece)
    for number in range(1, 4):
        assert isinstance(talk(asking, served, size), ResPq)
        assert served.requests == number


def test_the_request() -> None:
    """For a WebSocket of this subprotocol; nothing else before it is open."""
    request = conversation(path="/apiws_test").ask(time.time())
    head = request.decode("ascii").split("\r\n")
    assert head[0] == "GET /apiws_test HTTP/1.1"
    assert {"Host: a.example", "Sec-WebSocket-Protocol: binary"} < set(head)
    assert not any("Extensions" in line for line in head)
    assert request.endswith(b"\r\n\r\n")
    assert request.count(b"\r\n\r\n") == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "192.0.2.1:8080"])
def test_the_usual_path_at_any_host(host: str) -> None:
    request = conversation(host=host).ask(time.time())
    assert request.startswith(f"GET /apiws HTTP/1.1\r\nHost: {host}\r\n".encode())


def opening(request: bytes, *more: bytes, accept: bytes | None = None) -> bytes:
    """Return the head that opens a WebSocket (RFC 6455 section 4.2.2)."""
    found = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
    assert found
    digest = hashlib.sha1(found[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    lines = (
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + (accept or base64.b64encode(digest)),
        *more,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n"


def frame(opcode: int, payload: bytes = b"", *, first: int = 0x80) -> bytes:
    """Return a server's frame (RFC 6455 section 5.2)."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", first | opcode, length)
    elif length < 2**16:
        head = struct.pack("!BBH", first | opcode, 126, length)
    else:
        head = struct.pack("!BBQ", first | opcode, 127, length)
    return head + payload


SUBPROTOCOL = b"Sec-WebSocket-Protocol: binary"


def answered(*more: bytes, accept: bytes | None = None, wire: bytes = b"") -> Answer | None:
    """Return what is made of an opening and of what follows it."""
    asking = conversation()
    answer = asking.receive(opening(asking.ask(time.time()), *more, accept=accept) + wire)
    asking.due()
    return answer


def page(status: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status


@pytest.mark.parametrize(
    ("wire", "found"),
    [
        (page(b"302 Found"), Rejected("mtproto_websocket_refused", "http 302")),
        (page(b"404 Not Found"), Rejected("mtproto_websocket_refused", "http 404")),
        (page(b"200 OK"), Rejected("mtproto_websocket_refused", "http 200")),
        (b"HTTP/1.1 100 Go\r\n\r\n", Rejected("mtproto_websocket_refused", "http 100")),
        (b"HTTP/1.1 101 Go\r\n\r\n", Rejected("mtproto_websocket_broken", "opening")),
        (b"HTTP/1.1 abc\r\n\r\n", Rejected("mtproto_websocket_broken", "opening")),
        (
            b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000,
            Rejected("mtproto_websocket_broken", "opening"),
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Rejected("not_mtproto", "no http")),
        (b"\x15\x03\x01\x00\x02\x02\x28", Rejected("not_mtproto", "tls")),
    ],
)
def test_what_is_no_opening(wire: bytes, found: Rejected) -> None:
    asking = conversation()
    asking.ask(time.time())
    assert asking.receive(wire) == found


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ((), Rejected("mtproto_websocket_wrong_subprotocol", "none")),
        (
            (b"Sec-WebSocket-Protocol: chat",),
            Rejected("mtproto_websocket_wrong_subprotocol", "another"),
        ),
        (
            (b"Sec-WebSocket-Protocol: \xd1\x8f",),
            Rejected("mtproto_websocket_broken", "opening"),
        ),
        (
            (SUBPROTOCOL, b"Sec-WebSocket-Extensions: permessage-deflate"),
            Rejected("mtproto_websocket_broken", "opening"),
        ),
        ((SUBPROTOCOL,), None),
    ],
)
def test_an_opening_of_another_kind(more: tuple[bytes, ...], found: Rejected | None) -> None:
    """What was not offered is not taken."""
    assert answered(*more) == found


def test_an_opening_for_somebody_else() -> None:
    """A cache's, or a forger's that did not read the request."""
    assert answered(SUBPROTOCOL, accept=b"AAAA") == Rejected("mtproto_websocket_broken", "opening")


BROKEN = Rejected("mtproto_websocket_broken", "frame")


@pytest.mark.parametrize(
    ("wire", "found"),
    [
        (frame(8), Rejected("mtproto_websocket_closed", "close 1005")),
        (frame(8, b"\x03\xf3bye"), Rejected("mtproto_websocket_closed", "close 1011")),
        (frame(8, b"\x10\x04"), Rejected("mtproto_websocket_closed", "close 4100")),
        (frame(8, b"\x00"), BROKEN),
        (frame(1, b"text"), Rejected("mtproto_websocket_broken", "text")),
        (frame(BINARY, b"packed", first=0xC0), BROKEN),
        (frame(3), BROKEN),
        (frame(9, first=0), BROKEN),
        (frame(9, bytes(126)), BROKEN),
        (frame(0, b"continued"), BROKEN),
        (b"\x82\x85masked...", BROKEN),
        (b"\x82\x7f" + b"\xff" * 8, BROKEN),
        (frame(9, b"ping") * (MAX_IDLE_FRAMES + 1), Rejected("mtproto_websocket_broken", "idle")),
        (frame(BINARY) * (MAX_IDLE_FRAMES + 1), Rejected("mtproto_websocket_broken", "idle")),
        (frame(9) * MAX_IDLE_FRAMES, None),
    ],
)
def test_frames_of_a_hostile_server(wire: bytes, found: Rejected | None) -> None:
    """Each at once, and however it is cut."""
    assert answered(SUBPROTOCOL, wire=wire) == found
    asking = conversation()
    asking.receive(opening(asking.ask(time.time()), SUBPROTOCOL))
    answers = [asking.receive(wire[at : at + 1]) for at in range(len(wire))]
    assert answers[-1] == found


def test_pings_are_answered() -> None:
    """The last one of each read, behind what waited for the WebSocket to open."""
    asking = conversation()
    asking.receive(opening(asking.ask(time.time()), SUBPROTOCOL))
    assert asking.due()[0] == 0x80 | BINARY
    assert asking.due() == b""
    asking.receive(frame(9, b"one") + frame(9, b"two"))
    first, length, *rest = asking.due()
    mask, masked = rest[:4], rest[4:]
    assert (first, length) == (0x8A, 0x83)
    assert bytes(a ^ b for a, b in zip(masked, mask, strict=False)) == b"two"


def test_an_endless_message_is_bounded() -> None:
    """No more is kept than a frame of MTProto's and a read, whatever the message's length is."""
    asking = conversation()
    asking.receive(opening(asking.ask(time.time()), SUBPROTOCOL))
    answer = asking.receive(b"\x82\x7f" + (2**40).to_bytes(8, "big"))
    read = 0
    while answer is None:
        answer = asking.receive(bytes(1024))
        read += 1024
        assert read <= MAX_FRAME_BYTES + 1024
    assert isinstance(answer, Rejected)


def test_after_the_end_nothing_is_sent() -> None:
    """And the reason of the end stays the answer."""
    asking = conversation()
    closed = Rejected("mtproto_websocket_closed", "close 1005")
    assert asking.receive(opening(asking.ask(time.time()), SUBPROTOCOL) + frame(8)) == closed
    assert asking.due() == b""
    assert asking.ask(time.time()) == b""
    assert asking.receive(frame(9)) == closed
    assert asking.receive(b"") == closed


@settings(deadline=None)
@given(
    st.integers(0, 2**32),
    st.booleans(),
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.builds(frame, st.integers(0, 15), st.binary(max_size=200)),
            st.builds(lambda opcode: frame(opcode, first=0), st.integers(0, 15)),
        ),
        max_size=8,
    ),
)
def test_hostile_bytes_never_raise(seed: int, is_open: bool, pieces: list[bytes]) -> None:  # noqa: FBT001 - hypothesis fills it
    """And never pass."""
    asking = conversation(seed)
    request = asking.ask(time.time())
    start = [opening(request, SUBPROTOCOL)] if is_open else []
    for piece in filter(None, (*start, *pieces)):
        answer = asking.receive(piece)
        asking.due()
        assert answer is None or isinstance(answer, Rejected | TransportError)
        if answer is not None:
            return
