"""WEB proxies, version 1: an MTProxy's stream inside a website's HTTPS, sans-IO.

Facts from PROTOCOL.md and BASE_PATH.md of telegramdesktop/tproxy-server (2026-08), which
call themselves normative, and from what TDLib 1.8.69 was seen to send as a client.

A hidden address of the site, known to who knows the secret, shows a page whose script
holds a bootstrap token. The token buys a session, and the session one of four carriers,
chosen by the proxy: frames in POST requests, or in a WebSocket's messages, for all streams
together or one for each (a lane). Numbers are big-endian.
"""

import base64
import hmac
import re
from enum import IntEnum
from typing import Final, Literal, NamedTuple, get_args

Carrier = Literal["https", "https-lanes", "websocket", "websocket-lanes"]

TOKEN_CHARS: Final = 43
"""Of 32 bytes in base64url without padding; so is a capability."""
MAX_BODY_BYTES: Final = 256 * 1024
"""Of a response or message, kept. The protocol allows 2 MiB; pages of today's proxies have
20 kB, and answers to what we ask a few hundred bytes."""
MAX_FRAME_BYTES: Final = 1024 * 1024
MAX_FRAMES: Final = 4096
HEADER_BYTES: Final = 8
STREAM: Final = 1
"""The number of our only stream: from 1, and never used again in a session."""

_CONTEXT: Final = "tdesktop-web-proxy-bridge-v1\n"
_PATH_CONTEXT: Final = "tdesktop-web-proxy-bridge-v2\n"

_TOKEN: Final = rb"([A-Za-z0-9_-]{43})"
_TOKEN_PATTERNS: Final = (
    re.compile(
        rb"bootstrap[\w$-]{0,32}[\"']?\s{0,8}[:=]\s{0,8}[\"'`]" + _TOKEN + rb"[\"'`]", re.IGNORECASE
    ),
    re.compile(rb"Bearer\s{1,8}" + _TOKEN + rb"(?![A-Za-z0-9_-])"),
    re.compile(rb"(?<!nonce=)[\"'`]" + _TOKEN + rb"[\"'`]"),
)
"""Where a page may have the token, surest first: the protocol does not say, because
applications run the page's script."""

_MARKS: Final = (b"/api/v1/", b"api/v1/session", b"TelegramWebProxy", b"tproxy-init")
"""In pages of proxies, and hardly in those of sites."""


class FrameError(ValueError):
    """The peer's bytes are no batch of frames."""


class FrameType(IntEnum):
    """What a frame is."""

    OPEN = 0x01
    DATA = 0x02
    CLOSE = 0x03
    WINDOW = 0x04
    PING = 0x05
    PONG = 0x06
    HELLO = 0x10
    WELCOME = 0x11
    BYE = 0x1F


class Frame(NamedTuple):
    """``type`` as received, known or not; ``stream`` 0 is the session itself."""

    type: int
    stream: int
    payload: bytes


class Taken(NamedTuple):
    """What a batch meant for our stream: its bytes, its end, and what has to be answered."""

    data: bytes
    is_closed: bool
    replies: bytes


def capability(host: str, path: str, secret: bytes) -> str:
    """Return the word that opens the page; ``secret`` with its dd, if it has one."""
    context = f"{_PATH_CONTEXT}{host}\n{path}" if path else f"{_CONTEXT}{host}"
    return _base64url(hmac.digest(secret, context.encode("ascii"), "sha256"))


def base_of(path: str) -> str:
    """Return what all request targets begin with."""
    return f"/{path}/" if path else "/"


def frame(kind: FrameType, stream: int = 0, payload: bytes = b"") -> bytes:
    """Return one frame."""
    start = bytes((kind,)) + stream.to_bytes(3, "big")
    return start + len(payload).to_bytes(4, "big") + payload


HELLO: Final = frame(FrameType.HELLO, payload=b"\x01")


def read_frames(batch: bytes) -> list[Frame]:
    """Read a batch of whole frames.

    Raises:
        FrameError: it is empty, cut short, or beyond the protocol's limits.
    """
    frames: list[Frame] = []
    at = 0
    while at < len(batch):
        length = int.from_bytes(batch[at + 4 : at + HEADER_BYTES], "big")
        end = at + HEADER_BYTES + length
        if length > MAX_FRAME_BYTES or end > len(batch) or len(frames) == MAX_FRAMES:
            raise FrameError
        stream = int.from_bytes(batch[at + 1 : at + 4], "big")
        frames.append(Frame(batch[at], stream, batch[at + HEADER_BYTES : end]))
        at = end
    if not frames:
        raise FrameError
    return frames


def take(batch: bytes) -> Taken:
    """Read what a batch says to our stream.

    Credit is not given back: a stream has 4 MiB from the start, and we ask for less
    than a thousandth of that.

    Raises:
        FrameError: as `read_frames`.
    """
    data = replies = b""
    is_closed = False
    for each in read_frames(batch):
        if each.type == FrameType.PING and each.stream == 0:
            replies += frame(FrameType.PONG, payload=each.payload)
        elif each.type == FrameType.BYE and each.stream == 0:
            is_closed = True
        elif each.stream == STREAM and not is_closed:
            if each.type == FrameType.DATA:
                data += each.payload
            is_closed = each.type == FrameType.CLOSE
    return Taken(data, is_closed, replies)


def is_welcome(body: bytes) -> bool:
    """Tell whether a session's response is the one frame that it should be."""
    try:
        frames = read_frames(body)
    except FrameError:
        return False
    return [(each.type, each.stream) for each in frames] == [(FrameType.WELCOME, 0)]


def carrier_of(text: str) -> Carrier | None:
    """Read the carrier's name; proxies of the first days knew one only, and named none."""
    return next((each for each in get_args(Carrier) if each == (text or "https")), None)


def bootstrap_token(page: bytes, own_capability: str) -> str | None:
    """Find the bootstrap token in a page, None if it has none."""
    for pattern in _TOKEN_PATTERNS:
        for found in pattern.finditer(page):
            token = found[1].decode("ascii")
            if token != own_capability and is_token(token):
                return token
    return None


def is_token(text: str) -> bool:
    """Tell whether a text is 32 bytes, written the one way that proxies take."""
    if not re.fullmatch(_TOKEN.decode("ascii"), text):
        return False
    return _base64url(base64.urlsafe_b64decode(text + "=")) == text


def has_marks(page: bytes) -> bool:
    """Tell whether a page without a token is one of a proxy's all the same."""
    return any(mark in page for mark in _MARKS)


def subprotocol(carrier: Carrier, token: str) -> str:
    """Return the WebSocket subprotocol that stands for a session, or for our lane of it."""
    if carrier == "websocket-lanes":
        return f"tproxy-lane-v1.{token}.{STREAM}"
    return f"tproxy-v1.{token}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
