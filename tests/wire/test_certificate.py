"""Certificates are described whatever is wrong with them."""

import hashlib
import ssl

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.wire.certificate import MAX_NAMES, parse_certificate

AUTHORITY = trustme.CA(organization_name="Test authority")


def der_of(*names: str) -> bytes:
    """Return a leaf certificate for the names."""
    pem = AUTHORITY.issue_cert(*names).cert_chain_pems[0].bytes().decode()
    return ssl.PEM_cert_to_DER_cert(pem)


LEAF = der_of("www.example.org", "127.0.0.1")


def test_a_leaf_is_described() -> None:
    """Hash, names, times in RFC 3339."""
    found = parse_certificate(LEAF)
    assert found.sha256 == hashlib.sha256(LEAF).hexdigest()
    assert "Test authority" in found.issuer
    assert found.subject_alt_names == ("www.example.org", "127.0.0.1")
    assert found.not_before < found.not_after
    assert found.not_after.endswith("Z")


def test_names_are_bounded() -> None:
    """A hostile certificate names thousands."""
    names = [f"{i}.example.org" for i in range(MAX_NAMES + 50)]
    assert len(parse_certificate(der_of(*names)).subject_alt_names) == MAX_NAMES


def test_a_version_that_does_not_exist() -> None:
    """TLS libraries hand such a certificate over; it is recorded like any other."""
    version = LEAF.index(b"\xa0\x03\x02\x01\x02") + 4
    found = parse_certificate(LEAF[:version] + b"\x05" + LEAF[version + 1 :])
    assert found.subject == "unparsable"


def test_a_serial_number_below_one() -> None:
    """The library warns of it; a peer's certificate is nothing to warn a user of."""
    serial = LEAF.index(b"\xa0\x03\x02\x01\x02") + 7
    found = parse_certificate(LEAF[:serial] + b"\x80" + LEAF[serial + 1 :])
    assert found.subject_alt_names == ("www.example.org", "127.0.0.1")


@pytest.mark.parametrize("der", [b"", b"garbage", b"\x30\x80", LEAF[:-1], LEAF + b"x"])
def test_garbage_has_a_hash_and_nothing_else(der: bytes) -> None:
    """What is unparsable says so and can still be counted."""
    found = parse_certificate(der)
    assert found.sha256 == hashlib.sha256(der).hexdigest()
    assert (found.subject, found.not_after, found.subject_alt_names) == (
        "unparsable",
        "unparsable",
        (),
    )


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, len(LEAF) - 1), st.integers(0, 255)), max_size=4))
def test_no_damage_raises(changes: list[tuple[int, int]]) -> None:
    """Any byte may be anything in a forged certificate."""
    der = bytearray(LEAF)
    for place, value in changes:
        der[place] = value
    parse_certificate(bytes(der))
