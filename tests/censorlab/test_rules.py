"""Rules are pure: the same state and bytes give the same action, and survive JSON."""

import itertools

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.rules import (
    PASS,
    SEGMENT_BYTES,
    Blackout,
    DnsForge,
    DnsNxdomain,
    DnsRefused,
    DnsServfail,
    DnsTimeout,
    EncryptedDnsDrop,
    ForgedCertificate,
    Freeze,
    IpDrop,
    Paced,
    Place,
    QueryVerdict,
    Rule,
    SniDrop,
    SniRst,
    TcpRefuse,
    Throttle,
    Treatment,
    matches,
    on_connect,
    on_hello,
    on_query,
    on_reply,
)

NAME = "web.messenger.test"
PATTERN = "*.messenger.test"
SERVICE = Place("127.10.1.1", "service")
RESOLVER = Place("127.30.1.1", "resolver")

EVERY_RULE: tuple[Rule, ...] = (
    IpDrop(addresses=("127.10.1.1",)),
    TcpRefuse(addresses=("127.10.1.1",)),
    SniRst(server_name=PATTERN),
    SniDrop(server_name=PATTERN),
    Throttle(server_name=PATTERN),
    Freeze(server_name=PATTERN, after_bytes=16384),
    ForgedCertificate(server_name=PATTERN),
    DnsForge(name=PATTERN, address="192.0.2.1"),
    DnsNxdomain(name=PATTERN),
    DnsTimeout(name=PATTERN),
    DnsRefused(name=PATTERN),
    DnsServfail(name=PATTERN),
    EncryptedDnsDrop(),
    Blackout(),
)


@pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: type(rule).__name__)
def test_a_rule_survives_json(rule: Rule) -> None:
    """What the driver writes is what the lab reads."""
    stored = orjson.dumps(msgspec.to_builtins(rule))
    assert msgspec.convert(orjson.loads(stored), Rule) == rule


@pytest.mark.parametrize(
    "raw",
    [
        {"rule": "throttle", "server_name": "a", "rate_bytes_per_s": 0},
        {"rule": "freeze", "server_name": "a", "after_bytes": -1},
        {"rule": "sni_rst", "server_name": ""},
        {"rule": "sni_rst", "server_name": "a", "extra": 1},
        {"rule": "dns_forge", "name": "a", "address": "not an address"},
        {"rule": "unknown"},
    ],
)
def test_a_senseless_rule_is_refused(raw: dict[str, object]) -> None:
    """A rule that the lab could not carry out never gets in force."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(raw, Rule)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*.messenger.test", "web.messenger.test", True),
        ("*.messenger.test", "a.b.messenger.test", True),
        ("*.messenger.test", "WEB.Messenger.TEST.", True),
        ("*.messenger.test", "messenger.test", False),
        ("*.messenger.test", "notmessenger.test", False),
        ("web.messenger.test", "web.messenger.test", True),
        ("web.messenger.test", "t.messenger.test", False),
    ],
)
def test_pattern(pattern: str, name: str, expected: bool) -> None:  # noqa: FBT001 -- a table's cell
    """A star stands for at least one label; case and the final dot do not count."""
    assert matches(pattern, name) is expected


def test_syn_to_a_place() -> None:
    """Only the listed addresses, or the encrypted resolvers, or everything."""
    other = Place("127.10.2.1", "service")
    dot = Place("127.30.1.1", "encrypted_resolver")
    drop, refuse = IpDrop(addresses=("127.10.1.1",)), TcpRefuse(addresses=("127.10.1.1",))
    assert on_connect((), SERVICE) == "open"
    assert on_connect((drop,), SERVICE) == "drop"
    assert on_connect((drop,), other) == "open"
    assert on_connect((refuse,), SERVICE) == "refuse"
    assert on_connect((refuse, drop), SERVICE) == "drop"
    assert on_connect((EncryptedDnsDrop(),), dot) == "drop"
    assert on_connect((EncryptedDnsDrop(),), RESOLVER) == "open"
    assert on_connect((Blackout(),), Place("127.0.0.1", "proxy")) == "drop"


def test_hello() -> None:
    """A rule touches the names it lists and no others, nor a hello without a name."""
    assert on_hello(EVERY_RULE, None) == PASS
    assert on_hello(EVERY_RULE, "www.example.test") == PASS
    assert on_hello((SniRst(server_name=PATTERN),), NAME).action == "reset"
    both = (SniDrop(server_name=PATTERN), SniRst(server_name="t.messenger.test"))
    assert on_hello(both, NAME).action == "swallow"
    slow = (Throttle(server_name=PATTERN), Freeze(server_name=PATTERN, after_bytes=9))
    assert on_hello(slow, NAME) == Treatment(rate_bytes_per_s=16_000, freeze_after_bytes=9)
    assert on_hello((ForgedCertificate(server_name=PATTERN),), NAME).intercepted


@given(
    st.integers(1, 10**7),
    st.lists(
        st.tuples(st.integers(1, 70_000), st.floats(0, 2, allow_nan=False)), min_size=1, max_size=20
    ),
)
def test_pacing_never_beats_the_rate(rate: int, chunks: list[tuple[int, float]]) -> None:
    """However the server bursts or pauses, no window is faster than the rate."""
    treatment, state, now = Treatment(rate_bytes_per_s=rate), Paced(), 100.0
    passed = []
    for offered, pause in chunks:
        now += pause
        release = on_reply(treatment, state, offered, now)
        assert release is not None
        assert 1 <= release.n_bytes <= min(offered, SEGMENT_BYTES)
        assert release.at >= now
        passed.append((release.at, release.n_bytes))
        state, now = release.state, release.at
    for (earlier, _), (later, n_bytes) in itertools.pairwise(passed):
        assert later - earlier >= n_bytes / rate - 1e-6


@given(st.integers(0, 100_000), st.lists(st.integers(1, 70_000), max_size=20))
def test_freeze_counts_to_the_byte(limit: int, chunks: list[int]) -> None:
    """Exactly the limit passes, however it is cut into chunks."""
    treatment, state, passed = Treatment(freeze_after_bytes=limit), Paced(), 0
    for offered in chunks:
        release = on_reply(treatment, state, offered, 0.0)
        if release is None:
            break
        passed, state = passed + release.n_bytes, release.state
    assert passed == min(limit, sum(chunks))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (DnsForge(name=PATTERN, address="192.0.2.1"), ("forge_then_answer", "192.0.2.1")),
        (DnsForge(name=PATTERN, address="2001:db8::1"), ("answer", "")),
        (DnsNxdomain(name=PATTERN), ("nxdomain", "")),
        (DnsTimeout(name=PATTERN), ("silence", "")),
        (DnsRefused(name=PATTERN), ("refused", "")),
        (DnsServfail(name=PATTERN), ("servfail", "")),
        (IpDrop(addresses=("127.30.1.1",)), ("silence", "")),
        (Blackout(), ("silence", "")),
    ],
)
def test_query(rule: Rule, expected: tuple[str, str]) -> None:
    """Each DNS rule has one effect, and none on a resolver out of its reach."""
    assert on_query((rule,), RESOLVER, NAME, 4) == QueryVerdict(*expected)
    honest = Place("127.30.2.1", "honest_resolver")
    far = on_query((rule,), honest, NAME, 4).action
    assert far == ("silence" if isinstance(rule, Blackout) else "answer")
