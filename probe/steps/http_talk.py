"""One request and its response over a stream: what went wrong, and the sender's clock."""

from dataclasses import dataclass

from probe.model import failure as failures
from probe.net.api import ByteStream, Clock
from probe.net.tls import HandshakeError
from probe.wire.http1 import HttpError, HttpExchange


@dataclass
class Talk:
    """How it goes: timed out until it is known better.

    ``first_bytes`` is the clock when the first of the response was read;
    ``clock_offset_s`` the sender's time minus ours, in whole seconds, by its ``Date``.
    """

    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    first_bytes: float | None = None
    clock_offset_s: float | None = None


async def talk(stream: ByteStream, exchange: HttpExchange, clock: Clock, outcome: Talk) -> None:
    """Send the request and read the response to its end; fills ``outcome``."""
    try:
        await stream.send_all(exchange.request_bytes)
        while not exchange.is_complete:
            data = await stream.receive_some()
            if data and outcome.first_bytes is None:
                outcome.first_bytes = clock.now()
            exchange.receive(data)
            if exchange.date is not None and outcome.clock_offset_s is None:
                offset = exchange.date - clock.wall_clock()
                outcome.clock_offset_s = float(round(offset.total_seconds()))
        outcome.failure = None
    except EOFError as error:
        outcome.failure, outcome.detail = failures.EOF, str(error)
    except HttpError as error:
        outcome.failure, outcome.detail = failures.HTTP_REQUEST_FAILED, str(error)
    except HandshakeError as error:
        outcome.failure = failures.HTTP_REQUEST_FAILED
        outcome.detail = error.reason[:200]
    except OSError as error:
        outcome.failure, outcome.detail = failures.from_os_error(error)
