"""One request and its answer over one stream, in any of the transports over TCP."""

import re
from typing import Final

from probe.model.observation import MtprotoTransport
from probe.wire.mtproto.framing import (
    Abridged,
    FrameError,
    Framing,
    Full,
    Intermediate,
    Padded,
    Random,
)
from probe.wire.mtproto.obfuscation import Obfuscation
from probe.wire.mtproto.res_pq import Answer, Rejected, build_request, read_answer

_TLS: Final = re.compile(
    rb"\x15\x03[\x00-\x04]\x00\x02[\x01\x02]|\x16\x03[\x00-\x04].{2}\x02", re.DOTALL
)
"""An alert, or a ServerHello (RFC 8446 sections 5.1, 6 and 4)."""

_TEXT: Final = re.compile(rb"[\t\r\n\x20-\x7e]{8}")
"""The start of a banner or a page. No plain framing begins an answer so: as a length
it is too long, or the key id behind it is not zero."""

_START_BYTES: Final = 8
"""Of an answer, kept to recognize other protocols."""


class Exchange:
    """Send ``request_bytes``, then feed what comes to `receive` until it answers.

    ``now`` is Unix time; ``secret`` is that of a proxy, 16 bytes, and needs the
    transport ``obfuscated``.
    """

    def __init__(
        self,
        transport: MtprotoTransport,
        *,
        dc_id: int,
        now: float,
        random: Random,
        secret: bytes = b"",
    ) -> None:
        self._framing = _framing(transport, random)
        self._obfuscation: Obfuscation | None = None
        request = build_request(now, random)
        self._nonce = request.nonce
        frame = self._framing.frame(request.packet)
        if transport == "obfuscated":
            self._obfuscation = Obfuscation(self._framing.tag, dc_id, random, secret)
            self.request_bytes = self._obfuscation.start + self._obfuscation.encrypt(frame)
        else:
            assert not secret
            self.request_bytes = self._framing.tag + frame
        self._start = b""
        self._waiting = bytearray()

    def receive(self, data: bytes) -> Answer | None:
        """Return the answer once it is complete, None before; never raises.

        At most one frame and one ``data`` are kept.
        """
        self._start += data[: _START_BYTES - len(self._start)]
        self._waiting += self._obfuscation.decrypt(data) if self._obfuscation else data
        if protocol := self._other_protocol():
            return Rejected("not_mtproto", protocol)
        try:
            found = self._framing.unframe(self._waiting)
        except FrameError as error:
            return Rejected(error.fault)
        return None if found is None else read_answer(found[0], self._nonce)

    def _other_protocol(self) -> str | None:
        """Recognize what is sent instead of MTProto.

        An obfuscated answer may look like anything: it begins as TLS or HTTP in
        one of 10^9 cases, as text in one of 2000, so text is not looked for.
        """
        if self._start.startswith(b"HTTP/"):
            return "http"
        if _TLS.match(self._start):
            return "tls"
        if self._obfuscation is None and _TEXT.match(self._start):
            return "text"
        return None


def _framing(transport: MtprotoTransport, random: Random) -> Framing:
    match transport:
        case "abridged":
            return Abridged()
        case "intermediate":
            return Intermediate()
        case "padded" | "obfuscated":
            return Padded(random)
        case "full":
            return Full()
