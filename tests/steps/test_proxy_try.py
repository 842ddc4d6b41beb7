"""One try of a proxy: every way in which it can end has its own outcome."""

import errno
import os
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial

import pytest
import trio
import trustme
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from hypothesis import given, settings
from hypothesis import strategies as st

import loopback
from censorlab.peers.exact import ClientLeftError, receive_exactly
from censorlab.peers.mtproxy import MtProxy
from censorlab.relay import Origin
from censorlab.servers.data_centre import RefusedError, Session
from fakes import Arrival, FakeNetwork, Row, play
from loopback import ADDRESS, after_hello, alert, hold, reset, tcp_peer
from probe.net.trio_network import TrioNetwork
from probe.steps.proxy_try import CONNECT_SHARE, Progress, Terms, Try, try_proxy
from probe.wire.faketls import HelloForm
from probe.wire.proxy_links import Kind, ProxyLink

SECRET = b"0123456789abcdef"
DOMAIN = "www.example.org"
DESTINATION = ("192.0.2.2", 443)
TELEGRAM = 0xD09D1D85DE64FD85
MTPROXIES: tuple[Kind, ...] = ("mtproxy", "mtproxy_dd", "mtproxy_ee")
UNKNOWN = "unknown_failure: "


def terms(timeout_s: float = 5.0, dc_id: int = 2) -> Terms:
    return Terms(DESTINATION, dc_id, timeout_s, os.urandom)


def link(kind: Kind, port: int, *, secret: bytes = SECRET) -> ProxyLink:
    if not kind.startswith("mtproxy"):
        return ProxyLink(kind, ADDRESS, port)
    domain = DOMAIN if kind == "mtproxy_ee" else ""
    return ProxyLink(kind, ADDRESS, port, secret=secret, domain=domain)


async def data_centre(client: trio.SocketStream) -> None:
    """The lab's, in the frames of PyPI's mtproto."""
    session = Session()
    try:
        async for data in client:
            now = TrioNetwork().wall_clock().timestamp()
            await client.send_all(session.receive(bytes(data), now, b"s" * 16))
    except (RefusedError, trio.BrokenResourceError):
        return


Reply = Callable[[bytes, int], bytes | None]
"""From a question's nonce and number to a packet; nothing is silence, None closes."""


def centre(reply: Reply) -> loopback.Attend:
    """A data centre that answers as the test says."""

    async def attend(client: trio.SocketStream) -> None:
        try:
            start = await receive_exactly(client, 64)
            up = Cipher(AES(start[8:40]), CTR(start[40:56])).decryptor()
            back = start[8:56][::-1]
            down = Cipher(AES(back[:32]), CTR(back[32:])).encryptor()
            up.update(start)
            number = 0
            while True:
                number += 1
                length = int.from_bytes(up.update(await receive_exactly(client, 4)), "little")
                packet = up.update(await receive_exactly(client, length))
                said = reply(packet[24:40], number)
                if said is None:
                    return
                if said:
                    await client.send_all(down.update(len(said).to_bytes(4, "little") + said))
        except (ClientLeftError, trio.BrokenResourceError):
            return

    return attend


def res_pq(nonce: bytes, key: int = TELEGRAM) -> bytes:
    body = bytes.fromhex("63241605") + nonce + b"s" * 16
    body += b"\x08" + bytes.fromhex("17ED48941A08F981") + bytes(3)
    body += bytes.fromhex("15c4b51c") + (1).to_bytes(4, "little") + key.to_bytes(8, "little")
    return (
        bytes(8)
        + (1_800_000_000 << 32 | 1).to_bytes(8, "little")
        + bytes((80 - 16, 0, 0, 0))
        + body
    )


def error(code: int) -> Reply:
    return lambda _nonce, _number: (-code).to_bytes(4, "little", signed=True)


def site() -> loopback.Attend:
    """A TLS server that has nothing to do with proxies."""
    return loopback.tls(loopback.server_context(trustme.CA(), DOMAIN), hold)


async def through(
    kind: Kind,
    upstream: loopback.Attend = data_centre,
    *,
    form: HelloForm = "current",
    secret: bytes = SECRET,
    dc_id: int = 2,
    masks: loopback.Attend | None = None,
    timeout_s: float = 5.0,
) -> Try:
    """Try the lab's MTProxy in front of a data centre, both on loopback."""
    async with AsyncExitStack() as stack:
        beyond = Origin(ADDRESS, await stack.enter_async_context(tcp_peer(upstream)))
        shown = None
        if masks:
            shown = Origin(ADDRESS, await stack.enter_async_context(tcp_peer(masks)))
        proxy = MtProxy(SECRET, {2: beyond}, shown)
        port = await stack.enter_async_context(tcp_peer(proxy.attend))
        return await try_proxy(
            TrioNetwork(),
            link(kind, port, secret=secret),
            ADDRESS,
            terms(timeout_s, dc_id),
            form=form,
        )


async def directly(kind: Kind, attend: loopback.Attend, timeout_s: float = 5.0) -> Try:
    """Try what only listens where a proxy should."""
    async with tcp_peer(attend) as port:
        return await try_proxy(TrioNetwork(), link(kind, port), ADDRESS, terms(timeout_s))


@pytest.mark.anyio
@pytest.mark.parametrize("kind", MTPROXIES)
@pytest.mark.parametrize("form", ["current", "old"])
async def test_an_mtproxy_that_works(kind: Kind, form: HelloForm) -> None:
    """By answers of PyPI's mtproto behind it; fake TLS has to carry two."""
    found = await through(kind, form=form)

    assert (found.phase, found.failure, found.detail) == (None, None, None)
    assert found.answer_s is not None
    assert 0 < found.answer_s < 5
    assert found.clock_offset_s is not None
    assert abs(found.clock_offset_s) <= 2
    assert len(found.nonces) == (2 if kind == "mtproxy_ee" else 1)


async def echo(client: trio.SocketStream) -> None:
    """Says what it is told."""
    async for data in client:
        await client.send_all(data)


async def endless(client: trio.SocketStream) -> None:
    """Agrees to a tunnel, in a head that never ends."""
    await client.receive_some()
    await client.send_all(b"HTTP/1.1 200 OK\r\n")
    with suppress(trio.BrokenResourceError):
        while True:
            await client.send_all(b"X-A: " + b"a" * 60_000)


WRONG = b"X" * 16
SILENT_S = 1.0
"""Nothing is awaited that would take longer to fail than to work."""

OUTCOMES: dict[str, tuple[Callable[[], object], tuple[str, str, str | None]]] = {
    "wrong nonce": (
        lambda: through("mtproxy_dd", centre(lambda nonce, _: res_pq(nonce[::-1]))),
        ("mtproto", f"{UNKNOWN}mtproto_wrong_nonce", None),
    ),
    "wrong key fingerprint": (
        lambda: through("mtproxy_ee", centre(lambda nonce, _: res_pq(nonce, 1))),
        ("mtproto", f"{UNKNOWN}mtproto_unknown_keys", None),
    ),
    "-404": (
        lambda: through("mtproxy", centre(error(404))),
        ("dc", f"{UNKNOWN}mtproto_error_404", None),
    ),
    "-429": (
        lambda: through("mtproxy_dd", centre(error(429))),
        ("dc", f"{UNKNOWN}mtproto_error_429", None),
    ),
    "-444": (
        lambda: through("mtproxy_ee", centre(error(444))),
        ("dc", f"{UNKNOWN}mtproto_error_444", None),
    ),
    "splice to the cover site, ee": (
        lambda: through("mtproxy_ee", secret=WRONG, masks=site()),
        ("secret", f"{UNKNOWN}faketls_masked", "wrong hmac"),
    ),
    "splice to the cover site, dd": (
        lambda: through("mtproxy_dd", secret=WRONG, masks=after_hello(alert(50))),
        ("secret", f"{UNKNOWN}not_mtproto", "tls"),
    ),
    "wrong secret, dd": (
        lambda: through("mtproxy_dd", secret=WRONG, timeout_s=SILENT_S),
        ("secret", "generic_timeout_error", None),
    ),
    "wrong secret, ee": (
        lambda: through("mtproxy_ee", secret=WRONG, timeout_s=SILENT_S),
        ("fake_tls", "generic_timeout_error", None),
    ),
    "wrong data centre, plain": (
        lambda: through("mtproxy", dc_id=4),
        ("secret", "eof_error", None),
    ),
    "wrong data centre, ee": (lambda: through("mtproxy_ee", dc_id=4), ("dc", "eof_error", None)),
    "dropped after the handshake": (
        lambda: through("mtproxy_ee", hold, timeout_s=SILENT_S),
        ("mtproto", "generic_timeout_error", None),
    ),
    "cut off after one answer": (
        lambda: through(
            "mtproxy_ee", centre(lambda nonce, number: res_pq(nonce) if number == 1 else None)
        ),
        ("mtproto", "eof_error", "after 1 answer"),
    ),
    "dropped after one answer": (
        lambda: through(
            "mtproxy_ee",
            centre(lambda nonce, number: res_pq(nonce) if number == 1 else b""),
            timeout_s=SILENT_S,
        ),
        ("mtproto", "generic_timeout_error", "after 1 answer"),
    ),
    "web server for an ee proxy": (
        lambda: directly("mtproxy_ee", after_hello(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        ("fake_tls", f"{UNKNOWN}faketls_not_tls", "http"),
    ),
    "web server for a dd proxy": (
        lambda: directly("mtproxy_dd", after_hello(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        ("secret", f"{UNKNOWN}not_mtproto", "http"),
    ),
    "echo for an ee proxy": (
        lambda: directly("mtproxy_ee", echo),
        ("fake_tls", f"{UNKNOWN}faketls_not_tls", "echo"),
    ),
    "endless reply to CONNECT": (
        lambda: directly("http_connect", endless),
        ("proxy", f"{UNKNOWN}proxy_refused", "endless_reply"),
    ),
    "SOCKS5 that wants credentials": (
        lambda: directly("socks5", after_hello(b"\x05\xff")),
        ("proxy", f"{UNKNOWN}proxy_refused", "no_method"),
    ),
    "hello cut off": (
        lambda: directly("mtproxy_ee", reset),
        ("fake_tls", "connection_reset", "ECONNRESET"),
    ),
    "hello closed on": (
        lambda: directly("mtproxy_ee", after_hello(b"")),
        ("fake_tls", "eof_error", None),
    ),
    "not SOCKS4": (
        lambda: directly("socks4", after_hello(b"SSH-2.0-OpenSSH")),
        ("proxy", f"{UNKNOWN}proxy_refused", "no_reply_code"),
    ),
    "SOCKS4 refuses": (
        lambda: directly("socks4", after_hello(bytes((0, 91)) + bytes(6))),
        ("proxy", f"{UNKNOWN}proxy_refused", "reply_91"),
    ),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", OUTCOMES)
async def test_each_way_to_fail_has_its_outcome(name: str) -> None:
    act, expected = OUTCOMES[name]
    found = await act()  # type: ignore[misc] # each makes a coroutine

    assert found[:3] == expected
    assert found.answer_s is None


def test_no_two_of_them_are_the_same() -> None:
    outcomes = [expected for _, expected in OUTCOMES.values()]
    assert len(set(outcomes)) == len(outcomes)


@pytest.mark.anyio
async def test_an_old_answer_is_recognized_by_earlier_tries() -> None:
    nonce = b"earlier tries'.."
    async with tcp_peer(centre(lambda _nonce, _number: res_pq(nonce))) as port:
        proxy = MtProxy(SECRET, {2: Origin(ADDRESS, port)})
        async with tcp_peer(proxy.attend) as place:
            found = await try_proxy(
                TrioNetwork(),
                link("mtproxy_dd", place),
                ADDRESS,
                terms(),
                earlier=(earlier := {nonce}),
            )
    assert earlier == {nonce, *found.nonces}
    assert (found.phase, found.failure) == ("mtproto", f"{UNKNOWN}mtproto_replayed_answer")


def written(kind: Kind, row: Row) -> Try:
    """Try a proxy that is written down, in no time."""

    async def scene() -> Try:
        proxy = ProxyLink(kind, row.address, 1080)
        return await try_proxy(FakeNetwork([row]), proxy, row.address, terms())

    return play(scene)


HOST = "192.0.2.1"
OPENED = Arrival(0.1, b"ok")


def asked(kind: Kind, sent: bytes) -> bytes:
    """What went through the tunnel: all but the request for it."""
    return sent[9:] if kind == "socks4" else sent.partition(b":443")[2]


@pytest.mark.parametrize("kind", ["socks5", "http_connect", "socks4"])
def test_a_tunnel_that_works(kind: Kind) -> None:
    opened = Arrival(0.1, bytes((0, 90)) + bytes(6)) if kind == "socks4" else OPENED
    now = FakeNetwork().wall_clock().timestamp()
    answer = Arrival(0.2, lambda sent: Session().receive(asked(kind, sent), now, b"s" * 16))
    found = written(kind, Row(HOST, delay_s=0.1, arrivals=(opened, answer)))

    assert found[:3] == (None, None, None)
    assert found.answer_s == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("kind", "row", "outcome"),
    [
        ("socks5", Row(HOST, outcome=errno.ECONNREFUSED), ("tcp", "connection_refused")),
        ("mtproxy", Row(HOST, outcome=errno.ENETUNREACH), ("tcp", "network_unreachable")),
        ("mtproxy_ee", Row(HOST, outcome=None), ("tcp", "generic_timeout_error")),
        ("socks5", Row(HOST), ("proxy", "generic_timeout_error")),
        ("socks5", Row(HOST, refusal="reply_2"), ("proxy", f"{UNKNOWN}proxy_refused")),
        ("socks5", Row(HOST, refusal="reply_5"), ("dc", f"{UNKNOWN}proxy_cannot_reach")),
        ("http_connect", Row(HOST, refusal="reply_407"), ("proxy", f"{UNKNOWN}proxy_refused")),
        ("http_connect", Row(HOST, refusal="reply_502"), ("dc", f"{UNKNOWN}proxy_cannot_reach")),
        ("socks5", Row(HOST, arrivals=(OPENED,)), ("mtproto", "generic_timeout_error")),
        (
            "socks5",
            Row(HOST, arrivals=(OPENED, Arrival(0.1, b"HTTP/1.1 400 Bad\r\n\r\n"))),
            ("mtproto", f"{UNKNOWN}not_mtproto"),
        ),
        (
            "http_connect",
            Row(HOST, arrivals=(OPENED, Arrival(0.1, errno.ECONNRESET))),
            ("mtproto", "connection_reset"),
        ),
    ],
)
def test_where_a_tunnel_ends(kind: Kind, row: Row, outcome: tuple[str, str]) -> None:
    """The proxy's refusal and its failure to reach the data centre are two things."""
    assert written(kind, row)[:2] == outcome


def test_a_try_ends_at_its_deadline_and_closes_its_socket() -> None:
    network = FakeNetwork([Row(HOST)])

    async def scene() -> float:
        began = trio.current_time()
        proxy = ProxyLink("mtproxy", HOST, 1, secret=SECRET)
        await try_proxy(network, proxy, HOST, terms(timeout_s=7))
        return trio.current_time() - began

    assert play(scene) == pytest.approx(7)
    assert all(each.is_closed for each in network.opened)


def test_a_connect_gets_a_share_of_the_time() -> None:
    """Of a whole try there is more to wait for."""

    async def scene() -> float:
        began = trio.current_time()
        proxy = ProxyLink("mtproxy", HOST, 1, secret=SECRET)
        network = FakeNetwork([Row(HOST, outcome=None)])
        await try_proxy(network, proxy, HOST, terms(timeout_s=8))
        return trio.current_time() - began

    assert play(scene) == pytest.approx(8 * CONNECT_SHARE)


def test_a_hello_that_waits_costs_a_try_no_time() -> None:
    """Neither of its deadline, nor is the wait told as the proxy's silence."""
    network = FakeNetwork([Row(HOST)])
    progress = Progress(hello_turn=partial(trio.sleep, 30))

    async def scene() -> tuple[Try, float]:
        proxy = ProxyLink("mtproxy_ee", HOST, 1, secret=SECRET, domain=DOMAIN)
        found = await try_proxy(network, proxy, HOST, terms(timeout_s=7), progress=progress)
        return found, trio.current_time()

    found, ended = play(scene)
    assert found[:2] == ("fake_tls", "generic_timeout_error")
    assert ended - progress.silent_since == pytest.approx(7)


def test_cancelling_propagates() -> None:
    """Somebody else's cancellation gives no outcome, and leaves no socket."""
    network = FakeNetwork([Row(HOST)])

    async def scene() -> bool:
        with trio.move_on_after(1) as outer:
            proxy = ProxyLink("mtproxy_ee", HOST, 1, secret=SECRET, domain=DOMAIN)
            await try_proxy(network, proxy, HOST, terms())
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)
    assert all(each.is_closed for each in network.opened)


kinds = st.sampled_from(["socks5", "socks4", "http_connect", "mtproxy", "mtproxy_dd", "mtproxy_ee"])
starts = st.sampled_from(
    [
        b"",
        b"\x05\x00",
        b"\x05\x02",
        b"\x05\xff",
        b"\x00\x5a" + bytes(6),
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 \xff\r\n",
        b"\x16\x03\x03\x00\x05",
    ]
)


@settings(max_examples=60, deadline=None)
@given(kinds, starts, st.binary(max_size=60))
def test_whatever_a_proxy_says_is_an_outcome(kind: Kind, start: bytes, rest: bytes) -> None:
    """Of the library that speaks to proxies, too; nothing is raised."""

    async def scene() -> Try:
        return await directly(kind, after_hello(start + rest), timeout_s=2)

    assert trio.run(scene).failure is not None
