"""Encrypted Client Hello: lists as published, hellos that a server can open, and its proof."""

import random
import ssl
from collections.abc import Callable

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from censorlab.opening.tls import read_client_hello
from ech_peer import (
    ECH,
    Key,
    Opened,
    answer_to,
    body_of,
    confirmed,
    name_in,
    open_hello,
    published,
    read_hello,
    record_of,
    sized,
    u16,
)
from loopback import server_context
from probe.wire.clienthello import build_client_hello, classify_answer
from probe.wire.ech import (
    MAX_SERVER_HELLO_BYTES,
    BadConfigListError,
    BadServerHelloError,
    EchHello,
    build_ech_hello,
    is_accepted,
    read_server_hello,
    usable_configs,
)

NAME = "secret.example.org"
AUTHORITY = trustme.CA()
KEY = Key()
OTHER = Key(private=bytes(range(2, 34)))
P256_KEM = 0x0010
TLS13_ONLY = b"\x02\x03\x04"
SUPPORTED_VERSIONS, ALPN, EXTENDED_MASTER_SECRET = 43, 16, 23

# Published in 2021 by an operator, and the set of another implementation's test: see
# draft-ietf-tls-esni and Go's crypto/tls. Both are of the format's final version.
OPERATOR_S = (
    "0045fe0d0041590020002092a01233db2218518ccbbbbc24df20686af417b37388de6460e94011974777090004"
    "000100010012636c6f7564666c6172652d6563682e636f6d0000"
)
MIXED = (
    "0105badd00050504030201fe0d0066000010004104e62b69e2bf659f97be2f1e0d948a4cd5976bb7a91e0d46fb"
    "dda9a91e9ddcba5a01e7d697a80a18f9c3c4a31e56e27c8348db161a1cf51d7ef1942d4bcf7222c1000c000100"
    "010001000200010003400e7075626c69632e6578616d706c650000fe0d003d00002000207d661615730214aeee"
    "70533366f36a609ead65c0c208e62322346ab5bcd8de1c000411112222400e7075626c69632e6578616d706c65"
    "0000fe0d004d000020002085bd6a03277c25427b52e269e0c77a8eb524ba1eb3d2f132662d4b0ac6cb7357000c"
    "000100010001000200010003400e7075626c69632e6578616d706c650008aaaa000474657374"
)


def hello_to(
    *keys: Key, name: str = NAME, seed: int = 1, alpn: tuple[str, ...] = ("h2", "http/1.1")
) -> EchHello:
    (config, *_) = usable_configs(published(*keys))
    return build_ech_hello(name, config, random.Random(seed).randbytes, alpn)


def opened(hello: EchHello, key: Key = KEY) -> Opened:
    found = open_hello(hello.record, key)
    assert found is not None
    return found


def server(**settings: object) -> ssl.SSLContext:
    context = server_context(AUTHORITY, NAME, "public.example", alpn=("h2",))
    if "curve" in settings:
        context.set_ecdh_curve(str(settings["curve"]))
    if "version" in settings:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


# --- lists -------------------------------------------------------------------------------


def test_a_list_as_an_operator_publishes_it() -> None:
    """One key, taken with all that it says."""
    (config,) = usable_configs(bytes.fromhex(OPERATOR_S))

    assert config.raw == bytes.fromhex(OPERATOR_S)[2:]
    assert (config.config_id, config.aead_id) == (0x59, 1)
    assert (config.max_name_bytes, config.public_name) == (0, "cloudflare-ech.com")
    assert config.public_key.hex().startswith("92a01233")


def test_a_list_of_all_that_is_to_be_left_out() -> None:
    """Another version, another KEM, unknown algorithms, a mandatory extension."""
    assert usable_configs(bytes.fromhex(MIXED)) == ()


USELESS = {
    "version": Key(version=0xFE0C),
    "KEM": Key(kem=P256_KEM),
    "KDF": Key(suites=((2, 1), (3, 3))),
    "AEAD": Key(suites=((1, 0xFFFF), (1, 9))),
    "no suite": Key(suites=()),
    "mandatory extension": Key(extensions=u16(0x8001) + sized(2, b"x")),
    "short key": Key(public=bytes(range(31))),
    "key of small order": Key(public=bytes(32)),
    **{
        f"public name {name!r}": Key(public_name=name)
        for name in (
            *(b"", b".", b"a.", b".a", b"a..b", b"-a.example", b"a-.example", b"a_b.example"),
            *(b"192.0.2.1", b"a.0x1f", b"a.7", b"a b.example", b"a.\xff", b"a.example\n"),
            *(b"x" * 64 + b".example", b"a." * 127 + b"a"),
        )
    },
}


@pytest.mark.parametrize("useless", USELESS.values(), ids=USELESS)
def test_what_cannot_be_used_is_passed_over(useless: Key) -> None:
    """And the next in the list is taken."""
    assert usable_configs(published(useless)) == ()
    assert [c.raw for c in usable_configs(published(useless, KEY, OTHER))] == [
        KEY.config,
        OTHER.config,
    ]


def test_the_first_suite_that_we_have() -> None:
    """In the publisher's order; an extension that is not mandatory is no obstacle."""
    key = Key(suites=((1, 9), (2, 1), (1, 3), (1, 1)), extensions=u16(0x7FFF) + sized(2, b"x"))

    assert [config.aead_id for config in usable_configs(published(key))] == [3]


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"", "its length"),
        (b"\0", "its length"),
        (published(KEY)[:-1], "its length"),
        (published(KEY) + b"\0", "1 bytes too many"),
        (sized(2, b"\xfe"), "a version"),
        (sized(2, KEY.config[:-1]), "an ECHConfig"),
        (published(Key(tail=b"\0")), "ECHConfig has 1 bytes too many"),
        (published(Key(extensions=b"\0")), "a type"),
        (published(Key(extensions=b"\0\1\0\2x")), "an extension"),
        (sized(2, u16(ECH) + sized(2, KEY.config[4:10])), "public_key"),
        (sized(2, u16(ECH) + sized(2, KEY.config[4:44] + b"\0\1x")), "maximum_name_length"),
    ],
)
def test_an_ill_formed_list(data: bytes, where: str) -> None:
    """It is refused as a whole, and the error says where it breaks."""
    with pytest.raises(BadConfigListError, match=where):
        usable_configs(data)


@st.composite
def damaged(draw: st.DrawFn, source: bytes) -> bytes:
    data = bytearray(source)
    for _ in range(draw(st.integers(0, 6))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=8))


@given(st.one_of(st.binary(max_size=300), damaged(bytes.fromhex(MIXED)), damaged(published(KEY))))
def test_any_bytes_are_a_list_or_not(data: bytes) -> None:
    """Whatever is published: it is refused, or a hello can be made for each key in it."""
    try:
        configs = usable_configs(data)
    except BadConfigListError:
        return
    for config in configs:
        build_ech_hello(NAME, config, random.Random(1).randbytes)


# --- hellos ------------------------------------------------------------------------------


def test_what_the_path_sees() -> None:
    """A hello for the public name; the real one is nowhere in it."""
    hello = hello_to(KEY)
    seen = read_client_hello(hello.record)

    assert seen is not None
    assert (seen.server_name, seen.has_ech) == ("public.example", True)
    assert NAME.encode() not in hello.record
    assert NAME.encode() in hello.inner


def test_it_has_the_form_of_the_one_without_a_key() -> None:
    """Same suites, and the same extensions in the same order."""
    real, _ = read_hello(body_of(hello_to(KEY).record))
    grease, _ = read_hello(
        body_of(
            build_client_hello("public.example", "ech", random.Random(2).randbytes, ("h2", "h3"))
        )
    )

    assert real.suites == grease.suites
    assert [kind for kind, _ in real.extensions] == [kind for kind, _ in grease.extensions]
    assert len(real.session_id) == len(grease.session_id) == 32


@pytest.mark.parametrize("aead", [1, 2, 3])
def test_who_has_the_key_reads_the_name(aead: int) -> None:
    """With each way of sealing; and reads the very message that we keep."""
    key = Key(suites=((1, aead),))
    hello = hello_to(key)
    found = opened(hello, key)
    inner = dict(found.inner.extensions)

    assert (name_in(found.inner), name_in(found.outer)) == (NAME, "public.example")
    assert found.message == hello.inner
    assert inner[ECH] == b"\1"
    assert inner[SUPPORTED_VERSIONS] == TLS13_ONLY
    assert inner[ALPN] == dict(found.outer.extensions)[ALPN]
    assert EXTENDED_MASTER_SECRET not in inner


def test_nothing_is_shared_between_the_two() -> None:
    """Neither randoms nor key shares: one would tell of the other."""
    found = opened(hello_to(KEY))

    assert found.inner.random != found.outer.random
    assert dict(found.inner.extensions)[51] != dict(found.outer.extensions)[51]


@pytest.mark.parametrize(
    "other", [OTHER, Key(public_name=b"other.example"), Key(max_name_bytes=33), Key(config_id=8)]
)
def test_who_has_another_key_or_published_it_otherwise_does_not(other: Key) -> None:
    """The whole configuration is bound to what is sealed (RFC 9849 section 6.1)."""
    assert open_hello(hello_to(KEY).record, other) is None


def test_a_changed_outer_hello_opens_nothing() -> None:
    """Every byte before the payload is authenticated."""
    record = hello_to(KEY).record
    at = record.index(b"public.example")

    assert open_hello(record[:at] + b"q" + record[at + 1 :], KEY) is None


label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)


@given(
    st.lists(label, min_size=2, max_size=6).map(lambda labels: ".".join([*labels, "example"])),
    st.integers(0, 255),
    st.integers(0, 2**32),
)
def test_any_name_goes_through(name: str, max_name_bytes: int, seed: int) -> None:
    """Padded to a multiple of 32, and at least as if the name had the maximum's length."""
    key = Key(max_name_bytes=max_name_bytes)
    found = opened(hello_to(key, name=name, seed=seed), key)
    longest = opened(hello_to(key, name="x" * max(1, max_name_bytes)), key)

    assert name_in(found.inner) == name
    assert found.encoded_bytes % 32 == 0
    if len(name) <= max_name_bytes:
        assert found.encoded_bytes == longest.encoded_bytes


# --- answers -----------------------------------------------------------------------------

# First messages of Go 1.27's crypto/tls with `KEY`'s private half (and with `OTHER`'s, and
# with none), each to the hello of seed 1; the server read the name from it.
GO_AES128 = (
    "020000760303df5adae900b9a1a1fd5646ee78ba69b5226348b1551fe0c495aecdb6a527cd2f20f5b165224a58"
    "b791df6af1d8303e61cdc4bb86c3d1c427103c344c4189eb2f1e130100002e002b0002030400330024001d0020"
    "42650b63bd0dbc91dafb1abe821d31ef3ba951f49936e9725798621a3111f94b"
)
GO_AES256 = (
    "02000076030378bb91ba469533511f50d5df938a171d3513fa28f86a1e78d5ba19482f7faaa820f5b165224a58"
    "b791df6af1d8303e61cdc4bb86c3d1c427103c344c4189eb2f1e130100002e002b0002030400330024001d0020"
    "e0cd64e022f994db57525d178c7a8b90b912f02529aa7c9d31d0173552b9782f"
)
GO_CHACHA20 = (
    "020000760303a94973c7f4ba9ef2bc0ca977dcf61a72a74d6320c88f1f17cd0ee14b851f486c20f5b165224a58"
    "b791df6af1d8303e61cdc4bb86c3d1c427103c344c4189eb2f1e130100002e002b0002030400330024001d0020"
    "d5d3756594c7586c11223da60a793ddff7b87f3d3e4f5ce285f93446d9069630"
)
GO_RETRY = (
    "020000600303cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c20f5b165224a58"
    "b791df6af1d8303e61cdc4bb86c3d1c427103c344c4189eb2f1e1301000018002b00020304003300020017fe0d"
    "0008f39443e86df7aa5d"
)
GO_OTHER_KEY = (
    "0200007603030af323ed00bbf45fec5742a6fe30e61f64f395c51d4543027f591fcda81174da20f5b165224a58"
    "b791df6af1d8303e61cdc4bb86c3d1c427103c344c4189eb2f1e130100002e002b0002030400330024001d0020"
    "13eab3fdec127616f3451009ab797d78fec3c40d5d0e6e13a1b4c6339298504b"
)
GO_WITHOUT = (
    "020000760303fffd2b6b19838f802ae01810c027d4a743f5e16aec49516bd8062abad906bd7120f5b165224a58"
    "b791df6af1d8303e61cdc4bb86c3d1c427103c344c4189eb2f1e130100002e002b0002030400330024001d0020"
    "c21ba43558232998c0da37049baf1fe9f78ffc7a7c146b6ed5829c59044a275d"
)


@pytest.mark.parametrize(
    ("aead", "recorded", "accepted"),
    [
        (1, GO_AES128, True),
        (2, GO_AES256, True),
        (3, GO_CHACHA20, True),
        (1, GO_RETRY, True),
        (1, GO_OTHER_KEY, False),
        (1, GO_WITHOUT, False),
    ],
    ids=["AES-128", "AES-256", "ChaCha20", "retry", "other key", "without"],
)
def test_a_server_that_is_not_ours(aead: int, recorded: str, *, accepted: bool) -> None:
    """The same hello is made again, and Go's answer to it is judged as it was meant."""
    hello = hello_to(Key(suites=((1, aead),)))

    assert is_accepted(hello, bytes.fromhex(recorded)) is accepted


def test_a_recording_proves_one_hello_only() -> None:
    """Nobody can answer with the confirmation of another one."""
    for recorded in (GO_AES128, GO_RETRY):
        assert not is_accepted(hello_to(KEY, seed=2), bytes.fromhex(recorded))


def retried(curve: str) -> Callable[[], ssl.SSLContext]:
    return lambda: server(curve=curve)


@pytest.mark.parametrize("context", [server, retried("prime256v1")], ids=["hello", "retry"])
def test_a_server_with_the_key_is_believed(context: Callable[[], ssl.SSLContext]) -> None:
    """OpenSSL's own choice of suite hashes with SHA-384."""
    hello = hello_to(KEY)
    answer = read_server_hello(answer_to(hello.record, KEY, context()))

    assert answer is not None
    assert answer[39 + answer[38] :][:2] == b"\x13\x02"
    assert is_accepted(hello, answer)


@pytest.mark.parametrize(
    "context",
    [server, retried("prime256v1"), lambda: server(version=12)],
    ids=["hello", "retry", "TLS 1.2"],
)
def test_a_server_without_it_is_not(context: Callable[[], ssl.SSLContext]) -> None:
    """It answers the outer hello, for the public name."""
    hello = hello_to(KEY)
    data = answer_to(hello.record, OTHER, context())
    answer = read_server_hello(data)

    assert classify_answer(data).kind in {"server_hello", "hello_retry"}
    assert answer is not None
    assert not is_accepted(hello, answer)


@pytest.mark.parametrize("recorded", [GO_AES128, GO_RETRY])
def test_every_byte_counts(recorded: str) -> None:
    """A changed answer proves nothing, wherever it is changed."""
    hello = hello_to(KEY)
    answer = bytes.fromhex(recorded)
    for at in range(len(answer)):
        changed = answer[:at] + bytes((answer[at] ^ 1,)) + answer[at + 1 :]
        try:
            assert not is_accepted(hello, changed)
        except BadServerHelloError:
            continue


def test_a_retry_without_extensions_says_no() -> None:
    """Nor does one that has others only."""
    answer = bytes.fromhex(GO_RETRY)
    bare = b"\x02" + sized(3, answer[4:74])

    assert not is_accepted(hello_to(KEY), bare)
    assert not is_accepted(hello_to(KEY), bare + sized(2, u16(44) + sized(2, b"cookie")))


@pytest.mark.parametrize(
    "answer",
    [
        bytes.fromhex(GO_RETRY)[:38],
        bytes.fromhex(GO_RETRY)[:72],
        bytes.fromhex(GO_RETRY)[:75],
        bytes.fromhex(GO_RETRY) + b"\0",
        bytes.fromhex(GO_RETRY)[:74] + sized(2, u16(ECH)),
        bytes.fromhex(GO_RETRY)[:74] + sized(2, u16(ECH) + b"\0\x09" + bytes(8)),
        bytes.fromhex(GO_RETRY)[:74] + sized(2, u16(ECH) + sized(2, bytes(9))),
        b"\x02\0\0\x26\x03\x03" + bytes(32) + b"\x21" + bytes(60),
    ],
)
def test_an_ill_formed_answer(answer: bytes) -> None:
    """It is told from one that says no."""
    with pytest.raises(BadServerHelloError):
        is_accepted(hello_to(KEY), answer)


def test_an_answer_in_pieces() -> None:
    """Any cut between records, and between reads, and what follows does not matter."""
    message = bytes.fromhex(GO_AES128)
    warning = b"\x15\x03\x03\0\2\1\x70"
    for cut in range(1, len(message)):
        data = warning + record_of(message[:cut]) + record_of(message[cut:] + b"more")
        assert read_server_hello(data + b"\x17\x03\x03\0\1x") == message
        assert read_server_hello(data[:-5]) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (record_of(b"\x02\x01\0\0\x03\x03" + bytes(40)), "too long"),
        (record_of(bytes.fromhex(GO_AES128)[:50]) + b"\x17\x03\x03\0\1x", "another record"),
        (record_of(bytes.fromhex(GO_AES128)[:50]) + b"\x16\x03\x03\0\0", "empty"),
        (
            b"".join(
                record_of(bytes((byte,)))
                for byte in (b"\x02\0\x0f\0\x03\x03" + bytes(2 * MAX_SERVER_HELLO_BYTES // 6))
            ),
            "pieces",
        ),
    ],
)
def test_an_answer_without_end(data: bytes, words: str) -> None:
    """No more is kept than a ServerHello can need."""
    with pytest.raises(BadServerHelloError, match=words):
        read_server_hello(data)


ANSWERS = [bytes.fromhex(text) for text in (GO_AES128, GO_RETRY)]


@given(
    st.one_of(
        st.binary(max_size=200),
        *(damaged(answer) for answer in ANSWERS),
        damaged(record_of(ANSWERS[1])),
    )
)
def test_no_answer_raises_anything_else(data: bytes) -> None:
    """Whatever a server, or who is in its place, sends."""
    hello = hello_to(KEY)
    for answer in (data, record_of(data)):
        try:
            if classify_answer(answer).kind in {"server_hello", "hello_retry"}:
                message = read_server_hello(answer)
                assert message is None or isinstance(is_accepted(hello, message), bool)
            is_accepted(hello, answer)
        except BadServerHelloError:
            continue


def test_the_peer_s_confirmation_is_go_s() -> None:
    """The tests' own server side is held to the same recordings."""
    hello = hello_to(KEY)
    for answer in ANSWERS:
        blank = answer[:30] + bytes(8) + answer[38:] if answer is ANSWERS[0] else answer
        if answer is ANSWERS[1]:
            listed = answer[76:-12]
            blank = b"\x02" + sized(3, answer[4:74] + sized(2, listed))
        assert confirmed(blank, hello.inner) == answer
