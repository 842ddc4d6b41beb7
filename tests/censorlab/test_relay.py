"""The relay on real sockets: a client that says something and leaves, an origin that answers.

A client that has said all sends EOF; what it then reads until EOF is all that
ever comes, so silence is seen without waiting for it.
"""

import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha512
from typing import NamedTuple

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from censorlab.door import reset
from censorlab.memory import Memory
from censorlab.relay import Gate, Origin, Relay
from censorlab.rules import (
    Allowlist,
    EchDrop,
    FirstRecordOnly,
    FirstSegmentOnly,
    ForgedCertificate,
    Freeze,
    HttpBlockpage,
    HttpHostRst,
    HttpTruncate,
    MtprotoDrop,
    ParallelPolicing,
    ProfileDrop,
    RecordDrop,
    Residual,
    Rule,
    SniDrop,
    SniDropReply,
    SniReset,
    SniRst,
    Throttle,
    TlsVersionDrop,
)

NAME = "web.messenger.test"
LIMIT_S = 10.0
BODY = bytes(range(256)) * 40
REQUEST = f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
PREAMBLE = sha512(b"a key").digest()
RESET = b"(reset)"
REDIRECT = "HTTP/1.1 302 Found\r\nLocation: http://warning.test/\r\nContent-Length: 0\r\n\r\n"


def hello(name: str) -> bytes:
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


HELLO = hello(NAME)
CONTROL = hello("www.example.test")


def record(size: int) -> bytes:
    return b"\x17\x03\x03" + size.to_bytes(2, "big") + bytes(size)


class Path(NamedTuple):
    """What a test holds: where to connect, and what reached the origin, piece by piece."""

    port: int
    arrived: trio.MemoryReceiveChannel[bytes]


@asynccontextmanager
async def path(*rules: Rule, body: bytes = BODY, breaks: bool = False) -> AsyncIterator[Path]:
    """A gate and a relay to an origin that answers once its client has said something."""
    say, arrived = trio.open_memory_channel[bytes](10_000)
    memory = Memory(rules)

    def serving(answer: bytes) -> Callable[[trio.SocketStream], object]:
        async def serve(stream: trio.SocketStream) -> None:
            try:
                if not (data := await stream.receive_some()):
                    return
                await say.send(data)
                if breaks:
                    reset(stream)
                    return
                await stream.send_all(answer)
                while data := await stream.receive_some():
                    await say.send(data)
                await stream.send_eof()
            except trio.BrokenResourceError:
                await say.send(RESET)

        return serve

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:

            async def listen(attend: Callable[..., object]) -> int:
                (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
                nursery.start_soon(trio.serve_listeners, attend, [listener])
                port: int = listener.socket.getsockname()[1]
                return port

            origin = Origin("127.0.0.1", await listen(serving(body)))
            forger = Origin("127.0.0.1", await listen(serving(b"forged")))
            relay = Relay(lambda: memory, origin, forger)

            async def attend(client: trio.SocketStream) -> None:
                try:
                    await Gate(lambda: memory, relay.attend).attend(client)
                except trio.BrokenResourceError:
                    pass  # as a door does
                finally:
                    await client.aclose()

            yield Path(await listen(attend), arrived)
            nursery.cancel_scope.cancel()


async def connect(port: int) -> trio.SocketStream:
    raw = trio.socket.socket()
    await raw.connect(("127.0.0.1", port))
    return trio.SocketStream(raw)


async def hear(client: trio.SocketStream) -> bytes:
    """All that comes until the end, and whether that is a reset."""
    heard = bytearray()
    try:
        while data := await client.receive_some():
            heard += data
    except trio.BrokenResourceError:
        heard += RESET
    return bytes(heard)


async def say(port: int, *pieces: bytes) -> bytes:
    """Say this, then nothing more; return what is heard."""
    async with await connect(port) as client:
        try:
            for piece in pieces:
                await client.send_all(piece)
            await client.send_eof()
        except trio.BrokenResourceError:
            return RESET
        return await hear(client)


@pytest.mark.parametrize(
    ("rule", "said", "heard"),
    [
        (SniRst(server_name=NAME), HELLO, RESET),
        (SniReset(server_name="*.messenger.test", to="both"), HELLO, RESET),
        (SniReset(server_name=NAME, to="client"), HELLO, RESET),
        (SniReset(server_name=NAME, to="server"), HELLO, RESET),
        (SniDrop(server_name=NAME), HELLO, b""),
        (SniDropReply(server_name=NAME), HELLO, b""),
        (ProfileDrop(ja4="t13d"), HELLO, b""),
        (TlsVersionDrop(server_name=NAME, version="1.3"), HELLO, b""),
        (TlsVersionDrop(server_name=NAME, version="1.2"), HELLO, BODY),
        (EchDrop(server_name=NAME), HELLO, BODY),
        (Freeze(server_name=NAME, after_bytes=777), HELLO, BODY[:777]),
        (Freeze(server_name=NAME, after_bytes=0), HELLO, b""),
        (ForgedCertificate(server_name=NAME), HELLO, b"forged"),
        (ParallelPolicing(server_name=NAME, at_once=1), HELLO, BODY),
        (HttpHostRst(host=NAME), REQUEST, RESET),
        (HttpBlockpage(host=NAME), REQUEST, HttpBlockpage(host=NAME).response.encode()),
        (HttpBlockpage(host=NAME, response=REDIRECT), REQUEST, REDIRECT.encode()),
        (HttpTruncate(host=NAME, after_bytes=5000), REQUEST, BODY[:5000]),
        (HttpTruncate(host=NAME, after_bytes=len(BODY)), REQUEST, BODY),
        (HttpTruncate(host=NAME, after_bytes=len(BODY) + 1), REQUEST, BODY),
        (MtprotoDrop(), b"\xee\xee\xee\xee\x28\0\0\0", b""),
        (MtprotoDrop(), PREAMBLE, b""),
        (MtprotoDrop(), b"\x16" + PREAMBLE[1:], b""),
        (MtprotoDrop(), HELLO, BODY),
        (MtprotoDrop(addresses=("192.0.2.1",)), PREAMBLE, BODY),
        (Allowlist(addresses=("192.0.2.0/24",)), HELLO, b""),
        (Allowlist(addresses=("127.0.0.0/8",)), HELLO, BODY),
    ],
    ids=lambda value: str(value.__struct_config__.tag) if isinstance(value, Struct) else "",
)
def test_what_each_rule_does(rule: Rule, said: bytes, heard: bytes) -> None:
    """To what it names, in one piece or byte by byte; and nothing to a control's hello."""

    async def main() -> None:
        async with path(rule) as there:
            assert await say(there.port, said) == heard
        if PREAMBLE[1:] not in said:  # of which the first bytes are not known yet
            async with path(rule) as there:
                pieces = [said[n : n + 1] for n in range(len(said))]
                assert await say(there.port, *pieces) == heard
        if not isinstance(rule, ProfileDrop | Allowlist):
            async with path(rule) as there:
                assert await say(there.port, CONTROL) == BODY
                assert there.arrived.receive_nowait() == CONTROL

    trio.run(main)


def test_a_throttled_stream_is_whole_and_slow() -> None:
    """Every byte, and no faster than the rate."""

    async def main() -> None:
        async with path(Throttle(server_name=NAME, rate_bytes_per_s=30_000)) as there:
            started = time.monotonic()
            assert await say(there.port, HELLO) == BODY
            assert time.monotonic() - started >= len(BODY) / 30_000

    trio.run(main)


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_the_second_record_never_arrives(size: int) -> None:
    """The first does to its last byte, whatever the chunks; nothing passes after it."""
    said = HELLO + b"\x14\x03\x03\x00\x01\x01" + record(53)

    async def main() -> None:
        async with path(RecordDrop(server_name=NAME)) as there:
            whole = said + record(400)
            pieces = [whole[n : n + size] for n in range(0, len(whole), size)]
            await say(there.port, *pieces)
            arrived = b""
            while len(arrived) < len(said):
                arrived += await there.arrived.receive()
            assert arrived == said
            if there.arrived.statistics().current_buffer_used:
                # Of a connection that was frozen the end is all that can follow.
                assert there.arrived.receive_nowait() == RESET

    trio.run(main)


def test_short_words_of_no_protocol_are_answered_at_once() -> None:
    """Sixty-four bytes could still tell, but the client waits for an answer to fewer."""

    async def main() -> None:
        async with path(MtprotoDrop()) as there, await connect(there.port) as client:
            await client.send_all(b"hello?")
            assert (await client.receive_some())[:1] == BODY[:1]

    trio.run(main)


def test_a_preamble_in_two_pieces_is_silenced_with_the_second() -> None:
    """What shows it vanishes, and all after it."""

    async def main() -> None:
        async with path(MtprotoDrop(), body=b"!") as there, await connect(there.port) as client:
            await client.send_all(PREAMBLE[:20])
            assert await client.receive_some() == b"!"
            assert await there.arrived.receive() == PREAMBLE[:20]
            await client.send_all(PREAMBLE[20:])
            await client.send_eof()
            assert await hear(client) == b""

    trio.run(main)


def test_a_censor_that_reads_the_first_chunk_only() -> None:
    """The rest of a hello, sent once the first part has arrived, is not read."""

    async def main() -> None:
        rules = (SniRst(server_name=NAME), FirstSegmentOnly())
        async with path(*rules) as there:
            assert await say(there.port, HELLO) == RESET
            async with await connect(there.port) as client:
                await client.send_all(HELLO[:100])
                assert await there.arrived.receive() == HELLO[:100]
                await client.send_all(HELLO[100:])
                await client.send_eof()
                assert await hear(client) == BODY

    trio.run(main)


def test_two_segments_are_two_however_the_kernel_hands_them_over() -> None:
    """Written at once, one after another, they may come as one chunk."""

    async def main() -> None:
        async with path(SniRst(server_name=NAME), FirstSegmentOnly()) as there:
            for _ in range(20):
                async with await connect(there.port) as client:
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    await client.send_all(HELLO[:100])
                    await client.send_all(HELLO[100:])
                    await client.send_eof()
                    assert await hear(client) == BODY

    trio.run(main)


def test_a_censor_that_reads_the_first_record_only() -> None:
    """A hello in two records passes, in one it does not, in however many chunks."""

    async def main() -> None:
        in_two = HELLO[:3] + b"\0\x64" + HELLO[5:105]
        in_two += HELLO[:3] + (len(HELLO) - 105).to_bytes(2, "big") + HELLO[105:]
        async with path(SniRst(server_name=NAME), FirstRecordOnly()) as there:
            assert await say(there.port, HELLO) == RESET
            assert await say(there.port, in_two) == BODY
        async with path(SniRst(server_name=NAME)) as there:
            assert await say(there.port, in_two) == RESET

    trio.run(main)


def test_parallel_hellos_are_policed() -> None:
    """From the first too many on."""

    async def main() -> None:
        async with path(ParallelPolicing(server_name=NAME, at_once=2, window_seconds=9)) as there:
            heard = [await say(there.port, HELLO) for _ in range(4)]
            assert heard == [BODY, BODY, b"", b""]
            assert await say(there.port, CONTROL) == BODY

    trio.run(main)


def test_a_residual_block_is_silence_for_its_time() -> None:
    """Whatever the client says to the place next; then it is open again."""

    async def main() -> None:
        async with path(SniRst(server_name=NAME), Residual(seconds=0.5)) as there:
            assert await say(there.port, CONTROL) == BODY
            assert await say(there.port, HELLO) == RESET
            hit_at = trio.current_time()
            assert await say(there.port, CONTROL) == b""
            await trio.sleep_until(hit_at + 0.5)
            assert await say(there.port, CONTROL) == BODY

    trio.run(main)


def test_a_truncated_server_is_reset() -> None:
    """It learns that its client is gone, while the client only sees an end."""

    async def main() -> None:
        truncate = HttpTruncate(host=NAME, after_bytes=1)
        async with (
            path(truncate, body=bytes(10_000_000)) as there,
            await connect(there.port) as client,
        ):
            await client.send_all(REQUEST)
            assert await hear(client) == b"\0"
            assert await there.arrived.receive() == REQUEST
            assert await there.arrived.receive() == RESET
            await client.send_all(b"still there?")

    trio.run(main)


def test_a_servers_reset_reaches_the_client() -> None:
    """The relay is no politer than the origin."""

    async def main() -> None:
        async with path(breaks=True) as there:
            assert await say(there.port, CONTROL) == RESET

    trio.run(main)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([b"", HELLO[:60], HELLO, REQUEST[:30], REQUEST, PREAMBLE[:10]]),
    st.lists(st.binary(min_size=1, max_size=200), max_size=8),
    st.booleans(),
)
def test_any_bytes_are_carried_or_censored(
    start: bytes,
    pieces: list[bytes],
    leaves_rudely: bool,  # noqa: FBT001 -- a drawn value
) -> None:
    """No client breaks the relay or keeps it, and the next one is served."""
    rules: tuple[Rule, ...] = (
        Throttle(server_name=NAME, rate_bytes_per_s=10**7),
        RecordDrop(server_name=NAME),
        HttpTruncate(host=NAME, after_bytes=9),
        MtprotoDrop(),
    )

    async def main() -> None:
        async with path(*rules) as there:
            async with await connect(there.port) as client:
                try:
                    for piece in (start, *pieces):
                        await client.send_all(piece)
                    if leaves_rudely:
                        reset(client)
                    else:
                        await client.send_eof()
                        await hear(client)
                except trio.BrokenResourceError:
                    pass
            assert await say(there.port, CONTROL) == BODY

    trio.run(main)
