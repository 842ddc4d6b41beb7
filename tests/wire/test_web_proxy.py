"""WEB proxies' bytes: published vectors, and any bytes from a hostile site."""

import base64
import hashlib
import os
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from probe.wire.web_proxy import (
    HELLO,
    MAX_BODY_BYTES,
    STREAM,
    Frame,
    FrameError,
    FrameType,
    bootstrap_token,
    capability,
    carrier_of,
    frame,
    has_marks,
    is_token,
    is_welcome,
    read_frames,
    subprotocol,
    take,
)
from probe.wire.web_proxy_http import CarrierError, RefusedUpgradeError, Requests, WebSocket

SECRET = bytes(range(16))
TOKEN = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
OWN = capability("proxy.example.com", "", SECRET)

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

payloads = st.binary(max_size=40)
frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 2**24 - 1), payloads)


@pytest.mark.parametrize(
    ("path", "secret", "word"),
    [
        ("", SECRET, "MHLEY5PmW1GWqJkSrlmJpvJUiLhBH_QKy6yKg8a0JPk"),
        ("", b"\xdd" + SECRET, "IpJrt3e7sKtzPyoXy6w-Zj6GGEvsvclN66JzQEfPYLA"),
        ("dobry-cola-super-app", SECRET, "hHz99Xs93EN1j91G9gpNepXwGNNt5YdAFkEVk_LlqdQ"),
        ("dobry-cola-super-app", b"\xdd" + SECRET, "TGUkZaevsavLbHvlNWipnRoYxgzZ51ioWvbxgGT3wHo"),
    ],
)
def test_published_capabilities(path: str, secret: bytes, word: str) -> None:
    """PROTOCOL.md and BASE_PATH.md of tproxy-server."""
    assert capability("proxy.example.com", path, secret) == word


def test_the_hello_that_tdlib_sends() -> None:
    """Seen of tdjson 1.8.69, as its OPEN is."""
    assert bytes.fromhex("100000000000000101") == HELLO
    assert frame(FrameType.OPEN, STREAM) == bytes.fromhex("0100000100000000")


@given(st.lists(frames, min_size=1, max_size=20))
def test_frames_are_read_as_they_were_written(given_frames: list[Frame]) -> None:
    batch = b"".join(
        bytes((each.type,))
        + each.stream.to_bytes(3, "big")
        + len(each.payload).to_bytes(4, "big")
        + each.payload
        for each in given_frames
    )
    assert read_frames(batch) == given_frames
    with pytest.raises(FrameError):
        read_frames(batch[:-1] if len(given_frames[-1].payload) else batch + b"\x02")


@given(st.binary(max_size=300))
@example(b"")
@example(bytes.fromhex("0200000100100001"))
@example(frame(FrameType.OPEN, 1) * 4097)
def test_any_batch_is_read_or_refused(batch: bytes) -> None:
    with suppress(FrameError):
        take(batch)
    is_welcome(batch)


def test_what_a_batch_says_to_our_stream() -> None:
    batch = frame(FrameType.WINDOW, STREAM, bytes(4)) + frame(FrameType.DATA, STREAM, b"ab")
    batch += frame(FrameType.DATA, 2, b"another's") + frame(FrameType.PING, 0, b"?")
    batch += frame(FrameType.DATA, STREAM, b"c")
    assert take(batch) == (b"abc", False, frame(FrameType.PONG, 0, b"?"))
    ended = frame(FrameType.CLOSE, STREAM) + frame(FrameType.DATA, STREAM, b"late")
    assert take(ended) == (b"", True, b"")
    assert take(frame(FrameType.BYE, 0, b"reason")).is_closed


@pytest.mark.parametrize(
    "page",
    [
        'const here="https://h",bootstrap="{}",carrierMode="https";',
        "let bootstrapToken = '{}';",
        '{{"relayBase":"https://h/","bootstrap": "{}"}}',
        "headers:{{Authorization:'Bearer {}'}}",
        '<script nonce="' + "n" * 43 + '">const a = `{}`</script>',
        f'<meta content="{OWN}"><b data-x="{{}}">',
    ],
)
def test_the_token_is_found(page: str) -> None:
    """As proxies of several authors write it: the protocol does not say how."""
    assert bootstrap_token(page.format(TOKEN).encode(), OWN) == TOKEN


@pytest.mark.parametrize(
    "page",
    [
        b"<!doctype html><title>A garden diary</title>",
        f'"{OWN}"'.encode(),
        f'"{TOKEN[:-1]}"'.encode(),
        f'"{TOKEN[:-1]}9"'.encode(),  # not the one way to write 32 bytes
    ],
)
def test_a_page_without_a_token_has_none(page: bytes) -> None:
    assert bootstrap_token(page, OWN) is None
    assert not has_marks(page)


@given(st.text(max_size=50))
def test_only_32_bytes_are_a_token(text: str) -> None:
    assert not is_token(text)
    assert is_token(base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("="))


def test_carriers() -> None:
    assert carrier_of("") == "https"
    assert carrier_of("websocket-lanes") == "websocket-lanes"
    assert carrier_of("carrier-pigeon") is None
    assert subprotocol("websocket-lanes", TOKEN) == f"tproxy-lane-v1.{TOKEN}.1"
    assert subprotocol("websocket", TOKEN) == f"tproxy-v1.{TOKEN}"


def test_requests_follow_each_other() -> None:
    requests = Requests("h.example")
    for number in range(3):
        assert requests.is_open
        sent = requests.request("POST", "/api/v1/down", [("X-Down-Cursor", str(number))])
        assert b"content-length: 0" in sent.lower()
        assert b"content-type" not in sent.lower()
        answer = b"HTTP/1.1 204 No Content\r\nX-Down-Cursor: 7\r\n\r\n"
        assert requests.receive(answer[:20]) is None
        response = requests.receive(answer[20:])
        assert response is not None
        assert (response.status_code, response.headers["x-down-cursor"]) == (204, "7")


def test_a_connection_that_ends_is_not_used_again() -> None:
    requests = Requests("h.example")
    requests.request("GET", "/")
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab"
    response = requests.receive(answer)
    assert response is not None
    assert response.body == b"ab"
    assert not requests.is_open


def test_a_body_without_end_is_given_up() -> None:
    requests = Requests("h.example")
    requests.request("GET", "/")
    requests.receive(b"HTTP/1.1 200 OK\r\n\r\n")
    with pytest.raises(CarrierError):
        requests.receive(bytes(MAX_BODY_BYTES + 1))


@given(st.lists(st.binary(max_size=60), max_size=6), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n"]))
@example([b"HTTP/1.1 101 Switching Protocols\r\n\r\n"], b"")
@example([SWITCHING + b"Sec-WebSocket-Protocol: \xff\r\n\r\n"], b"")
@example([SWITCHING + b"Sec-WebSocket-Accept: \xff\r\n\r\n"], b"")
@example([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"], b"")
def test_any_answers_are_read_or_refused(pieces: list[bytes], start: bytes) -> None:
    requests = Requests("h.example")
    requests.request("GET", "/")
    with suppress(CarrierError, EOFError):
        for piece in (start, *pieces, b""):
            if (piece or not pieces) and requests.receive(piece):
                break
    socket = WebSocket("h.example", "/api/v1/ws", "tproxy-v1.x")
    with suppress(CarrierError, EOFError, RefusedUpgradeError):
        for piece in (start, *pieces, b""):
            socket.receive(piece)


def test_a_subprotocol_that_is_no_text_is_refused() -> None:
    """With an otherwise good answer, which holds what we drew."""
    socket = WebSocket("h.example", "/api/v1/ws", "tproxy-v1.x")
    (line,) = [row for row in socket.request_bytes.split(b"\r\n") if b"Sec-WebSocket-Key" in row]
    key = line.split(b": ")[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key).digest())
    answer = SWITCHING + b"Sec-WebSocket-Accept: " + accept + b"\r\n"
    with pytest.raises(CarrierError):
        socket.receive(answer + b"Sec-WebSocket-Protocol: \xff\r\n\r\n")
