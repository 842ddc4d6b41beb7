"""From resPQ to the proof of a key: against its owner in Telethon's words, and against liars."""

import hashlib
import os
import random
import struct
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from telethon.crypto import AES, Factorization
from telethon.crypto.rsa import _server_keys
from telethon.helpers import generate_key_data_from_nonce
from telethon.tl.types import PQInnerData, PQInnerDataDc, ServerDHParamsOk

from key_holder import PRIME, KeyHolder, NotForUsError, private_key
from probe.wire.mtproto import ige
from probe.wire.mtproto.factoring import factoring
from probe.wire.mtproto.key_exchange import KeyExchange, hide, temporary_key
from probe.wire.mtproto.messages import Message, Rejected
from probe.wire.mtproto.public_key import (
    PublicKey,
    PublicKeyError,
    fingerprint,
    read_public_key,
    read_public_keys,
)
from probe.wire.mtproto.res_pq import KNOWN_KEYS, ResPq, _is_composite
from probe.wire.mtproto.telegram_keys import PRODUCTION, TELEGRAM_KEYS, TEST
from probe.wire.mtproto.tl import Fields, big_number, string

NOW = 1_800_000_000

# The example of the exchange in Telegram's description of it, as it stood until 2021
# (core.telegram.org/mtproto/samples-auth_key).
NONCE = bytes.fromhex("3E0549828CCA27E966B301A48FECE2FC")
SERVER_NONCE = bytes.fromhex("A5CF4D33F4A11EA877BA4AA573907330")
NEW_NONCE = bytes.fromhex("311C85DB234AA2640AFC4A76A735CF5B1F0FD68BD17FA181E1229AD867CC024D")
PRODUCT = 0x17ED48941A08F981
FACTOR = 0x494C553B
INNER_DATA = bytes.fromhex(
    "ec5ac9830817ED48941A08F98100000004494C553B00000004539110730000003E0549828CCA27E966B301A48FECE2FC"
    "A5CF4D33F4A11EA877BA4AA573907330311C85DB234AA2640AFC4A76A735CF5B1F0FD68BD17FA181E1229AD867CC024D"
)
ANSWER = bytes.fromhex(
    "28A92FE20173B347A8BB324B5FAB2667C9A8BBCE6468D5B509A4CBDDC186240AC912CF7006AF8926DE606A2E74C0493C"
    "AA57741E6C82451F54D3E068F5CCC49B4444124B9666FFB405AAB564A3D01E67F6E912867C8D20D9882707DC330B17B4"
    "E0DD57CB53BFAAFA9EF5BE76AE6C1B9B6C51E2D6502A47C883095C46C81E3BE25F62427B585488BB3BF239213BF48EB8"
    "FE34C9A026CC8413934043974DB03556633038392CECB51F94824E140B98637730A4BE79A8F9DAFA39BAE81E1095849E"
    "A4C83467C92A3A17D997817C8A7AC61C3FF414DA37B7D66E949C0AEC858F048224210FCC61F11C3A910B431CCBD104CC"
    "CC8DC6D29D4A5D133BE639A4C32BBFF153E63ACA3AC52F2E4709B8AE01844B142C1EE89D075D64F69A399FEB04E656FE"
    "3675A6F8F412078F3D0B58DA15311C1A9F8E53B3CD6BB5572C294904B726D0BE337E2E21977DA26DD6E33270251C2CA2"
    "9DFCC70227F0755F84CFDA9AC4B8DD5F84F1D1EB36BA45CDDC70444D8C213E4BD8F63B8AB95A2D0B4180DC91283DC063"
    "ACFB92D6A4E407CDE7C8C69689F77A007441D4A6A8384B666502D9B77FC68B5B43CC607E60A146223E110FCB43BC3C94"
    "2EF981930CDC4A1D310C0B64D5E55D308D863251AB90502C3E46CC599E886A927CDA963B9EB16CE62603B68529EE98F9"
    "F5206419E03FB458EC4BD9454AA8F6BA777573CC54B328895B1DF25EAD9FB4CD5198EE022B2B81F388D281D5E5BC5801"
    "07CA01A50665C32B552715F335FD76264FAD00DDD5AE45B94832AC79CE7C511D194BC42B70EFA850BB15C2012C5215CA"
    "BFE97CE66B8D8734D0EE759A638AF013"
)
RES_PQ = ResPq(NOW, (1,), PRODUCT, NONCE, SERVER_NONCE)


def own_key() -> PublicKey:
    return read_public_key(KeyHolder(private_key("own")).pem())


def sample(dc_id: int = 0, key: PublicKey | None = None) -> KeyExchange:
    """Return the exchange of Telegram's example: the first random bytes are its new nonce."""
    draws = iter([NEW_NONCE])
    return KeyExchange(
        RES_PQ,
        key or own_key(),
        FACTOR,
        dc_id=dc_id,
        random=lambda count: next(draws, None) or os.urandom(count),
    )


def said(body: bytes) -> Message:
    return Message(NOW << 32 | 1, body)


def ok(encrypted: bytes, nonces: bytes = NONCE + SERVER_NONCE) -> Message:
    return said(struct.pack("<I", 0xD0E8075C) + nonces + string(encrypted))


def test_the_fingerprints_of_telegrams_keys() -> None:
    """Those that its data centres announce, and no other."""
    assert [f"{read_public_key(pem).fingerprint:016x}" for pem in (PRODUCTION, TEST)] == [
        "d09d1d85de64fd85",
        "b25898df208d2603",
    ]
    assert read_public_keys(TELEGRAM_KEYS).keys() <= KNOWN_KEYS


def test_fingerprints_are_those_of_telethon() -> None:
    """For the older keys that it ships."""
    assert len(_server_keys) == 8
    for number, (key, _) in _server_keys.items():
        assert fingerprint(key.n, key.e) == number % 2**64


@pytest.mark.parametrize("form", [PublicFormat.PKCS1, PublicFormat.SubjectPublicKeyInfo])
def test_both_forms_of_a_public_key(form: PublicFormat) -> None:
    """With white space around, as texts in lists have."""
    holder = KeyHolder(private_key("own"))
    key = read_public_key(f"\n{holder.pem(form)}\n\n")
    assert key.fingerprint == holder.fingerprint


def pem_of(private: Any) -> str:
    public = private.public_key()
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a public key in PEM"),
        ("\u0431", "not a public key in PEM"),
        (PRODUCTION[:90], "not a public key in PEM"),
        (PRODUCTION.replace("6LszBcC1", "????????"), "not a public key in PEM"),
        (pem_of(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
        (pem_of(rsa.generate_private_key(65537, 1024)), "of 1024 bits, not 2048"),
    ],
)
def test_what_is_no_public_key(text: str, reason: str) -> None:
    with pytest.raises(PublicKeyError, match=reason):
        read_public_key(text)


@settings(deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=300), st.integers(0, 2**70))
def test_strings_are_read_as_they_were_written(before: bytes, data: bytes, number: int) -> None:
    """And fill words."""
    wire = string(before) + string(data) + big_number(number)
    assert len(wire) % 4 == 0
    fields = Fields(wire)
    assert (fields.string(), fields.string()) == (before, data)
    assert int.from_bytes(fields.string(), "big") == number


@settings(deadline=None)
@given(st.integers(0, 20), st.randoms(use_true_random=False))
def test_ige_is_that_of_telethon(blocks: int, source: random.Random) -> None:
    key, iv, data = source.randbytes(32), source.randbytes(32), source.randbytes(16 * blocks)
    sealed = ige.encrypt(data, key, iv)
    assert ige.decrypt(sealed, key, iv) == data
    if data:
        assert (AES.encrypt_ige(data, key, iv), AES.decrypt_ige(sealed, key, iv)) == (sealed, data)


def factor(product: int) -> int:
    found = [one for one in factoring(product) if one is not None]
    assert len(found) == 1
    return found[0]


@settings(deadline=None)
@given(st.integers(2, 2**20), st.integers(2, 2**20))
def test_composites_are_taken_apart(one: int, other: int) -> None:
    """Whatever their factors are, the smaller part comes out."""
    product = one * other
    found = factor(product)
    assert 1 < found <= product // found
    assert product % found == 0


def next_prime(number: int) -> int:
    number |= 1
    while _is_composite(number):
        number += 2
    return number


@settings(max_examples=8, deadline=None)
@given(st.integers(2**30, 2**31 - 20), st.integers(2**30, 2**31 - 20))
def test_products_of_telegrams_size(one: int, other: int) -> None:
    """Two primes of 31 bits; the second opinion is Telethon's."""
    p, q = sorted((next_prime(one), next_prime(other)))
    assert factor(p * q) == p
    assert Factorization.factorize(p * q) == (p, q)


def test_the_products_of_the_examples() -> None:
    assert factor(PRODUCT) == FACTOR
    assert factor((2**31 - 1) ** 2) == 2**31 - 1
    assert list(factoring(2**62)) == [2**31]


def test_factoring_pauses() -> None:
    """Others are let run meanwhile."""
    assert list(factoring(PRODUCT)).count(None) > 3


def test_the_published_example() -> None:
    """Its answer decrypts, by its nonces, to a server's time of July 2013."""
    assert temporary_key(NEW_NONCE, SERVER_NONCE)[0].hex().upper() == (
        "F011280887C7BB01DF0FC4E17830E0B91FBB8BE4B2267CB985AE25F33B527253"
    )
    assert sample().read(ok(ANSWER)) == 1_373_993_675


def test_the_request_of_the_published_example() -> None:
    """Without the number of a data centre, what is hidden is what it was in the example."""
    holder = KeyHolder(private_key("own"))
    holder.answer(sample().body, NOW)
    assert isinstance(holder.opened, PQInnerData)
    assert bytes(holder.opened) == INNER_DATA


@pytest.mark.parametrize("dc_id", [2, -4, 10_002])
def test_the_owner_of_a_key_proves_it(dc_id: int) -> None:
    """And learns which data centre was meant."""
    holder, exchange = KeyHolder(private_key("own")), sample(dc_id)
    answer = holder.answer(exchange.body, NOW)
    assert exchange.read(said(answer)) == NOW
    assert isinstance(holder.opened, PQInnerDataDc)
    assert holder.opened.dc == dc_id


def test_padding_behind_the_answer_is_ignored() -> None:
    exchange = sample()
    assert (
        exchange.read(said(KeyHolder(private_key("own")).answer(exchange.body, NOW) + b"..."))
        == NOW
    )


def test_another_key_does_not_open_it() -> None:
    exchange = sample()
    stranger = KeyHolder(private_key("stranger"))
    with pytest.raises(NotForUsError):
        stranger._open(exchange.body[-256:])


def test_what_is_hidden_is_below_the_modulus() -> None:
    """A block that is not is made anew, with another key (RSA_PAD)."""
    small = rsa_numbers()
    key = PublicKey(small.n, small.e, 0)
    draws: list[int] = []

    def draw(count: int) -> bytes:
        draws.append(count)
        return os.urandom(count)

    for _ in range(40):
        hide(b"data", key, draw)
    assert set(draws) == {188, 32}
    assert draws.count(188) == 40
    # A modulus of 2048 bits begins with a one, so about one block in four does not fit.
    assert draws.count(32) > 40


def rsa_numbers() -> rsa.RSAPublicNumbers:
    return private_key("own").public_key().public_numbers()


def sealed(answer: bytes, *, digest: bytes | None = None) -> Message:
    """Encrypt what a key's owner could, right or wrong."""
    number = int.from_bytes(SERVER_NONCE, "little", signed=True)
    new = int.from_bytes(NEW_NONCE, "little", signed=True)
    key, iv = generate_key_data_from_nonce(number, new)
    hashed = (hashlib.sha1(answer).digest() if digest is None else digest) + answer
    return ok(AES.encrypt_ige(hashed + os.urandom(-len(hashed) % 16), key, iv))


def inner(
    *,
    constructor: int = 0xB5890DBA,
    nonces: bytes = NONCE + SERVER_NONCE,
    generator: int = 3,
    prime: int = PRIME,
    power: int = PRIME // 2,
) -> bytes:
    return (
        struct.pack("<I", constructor)
        + nonces
        + struct.pack("<I", generator)
        + big_number(prime)
        + big_number(power)
        + struct.pack("<I", NOW)
    )


REFUSAL = struct.pack("<I", 0x79CB045D) + NONCE + SERVER_NONCE
WRONG: dict[str, tuple[Message, Rejected]] = {
    "resPQ again": (
        said(struct.pack("<I", 0x05162463) + NONCE + SERVER_NONCE),
        Rejected("mtproto_wrong_constructor"),
    ),
    "nothing": (said(b""), Rejected("mtproto_truncated")),
    "cut": (said(struct.pack("<I", 0xD0E8075C) + NONCE), Rejected("mtproto_truncated")),
    "cut within": (
        said(struct.pack("<I", 0xD0E8075C) + NONCE + SERVER_NONCE + b"\xfe\xff\xff\xff"),
        Rejected("mtproto_truncated"),
    ),
    "another nonce": (
        ok(ANSWER, bytes(16) + SERVER_NONCE),
        Rejected("mtproto_wrong_nonce"),
    ),
    "another server nonce": (ok(ANSWER, NONCE + NONCE), Rejected("mtproto_wrong_server_nonce")),
    "refused": (said(REFUSAL + bytes(16)), Rejected("mtproto_key_refused")),
    "refused by the owner": (
        said(REFUSAL + hashlib.sha1(NEW_NONCE).digest()[4:]),
        Rejected("mtproto_key_refused", "after decrypting"),
    ),
    "noise": (ok(bytes(592)), Rejected("mtproto_wrong_key")),
    "no blocks": (ok(ANSWER[:-1]), Rejected("mtproto_wrong_key")),
    "no answer": (ok(b""), Rejected("mtproto_wrong_key")),
    "one block": (ok(bytes(16)), Rejected("mtproto_wrong_key")),
    "a bit changed": (ok(ANSWER[:-1] + b"\x12"), Rejected("mtproto_wrong_key")),
    "another hash": (sealed(inner(), digest=bytes(20)), Rejected("mtproto_wrong_key")),
    "another message inside": (
        sealed(inner(constructor=1)),
        Rejected("mtproto_wrong_constructor", "inside"),
    ),
    "another nonce inside": (
        sealed(inner(nonces=bytes(32))),
        Rejected("mtproto_wrong_nonce", "inside"),
    ),
    "another server nonce inside": (
        sealed(inner(nonces=NONCE + bytes(16))),
        Rejected("mtproto_wrong_server_nonce", "inside"),
    ),
    "cut inside": (sealed(inner()[:-1]), Rejected("mtproto_truncated")),
    "a short prime": (sealed(inner(prime=PRIME >> 1)), Rejected("mtproto_wrong_dh", "prime")),
    "a long prime": (sealed(inner(prime=PRIME << 1)), Rejected("mtproto_wrong_dh", "prime")),
    "generator 1": (sealed(inner(generator=1)), Rejected("mtproto_wrong_dh", "generator")),
    "generator 8": (sealed(inner(generator=8)), Rejected("mtproto_wrong_dh", "generator")),
    "power 1": (sealed(inner(power=1)), Rejected("mtproto_wrong_dh", "power")),
    "power -1": (sealed(inner(power=PRIME - 1)), Rejected("mtproto_wrong_dh", "power")),
}


@pytest.mark.parametrize(("message", "found"), WRONG.values(), ids=WRONG)
def test_each_wrong_answer_has_its_word(message: Message, found: Rejected) -> None:
    assert sample().read(message) == found


def test_the_right_one_among_them() -> None:
    assert sample().read(sealed(inner())) == NOW


@settings(deadline=None)
@given(st.booleans(), st.binary(max_size=800))
def test_no_bytes_raise_or_prove(is_close: bool, rest: bytes) -> None:  # noqa: FBT001 - hypothesis fills it
    """Not even those that begin as an answer does."""
    start = bytes(ServerDHParamsOk(0, 0, b""))[:4] + NONCE + SERVER_NONCE if is_close else b""
    assert isinstance(sample().read(said(start + rest)), Rejected)


@settings(deadline=None)
@given(st.binary(max_size=700))
def test_nothing_that_an_owner_seals_raises(answer: bytes) -> None:
    """A peer may hold a key and be hostile."""
    assert isinstance(sample().read(sealed(answer)), Rejected)
