"""MTProto: ask for resPQ and verify it; no account is needed."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from probe.model import failure as failures
from probe.model.observation import MtprotoTransport, Observation
from probe.model.step import MtprotoHandshake
from probe.net.api import ByteStream, Clock, TcpConnection
from probe.net.tls import HandshakeError
from probe.steps.context import Context
from probe.steps.counters import Counters
from probe.steps.evidence import until_silent
from probe.wire.addresses import is_address
from probe.wire.mtproto.conversation import REPLAYED, Conversation, carrier_of
from probe.wire.mtproto.messages import Rejected, TransportError
from probe.wire.mtproto.public_key import read_public_keys
from probe.wire.mtproto.res_pq import KNOWN_KEYS, ResPq

ERROR_PREFIX: Final = f"{failures.UNKNOWN_PREFIX}mtproto_error_"
"""With the code behind it: the peer speaks MTProto and refuses."""

REPLAY: Final = f"{failures.UNKNOWN_PREFIX}mtproto_replayed_answer"
"""An answer to an earlier request of this run: somebody repeats what was said."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class MtprotoSession:
    """A verified resPQ, and what it was said over, to go on with."""

    stream: ByteStream
    conversation: Conversation
    transport: MtprotoTransport
    dc_id: int
    res_pq: ResPq


@dataclass
class Outcome:
    """How a step of MTProto goes: timed out until it is known better."""

    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    clock_offset_s: float | None = None
    first_bytes: float | None = None

    def succeed(self, server_time: int, clock: Clock) -> None:
        """Note the peer's time too."""
        self.failure = None
        self.clock_offset_s = clock_offset_s(server_time, clock)

    def refuse(self, refused: TransportError | Rejected) -> None:
        """Note the word for an answer that is not the one asked for."""
        self.failure, self.detail = failure_of(refused)

    def columns(
        self, counters: Counters, stream: ByteStream, connection: TcpConnection
    ) -> dict[str, Any]:
        """Return the columns of the step.

        Below TLS, session tickets come whenever they like, so there the first byte is
        the first that TLS carries.
        """
        columns = counters.of_first_answer()
        if stream is not connection:
            first = self.first_bytes
            columns["first_byte_s"] = None if first is None else round(first - counters.sent_at, 6)
        return {
            **columns,
            "failure_detail": self.detail,
            "clock_offset_s": self.clock_offset_s,
        }


def clock_offset_s(server_time: int, clock: Clock) -> float:
    """Return a peer's time minus ours, in whole seconds.

    The peer's is no finer, and a finer one would identify this system's clock.
    """
    # Half a second: what the peer's whole seconds leave out on average.
    return float(round(server_time + 0.5 - clock.wall_clock().timestamp()))


def failure_of(refused: TransportError | Rejected) -> tuple[str, str | None]:
    """Return the failure and its detail."""
    match refused:
        case TransportError(code):
            return f"{ERROR_PREFIX}{code}", None
        case Rejected(detail=str(detail)) if detail == REPLAYED:
            return REPLAY, None
        case Rejected(fault, detail):
            return f"{failures.UNKNOWN_PREFIX}{fault}", detail


async def mtproto_handshake(
    context: Context, spec: MtprotoHandshake, stream: ByteStream, connection: TcpConnection
) -> tuple[Observation, MtprotoSession | None]:
    """Ask over a fresh ``stream`` for resPQ, in the form of ``spec.transport``.

    It runs over ``connection``, through TLS or not. A session comes with success only.

    It can tell a peer that speaks MTProto from one that answers something else, but
    not Telegram from a peer that imitates it: that needs the key exchange behind
    this. Failures of our own words are those of `probe.wire.mtproto.messages.Fault`
    and `ERROR_PREFIX` with a transport error's code. ``clock_offset_s`` is the peer's
    time minus ours, in whole seconds.

    Raises:
        PublicKeyError: one of ``spec.public_keys`` is none.
    """
    network = context.run.network
    t0 = context.now()
    carrier = carrier_of(
        spec.transport,
        dc_id=spec.dc_id,
        random=secrets.token_bytes,
        host=_host(spec.host or context.hostname or context.address or ""),
        path=spec.path,
    )
    known = KNOWN_KEYS | read_public_keys(spec.public_keys).keys()
    conversation = Conversation(
        carrier, secrets.token_bytes, known=known, earlier=context.run.nonces
    )
    outcome = Outcome()
    counters = Counters.start(connection, network)
    session: MtprotoSession | None = None
    async with until_silent(connection, spec.timeout_s, network):
        request = conversation.ask(network.wall_clock().timestamp())
        context.run.nonces.update(conversation.nonces)
        answer = await converse(
            stream, conversation, request, conversation.receive, outcome=outcome, clock=network
        )
        match answer:
            case ResPq():
                outcome.succeed(answer.server_time, network)
                session = MtprotoSession(stream, conversation, spec.transport, spec.dc_id, answer)
            case TransportError() | Rejected():
                outcome.refuse(answer)
    row = context.observe(
        "mtproto",
        t0,
        outcome.failure,
        mtproto_transport=spec.transport,
        **outcome.columns(counters, stream, connection),
    )
    return row, session


async def converse(
    stream: ByteStream,
    conversation: Conversation,
    request: bytes,
    receive: Callable[[bytes], Found | None],
    *,
    outcome: Outcome,
    clock: Clock,
) -> Found | None:
    """Send a request and return its answer, as ``receive`` makes it of what comes.

    None if the connection ends before; the outcome has its failure then.
    """
    try:
        await stream.send_all(request)
        while True:
            data = await stream.receive_some()
            if data and outcome.first_bytes is None:
                outcome.first_bytes = clock.now()
            answer = receive(data)
            if due := conversation.due():
                await stream.send_all(due)
            if answer is not None:
                return answer
    except EOFError:
        outcome.failure = failures.EOF
    except HandshakeError as error:
        outcome.failure, outcome.detail = failures.SSL_FAILED_HANDSHAKE, error.reason[:200]
    except OSError as error:
        outcome.failure, outcome.detail = failures.from_os_error(error)
    return None


def _host(host: str) -> str:
    """Return a host as its own header has it (RFC 9110 section 7.2, RFC 3986 section 3.2.2)."""
    return f"[{host}]" if is_address(host) and ":" in host else host
