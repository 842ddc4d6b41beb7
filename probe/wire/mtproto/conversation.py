"""Several requests and answers over one obfuscated stream, as through a proxy.

`exchange` asks once. To see whether a path carries more than the first answer, one has
to ask again over the same stream.
"""

from collections.abc import Container
from typing import Final, Literal

from probe.wire.clienthello import classify_answer
from probe.wire.mtproto.framing import FrameError, Framing, Intermediate, Padded, Random
from probe.wire.mtproto.obfuscation import Obfuscation
from probe.wire.mtproto.res_pq import (
    HEAD_BYTES,
    NONCE_BYTES,
    Answer,
    Rejected,
    build_request,
    read_answer,
)

REPLAYED: Final = "replayed"
"""Detail of a wrong nonce that is an earlier request's: somebody repeats old answers."""

_START_BYTES: Final = 64
"""Of what is received, kept to recognize other protocols."""

_NONCE_AT: Final = HEAD_BYTES + 4


class Conversation:
    """Send what `ask` returns, then feed what comes to `receive` until it answers.

    ``secret`` is that of a proxy, 16 bytes, or empty; ``earlier`` are nonces asked with
    before this conversation.
    """

    def __init__(
        self,
        framing: Literal["intermediate", "padded"],
        *,
        dc_id: int,
        random: Random,
        secret: bytes = b"",
        earlier: Container[bytes] = (),
    ) -> None:
        self._random = random
        self._framing: Framing = Padded(random) if framing == "padded" else Intermediate()
        self._obfuscation = Obfuscation(self._framing.tag, dc_id, random, secret)
        self._unsent = self._obfuscation.start
        self._earlier = earlier
        self._start = b""
        self._waiting = bytearray()
        self.nonces: list[bytes] = []

    def ask(self, now: float) -> bytes:
        """Return the next request, as it goes onto the wire; ``now`` is Unix time."""
        request = build_request(now, self._random)
        self.nonces.append(request.nonce)
        start, self._unsent = self._unsent, b""
        return start + self._obfuscation.encrypt(self._framing.frame(request.packet))

    def receive(self, data: bytes) -> Answer | None:
        """Return the answer to the last request once it is complete; never raises.

        At most one frame and one ``data`` are kept.
        """
        self._start += data[: _START_BYTES - len(self._start)]
        self._waiting += self._obfuscation.decrypt(data)
        # Obfuscated bytes look like an answer of TLS or HTTP in one of 10^7 cases.
        match classify_answer(self._start).kind:
            case "http":
                return Rejected("not_mtproto", "http")
            case "alert" | "server_hello" | "hello_retry":
                return Rejected("not_mtproto", "tls")
        try:
            found = self._framing.unframe(self._waiting)
        except FrameError as error:
            return Rejected(error.fault)
        if found is None:
            return None
        packet, length = found
        del self._waiting[:length]
        answer = read_answer(packet, self.nonces[-1])
        if isinstance(answer, Rejected) and answer.fault == "mtproto_wrong_nonce":
            nonce = packet[_NONCE_AT : _NONCE_AT + NONCE_BYTES]
            if nonce in self.nonces or nonce in self._earlier:
                return Rejected(answer.fault, REPLAYED)
        return answer
