"""Addresses as text are recognised, grouped, and kept out of free text."""

import ipaddress
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.wire.addresses import (
    SCRUBBED,
    ip_version,
    is_address,
    is_bogon,
    is_expected,
    network_of,
    parse_ranges,
    scrub,
)

ADDRESSES = st.ip_addresses().map(str)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Your IP is 93.184.216.34.", f"Your IP is {SCRUBBED}."),
        ("IP:...93.184.216.34", f"IP:...{SCRUBBED}"),
        ("93.184.216.34:443", f"{SCRUBBED}:443"),
        ("93.184.216.34.443 > x", f"{SCRUBBED}.443 > x"),
        ("v1.2.3 and 12:30:00 o'clock", "v1.2.3 and 12:30:00 o'clock"),
        ("12:30:00:25", "12:30:00:25"),
        ("std::vector a:b", "std::vector a:b"),
        ("2001:db8::1", SCRUBBED),
        ("[2001:db8::1]:443", f"[{SCRUBBED}]:443"),
        ("ip:2001:db8::1", f"ip:{SCRUBBED}"),
        ("from 2001:db8::1: hello", f"from {SCRUBBED}: hello"),
        ("2001:db8:0:0:0:0:0:1:", f"{SCRUBBED}"),
        ("2001:db8::1:end", f"{SCRUBBED}:end"),
        ("in 2001:db8::: here", f"in {SCRUBBED}: here"),
        ("fe80::1%wlan0", f"{SCRUBBED}%wlan0"),
        ("mac=02:00:5e:10:00:ff&x", f"mac={SCRUBBED}&x"),
        ("::ffff:93.184.216.34", f"{SCRUBBED}:{SCRUBBED}"),
    ],
)
def test_scrub(text: str, expected: str) -> None:
    """Addresses go, times of day and other text with dots and colons stay."""
    assert scrub(text) == expected


@given(ADDRESSES, st.sampled_from(" \n\"'<>()[],;=/&?"), st.sampled_from(" \n\"'<>()[],;.:&?"))
def test_no_address_survives_scrubbing(address: str, before: str, behind: str) -> None:
    """Whatever punctuation surrounds an address, it is replaced, in short and long form."""
    exploded = ipaddress.ip_address(address).exploded
    for form in (address, exploded, address.upper()):
        # "::" is nobody's address, and a colon behind it leaves two.
        assert form == "::" or form not in scrub(f"page{before}{form}{behind}end")


@pytest.mark.parametrize("unit", [":", "a:", "1.", "1.1.1.1.", "a", "::1 ", "1:2:3:4:5:6:7:8:9:"])
def test_scrubbing_a_hostile_page_takes_linear_time(unit: str) -> None:
    """64 KiB of anything must not hold up the event loop; a quadratic search takes minutes."""
    text = unit * (65536 // len(unit)) + "z"
    start = time.perf_counter()
    scrub(text)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", False),
        ("149.154.167.51", False),
        ("2001:67c:4e8:f002::a", False),
        ("0.0.0.0", True),
        ("10.1.2.3", True),
        ("100.64.0.1", True),
        ("127.0.0.1", True),
        ("169.254.1.1", True),
        ("192.168.1.1", True),
        ("224.0.0.251", True),
        ("240.0.0.1", True),
        ("255.255.255.255", True),
        ("::", True),
        ("::1", True),
        ("fe80::1", True),
        ("fd00::1", True),
        ("ff02::1", True),
        ("2001:db8::1", True),
    ],
)
def test_is_bogon(address: str, *, expected: bool) -> None:
    """Addresses of the special-purpose registries (RFC 6890) and multicast are bogons."""
    assert is_bogon(address) is expected


@given(ADDRESSES)
def test_an_address_lies_in_its_network(address: str) -> None:
    """The network has the unit's length and contains the address."""
    network = ipaddress.ip_network(network_of(address))
    assert ipaddress.ip_address(address) in network
    assert network.prefixlen == {4: 24, 6: 48}[ip_version(address)]


def test_neighbours_share_a_network() -> None:
    """Same /24, same /48: same network; one further: another."""
    assert network_of("91.108.56.1") == network_of("91.108.56.254") == "91.108.56.0/24"
    assert network_of("91.108.57.1") != network_of("91.108.56.1")
    assert network_of("2001:67c:4e8::1") == network_of("2001:67c:4e8:f000::2")


@given(st.text(max_size=60))
def test_only_literals_are_addresses(text: str) -> None:
    """`is_address` agrees with the parser on any text."""
    try:
        ip_version(text)
    except ValueError:
        assert not is_address(text)
    else:
        assert is_address(text)


def test_expected_ranges() -> None:
    """Inside, outside, other family, and null where a service publishes none."""
    ranges = parse_ranges(("91.108.4.0/22", "2001:67c:4e8::/48"))
    assert is_expected("91.108.7.255", ranges) is True
    assert is_expected("91.108.8.0", ranges) is False
    assert is_expected("2001:67c:4e8::1", ranges) is True
    assert is_expected("2001:67c:4e9::1", ranges) is False
    assert is_expected("8.8.8.8", ()) is None


def test_a_bad_range_raises() -> None:
    """A range with host bits is a mistake in the list, not a wider range."""
    with pytest.raises(ValueError, match="host bits"):
        parse_ranges(("91.108.4.0/22", "91.108.4.1/22"))
