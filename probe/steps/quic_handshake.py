"""QUIC Initials that name a server (RFC 9000, RFC 9001), and whether anything answers.

Whether an answer comes is the whole question: the handshake is not finished and
nothing is verified. The protocol is aioquic's, the socket and the clock are ours.
"""

import ssl
from typing import TYPE_CHECKING, Any, Final

import trio

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import QuicHandshake
from probe.steps.context import Context
from probe.steps.quic_line import (
    INITIAL_RTT_S,
    MISSING,
    Line,
    QuicError,
    drive,
    load_library,
    silence_library,
)

if TYPE_CHECKING:
    from aioquic.quic.connection import QuicConnection
    from aioquic.quic.logger import QuicLogger

__all__ = ["MISSING", "load_library", "quic_handshake"]

MAX_DATAGRAMS: Final = 3
"""Sent while nothing answers, 1200 bytes each. At 10 % loss each way three
Initials all fail to be answered in 0.7 % of cases."""

MAX_STRANGE: Final = 64
"""Datagrams that are no answer and are still looked at; what comes after is
counted and thrown away, so that a flood costs neither memory nor much time."""

NOT_QUIC: Final = "not QUIC"
"""Detail of a silence in which something arrived that was no answer to our Initial."""

_CONNECTION_CLOSE: Final = "connection_close"


async def quic_handshake(
    context: Context, spec: QuicHandshake, address: str, port: int
) -> Observation:
    """Send an Initial for ``spec.server_name``, again if need be, and wait for an answer.

    An answer is a packet that only somebody who read ours can write: one that
    decrypts under the keys of our connection, a Retry, or a Version Negotiation
    without our version; a close by the peer is one too, and is named in the
    detail. On the path everybody can read an Initial, so this is no proof of who
    answers. Without aioquic the observation says that the step was skipped.
    """
    if not load_library():
        return context.observe(
            "quic",
            context.now(),
            failures.SKIPPED,
            failure_detail=MISSING,
            server_name=spec.server_name,
        )
    t0 = context.now()
    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    line = Line(context.run.network, address, port)
    try:
        line.open()
        with trio.move_on_after(spec.timeout_s):
            answer = await _answered(spec, line)
            failure = None
            detail = answer if answer.startswith(_CONNECTION_CLOSE) else None
        if failure is not None and line.datagrams_received:
            detail = NOT_QUIC
    except QuicError as error:
        failure, detail = error.failure, error.detail
    except OSError as error:
        failure, detail = line.failure_of(error)
    finally:
        line.close()
    return context.observe(
        "quic",
        t0,
        failure,
        failure_detail=detail,
        server_name=spec.server_name,
        **line.facts(),
    )


async def _answered(spec: QuicHandshake, line: Line) -> str:
    """Send and receive until something answers; return what. Raises OSError, QuicError."""
    quic, trace = _client(spec.server_name)
    quic.connect(line.peer, line.now())
    await drive(
        quic,
        line,
        lambda: _answer(trace) is not None,
        max_sent=MAX_DATAGRAMS,
        max_read=MAX_STRANGE,
    )
    return _answer(trace) or ""


def _client(server_name: str) -> tuple["QuicConnection", "QuicLogger"]:
    """Return an unconnected client and the log of what it accepts."""
    # Optional, and a fifth of a second at start-up; imported when it is wanted.
    from aioquic.quic.configuration import QuicConfiguration  # noqa: PLC0415
    from aioquic.quic.connection import QuicConnection  # noqa: PLC0415
    from aioquic.quic.logger import QuicLogger  # noqa: PLC0415

    silence_library()
    trace = QuicLogger()
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=["h3"],
        server_name=server_name or None,
        verify_mode=ssl.CERT_NONE,
        initial_rtt=INITIAL_RTT_S,
        quic_logger=trace,
    )
    return QuicConnection(configuration=configuration), trace


def _answer(trace: "QuicLogger") -> str | None:
    """Return what kind of packet was accepted, if any was.

    Read from the connection's qlog: its events tell of a finished handshake only.
    """
    events: list[dict[str, Any]] = trace.to_dict()["traces"][0]["events"]
    for event in events:
        data = event["data"]
        if event["name"] == "transport:version_information" and "server_versions" in data:
            return "version_negotiation"
        if event["name"] != "transport:packet_received":
            continue
        kind: str = data["header"]["packet_type"]
        if kind == "version_negotiation":
            continue  # what counts is that it was acted upon, above
        for frame in data.get("frames", ()):
            if frame["frame_type"] == _CONNECTION_CLOSE:
                return f"{_CONNECTION_CLOSE} {frame['error_code']:#x}"
        return kind
    return None
