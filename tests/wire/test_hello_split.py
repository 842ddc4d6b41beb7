"""Where a hello is cut: within the name, in every form of hello, and nothing else is touched."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from censorlab.opening.tls import read_client_hello
from probe.model.observation import HelloSplit
from probe.wire.addresses import is_address
from probe.wire.clienthello import OwnProfile, build_client_hello
from probe.wire.hello_split import name_cut, server_name_at, split_hello

CHANGE_CIPHER_SPEC = bytes.fromhex("140303000101")
SPLITS: tuple[HelloSplit, ...] = ("segments", "records")
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAMES = (
    st.lists(LABELS, min_size=1, max_size=6).map(".".join).filter(lambda name: not is_address(name))
)


def records_of(flight: bytes) -> list[bytes]:
    """Return the payloads of records."""
    found, at = [], 0
    while at < len(flight):
        size = int.from_bytes(flight[at + 3 : at + 5], "big")
        found.append(flight[at + 5 : at + 5 + size])
        assert len(found[-1]) == size
        at += 5 + size
    return found


def pieces_of(flight: bytes, split: HelloSplit) -> list[bytes]:
    """Return what a censor reads that looks at one segment, or at one record."""
    writes = split_hello(flight, split)
    if split == "segments":
        return list(writes)
    assert len(writes) == 1
    return records_of(writes[0])


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("profile", ["small", "large", "ech"])
@settings(max_examples=40)
@given(name=NAMES)
def test_no_piece_holds_the_name(split: HelloSplit, profile: OwnProfile, name: str) -> None:
    """Nor any suffix of two labels or more; together they are the same hello, to a byte."""
    flight = build_client_hello(name, profile, os.urandom)
    first, second = pieces_of(flight, split)

    assert first
    assert second
    whole = flight if split == "segments" else flight[5:]
    assert first + second == whole
    labels = name.split(".")
    ends_at = whole.rindex(len(name).to_bytes(2, "big") + name.encode()) + 2 + len(name)
    shortest = min(len(name), len(".".join(labels[-2:])))
    assert ends_at - shortest < len(first) < ends_at or len(name) == 1
    hello = read_client_hello(b"".join(split_hello(flight, split)))
    assert hello is not None
    assert hello.server_name == name


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("telegram.org", "tele"),
        ("web.telegram.org", "web.tele"),
        ("t.me", "t.m"),
        ("a.b", "a"),
        ("example.international", "example.intern"),
        ("localhost", "loca"),
        ("x", ""),
        ("ab", "a"),
    ],
)
def test_the_longer_of_the_last_two_labels_is_cut(name: str, first: str) -> None:
    assert name[: name_cut(name.encode())] == first


@given(st.binary(max_size=300))
def test_any_name_has_a_place_to_cut(name: bytes) -> None:
    """Inside, if it has an inside."""
    cut = name_cut(name)
    assert (0 < cut < len(name)) if len(name) > 1 else cut == 0


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", ["", "192.0.2.1"])
def test_a_hello_that_names_nobody_is_cut_in_the_middle(split: HelloSplit, name: str) -> None:
    flight = build_client_hello(name, "small", os.urandom)
    first, second = pieces_of(flight, split)

    assert server_name_at(flight[5:]) is None
    assert abs(len(first) - len(second)) <= 10
    assert read_client_hello(b"".join(split_hello(flight, split))) is not None


@pytest.mark.parametrize("split", SPLITS)
def test_a_hello_that_is_already_in_several_records(split: HelloSplit) -> None:
    """The record that the cut falls into is cut; where two meet already nothing is done."""
    flight = build_client_hello("web.telegram.org", "small", os.urandom)
    at = flight.index(b"web.telegram.org")
    for offset in range(-2, 12):
        cut = at + offset - 5
        framed = b"".join(
            b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece
            for piece in (flight[5 : 5 + cut], flight[5 + cut :])
        )
        pieces = pieces_of(framed, split)
        assert not any(b"web.telegram.org" in piece for piece in pieces)
        if split == "records":
            assert b"".join(pieces) == flight[5:]
            assert all(pieces)


@pytest.mark.parametrize("split", SPLITS)
def test_a_second_hello_is_cut_behind_its_change_cipher_spec(split: HelloSplit) -> None:
    """RFC 8446 section D.4: after a HelloRetryRequest both come in one flight."""
    flight = CHANGE_CIPHER_SPEC + build_client_hello("web.telegram.org", "small", os.urandom)
    writes = split_hello(flight, split)

    assert len(writes) == (2 if split == "segments" else 1)
    assert writes[0].startswith(CHANGE_CIPHER_SPEC)
    assert b"web.telegram.org" not in writes[0]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    "flight",
    [
        b"",
        bytes.fromhex("1603030004100000 00"),
        CHANGE_CIPHER_SPEC + bytes.fromhex("170303000548656c6c6f"),
        bytes.fromhex("15030300020100"),
        bytes.fromhex("1603010000"),
        bytes.fromhex("160301000401000000"),
        build_client_hello("web.telegram.org", "small", os.urandom)[:-1],
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["nothing", "key exchange", "finished", "alert", "empty", "no body", "short", "http"],
)
def test_what_is_no_hello_is_left_alone(split: HelloSplit, flight: bytes) -> None:
    assert split_hello(flight, split) == (flight,)


@pytest.mark.parametrize("split", SPLITS)
@settings(max_examples=60)
@given(noise=st.binary(max_size=400), where=st.integers(0, 400), keep=st.integers(0, 600))
def test_bytes_are_kept_whatever_they_are(
    split: HelloSplit, noise: bytes, where: int, keep: int
) -> None:
    """A broken hello is no error, and no record of it is empty."""
    hello = bytearray(build_client_hello("a.example", "small", os.urandom))
    hello[5 + where : 5 + where + len(noise)] = noise
    flight = bytes(hello[:keep])
    writes = split_hello(flight, split)

    assert flight == b"" or all(writes)
    if split == "segments" or writes == (flight,):
        assert b"".join(writes) == flight
    else:
        assert len(writes[0]) == len(flight) + 5


def test_without_a_split_nothing_is_read() -> None:
    assert split_hello(b"anything", None) == (b"anything",)
