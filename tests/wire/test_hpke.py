"""HPKE: what the RFC's authors wrote down, and what another implementation can open."""

from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives import hpke as other
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from probe.wire import hpke
from probe.wire.hpke import is_usable, set_up

INFO = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
PLAINTEXT = bytes.fromhex("4265617574792069732074727574682c20747275746820626561757479")
AAD = b"Count-0"

AEADS = {
    1: other.AEAD.AES_128_GCM,
    2: other.AEAD.AES_256_GCM,
    3: other.AEAD.CHACHA20_POLY1305,
}


class Vector(NamedTuple):
    aead_id: int
    public: str
    ephemeral: str
    enc: str
    key: str
    nonce: str
    sealed: str


A_1_1 = Vector(
    aead_id=1,
    public="3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
    ephemeral="52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736",
    enc="37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
    key="4531685d41d65f03dc48f6b8302c05b0",
    nonce="56d890e5accaaf011cff4b7d",
    sealed="f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a9"
    "6d8770ac83d07bea87e13c512a",
)
A_2_1 = Vector(
    aead_id=3,
    public="4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a",
    ephemeral="f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600",
    enc="1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
    key="ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91",
    nonce="5c4d98150661b848853b547f",
    sealed="1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db"
    "21993c62ce81883d2dd1b51a28",
)


@pytest.mark.parametrize("vector", [A_1_1, A_2_1], ids=["A.1.1", "A.2.1"])
def test_the_rfc_s_own_vectors(vector: Vector) -> None:
    """RFC 9180, appendices A.1.1 and A.2.1: base mode, first message."""
    sender = set_up(
        bytes.fromhex(vector.public), INFO, vector.aead_id, bytes.fromhex(vector.ephemeral)
    )

    assert sender.enc.hex() == vector.enc
    assert (sender.key.hex(), sender.nonce.hex()) == (vector.key, vector.nonce)
    assert sender.seal(AAD, PLAINTEXT).hex() == vector.sealed


@given(
    st.sampled_from(sorted(AEADS)),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=300),
    st.binary(max_size=300),
)
def test_another_implementation_opens_it(
    aead_id: int, private: bytes, ephemeral: bytes, info: bytes, plaintext: bytes
) -> None:
    """That of `cryptography`, whose call has no additional data."""
    key = X25519PrivateKey.from_private_bytes(private)
    suite = other.Suite(other.KEM.X25519, other.KDF.HKDF_SHA256, AEADS[aead_id])
    sender = set_up(key.public_key().public_bytes_raw(), info, aead_id, ephemeral)

    sealed = sender.seal(b"", plaintext)

    assert suite.decrypt(sender.enc + sealed, key, info) == plaintext
    assert len(sealed) == len(plaintext) + hpke.TAG_BYTES


SMALL_ORDER = (
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
)


@pytest.mark.parametrize("public", [b"", bytes(31), b"\x09" + bytes(32), *SMALL_ORDER])
def test_keys_to_which_nothing_can_be_sealed(public: bytes) -> None:
    """Of another length, or of small order: everybody would know the secret."""
    assert not is_usable(public)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_usable_key_is_usable_with_any_ephemeral(public: bytes, ephemeral: bytes) -> None:
    """Whoever published the bytes."""
    if is_usable(public):
        assert len(set_up(public, b"", 1, ephemeral).key) == 16
