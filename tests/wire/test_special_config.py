"""Signed lists of addresses: real ones, our own, and everything else."""

import base64
import hashlib
import json
import re
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from hypothesis import given, settings
from hypothesis import strategies as st

from censorlab.servers.special_config import (
    Place,
    SigningKey,
    cloudflare_answer,
    google_answer,
    new_signing_key,
    sign,
    sign_data,
    signed_text,
)
from probe.wire.special_config import (
    CLOCK_TOLERANCE,
    MESSAGE_BYTES,
    TELEGRAM_KEY,
    TEXT_CHARS,
    ConfigSimple,
    Fault,
    Form,
    PublicKey,
    Rule,
    SignedEndpoint,
    SpecialConfigError,
    _parse,
    decode,
    load_key,
    read_text,
)

FAILURES_PAGE = Path(__file__).parents[2] / "docs" / "failures.md"
NOW = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TELEGRAM = load_key(TELEGRAM_KEY)
FORMS: tuple[Form, ...] = get_args(Form)

TDLIB_2018 = (
    "   hO//tt \b\n\tiwPVovorKtIYtQ8y2ik7CqfJiJ4pJOCLRa4fBmNPixuRPXnBFF/3mTAAZoSyHq4SNylGHz0Cv1/"
    "FnWWdEV+BPJeOTk+ARHcNkuJBt0CqnfcVCoDOpKqGyq0U31s2MOpQvHgAG+Tlpg02syuH0E4dCGRw5CbJPARiynteb9y5"
    "fT5x/kmdp6BMR5tWQSQF0liH16zLh8BDSIdiMsikdcwnAvBwdNhRqQBqGx9MTh62MDmlebjtczE9Gz0z5cscUO2yhzGdp"
    "hgIy6SP+bwaqLWYF0XdPGjKLMUEJW+rou6fbL1t/EUXPtU0XmQAnO0Fh86h+AqDMOe30N4qKrPQ==   "
)
"""From TDLib's own tests (``test/mtproto.cpp``, ``encrypted_config``), noise included."""

TDLIB_2017 = (
    "   LQ2 \b\n\tru6xVXpHHckW4eQWK0X3uThupVOor5sXT8t298IjDksYeUseQTOIrnUqiQj7o+ZgPfhnfe+lfcQA+naax"
    "9akgllimjlJtL5riTf3O7iqZSnJ614qmCucxqqVTbXk/hY2KaJTtsMqk7cShJjM3aQ4DD40h2InTaG7uyVO2q7K0GMUTe"
    "Y3AM0Rt1lUjKHLDg4RwjTzZaG8TwfgL/mZ7jsvgTTTATPWKUo7SmxQ9Hsj+07NMGqr6JKZS6aiU1KnzVGCZ3OJEyRYock"
    "tN4HjaLpkguilaHWlVM2UNFUd5a+ajfLIiiKlH0FRC3XZ12CNDY+NBjv0I57N2O4fBfswTlA==  "
)
"""The same place before schema 5a592a6c: signed, and of a form that no client reads now."""

RECORDS_2026 = (
    (
        "oiVvQMgmCSOQvenEo/Ug1a+IzF4Q/13++Cq2zwvy0z75GVRblmruH6SBuEaPsfEzpAdJw/1QoMphLuQx9bzCU2"
        "LgCMLNZ+4awO+Is8p4k0r4FgerDwWBFabdMBUl2sZMOKI4c4soNa6LXal7q7kuVTZjFNSC6p9dcYTYtG1GnQPf"
        "5W7kD6hPZDr1PF5+Wga3yp6hErN0iff2BMxmmmxAAbWOQ2TbaDlY36ViLkf9RUXcxAABU4Vg9d9mW0"
    ),
    "35arl4mB8+LFXX7F4rGWpyGpsclPI6jq4L7OvFpmAAJtUp7pD8BSBtCJa7rgojCjkjnYxGPQA/3MHeBCrT22Y5V+Y0KA==",
)
"""TXT records of apv3.stel.com as dns.google gave them on 2026-10-01, to be had by anybody."""

FIRESTORE_2026 = (
    "SIiJpKPAUg/1tqjnFQSFH78tMOqkYxeiiKkY6B4Ao1hBDp/UbDy9Zda2azORL1ibt7mRfy6E8wPekcSqWvTHDPnaYk7ec"
    "9VkEWgSDBYUadtAZAI7mvAaV3rDdUS63lMcteZf7BOVYX56GgXO3CSLmMx0P0CRybYwRwERDgQ5tY+QuPyTXPn5Xm+Foe"
    "qjH3niDmPi+8rOmw6Q3paCYJNtGr9+LyspCvWdL0Pto5g0XBLTpMMkj7nwB9bttrMrLbKu0ToOIOwlYd8VkJVypR6KSLh"
    "Czs0tevQONL8FB+npIQCr1HdDukoLREofAtUsGc2kaliZ2ORDeur24emaUaNI6g=="
)
"""What firestore.googleapis.com gave on the same day."""

FAKE_TLS = bytes.fromhex("eef7f7da556b4bd989fd44c9bc7b7b2a75") + b"www.google.com"


@pytest.fixture(scope="session")
def key() -> SigningKey:
    return new_signing_key()


def answer(*data: object, kind: object = 16, status: int = 0) -> bytes:
    """Return the JSON form of a DNS answer with a record to each of these."""
    records = [{"name": "a.", "type": kind, "TTL": 9, "data": each} for each in data]
    return json.dumps({"Status": status, "Answer": records}).encode()


def fault_of(text: str, *keys: PublicKey, now: datetime = NOW) -> tuple[Fault, ConfigSimple | None]:
    with pytest.raises(SpecialConfigError) as raised:
        decode(text, keys or (TELEGRAM,), now)
    return raised.value.fault, raised.value.config


def test_the_key_is_telegrams() -> None:
    """Its fingerprint by MTProto's rule: the end of the SHA-1 of both numbers as strings."""
    modulus = TELEGRAM.modulus.to_bytes(256, "big")
    serialized = b"\xfe\x00\x01\x00" + modulus + b"\x03" + TELEGRAM.exponent.to_bytes(3, "big")
    assert hashlib.sha1(serialized).digest()[-8:][::-1].hex() == "6f3a701151477715"


def test_a_text_of_2018() -> None:
    """Signed, read whole, and long out of date."""
    expected = ConfigSimple(
        date=datetime(2018, 4, 27, 22, 44, 49, tzinfo=UTC),
        expires=datetime(2018, 5, 27, 22, 44, 49, tzinfo=UTC),
        rules=(
            Rule(
                phone_prefix_rules=b"",
                dc_id=2,
                endpoints=(
                    SignedEndpoint(
                        address="138.68.157.255",
                        port=5222,
                        secret=bytes.fromhex("10ad280a6401a8bbb41733d3c3c3773c36")[1:],
                    ),
                ),
            ),
        ),
    )
    assert fault_of(TDLIB_2018) == ("special_config_expired", expected)
    assert decode(TDLIB_2018, [TELEGRAM], expected.date) == expected
    assert read_text(TDLIB_2018.encode(), "text") == TDLIB_2018


def test_a_text_of_2017_is_of_another_form() -> None:
    assert fault_of(TDLIB_2017) == ("special_config_malformed", None)


@pytest.mark.parametrize("order", [1, -1])
def test_records_of_2026_in_either_order(order: int) -> None:
    """Dns.google gives them so to one question and so to another."""
    text = read_text(answer(*RECORDS_2026[::order]), "dns_json")
    config = decode(text, [TELEGRAM], NOW)

    assert config.date == datetime(2026, 5, 4, 18, 31, 45, tzinfo=UTC)
    assert config.expires == datetime(2027, 5, 4, 18, 31, 45, tzinfo=UTC)
    assert config.endpoints() == ((4, SignedEndpoint("194.221.250.50", 443, FAKE_TLS)),)


WHOLE = "".join(RECORDS_2026)
QUOTED = [f'"{record}"' for record in RECORDS_2026]


@pytest.mark.parametrize(
    "body",
    [
        google_answer("a", WHOLE),
        cloudflare_answer("a", WHOLE),
        {"Answer": [{"type": 16, "data": " ".join(QUOTED)}]},
        {"Answer": [{"type": 16, "data": "".join(QUOTED)}]},
        {"Answer": [{"type": 16, "data": WHOLE}]},
        {"Answer": [{"type": 16, "data": '"' + "\\010".join(RECORDS_2026) + '"'}]},
        {"Answer": [{"type": 16, "data": "\\\n".join(RECORDS_2026)}]},
        {
            "Answer": [
                {"type": 5, "data": "b."},
                {"type": 46, "data": "x" * 999},
                7,
                {"type": 16},
                {"type": 16, "data": None},
                *({"type": 16, "data": quoted} for quoted in QUOTED),
            ]
        },
    ],
)
def test_forms_of_an_answer(body: Any) -> None:
    """Bare, quoted, in one record, with line breaks, among other things."""
    assert decode(read_text(json.dumps(body).encode(), "dns_json"), [TELEGRAM], NOW)


@pytest.mark.parametrize(
    "body",
    [
        FIRESTORE_2026,
        f"\ufeff{FIRESTORE_2026[:200]}\r\n{FIRESTORE_2026[200:]}\r\n",
        json.dumps(FIRESTORE_2026),
        json.dumps(f"{FIRESTORE_2026[:200]}\n{FIRESTORE_2026[200:]}").replace("/", "\\/"),
        json.dumps({"name": "n" * 99, "fields": {"data": {"stringValue": FIRESTORE_2026}}}),
        json.dumps({"entries": {"ipconfigv3": FIRESTORE_2026}, "state": ["UPDATE", 1, None]}),
    ],
    ids=["plain", "lines", "realtime", "escaped", "firestore", "remote config"],
)
def test_a_text_or_json_around_it(body: str) -> None:
    config = decode(read_text(body.encode(), "text"), [TELEGRAM], NOW)

    assert config.expires.date().isoformat() == "2027-07-24"
    assert [dc_id for dc_id, _ in config.endpoints()] == [4]


@pytest.mark.parametrize(
    ("body", "form", "fault"),
    [
        (b"<html>Blocked</html>", "dns_json", "special_config_not_dns_json"),
        (b"", "dns_json", "special_config_not_dns_json"),
        (b"[]", "dns_json", "special_config_not_dns_json"),
        (b'{"error": 1}', "dns_json", "special_config_not_dns_json"),
        (b"[" * 32_000, "dns_json", "special_config_not_dns_json"),
        (b'{"Status": 3}', "dns_json", "special_config_not_found"),
        (b'{"Status": 0, "Answer": {"a": 1}}', "dns_json", "special_config_not_found"),
        (answer("192.0.2.1", kind=1), "dns_json", "special_config_not_found"),
        (answer(RECORDS_2026[0], kind="16"), "dns_json", "special_config_not_found"),
        (answer('""'), "dns_json", "special_config_not_found"),
        (answer(RECORDS_2026[0]), "dns_json", "special_config_wrong_length"),
        (answer("v=spf1 -all", *RECORDS_2026), "dns_json", "special_config_wrong_length"),
        (b"", "text", "special_config_not_found"),
        (b" \n\xff", "text", "special_config_not_found"),
        (b"<html>Blocked</html>", "text", "special_config_wrong_length"),
        (b"[" * 32_000 + b"A", "text", "special_config_wrong_length"),
        (b"A" * 343 + b"=", "text", "special_config_wrong_length"),
        (b"A" * 344, "text", "special_config_wrong_length"),
        (b"=" * 344, "text", "special_config_wrong_length"),
        (b"A" * 342 + b"==", "text", "special_config_bad_signature"),
        (b"/" * 341 + b"w==", "text", "special_config_bad_signature"),
    ],
)
def test_answers_that_hold_no_signed_text(body: bytes, form: Form, fault: Fault) -> None:
    with pytest.raises(SpecialConfigError) as raised:
        decode(read_text(body, form), [TELEGRAM], NOW)
    assert (raised.value.fault, raised.value.config) == (fault, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
records = st.fixed_dictionaries(
    {}, optional={"type": st.just(16) | json_values, "data": json_values, "TTL": json_values}
)
bodies = (
    st.binary(max_size=2000)
    | json_values.map(json.dumps).map(str.encode)
    | st.fixed_dictionaries(
        {"Answer": st.lists(records) | json_values}, optional={"Status": json_values}
    )
    .map(json.dumps)
    .map(str.encode)
)


@given(body=bodies, form=st.sampled_from(FORMS), now=st.datetimes(timezones=st.just(UTC)))
def test_no_answer_raises_anything_else(body: bytes, form: Form, now: datetime) -> None:
    with pytest.raises(SpecialConfigError) as raised:
        decode(read_text(body, form), [TELEGRAM], now)
    assert raised.value.fault in get_args(Fault)


@given(
    st.text(max_size=500)
    | st.text("ABab01+/=", min_size=TEXT_CHARS, max_size=TEXT_CHARS)
    | st.binary(min_size=MESSAGE_BYTES, max_size=MESSAGE_BYTES).map(
        lambda message: base64.b64encode(message).decode()
    ),
)
def test_no_text_raises_anything_else(text: str) -> None:
    assert fault_of(text)[1] is None


CONFIG = bytes.fromhex(
    "440000006c2a595ae1a7e35ae1340b5b010000005fb6794600000000020000000100000046269837ff9d448a"
    "6614000010ad280a6401a8bbb41733d3c3c3773c36000000"
)
"""What the text of 2018 holds; random bytes follow."""


@given(
    st.binary(min_size=208, max_size=208)
    | st.tuples(st.integers(0, 67), st.binary(min_size=1, max_size=8)).map(
        lambda change: (CONFIG[: change[0]] + change[1] + CONFIG[change[0] + 1 :]).ljust(208, b"p")
    ),
)
def test_signed_data_of_any_kind_is_a_config_or_malformed(data: bytes) -> None:
    """A lab signs what it likes."""
    try:
        config = _parse(data[:208])
    except SpecialConfigError as error:
        assert error.fault == "special_config_malformed"  # noqa: PT017 # either is right
    else:
        assert config.rules
        assert len(config.endpoints()) <= 14


def head(rules: int = 1, *, date: datetime = NOW, expires: datetime = NOW) -> bytes:
    return struct.pack("<Iiii", 0x5A592A6C, int(date.timestamp()), int(expires.timestamp()), rules)


def rule(places: int = 1, dc_id: int = 2) -> bytes:
    return struct.pack("<Iiii", 0x4679B65F, 0, dc_id, places)


def ip_port(port: int = 443) -> bytes:
    return struct.pack("<Iii", 0xD433AD73, 1, port)


GOOD = head() + rule() + ip_port()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (struct.pack("<i", len(GOOD) + 4) + GOOD, None),
        (struct.pack("<i", len(GOOD) + 8) + GOOD, "special_config_malformed"),
        (struct.pack("<i", len(GOOD)) + GOOD, "special_config_malformed"),
        (struct.pack("<i", len(GOOD) + 5) + GOOD, "special_config_malformed"),
        (struct.pack("<i", 0) + GOOD, "special_config_malformed"),
        (struct.pack("<i", -4) + GOOD, "special_config_malformed"),
        (struct.pack("<i", 212) + GOOD, "special_config_malformed"),
    ],
)
def test_the_length_is_of_everything(key: SigningKey, data: bytes, fault: Fault | None) -> None:
    """Its own four bytes too, as both clients want it."""
    text, public = sign_data(key, data), load_key(key.public)
    if fault is None:
        assert decode(text, [public], NOW).endpoints() == (
            (2, SignedEndpoint("0.0.0.1", 443, b"")),
        )
    else:
        assert fault_of(text, public)[0] == fault


@pytest.mark.parametrize(
    "body",
    [
        head(0),
        head(-1),
        head(2**31 - 1) + rule() + ip_port(),
        head() + rule(2) + ip_port(),
        head() + rule(-1) + ip_port(),
        head() + rule(dc_id=2**15) + ip_port(),
        head() + rule() + ip_port(0),
        head() + rule() + ip_port(65536),
        head() + rule() + ip_port(-443),
        head() + ip_port() + rule(),
        b"\0" + GOOD[1:],
        GOOD + bytes(4),
        head() + struct.pack("<IIii", 0x4679B65F, 0xFF, 2, 0),
    ],
    ids=bytes.hex,
)
def test_signed_and_malformed(key: SigningKey, body: bytes) -> None:
    fault, config = fault_of(sign(key, body), load_key(key.public))
    assert (fault, config) == ("special_config_malformed", None)


@pytest.mark.parametrize(
    ("date", "expires", "fault"),
    [
        (NOW, NOW, None),
        (NOW + CLOCK_TOLERANCE, NOW + CLOCK_TOLERANCE, None),
        (NOW + CLOCK_TOLERANCE + SECOND, NOW + CLOCK_TOLERANCE, "special_config_not_yet_valid"),
        (NOW - 2 * SECOND, NOW - SECOND, "special_config_expired"),
    ],
)
def test_when_it_holds(
    key: SigningKey, date: datetime, expires: datetime, fault: Fault | None
) -> None:
    """What is out of date is told as well as how."""
    text = sign(key, head(date=date, expires=expires) + rule() + ip_port())
    public = load_key(key.public)
    if fault is None:
        assert decode(text, [public], NOW).expires == expires
    else:
        found, config = fault_of(text, public)
        assert found == fault
        assert config is not None
        assert (config.date, config.expires) == (date, expires)


places = st.builds(
    Place,
    dc_id=st.integers(-5, 5) | st.integers(-(2**15), 2**15 - 1),
    address=st.ip_addresses(v=4).map(str),
    port=st.integers(1, 65535),
    secret=st.none() | st.binary(min_size=1, max_size=20),
)
moments = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 # hypothesis adds the zone
    max_value=datetime(2038, 1, 1),  # noqa: DTZ001 # as above
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=0))


@settings(max_examples=20, deadline=None)  # signing takes 30 ms and more
@given(
    named=st.lists(places, min_size=1, max_size=3),
    date=moments,
    prefixes=st.sampled_from(["", "+7,-77", "+98"]),
)
def test_what_is_signed_is_what_is_read(
    key: SigningKey, named: list[Place], date: datetime, prefixes: str
) -> None:
    """Each address once; the lab's key beside Telegram's."""
    text = signed_text(key, named, date=date, expires=date + SECOND, phone_prefix_rules=prefixes)
    config = decode(text, [TELEGRAM, load_key(key.public)], date)

    expected = [
        (place.dc_id, SignedEndpoint(place.address, place.port, place.secret or b""))
        for place in named
    ]
    assert config.endpoints() == tuple(dict.fromkeys(expected))
    assert {each.phone_prefix_rules for each in config.rules} == {prefixes.encode()}
    assert fault_of(text, TELEGRAM, now=date)[0] == "special_config_bad_signature"


def test_as_many_as_fit(key: SigningKey) -> None:
    """A long secret has a longer head."""
    many = [Place(2, f"192.0.2.{n}", 443) for n in range(14)]
    long = Place(2, "192.0.2.1", 443, b"s" * 150)
    public = load_key(key.public)
    for named in (many, [long]):
        text = signed_text(key, named, date=NOW, expires=NOW)
        assert len(decode(text, [public], NOW).endpoints()) == len(named)
    with pytest.raises(ValueError, match="do not fit"):
        signed_text(key, [*many, long], date=NOW, expires=NOW)


@given(bit=st.integers(0, MESSAGE_BYTES * 8 - 1))
def test_a_flipped_bit_of_the_signature_never_verifies(bit: int) -> None:
    message = bytearray(base64.b64decode(WHOLE))
    message[bit // 8] ^= 1 << bit % 8
    assert fault_of(base64.b64encode(message).decode())[0] == "special_config_bad_signature"


@given(at=st.integers(0, TEXT_CHARS - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_of_the_text_never_verifies(at: int, bit: int) -> None:
    """Not even one that base64 leaves over."""
    changed = WHOLE[:at] + chr(ord(WHOLE[at]) ^ 1 << bit) + WHOLE[at + 1 :]
    assert fault_of(changed)[0] in {"special_config_bad_signature", "special_config_wrong_length"}


def test_a_signature_has_one_form() -> None:
    """A number and the modulus on top of it are the same to RSA (here: to exponent 1)."""
    data = (struct.pack("<i", len(GOOD) + 4) + GOOD).ljust(208, b"p")
    secret = bytes(32)
    encryptor = Cipher(AES256(secret), CBC(secret[16:])).encryptor()
    block = secret + encryptor.update(data + hashlib.sha256(data).digest()[:16])
    anybodys = PublicKey(modulus=2**2047 + 1, exponent=1)
    above = (int.from_bytes(block, "big") + anybodys.modulus).to_bytes(MESSAGE_BYTES, "big")

    assert decode(base64.b64encode(block).decode(), [anybodys], NOW)
    fault, _ = fault_of(base64.b64encode(above).decode(), anybodys)
    assert fault == "special_config_bad_signature"


def test_keys_in_both_of_their_forms(key: SigningKey) -> None:
    loaded = serialization.load_pem_private_key(key.private.encode(), password=None)
    other = loaded.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert load_key(other.decode()) == load_key(key.public)


def pem(private: Any) -> str:
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return str(public.decode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no key",
        TELEGRAM_KEY.replace("M", "!"),
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
    ],
)
def test_what_is_no_key_of_that_kind(text: str) -> None:
    with pytest.raises(ValueError):
        load_key(text)


def test_every_fault_is_documented() -> None:
    """docs/failures.md has a row for each, and none more."""
    rows = re.findall(
        r"^\| `(special_config_\w+)` \|", FAILURES_PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert rows == sorted(get_args(Fault))
