"""One try of one proxy: as far as a verified resPQ through it, or where it ended."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import trio

from probe.model import failure as failures
from probe.model.step import PUBLIC_TRUST
from probe.net.api import ByteStream, Network, ProxyAddress, TcpConnection, TunnelRefusedError
from probe.net.tls import TlsStream, TrustStores
from probe.steps.fake_tls_handshake import fake_tls_handshake
from probe.steps.mtproto_handshake import clock_offset_s, failure_of
from probe.steps.web_proxy import WebProxy, WebProxyError, shake_hands
from probe.wire import socks4
from probe.wire.faketls import FakeTls, HelloForm, RecordError
from probe.wire.mtproto.carrier import obfuscated
from probe.wire.mtproto.conversation import Conversation
from probe.wire.mtproto.framing import Random
from probe.wire.mtproto.messages import Rejected, TransportError
from probe.wire.mtproto.res_pq import ResPq
from probe.wire.proxy_links import SECRET_BYTES, ProxyLink

Phase = Literal["name", "tcp", "proxy", "tls", "web", "fake_tls", "secret", "mtproto", "dc"]
"""Where a try ended, in the order of the wire. ``tls`` and ``web`` are a WEB proxy's, real
TLS and what goes on inside. ``secret``: what answers, if anything,
does not show that it knows the secret; ``dc``: the proxy works, and did not reach a data
centre that answers."""

UNKNOWN: Final = failures.UNKNOWN_PREFIX
REFUSED: Final = f"{UNKNOWN}proxy_refused"
CANNOT_REACH: Final = f"{UNKNOWN}proxy_cannot_reach"
WRONG_RECORD: Final = f"{UNKNOWN}faketls_wrong_record"

_NOT_REACHED: Final = {
    "socks5": frozenset({"reply_3", "reply_4", "reply_5", "reply_6"}),
    "http_connect": frozenset({"reply_500", "reply_502", "reply_503", "reply_504"}),
}
"""With which a proxy says that it tried and could not connect (RFC 1928 section 6)."""

_GARBAGE: Final = frozenset({"not_mtproto", "mtproto_frame_too_long", "mtproto_wrong_frame"})
"""Faults of an answer that was not made with the secret: under its key it means nothing."""

FAKE_TLS_ANSWERS: Final = 2
"""How many are wanted behind fake TLS, and inside TLS: some filters let handshakes pass,
and then a record or two (reports of May 2026)."""

CONNECT_SHARE: Final = 0.5
"""Of a try's time, for connecting: of 8 s that is time for three SYNs (RFC 6298: after 0, 1
and 3 s) and an answer to the last. Whoever answered none of them rarely answers the fourth."""

_IN_TLS: Final = frozenset({"mtproxy_ee", "web"})
"""Kinds whose handshake has shown that the secret is right, before MTProto is spoken."""


class Try(NamedTuple):
    """One try. ``failure`` and ``phase`` are None if it worked, ``detail`` names nobody.

    ``answer_s`` runs from the connect to the first verified answer; ``clock_offset_s``
    is the data centre's time minus ours, in whole seconds.
    """

    phase: Phase | None
    failure: str | None
    detail: str | None = None
    answer_s: float | None = None
    clock_offset_s: float | None = None
    nonces: tuple[bytes, ...] = ()


class Terms(NamedTuple):
    """What all tries of a run share.

    ``destination`` is a data centre's IPv4 address and port, for proxies that have to be
    told; an MTProxy is told ``dc_id``. A WEB proxy's certificate is verified by
    ``trust``'s anchors of the name ``trust_key``.
    """

    destination: tuple[str, int]
    dc_id: int
    timeout_s: float
    random: Random
    trust: TrustStores = TrustStores()
    trust_key: str = PUBLIC_TRUST


@dataclass
class Progress:
    """How far a try is: what a timeout or an error now is to be called.

    ``hello_turn`` is awaited between connecting and a fake-TLS hello; no clock of the try
    runs meanwhile. ``silent_since`` is the time since when the peer could have answered,
    infinite while the hello waits.
    """

    hello_turn: Callable[[], Awaitable[None]] | None = None
    silent_since: float = math.inf
    phase: Phase = "tcp"
    answers: int = 0
    answer_s: float | None = None
    clock_offset_s: float | None = None
    nonces: tuple[bytes, ...] = ()
    web: WebProxy | None = None

    def ended(self, failure: str | None, detail: str | None = None) -> Try:
        """Return the try that ends here."""
        if failure is not None and detail is None and self.answers:
            detail = f"after {self.answers} answer"
        return Try(
            None if failure is None else self.phase,
            failure,
            detail,
            self.answer_s if failure is None else None,
            self.clock_offset_s,
            self.nonces,
        )


class _Records:
    """Fake TLS around a connection, as a stream of what the records carry."""

    def __init__(self, connection: TcpConnection, tls: FakeTls) -> None:
        self._connection = connection
        self._tls = tls

    async def send_all(self, data: bytes) -> None:
        await self._connection.send_all(self._tls.wrap(data))

    async def receive_some(self) -> bytes:
        # What came in the same segment as the proxy's hello may be whole already.
        carried = self._tls.unwrap(b"")
        while not carried:
            data = await self._connection.receive_some()
            if not data:
                return b""
            carried = self._tls.unwrap(data)
        return carried


async def try_proxy(
    network: Network,
    link: ProxyLink,
    address: str,
    terms: Terms,
    *,
    form: HelloForm = "current",
    earlier: set[bytes] | None = None,
    progress: Progress | None = None,
) -> Try:
    """Connect to a proxy at ``address`` and ask a data centre through it for resPQ.

    ``form`` is that of a fake-TLS hello. ``earlier`` are the nonces that were asked with so
    far, by which a repeated answer is known; this try's are entered as they are sent.
    ``progress`` lets others watch.
    """
    earlier = set() if earlier is None else earlier
    progress = Progress() if progress is None else progress
    progress.silent_since = network.now()
    connections: list[TcpConnection] = []
    try:
        connections.append(network.open_tcp(address, link.port))
        ended: Try | None = None
        with trio.move_on_after(terms.timeout_s) as deadline:
            ended = await _walk(
                network,
                connections,
                link,
                address,
                deadline=deadline,
                terms=terms,
                form=form,
                earlier=earlier,
                progress=progress,
            )
        if ended is None:
            return progress.ended(failures.GENERIC_TIMEOUT)
        if progress.web is not None:
            await progress.web.leave()
    except TunnelRefusedError as error:
        if error.detail in _NOT_REACHED.get(link.kind, ()):
            progress.phase = "dc"
            return progress.ended(CANNOT_REACH, error.detail)
        return progress.ended(REFUSED, error.detail)
    except RecordError:
        return progress.ended(WRONG_RECORD)
    except WebProxyError as error:
        progress.phase = error.phase
        return progress.ended(error.failure, error.detail)
    except OSError as error:
        return progress.ended(*failures.from_os_error(error))
    else:
        return ended
    finally:
        for connection in connections:
            connection.close()


async def _walk(
    network: Network,
    connections: list[TcpConnection],
    link: ProxyLink,
    address: str,
    *,
    deadline: trio.CancelScope,
    terms: Terms,
    form: HelloForm,
    earlier: set[bytes],
    progress: Progress,
) -> Try:
    began = network.now()
    (connection,) = connections
    with trio.move_on_after(terms.timeout_s * CONNECT_SHARE) as connecting:
        await connection.connect()
    if connecting.cancelled_caught:
        return progress.ended(failures.GENERIC_TIMEOUT)
    stream: ByteStream = connection
    match link.kind:
        case "socks5" | "http_connect" | "socks4":
            progress.phase = "proxy"
            await _open_tunnel(network, connection, link, address, terms.destination)
            progress.phase = "mtproto"
        case "mtproxy_ee":
            progress.phase = "fake_tls"
            began += await _wait_for_turn(network, deadline, progress)
            now = network.wall_clock().timestamp()
            tls = FakeTls(link.secret, link.domain, form, now=now, random=terms.random)
            ended = await fake_tls_handshake(connection, tls, network)
            if ended.failure is not None:
                if ended.failure == f"{UNKNOWN}faketls_masked":
                    progress.phase = "secret"
                return progress.ended(*ended)
            stream = _Records(connection, tls)
            progress.phase = "mtproto"
        case "web":
            stream = await _open_web(
                network, connections, link, address, terms=terms, progress=progress
            )
            progress.phase = "mtproto"
        case "mtproxy" | "mtproxy_dd":
            progress.phase = "secret"
    carrier = obfuscated(
        "padded" if link.is_padded else "intermediate",
        dc_id=terms.dc_id,
        random=terms.random,
        secret=link.secret[-SECRET_BYTES:],
    )
    conversation = Conversation(carrier, terms.random, earlier=earlier)
    for _ in range(FAKE_TLS_ANSWERS if link.kind in _IN_TLS else 1):
        failed = await _ask(network, stream, conversation, link, earlier=earlier, progress=progress)
        if failed is not None:
            return failed
        if progress.answer_s is None:
            progress.answer_s = network.now() - began
        progress.answers += 1
    return progress.ended(None)


async def _wait_for_turn(network: Network, deadline: trio.CancelScope, progress: Progress) -> float:
    """Wait until the hello may be sent, and return the seconds that this took."""
    if progress.hello_turn is None:
        return 0.0
    began, left_s = network.now(), deadline.deadline - trio.current_time()
    progress.silent_since = deadline.deadline = math.inf
    await progress.hello_turn()
    deadline.deadline = trio.current_time() + left_s
    progress.silent_since = network.now()
    return progress.silent_since - began


async def _open_web(
    network: Network,
    connections: list[TcpConnection],
    link: ProxyLink,
    address: str,
    *,
    terms: Terms,
    progress: Progress,
) -> ByteStream:
    """Open a stream through a site; every connection that it takes is among ``connections``."""
    # Browsers speak HTTP/2 with most sites, and this in no WebSocket.
    context = terms.trust.context(terms.trust_key, ("http/1.1",))

    async def shaken(connection: TcpConnection) -> ByteStream:
        tls = TlsStream(connection, context, link.host)
        await shake_hands(tls)
        return tls

    async def dial() -> ByteStream:
        connection = network.open_tcp(address, link.port)
        connections.append(connection)
        await connection.connect()
        return await shaken(connection)

    progress.phase = "tls"
    first = await shaken(connections[0])
    progress.phase = "web"
    progress.web = WebProxy(link, first, dial)
    await progress.web.open()
    return progress.web


async def _open_tunnel(
    network: Network,
    connection: TcpConnection,
    link: ProxyLink,
    address: str,
    destination: tuple[str, int],
) -> None:
    if link.kind != "socks4":
        proxy = ProxyAddress(link, address)
        await network.open_tunnel(connection, proxy, *destination)
        return
    await connection.send_all(socks4.build_request(*destination, link.username or ""))
    reply = b""
    while len(reply) < socks4.REPLY_BYTES:
        data = await connection.receive_some()
        if not data:
            break
        reply += data
    code = socks4.read_reply(reply)
    if code != socks4.GRANTED:
        raise TunnelRefusedError("no_reply_code" if code is None else f"reply_{code}")


async def _ask(
    network: Network,
    stream: ByteStream,
    conversation: Conversation,
    link: ProxyLink,
    *,
    earlier: set[bytes],
    progress: Progress,
) -> Try | None:
    """Ask once more; None if the answer is verified."""
    request = conversation.ask(network.wall_clock().timestamp())
    progress.nonces = tuple(conversation.nonces)
    # Now, for another try may be told this answer before this one ends.
    earlier.add(conversation.nonces[-1])
    await stream.send_all(request)
    answer = None
    while answer is None:
        data = await stream.receive_some()
        if not data:
            # Behind a verified handshake the secret is right: it is the way on that ends.
            if link.kind in _IN_TLS and not progress.answers:
                progress.phase = "dc"
            return progress.ended(failures.EOF)
        answer = conversation.receive(data)
    match answer:
        case ResPq():
            progress.clock_offset_s = clock_offset_s(answer.server_time, network)
            return None
        case TransportError():
            progress.phase = "dc"
        case Rejected():
            # To the others, a secret that does not fit is all that garbage can mean.
            if not (progress.phase == "secret" and answer.fault in _GARBAGE):
                progress.phase = "mtproto"
    return progress.ended(*failure_of(answer))
