"""Messages and answers over one connection, whatever carries them.

resPQ can be asked for more than once, to see whether a path carries more than the first
answer, and any other unencrypted message can follow, as the exchange of keys does.
"""

from collections.abc import Collection, Container
from typing import Final

from probe.model.observation import MtprotoTransport
from probe.wire.mtproto.carrier import Carrier, obfuscated, plain
from probe.wire.mtproto.framing import Random
from probe.wire.mtproto.messages import (
    Message,
    Rejected,
    TransportError,
    build_packet,
    message_id,
    read_packet,
)
from probe.wire.mtproto.over_http import HttpPosts
from probe.wire.mtproto.over_websocket import WebSocket
from probe.wire.mtproto.res_pq import (
    KNOWN_KEYS,
    NONCE_BYTES,
    Answer,
    build_question,
    read_res_pq,
)

REPLAYED: Final = "replayed"
"""Detail of a wrong nonce that is an earlier request's: somebody repeats old answers."""


class Conversation:
    """Send what `ask` or `send` returns, then feed what comes to `receive`.

    After each, whatever is `due` has to be sent as well. ``known`` are fingerprints of
    which an answer has to offer one; ``earlier`` are nonces asked with before this
    conversation.
    """

    def __init__(
        self,
        carrier: Carrier,
        random: Random,
        *,
        known: Collection[int] = KNOWN_KEYS,
        earlier: Container[bytes] = (),
    ) -> None:
        self._carrier = carrier
        self._random = random
        self._known = known
        self._earlier = earlier
        self._number = 0
        self.nonces: list[bytes] = []

    def ask(self, now: float) -> bytes:
        """Return a new request for resPQ, as it goes onto the wire; ``now`` is Unix time."""
        question = build_question(self._random)
        self.nonces.append(question.nonce)
        return self.send(question.body, now)

    def send(self, body: bytes, now: float) -> bytes:
        """Return a message of any body, as it goes onto the wire; ``now`` is Unix time."""
        # Numbers rise within a session, whatever the clock does.
        self._number = max(message_id(now, self._random), self._number + 4)
        return self._carrier.send(build_packet(self._number, body, self._random))

    def due(self) -> bytes:
        """Return what else has to be sent by now, mostly nothing."""
        return self._carrier.due()

    def receive(self, data: bytes) -> Answer | None:
        """Return the answer to the last request once it is complete, None before.

        ``b""`` is the end of the stream. What is kept has a limit.

        Raises:
            EOFError: at the end, if no answer is complete.
        """
        message = self.receive_message(data)
        if not isinstance(message, Message):
            return message
        answer = read_res_pq(message, self.nonces[-1], self._known)
        if isinstance(answer, Rejected) and answer.fault == "mtproto_wrong_nonce":
            nonce = message.body[4 : 4 + NONCE_BYTES]
            if nonce in self.nonces or nonce in self._earlier:
                return Rejected(answer.fault, REPLAYED)
        return answer

    def receive_message(self, data: bytes) -> Message | TransportError | Rejected | None:
        """Return any message once it is complete; otherwise as `receive`."""
        packet = self._carrier.receive(data)
        return read_packet(packet) if isinstance(packet, bytes) else packet


def carrier_of(
    transport: MtprotoTransport, *, dc_id: int, random: Random, host: str = "", path: str = ""
) -> Carrier:
    """Return what carries packets straight to a data centre.

    ``host`` and ``path`` are of the transports over HTTP; no path is the usual one.
    """
    match transport:
        case "http":
            return HttpPosts(host, path)
        case "websocket":
            return WebSocket(host, path, dc_id=dc_id, random=random)
        case "obfuscated":
            return obfuscated("padded", dc_id=dc_id, random=random)
        case _:
            return plain(transport, random)
