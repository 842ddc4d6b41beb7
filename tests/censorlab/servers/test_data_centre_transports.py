"""What a data centre does with bytes, without a socket: transports, numbers, key exchange."""

import hashlib
import os
import struct
from collections.abc import Callable, Iterator

import h11
import pytest
import wsproto
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given, settings
from hypothesis import strategies as st
from mtproto.crypto import ige256_decrypt, ige256_encrypt
from mtproto.enums import ConnectionRole
from mtproto.transport import transports
from mtproto.transport.connection import Connection
from mtproto.transport.packets.error_packet import ErrorPacket
from mtproto.transport.packets.message_packet import UnencryptedMessagePacket
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from censorlab.servers.data_centre import CentreKey, RefusedError, Session
from censorlab.servers.data_centre_answers import PQ, PRIME, Centre, P, Q
from censorlab.servers.data_centre_rsa import ige
from censorlab.servers.data_centre_words import Fields, string

NOW = 1_900_000_000.5
NONCE, SERVER_NONCE = b"nonce-of-client!", b"nonce-of-server!"
ASKED = struct.pack("<I", 0xBE7E8EF1) + NONCE
KEY = CentreKey.generate()


def packet(body: bytes = ASKED) -> bytes:
    return struct.pack("<QQI", 0, int(NOW) << 32, len(body)) + body


def said(session: Session, data: bytes) -> bytes:
    return session.receive(data, NOW, SERVER_NONCE)


def is_res_pq(answer: bytes) -> bool:
    return NONCE + SERVER_NONCE + string(PQ) in answer and struct.pack("<I", 0x05162463) in answer


@pytest.mark.parametrize("transport", ["Full", "Abridged", "Intermediate", "PaddedIntermediate"])
@pytest.mark.parametrize("constructor", [0xBE7E8EF1, 0x60469778], ids=["req_pq_multi", "req_pq"])
def test_the_framings_of_others_one_byte_at_a_time(transport: str, constructor: int) -> None:
    """Twice over one connection; the client is PyPI's mtproto."""
    kind = getattr(transports, f"{transport}Transport")
    client = Connection(ConnectionRole.CLIENT, kind)
    session = Session()
    for _ in range(2):
        request = UnencryptedMessagePacket(4, struct.pack("<I", constructor) + NONCE)
        for byte in client.send(request):
            client.data_received(said(session, bytes((byte,))))
        answer = client.next_event()
        assert isinstance(answer, UnencryptedMessagePacket)
        assert is_res_pq(answer.message_data)
        assert len(answer.message_data) == 80
        assert (answer.message_id >> 32, answer.message_id % 4) == (int(NOW), 1)


Ciphering = Callable[[bytes], bytes]


def obfuscated(number: int, tag: bytes = b"\xee" * 4) -> tuple[bytes, Ciphering, Ciphering]:
    """Return what begins an obfuscated stream, and its two ciphers."""
    start = b"\x01" * 8 + os.urandom(48) + tag + struct.pack("<h", number) + b"\x00\x00"
    back = start[8:56][::-1]
    up = Cipher(AES(start[8:40]), CTR(start[40:56])).encryptor()
    down = Cipher(AES(back[:32]), CTR(back[32:])).decryptor()
    return start[:56] + up.update(start)[56:], up.update, down.update


@pytest.mark.parametrize("named", [4, -4, 10_004, -10_004, 2, -2, 0, 203, 10_002])
def test_who_names_another_data_centre_is_told_so(named: int) -> None:
    """Negative numbers are for media, those above ten thousand for the test centres."""
    start, up, down = obfuscated(named)
    asked = start + up(len(packet()).to_bytes(4, "little") + packet())
    error = struct.pack("<Ii", 4, -444)

    answer = down(said(Session(Centre(), 4), asked))
    assert (answer == error) == (abs(named) % 10_000 != 4)
    assert is_res_pq(answer) == (abs(named) % 10_000 == 4)


def test_who_cares_not_for_numbers_answers_all() -> None:
    """Telethon and Pyrogram put random bytes there."""
    start, up, down = obfuscated(-32_768)
    assert is_res_pq(down(said(Session(), start + up(b"\x28\x00\x00\x00" + packet()))))


def test_too_long_a_frame_is_not_waited_for() -> None:
    for start in (
        b"\xef\x7f\xff\xff\xff",
        b"\xee" * 4 + b"\x00\x00\x11\x00",
        b"\xdd" * 4 + b"\xff" * 4,
    ):
        with pytest.raises(RefusedError):
            said(Session(), start)


def posted(path: str, body: bytes, *, method: str = "POST", host: str = "anybody.example") -> bytes:
    client = h11.Connection(h11.CLIENT)
    headers = [("Host", host), ("Content-Length", str(len(body)))]
    head = client.send(h11.Request(method=method, target=path, headers=headers)) or b""
    return head + (client.send(h11.Data(body)) or b"")


def responses(data: bytes, *methods: str) -> Iterator[tuple[int, bytes, dict[bytes, bytes]]]:
    client = h11.Connection(h11.CLIENT)
    client.receive_data(data)
    for method in methods:
        client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        head, body = client.next_event(), b""
        assert isinstance(head, h11.Response)
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            assert isinstance(event, h11.Data)
            body += event.data
        yield head.status_code, body, dict(head.headers)
        if client.their_state is h11.DONE:
            client.start_next_cycle()


@settings(max_examples=25)
@given(st.integers(1, 200))
def test_requests_over_http_in_pieces(size: int) -> None:
    """One connection: two that are answered, a question of a browser, and what is not known."""
    sent = (
        posted("/api", packet())
        + posted("/apiw1", packet())
        + posted("/apiw1", b"", method="OPTIONS")
        + posted("/api", packet(b"\xaa" * 20))
        + posted("/", packet())
    )
    session = Session()
    data = b"".join(said(session, sent[n : n + size]) for n in range(0, len(sent), size))
    first, second, asked, unknown, elsewhere = responses(
        data, "POST", "POST", "OPTIONS", "POST", "POST"
    )

    assert first[0] == second[0] == asked[0] == 200
    assert is_res_pq(first[1])
    assert is_res_pq(second[1])
    assert b"access-control-allow-origin" not in first[2]
    assert second[2][b"access-control-allow-origin"] == b"*"
    assert asked[2][b"access-control-allow-methods"] == b"POST, OPTIONS"
    assert unknown[:2] == (404, struct.pack("<i", -404))
    assert elsewhere[:2] == (404, b"")
    assert not session.is_over


def test_a_client_that_wants_no_more_is_let_go() -> None:
    session = Session()
    request = posted("/api", packet()).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    ((status, body, _),) = responses(said(session, request), "POST")

    assert status == 200
    assert is_res_pq(body)
    assert session.is_over


def test_a_body_without_end_is_refused() -> None:
    head = b"POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
    session = Session()
    said(session, head)
    with pytest.raises(RefusedError):
        for _ in range(3):
            said(session, bytes(1 << 19))


def opened(
    session: Session, *protocols: str, path: str = "/apiws"
) -> tuple[wsproto.WSConnection, Event]:
    client = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    asked = client.send(Request(host="anybody.example", target=path, subprotocols=list(protocols)))
    client.receive_data(said(session, asked))
    return client, next(iter(client.events()))


@settings(max_examples=25)
@given(size=st.integers(1, 70), is_one_message=st.booleans())
def test_a_stream_in_a_websocket(size: int, *, is_one_message: bool) -> None:
    """However it is cut into messages and frames; pings are answered between them."""
    session = Session(Centre(), 2)
    client, event = opened(session, "binary")
    assert isinstance(event, AcceptConnection)
    assert event.subprotocol == "binary"
    start, up, down = obfuscated(2, b"\xdd" * 4)
    stream = start + up(len(packet()).to_bytes(4, "little") + packet())
    pieces = [stream[n : n + size] for n in range(0, len(stream), size)]
    for number, piece in enumerate(pieces, 1):
        is_end = not is_one_message or number == len(pieces)
        client.receive_data(
            said(session, client.send(BytesMessage(piece, message_finished=is_end)))
        )
        client.receive_data(said(session, client.send(Ping(b"here?"))))
    events = list(client.events())

    assert sum(isinstance(event, Pong) for event in events) == len(pieces)
    (message,) = (event for event in events if isinstance(event, BytesMessage))
    assert is_res_pq(down(bytes(message.data)))


@pytest.mark.parametrize(
    ("protocols", "path", "status"),
    [((), "/apiws", 400), (("chat",), "/apiws", 400), (("binary",), "/", 404)],
)
def test_a_websocket_that_is_not_meant(protocols: tuple[str, ...], path: str, status: int) -> None:
    session = Session()
    _, event = opened(session, *protocols, path=path)

    assert isinstance(event, RejectConnection)
    assert event.status_code == status
    assert session.is_over


def test_a_page_is_not_found() -> None:
    session = Session()
    answer = said(session, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert session.is_over


def test_a_websocket_has_to_be_obfuscated_and_binary() -> None:
    session = Session()
    client, _ = opened(session, "binary")
    with pytest.raises(RefusedError):
        said(session, client.send(BytesMessage(b"\xef" + bytes(80))))
    session = Session()
    client, _ = opened(session, "binary")
    client.receive_data(said(session, client.send(TextMessage("{}"))))

    assert [type(event) for event in client.events()] == [CloseConnection]
    assert session.is_over


@given(
    st.sampled_from(
        [b"", b"POST /api HTTP/1.1\r\n", b"GET /apiws HTTP/1.1\r\nHost: x\r\n", b"HEAD "]
    ),
    st.lists(st.binary(min_size=1, max_size=80)),
)
def test_any_bytes_are_answered_or_refused(start: bytes, pieces: list[bytes]) -> None:
    session = Session()
    try:
        for piece in (start, *pieces):
            assert isinstance(said(session, piece), bytes)
    except RefusedError:
        pass


# The key exchange by a client of today; clients of others do it in the old form.


def inner(constructor: int, new_nonce: bytes, *numbers: int) -> bytes:
    sides = string(PQ) + string(P.to_bytes(4, "big")) + string(Q.to_bytes(4, "big"))
    nonces = NONCE + SERVER_NONCE + new_nonce
    return (
        struct.pack("<I", constructor) + sides + nonces + struct.pack(f"<{len(numbers)}i", *numbers)
    )


def rsa_pad(data: bytes, key: CentreKey) -> bytes:
    """Encrypt as core.telegram.org/mtproto/auth_key says since 2021, by PyPI's mtproto."""
    public = load_pem_public_key(key.public_pem.encode())
    assert isinstance(public, RSAPublicKey)
    numbers = public.public_numbers()
    padded = data + os.urandom(192 - len(data))
    while True:
        temporary = os.urandom(32)
        hashed = padded[::-1] + hashlib.sha256(temporary + padded).digest()
        sealed = bytes(ige256_encrypt(hashed, temporary, bytes(32)))
        digest = hashlib.sha256(sealed).digest()
        whole = bytes(a ^ b for a, b in zip(temporary, digest, strict=True)) + sealed
        if (number := int.from_bytes(whole, "big")) < numbers.n:
            return pow(number, numbers.e, numbers.n).to_bytes(256, "big")


def asks_for_parameters(data: bytes, key: CentreKey = KEY, named: int = KEY.fingerprint) -> bytes:
    sides = string(P.to_bytes(4, "big")) + string(Q.to_bytes(4, "big"))
    head = struct.pack("<I", 0xD712E4BE) + NONCE + SERVER_NONCE + sides
    return head + struct.pack("<Q", named) + string(rsa_pad(data, key))


def answered(centre: Centre, body: bytes) -> bytes | int:
    """Return the body of the answer, or a transport error's code."""
    answer = centre.answer(UnencryptedMessagePacket(4, body), NOW, SERVER_NONCE)
    if isinstance(answer, ErrorPacket):
        return answer.error_code
    assert isinstance(answer, UnencryptedMessagePacket)
    return answer.message_data


KINDS = {
    "": (0x83C95AEC, ()),
    "dc": (0xA9F55F95, (-2,)),
    "temp": (0x3C6A84D4, (86_400,)),
    "temp_dc": (0x56FDDF88, (2, 86_400)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_agreed_on(kind: str) -> None:
    """Both sides have the same one, or the hash at the end would not fit."""
    new_nonce = os.urandom(32)
    constructor, numbers = KINDS[kind]
    centre = Centre(KEY)
    answer = answered(centre, asks_for_parameters(inner(constructor, new_nonce, *numbers)))
    assert isinstance(answer, bytes)
    fields = Fields(answer)
    assert fields.number(4) == 0xD0E8075C
    assert fields.take(32) == NONCE + SERVER_NONCE

    def sha1(data: bytes) -> bytes:
        return hashlib.sha1(data).digest()

    both = sha1(SERVER_NONCE + new_nonce)
    key = sha1(new_nonce + SERVER_NONCE) + both[:12]
    vectors = both[12:] + sha1(new_nonce + new_nonce) + new_nonce[:4]
    opened = bytes(ige256_decrypt(fields.string(), key, vectors))
    own = Fields(opened[20:])
    assert own.number(4) == 0xB5890DBA
    assert own.take(32) == NONCE + SERVER_NONCE
    generator, prime, public = own.number(4), own.string(), own.string()
    assert int.from_bytes(prime, "big") == PRIME
    assert own.number(4) == int(NOW)
    assert sha1(opened[20 : 20 + own.at]) == opened[:20]

    secret = int.from_bytes(os.urandom(256), "big")
    mine = pow(generator, secret, PRIME).to_bytes(256, "big")
    inside = struct.pack("<I", 0x6643B654) + NONCE + SERVER_NONCE + bytes(8) + string(mine)
    hashed = sha1(inside) + inside
    sealed = bytes(ige256_encrypt(hashed + bytes(-len(hashed) % 16), key, vectors))
    last = struct.pack("<I", 0xF5045F1F) + NONCE + SERVER_NONCE + string(sealed)
    done = answered(centre, last)
    agreed = pow(int.from_bytes(public, "big"), secret, PRIME).to_bytes(256, "big")
    shown = sha1(new_nonce + b"\x01" + sha1(agreed)[:8])[-16:]

    assert done == struct.pack("<I", 0x3BCBF734) + NONCE + SERVER_NONCE + shown
    assert answered(centre, last) == 404  # once


def test_nobody_without_the_key_gets_parameters() -> None:
    """Another key, another's fingerprint, another nonce, and a centre without a key."""
    good = inner(0x83C95AEC, bytes(32))
    assert isinstance(answered(Centre(KEY), asks_for_parameters(good)), bytes)
    assert answered(Centre(), asks_for_parameters(good)) == 404
    assert answered(Centre(KEY), asks_for_parameters(good, CentreKey.generate())) == 404
    assert answered(Centre(KEY), asks_for_parameters(good, named=0xD09D1D85DE64FD85)) == 404
    assert answered(Centre(KEY), asks_for_parameters(good.replace(NONCE, SERVER_NONCE))) == 404
    assert answered(Centre(KEY), asks_for_parameters(good)[:-8]) == 404


def test_a_key_is_read_from_what_was_written_of_it() -> None:
    again = CentreKey.from_pem(KEY.private_pem)
    assert (again.fingerprint, again.public_pem) == (KEY.fingerprint, KEY.public_pem)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32), st.integers(1, 9))
def test_ige_is_that_of_others(key: bytes, vectors: bytes, blocks: int) -> None:
    data = os.urandom(16 * blocks)
    sealed = ige(key, vectors, data, encrypt=True)
    assert sealed == ige256_encrypt(data, key, vectors)
    assert ige(key, vectors, sealed, encrypt=False) == data
