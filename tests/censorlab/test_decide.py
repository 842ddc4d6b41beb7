"""Decisions are pure: the same rules and bytes give the same outcome, in both engines."""

import itertools
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.addresses import packed
from censorlab.decide import (
    PASS,
    SEGMENT_BYTES,
    Forgery,
    Paced,
    QueryVerdict,
    Treatment,
    matches,
    on_connect,
    on_first_bytes,
    on_place,
    on_query_at,
    on_reply,
)
from censorlab.memory import Contact, Memory
from censorlab.opening.first_bytes import Opening, Seen
from censorlab.rules import (
    Blackout,
    DnsForge,
    DnsHijack,
    DnsNxdomain,
    DnsRefused,
    DnsServfail,
    DnsTimeout,
    EncryptedDnsDrop,
    ForgedCertificate,
    Freeze,
    HttpBlockpage,
    HttpHostRst,
    HttpTruncate,
    IpDrop,
    MtprotoDrop,
    ParallelPolicing,
    Place,
    ProfileDrop,
    RandomLoss,
    RecordDrop,
    Residual,
    Rule,
    SniDrop,
    SniDropReply,
    SniReset,
    SniRst,
    SynDrop,
    SynRst,
    TcpRefuse,
    Throttle,
    TlsVersionDrop,
    UdpDrop,
)

NAME = "web.messenger.test"
PATTERN = "*.messenger.test"
SERVICE = Place("127.10.1.1", "service", 4443)
RESOLVER = Place("127.30.1.1", "resolver")
SERVER = packed(SERVICE.address)


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


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((), "open"),
        ((IpDrop(addresses=("127.10.1.1",)),), "drop"),
        ((IpDrop(addresses=("127.10.0.0/16",)),), "drop"),
        ((IpDrop(addresses=("127.10.2.1", "::/0")),), "open"),
        ((TcpRefuse(addresses=("127.10.0.0/16",)),), "refuse"),
        ((TcpRefuse(addresses=("127.10.1.1",)), IpDrop(addresses=("127.10.1.1",))), "drop"),
        ((SynDrop(port=4443),), "drop"),
        ((SynDrop(port=443),), "open"),
        ((SynRst(addresses=("127.10.1.1",), port=4443),), "refuse"),
        ((EncryptedDnsDrop(),), "open"),
        ((UdpDrop(),), "open"),
        ((Blackout(),), "drop"),
    ],
)
def test_syn_to_a_place(rules: tuple[Rule, ...], expected: str) -> None:
    """Addresses, networks and ports; a drop hides a refusal."""
    assert on_connect(rules, SERVICE) == expected


def test_syn_to_an_encrypted_resolver() -> None:
    """Told by its kind, which only the lab knows."""
    assert on_connect((EncryptedDnsDrop(),), Place("127.30.1.1", "encrypted_resolver")) == "drop"
    assert on_connect((EncryptedDnsDrop(),), RESOLVER) == "open"


def test_losses_add_up() -> None:
    """Two rules lose what either would."""
    rules = (RandomLoss(share=0.5), RandomLoss(share=0.5, port=1), RandomLoss(share=0.5))
    assert on_place(rules, SERVER, 443, "tcp", up=True).loss == pytest.approx(0.75)


def hello(name: str | None) -> Seen:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    outgoing = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    seen = Opening().feed(outgoing.read())
    assert seen is not None
    return seen


NAMED, UNNAMED, OTHER_NAME = hello(NAME), hello(None), hello("www.example.test")
REQUEST = Seen("http", host=NAME)
MTPROTO = Seen("mtproto")

BY_NAME: list[tuple[Rule, Treatment]] = [
    (SniRst(server_name=PATTERN), Treatment("reset_both")),
    (SniReset(server_name=PATTERN, to="client"), Treatment("reset_client")),
    (SniReset(server_name=PATTERN, to="server"), Treatment("reset_server")),
    (SniDrop(server_name=PATTERN), Treatment("drop")),
    (SniDropReply(server_name=PATTERN), Treatment("drop_reply")),
    (TlsVersionDrop(server_name=PATTERN, version="1.3"), Treatment("drop")),
    (Throttle(server_name=PATTERN), Treatment(shape_bytes_per_s=16_000)),
    (Freeze(server_name=PATTERN, after_bytes=9), Treatment(reply_bytes=9)),
    (RecordDrop(server_name=PATTERN, records=2), Treatment(records=2)),
    (ForgedCertificate(server_name=PATTERN), Treatment(is_intercepted=True)),
]


@pytest.mark.parametrize(("rule", "expected"), BY_NAME)
def test_hello(rule: Rule, expected: Treatment) -> None:
    """A rule touches the names it lists and no others, nor a hello without, nor HTTP."""
    assert on_first_bytes((rule,), NAMED, SERVER, 443) == expected
    for seen in (UNNAMED, OTHER_NAME, REQUEST, MTPROTO):
        assert on_first_bytes((rule,), seen, SERVER, 443) == PASS


def test_what_hides_what() -> None:
    """Silence hides a reset wherever it stands; of resets and pages the first is taken."""
    drop, rst = SniDrop(server_name=NAME), SniRst(server_name=NAME)
    for rules in itertools.permutations((drop, rst)):
        assert on_first_bytes(rules, NAMED, SERVER, 443).action == "drop"
    page, host_rst = HttpBlockpage(host=NAME, response="x"), HttpHostRst(host=NAME)
    assert on_first_bytes((page, host_rst), REQUEST, SERVER, 80) == Treatment("page", page="x")
    assert on_first_bytes((host_rst, page), REQUEST, SERVER, 80).action == "reset_both"
    slow = (Throttle(server_name=NAME), Freeze(server_name=NAME, after_bytes=9))
    both = Treatment(shape_bytes_per_s=16_000, reply_bytes=9)
    assert on_first_bytes(slow, NAMED, SERVER, 443) == both


def test_first_bytes_that_are_not_tls() -> None:
    """By host, by looks, by fingerprint whatever the name."""
    truncate = HttpTruncate(host=NAME, after_bytes=7)
    assert on_first_bytes((truncate,), REQUEST, SERVER, 80) == Treatment(truncate_at=7)
    assert on_first_bytes((truncate,), Seen("http"), SERVER, 80) == PASS
    for rule, action in ((MtprotoDrop(port=443), "drop"), (MtprotoDrop(port=5222), "pass")):
        assert on_first_bytes((rule,), MTPROTO, SERVER, 443).action == action
    assert on_first_bytes((ProfileDrop(ja4="t13i"),), UNNAMED, SERVER, 443).action == "drop"
    spared = ProfileDrop(ja4="t13", unless=("t13i",))
    assert on_first_bytes((spared,), UNNAMED, SERVER, 443) == PASS
    assert on_first_bytes((spared,), NAMED, SERVER, 443).action == "drop"
    random_bytes = MtprotoDrop(transports=("obfuscated",))
    for transport, action in (("obfuscated", "drop"), ("padded", "pass")):
        seen = Seen("mtproto", transport=transport)
        assert on_first_bytes((random_bytes,), seen, SERVER, 443).action == action


@given(
    st.integers(1, 10**7),
    st.lists(
        st.tuples(st.integers(1, 70_000), st.floats(0, 2, allow_nan=False)), min_size=1, max_size=20
    ),
)
def test_pacing_never_beats_the_rate(rate: int, chunks: list[tuple[int, float]]) -> None:
    """However the server bursts or pauses, no window is faster than the rate."""
    treatment, state, now = Treatment(shape_bytes_per_s=rate), Paced(), 100.0
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
    treatment, state, passed = Treatment(reply_bytes=limit), Paced(), 0
    for offered in chunks:
        release = on_reply(treatment, state, offered, 0.0)
        if release is None:
            break
        passed, state = passed + release.n_bytes, release.state
    assert passed == min(limit, sum(chunks))


ANSWERS, SILENT = QueryVerdict(passes=True), QueryVerdict(passes=False)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            DnsForge(name=PATTERN, address="192.0.2.1"),
            ANSWERS._replace(forgery=Forgery("noerror", "192.0.2.1")),
        ),
        (DnsForge(name=PATTERN, address="2001:db8::1"), ANSWERS),
        (
            DnsHijack(address="2001:db8::1"),
            SILENT._replace(forgery=Forgery("noerror", "2001:db8::1")),
        ),
        (DnsHijack(name="other.test", address="192.0.2.1"), ANSWERS),
        (DnsNxdomain(name=PATTERN), SILENT._replace(forgery=Forgery("nxdomain"))),
        (DnsTimeout(name=PATTERN), SILENT),
        (DnsRefused(name=PATTERN), SILENT._replace(forgery=Forgery("refused"))),
        (DnsServfail(name=PATTERN), SILENT._replace(forgery=Forgery("servfail"))),
        (IpDrop(addresses=("127.30.1.1",)), SILENT),
        (UdpDrop(addresses=("127.30.0.0/16",), port=53), SILENT),
        (Blackout(), SILENT),
        (SynDrop(), ANSWERS),
    ],
)
def test_query(rule: Rule, expected: QueryVerdict) -> None:
    """Each DNS rule has one effect, and none on a resolver out of its reach."""
    assert on_query_at((rule,), RESOLVER, NAME, 4) == expected
    honest = Place("127.31.2.1", "honest_resolver")
    assert on_query_at((rule,), honest, NAME, 4) == (
        SILENT if isinstance(rule, Blackout) else ANSWERS
    )


def test_memory_is_bounded_and_each_rule_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest contacts are forgotten; two policings of one name do not add up."""
    monkeypatch.setattr("censorlab.memory._MAX_ENTRIES", 10)
    memory = Memory((SniRst(server_name=NAME), Residual(seconds=60)))
    contacts = [Contact(SERVER, SERVER, port) for port in range(20)]
    for contact in contacts:
        memory.judge(contact, NAMED, 0.0)
    assert [memory.is_blocked(contact, 59.0) for contact in contacts] == [False] * 10 + [True] * 10
    assert not any(memory.is_blocked(contact, 60.0) for contact in contacts)
    twice = Memory(
        (ParallelPolicing(server_name=NAME), ParallelPolicing(server_name=PATTERN, at_once=4))
    )
    actions = [twice.judge(contacts[0], NAMED, 0.1 * n).action for n in range(5)]
    assert actions == ["pass"] * 3 + ["drop"] * 2
