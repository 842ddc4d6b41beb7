"""What carries packets: a byte stream in one of the framings, plain or obfuscated.

`over_http` and `over_websocket` carry them too.
"""

import re
from typing import Final, Literal, Protocol

from probe.wire.mtproto.framing import (
    Abridged,
    FrameError,
    Framing,
    Full,
    Intermediate,
    Padded,
    Random,
)
from probe.wire.mtproto.messages import Rejected
from probe.wire.mtproto.obfuscation import Obfuscation

_TLS: Final = re.compile(
    rb"\x15\x03[\x00-\x04]\x00\x02[\x01\x02]|\x16\x03[\x00-\x04].{2}\x02", re.DOTALL
)
"""An alert, or a ServerHello (RFC 8446 sections 5.1, 6 and 4)."""

_HTTP: Final = re.compile(rb"http/|<html|<!docty", re.IGNORECASE)
"""A web server's complaint; older ones send the page without a status line. None needs more
bytes than `_TEXT`, or the word would depend on how the answer is cut."""

_TEXT: Final = re.compile(rb"[\t\r\n\x20-\x7e]{8}")
"""The start of a banner or a page. No plain framing begins an answer so: as a length
it is too long, or the key id behind it is not zero."""

_START_BYTES: Final = 16
"""Of what is received, kept to recognize other protocols."""

StreamTransport = Literal["abridged", "intermediate", "padded", "full"]


class Carrier(Protocol):
    """One connection's way to carry packets."""

    def send(self, packet: bytes) -> bytes:
        """Return what to send now for a packet; more of it may be `due` later."""

    def receive(self, data: bytes) -> bytes | Rejected | None:
        """Return the next packet once it is complete; ``b""`` is the end of the stream.

        What is kept has a limit.

        Raises:
            EOFError: at the end, if no packet is complete.
        """

    def due(self) -> bytes:
        """Return what else has to be sent by now; ask after each `receive`."""


class Stream:
    """Frames in a stream of bytes; at most one and one read are kept."""

    def __init__(self, framing: Framing, obfuscation: Obfuscation | None = None) -> None:
        self._framing = framing
        self._obfuscation = obfuscation
        self._unsent = obfuscation.start if obfuscation else framing.tag
        self._start = b""
        self._waiting = bytearray()

    def send(self, packet: bytes) -> bytes:
        """Return the packet's frame, the first one behind what opens the stream."""
        frame = self._framing.frame(packet)
        start, self._unsent = self._unsent, b""
        return start + (self._obfuscation.encrypt(frame) if self._obfuscation else frame)

    def receive(self, data: bytes) -> bytes | Rejected | None:
        """See `Carrier`."""
        if not data:
            raise EOFError
        self._start += data[: _START_BYTES - len(self._start)]
        self._waiting += self._obfuscation.decrypt(data) if self._obfuscation else data
        if protocol := recognize(self._start, is_obfuscated=self._obfuscation is not None):
            return Rejected("not_mtproto", protocol)
        try:
            found = self._framing.unframe(self._waiting)
        except FrameError as error:
            return Rejected(error.fault)
        if found is None:
            return None
        packet, length = found
        del self._waiting[:length]
        return packet

    def due(self) -> bytes:
        """Nothing."""
        return b""


def recognize(start: bytes, *, is_obfuscated: bool) -> str | None:
    """Recognize what is sent instead of MTProto by its first bytes.

    An obfuscated answer may look like anything: it begins as TLS or HTTP in one of
    10^9 cases, as text in one of 2000, so text is not looked for.
    """
    if _HTTP.match(start):
        return "http"
    if _TLS.match(start):
        return "tls"
    if not is_obfuscated and _TEXT.match(start):
        return "text"
    return None


def plain(transport: StreamTransport, random: Random) -> Stream:
    """Carry packets in a framing as it is."""
    match transport:
        case "abridged":
            return Stream(Abridged())
        case "intermediate":
            return Stream(Intermediate())
        case "padded":
            return Stream(Padded(random))
        case "full":
            return Stream(Full())


def obfuscated(
    transport: Literal["intermediate", "padded"], *, dc_id: int, random: Random, secret: bytes = b""
) -> Stream:
    """Carry packets in a framing inside obfuscated2.

    ``secret`` is that of a proxy, 16 bytes; ``dc_id`` tells a proxy where to connect.
    """
    framing: Framing = Padded(random) if transport == "padded" else Intermediate()
    return Stream(framing, Obfuscation(framing.tag, dc_id, random, secret))
