"""A connection to a resolver over QUIC (RFC 9250), made by its first question.

One for all questions of a chain: a handshake costs as much as twenty answers.
"""

from typing import TYPE_CHECKING, Final

from probe.model import failure as failures
from probe.model.step import LIST_TRUST, PUBLIC_TRUST
from probe.model.target import Resolver
from probe.steps.context import Run
from probe.steps.quic_line import Line, QuicError
from probe.wire.dns import frame, unframe

if TYPE_CHECKING:
    from aioquic.quic.events import QuicEvent

    from probe.steps.quic_client import QuicClient

NO_ERROR: Final = 0
"""DOQ_NO_ERROR (RFC 9250 section 4.3)."""

MAX_ANSWER_BYTES: Final = 2 + 65535
"""A length and the longest message that it can announce."""


class DoqSession:
    """Questions to one resolver, one after the other. Call `leave` at the end."""

    def __init__(self, run: Run, resolver: Resolver) -> None:
        """Open nothing yet.

        The certificate is verified as the plan has it for DoT: against the list's own
        anchors, if it has any.
        """
        self._run = run
        self._server_name = resolver.server_name
        self._client: QuicClient | None = None
        self._error: QuicError | OSError | None = None
        self.line = Line(run.network, resolver.address, resolver.port)

    async def ask(self, query: bytes) -> tuple[bytes, float]:
        """Send a message with the id 0; return the answer and how many seconds it took.

        The seconds do not include the handshake. What broke the connection once is raised
        for every later question too. Needs aioquic; see `load_library`.

        Raises:
            QuicError: the connection or the question's stream failed; OSError.
        """
        if self._error is not None:
            raise self._error
        try:
            client = self._client or await self._connect()
            return await self._ask(client, query)
        except (QuicError, OSError) as error:
            self._error = error
            raise

    async def _ask(self, client: "QuicClient", query: bytes) -> tuple[bytes, float]:
        from aioquic.quic.events import StreamDataReceived, StreamReset  # noqa: PLC0415 - optional

        client.allow(MAX_ANSWER_BYTES)
        stream = client.quic.get_next_available_stream_id()
        client.quic.send_stream_data(stream, frame(query), end_stream=True)
        asked_at = self.line.now()
        buffer = b""
        answer: bytes | None = None

        def hear(event: "QuicEvent") -> bool:
            nonlocal buffer, answer
            if isinstance(event, StreamReset) and event.stream_id == stream:
                raise QuicError(failures.EOF, f"stream_reset {event.error_code:#x}")
            if not isinstance(event, StreamDataReceived) or event.stream_id != stream:
                return False
            buffer += event.data
            whole = unframe(buffer)
            if whole is not None:
                answer = whole[0]
            elif event.end_stream:
                raise QuicError(failures.EOF)
            return answer is not None

        await client.until(hear)
        assert answer is not None
        return answer, self.line.now() - asked_at

    async def _connect(self) -> "QuicClient":
        from aioquic.quic.events import HandshakeCompleted  # noqa: PLC0415 - optional

        from probe.steps.quic_client import QuicClient  # noqa: PLC0415 - imports it

        self.line.open()
        self._client = QuicClient(
            self.line,
            alpn="doq",
            server_name=self._server_name,
            trust=LIST_TRUST if self._run.trust.has(LIST_TRUST) else PUBLIC_TRUST,
            stores=self._run.trust,
            max_bytes=MAX_ANSWER_BYTES,
        )
        await self._client.until(lambda event: isinstance(event, HandshakeCompleted))
        return self._client

    async def leave(self) -> None:
        """Tell the resolver that this was all, if it is there; close the socket."""
        try:
            if self._client is not None:
                await self._client.leave(NO_ERROR)
        finally:
            self.line.close()
