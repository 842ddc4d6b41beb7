"""The proof of a key: over every transport, by peers of several authors, and by liars."""

import errno
import re
import struct
from collections.abc import Callable, Iterator
from typing import get_args

import pytest
import trio
import trustme

import loopback
from censorlab.servers.data_centre import CentreKey, RefusedError, Session
from censorlab.servers.data_centre_answers import Centre
from fakes import Arrival, FakeNetwork, FakeTcpConnection, Row, context_of, play
from foreign_centre import SERVER_TIME, ForeignCentre, websocket_centre
from key_holder import KeyHolder, NotForUsError, private_key
from loopback import tcp_peer
from probe.model import failure as failures
from probe.model.observation import MtprotoTransport, Observation
from probe.model.step import MtprotoHandshake, MtprotoKeyProof
from probe.net.api import TcpConnection
from probe.net.tls import TlsStream, TrustStores
from probe.net.trio_network import TrioNetwork
from probe.steps.mtproto_handshake import MtprotoSession, mtproto_handshake
from probe.steps.mtproto_key_proof import mtproto_key_proof
from probe.wire.mtproto.conversation import Conversation, carrier_of
from probe.wire.mtproto.public_key import fingerprint
from probe.wire.mtproto.res_pq import ResPq

TRANSPORTS: tuple[MtprotoTransport, ...] = get_args(MtprotoTransport)
HOST = "192.0.2.1"
TIMEOUT_S = 6.0
HOLDER = KeyHolder(private_key("own"))
KEY = f"{HOLDER.fingerprint:016x}"


def foreign(centre: ForeignCentre) -> loopback.Attend:
    """Serve in the frames and words of others."""

    async def attend(client: trio.SocketStream) -> None:
        try:
            async for data in client:
                await client.send_all(centre.receive(bytes(data)))
        except NotForUsError:
            return

    return attend


def lab(centre: Centre) -> Callable[[trio.abc.Stream], object]:
    """Serve by the lab's data centre, byte by byte."""

    async def attend(client: trio.abc.Stream) -> None:
        session = Session(centre)
        try:
            while data := await client.receive_some():
                now = TrioNetwork().wall_clock().timestamp()
                for byte in session.receive(bytes(data), now, b"s" * 16):
                    await client.send_all(bytes((byte,)))
        except (RefusedError, trio.BrokenResourceError):
            return

    return attend


async def shaken(connection: TcpConnection, tls: TrustStores) -> TlsStream:
    stream = TlsStream(connection, tls.context("lab", ("http/1.1",)), "a.example")
    await stream.handshake()
    return stream


async def proven(
    port: int,
    transport: MtprotoTransport,
    pem: str,
    tls: TrustStores | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Observation:
    """Shake hands with a peer of loopback, and ask it for the proof."""
    network = TrioNetwork()
    connection = network.open_tcp(loopback.ADDRESS, port)
    try:
        await connection.connect()
        stream = connection if tls is None else await shaken(connection, tls)
        context = context_of(network, address=loopback.ADDRESS, port=port)
        spec = MtprotoHandshake(
            transport=transport, dc_id=2, timeout_s=TIMEOUT_S, public_keys=(pem,)
        )
        row, session = await mtproto_handshake(context, spec, stream, connection)
        assert row.failure is None
        assert session is not None
        proof = MtprotoKeyProof(timeout_s=timeout_s, public_keys=(pem,))
        return await mtproto_key_proof(context, proof, session, connection)
    finally:
        connection.close()


@pytest.fixture(scope="module")
def lab_key() -> CentreKey:
    return CentreKey.generate()


@pytest.mark.anyio
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_lab_proves_its_key(transport: MtprotoTransport, lab_key: CentreKey) -> None:
    """Over the connection of the handshake, in every transport."""
    async with tcp_peer(lab(Centre(lab_key))) as port:  # type: ignore[arg-type] # any stream will do
        row = await proven(port, transport, lab_key.public_pem)

    assert (row.step, row.failure, row.failure_detail) == ("mtproto_key", None, None)
    assert row.mtproto_key is not None
    assert re.fullmatch("[0-9a-f]{16}", row.mtproto_key)
    assert row.mtproto_transport == transport
    assert row.clock_offset_s is not None
    assert abs(row.clock_offset_s) <= 2
    assert row.sent_bytes > 320
    assert row.received_bytes > 600
    assert row.first_byte_s is not None
    assert 0 < row.first_byte_s <= row.t - row.t0 + 1e-6


@pytest.mark.anyio
@pytest.mark.parametrize("transport", ["http", "websocket"])
async def test_the_same_through_tls(transport: MtprotoTransport, lab_key: CentreKey) -> None:
    authority = trustme.CA()
    stores = TrustStores({"lab": (authority.cert_pem.bytes().decode(),)})
    server = loopback.server_context(authority, "a.example", alpn=("http/1.1",))
    peer = loopback.tls(server, lab(Centre(lab_key)))  # type: ignore[arg-type] # any stream will do
    async with tcp_peer(peer) as port:
        row = await proven(port, transport, lab_key.public_pem, stores)

    assert (row.failure, row.mtproto_transport) == (None, transport)
    assert row.mtproto_key is not None


@pytest.mark.anyio
@pytest.mark.parametrize("transport", ["abridged", "intermediate", "padded", "full", "http"])
async def test_telethon_and_mtproto_prove_a_key(transport: MtprotoTransport) -> None:
    """Under the fingerprint that Telethon gives it."""
    async with tcp_peer(foreign(ForeignCentre(HOLDER))) as port:
        row = await proven(port, transport, HOLDER.pem())

    assert (row.failure, row.mtproto_key) == (None, KEY)
    assert row.clock_offset_s is not None


@pytest.fixture(scope="module")
def websocket_port() -> Iterator[int]:
    with websocket_centre(HOLDER) as port:
        yield port


@pytest.mark.anyio
async def test_the_same_in_a_websocket_of_aiohttp(websocket_port: int) -> None:
    row = await proven(websocket_port, "websocket", HOLDER.pem())

    assert (row.failure, row.mtproto_key) == (None, KEY)


@pytest.mark.anyio
async def test_a_refusal() -> None:
    """By who could read what was hidden, and refuses all the same."""
    async with tcp_peer(foreign(ForeignCentre(HOLDER, refuses=True))) as port:
        row = await proven(port, "padded", HOLDER.pem())

    assert row.failure == "unknown_failure: mtproto_key_refused"
    assert row.failure_detail == "after decrypting"
    assert row.mtproto_key is None


class Impostor(KeyHolder):
    """Offers a key that it does not hold."""

    @property
    def fingerprint(self) -> int:
        return HOLDER.fingerprint


class Liar(Impostor):
    """Goes on as if it had read what it could not."""

    def answer(self, body: bytes, server_time: int, *, refuses: bool = False) -> bytes:
        nonces = body[4:36]
        noise = b"\xfe" + (592).to_bytes(3, "little") + bytes(592)
        return struct.pack("<I", 0xD0E8075C) + nonces + noise


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("holder", "failure"),
    [
        (Impostor(private_key("stranger")), "eof_error"),
        (Liar(private_key("stranger")), "unknown_failure: mtproto_wrong_key"),
    ],
    ids=["honest", "liar"],
)
async def test_who_does_not_hold_the_key_that_it_offers(holder: KeyHolder, failure: str) -> None:
    async with tcp_peer(foreign(ForeignCentre(holder))) as port:
        row = await proven(port, "padded", HOLDER.pem())

    assert (row.failure, row.mtproto_key, row.clock_offset_s) == (failure, None, None)


@pytest.mark.anyio
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_impostor_of_telegrams_data_centres(transport: MtprotoTransport) -> None:
    """It passes the handshake with Telegram's fingerprints, and cannot go on."""
    async with tcp_peer(lab(Centre())) as port:  # type: ignore[arg-type] # any stream will do
        row = await proven(port, transport, HOLDER.pem())

    assert row.failure == "unknown_failure: mtproto_error_404"
    assert row.mtproto_key is None


def scripted(
    *arrivals: Arrival, fingerprints: tuple[int, ...] = (HOLDER.fingerprint,)
) -> Observation:
    """Ask for the proof what is written down, in no time."""
    row = Row(HOST, arrivals=arrivals)

    async def scene() -> Observation:
        network = FakeNetwork([row])
        context = context_of(network, address=HOST)
        connection = FakeTcpConnection(row)
        random = bytes
        conversation = Conversation(carrier_of("intermediate", dc_id=2, random=random), random)
        res_pq = ResPq(0, fingerprints, 0x17ED48941A08F981, b"n" * 16, b"s" * 16)
        session = MtprotoSession(connection, conversation, "intermediate", 2, res_pq)
        spec = MtprotoKeyProof(timeout_s=TIMEOUT_S, public_keys=(HOLDER.pem(),))
        return await mtproto_key_proof(context, spec, session, connection)

    return play(scene)


def packet(body: bytes) -> bytes:
    whole = struct.pack("<QQI", 0, SERVER_TIME << 32 | 1, len(body)) + body
    return struct.pack("<I", len(whole)) + whole


def answered(sent: bytes) -> bytes:
    """Answer the request behind the tag, the length and the head."""
    return packet(HOLDER.answer(sent[28:], SERVER_TIME))


OTHER_NONCE = packet(struct.pack("<I", 0xD0E8075C) + bytes(32))
RES_PQ_AGAIN = packet(struct.pack("<I", 0x05162463) + b"n" * 16)


@pytest.mark.parametrize(
    ("arrivals", "outcome"),
    [
        ((Arrival(0.1, answered),), (None, None)),
        ((Arrival(0.1, answered), Arrival(0.1, b"more")), (None, None)),
        ((Arrival(0.1, OTHER_NONCE),), ("unknown_failure: mtproto_wrong_nonce", None)),
        ((Arrival(0.1, RES_PQ_AGAIN),), ("unknown_failure: mtproto_wrong_constructor", None)),
        (
            (Arrival(0.1, b"\x04\x00\x00\x00" + struct.pack("<i", -429)),),
            ("unknown_failure: mtproto_error_429", None),
        ),
        ((Arrival(0.1, b"HTTP/1.1 403"),), ("unknown_failure: not_mtproto", "http")),
        ((Arrival(0.1, b""),), ("eof_error", None)),
        ((Arrival(0.1, errno.ECONNRESET),), ("connection_reset", "ECONNRESET")),
        ((), ("generic_timeout_error", None)),
    ],
)
def test_each_outcome(
    arrivals: tuple[Arrival, ...], outcome: tuple[str | None, str | None]
) -> None:
    """The key is named with success only, and the failure can be stored."""
    row = scripted(*arrivals)

    assert (row.failure, row.failure_detail) == outcome
    assert row.mtproto_key == (None if row.failure else KEY)
    assert row.failure is None or re.match(failures.PATTERN, row.failure)
    assert row.t - row.t0 == pytest.approx(0.1 if arrivals else TIMEOUT_S)


def test_the_offset_of_the_clock() -> None:
    ours = FakeNetwork().wall_clock().timestamp()
    row = scripted(Arrival(0.1, answered))
    assert row.clock_offset_s == pytest.approx(SERVER_TIME - ours, abs=1)


def test_keys_of_which_only_the_fingerprints_are_known() -> None:
    """Nothing is sent: it could prove nothing."""
    row = scripted(fingerprints=(0x0BC35F3509F7B7A5, 0xC3B42B026CE86B21))

    assert row.failure == "unknown_failure: mtproto_no_public_key"
    assert (row.sent_bytes, row.mtproto_key) == (0, None)


def test_the_first_key_that_is_known_is_used() -> None:
    """In the order of the data centre, as TDLib chooses."""
    other = private_key("stranger").public_key().public_numbers()
    unknown = fingerprint(other.n, other.e)
    row = scripted(
        Arrival(0.1, answered), fingerprints=(unknown, HOLDER.fingerprint, 0xD09D1D85DE64FD85)
    )

    assert (row.failure, row.mtproto_key) == (None, KEY)


def test_cancelling_propagates() -> None:
    """Somebody else's cancellation gives no observation."""

    async def scene() -> bool:
        row = Row(HOST)
        connection = FakeTcpConnection(row)
        context = context_of(FakeNetwork([row]), address=HOST)
        conversation = Conversation(carrier_of("full", dc_id=2, random=bytes), bytes)
        res_pq = ResPq(0, (HOLDER.fingerprint,), 15, b"n" * 16, b"s" * 16)
        session = MtprotoSession(connection, conversation, "full", 2, res_pq)
        spec = MtprotoKeyProof(timeout_s=TIMEOUT_S, public_keys=(HOLDER.pem(),))
        with trio.move_on_after(1) as outer:
            await mtproto_key_proof(context, spec, session, connection)
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)
