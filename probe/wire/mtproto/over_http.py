"""The same request and answer as the bodies of one HTTP exchange, on port 80."""

from probe.wire.http1 import HttpError, HttpExchange
from probe.wire.mtproto.framing import MAX_FRAME_BYTES, Random
from probe.wire.mtproto.res_pq import Answer, Rejected, TransportError, build_request, read_answer

PATH = "/api"


class HttpPost:
    """Send ``request_bytes``, then feed what comes to `receive` until it answers.

    ``host`` is the ``Host`` header, which data centres ignore; ``now`` is Unix time.
    """

    def __init__(self, host: str, *, now: float, random: Random) -> None:
        request = build_request(now, random)
        self._nonce = request.nonce
        self._exchange = HttpExchange(
            host, PATH, max_body_bytes=MAX_FRAME_BYTES, method="POST", body=request.packet
        )
        self.request_bytes = self._exchange.request_bytes

    def receive(self, data: bytes) -> Answer | None:
        """Return the answer once it is complete, None before; ``b""`` is the end.

        Raises:
            EOFError: if the peer closed before the response was complete.
        """
        try:
            self._exchange.receive(data)
        except HttpError:
            return Rejected("not_mtproto", "no http")
        if not self._exchange.is_complete:
            return None
        if self._exchange.is_truncated:
            return Rejected("mtproto_frame_too_long")
        answer = read_answer(self._exchange.body, self._nonce)
        # The status is the error's code, but any web server's page says 404 too:
        # only a body in MTProto's own form shows who refused.
        status = self._exchange.status_code
        if status != 200 and not isinstance(answer, TransportError):
            return Rejected("not_mtproto", f"http {status}")
        return answer
