"""Decisions on packets without any kernel: what a real client shows is tested in world/."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.packet import ip, tcp, udp
from censorlab.packet.forge import FORGED_TTL
from censorlab.packet.line import Line
from censorlab.packet.middlebox import Direction, Middlebox
from censorlab.rules import (
    Allowlist,
    Blackout,
    DropAfterPackets,
    EchDrop,
    FirstRecordOnly,
    FirstSegmentOnly,
    Freeze,
    FreezePackets,
    MtprotoDrop,
    ParallelPolicing,
    Police,
    ProfileDrop,
    RandomLoss,
    Residual,
    Rule,
    SniDrop,
    SniDropReply,
    SniReset,
    SniRst,
    Throttle,
    TlsVersionDrop,
)

from .talk import (
    DATA,
    FOUR,
    HELLO,
    ISN,
    NAME,
    RST_ACK,
    SERVER_ISN,
    SERVER_NETWORKS,
    SIX,
    Conversation,
    ends,
    has_right_checksums,
    over,
    read,
    shown,
    talk,
)


@pytest.fixture(autouse=True, scope="module", params=[FOUR, SIX], ids=["IPv4", "IPv6"])
def _ip_version(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every claim holds for both."""
    with over(request.param):
        yield


def test_without_rules_packets_pass_unchanged() -> None:
    """Same bytes, at once."""
    chat = talk()
    assert chat.is_open
    (out,) = chat.say_hello()
    assert (out.direction, out.due) == ("up", 0.0)
    assert out.packet.endswith(HELLO)


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        (SniRst(server_name=NAME), [("down", RST_ACK), ("up", RST_ACK)]),
        (SniReset(server_name="*.test"), [("down", RST_ACK), ("up", RST_ACK)]),
        (SniReset(server_name=NAME, to="client"), [("down", RST_ACK), ("up", DATA)]),
        (SniReset(server_name=NAME, to="server"), [("up", RST_ACK)]),
        (SniDrop(server_name=NAME), []),
        (SniDropReply(server_name=NAME), [("up", DATA)]),
        (TlsVersionDrop(server_name=NAME, version="1.3"), []),
        (TlsVersionDrop(server_name=NAME, version="1.2"), [("up", DATA)]),
        (EchDrop(server_name=NAME), [("up", DATA)]),
        (ProfileDrop(ja4="t13d"), []),
        (ProfileDrop(ja4="t12"), [("up", DATA)]),
        (ParallelPolicing(server_name=NAME, at_once=1), [("up", DATA)]),
    ],
)
def test_what_a_hello_meets(rule: Rule, outcome: list[tuple[Direction, int]]) -> None:
    """And an innocuous name on the same connection meets nothing."""
    assert shown(talk(rule).say_hello()) == outcome
    if not isinstance(rule, ProfileDrop):
        assert shown(talk(rule).say_hello("control.test.invalid")) == [("up", DATA)]


def test_forged_resets_are_acceptable_to_both_ends() -> None:
    """Exactly the next expected numbers (RFC 5961), with right checksums and own TTL."""
    chat = talk(SniRst(server_name=NAME))
    to_client, to_server = chat.say_hello()
    segments = [read(out.packet)[1] for out in (to_client, to_server)]
    reply_seq = (SERVER_ISN + 1) % 2**32
    assert (segments[0].seq, segments[0].ack) == (reply_seq, (ISN + 1 + len(HELLO)) % 2**32)
    assert (segments[1].seq, segments[1].ack) == (ISN + 1, reply_seq)
    for out in (to_client, to_server):
        assert has_right_checksums(out.packet)
        assert out.packet[8 if ends() is FOUR else 7] == FORGED_TTL


@given(st.lists(st.integers(1, 500), max_size=6, unique=True), st.randoms(use_true_random=False))
def test_a_reassembling_censor_reads_segments_in_any_order(cuts: list[int], random: object) -> None:
    """Nothing but the segment that completes the hello triggers it."""
    edges = sorted({0, len(HELLO), *(c for c in cuts if c < len(HELLO))})
    pieces = [(a, HELLO[a:b]) for a, b in itertools.pairwise(edges)]
    random.shuffle(pieces)  # type: ignore[attr-defined]  Hypothesis' own Random type
    chat = talk(SniRst(server_name=NAME))
    results = [shown(chat.up(data=piece, seq=ISN + 1 + at)) for at, piece in pieces]
    assert results[:-1] == [[("up", DATA)]] * (len(pieces) - 1)
    assert results[-1] == [("down", RST_ACK), ("up", RST_ACK)]


def test_a_censor_that_does_not_reassemble_is_evaded_by_a_split() -> None:
    """It reads the whole hello in one segment, and never the second of two."""
    rules = (SniRst(server_name=NAME), FirstSegmentOnly())
    assert shown(talk(*rules).say_hello())[0] == ("down", RST_ACK)
    chat = talk(*rules)
    assert shown(chat.up(data=HELLO[:100])) == [("up", DATA)]
    assert shown(chat.up(data=HELLO[100:], seq=ISN + 101)) == [("up", DATA)]
    assert shown(chat.down(data=b"reply")) == [("down", 16)]


@pytest.mark.parametrize("split", ["none", "segments", "records"])
@pytest.mark.parametrize(
    ("reads", "evaded_by"),
    [
        ((), ()),
        ((FirstSegmentOnly(),), ("segments",)),
        ((FirstRecordOnly(),), ("records",)),
        ((FirstSegmentOnly(), FirstRecordOnly()), ("segments", "records")),
    ],
    ids=["all", "first segment", "first record", "first of both"],
)
def test_which_split_evades_which_censor(
    split: str, reads: tuple[Rule, ...], evaded_by: tuple[str, ...]
) -> None:
    """By construction: who reads one piece misses a name that lies in two such pieces."""
    chat = talk(SniRst(server_name=NAME), *reads)
    at = HELLO.index(NAME.encode()) + 6
    pieces = [HELLO]
    if split == "segments":
        pieces = [HELLO[:at], HELLO[at:]]
    elif split == "records":
        first, second = HELLO[5:at], HELLO[at:]
        framed = [b"\x16\x03\x01" + len(p).to_bytes(2, "big") + p for p in (first, second)]
        pieces = [b"".join(framed)]
    seq, left = ISN + 1, []
    for piece in pieces:
        left += shown(chat.up(data=piece, seq=seq))
        seq += len(piece)
    assert (("down", RST_ACK) not in left) == (split in evaded_by)


def test_a_dropped_connection_stays_silent() -> None:
    """Retransmissions and the server's packets vanish too."""
    chat = talk(SniDrop(server_name=NAME))
    assert [chat.say_hello(), chat.say_hello(), chat.down(), chat.down(data=b"x")] == [[]] * 4


def test_a_lost_reply_still_acknowledges() -> None:
    """Data vanish, acknowledgements pass, and data that carry one leave it behind."""
    chat = talk(SniDropReply(server_name=NAME))
    chat.say_hello()
    assert shown(chat.down()) == [("down", 16)]
    (bare,) = chat.down(data=b"server hello")
    _, segment, data = read(bare.packet)
    assert (segment.seq, data) == ((SERVER_ISN + 1) % 2**32, b"")


def test_packets_after_the_hello_are_counted() -> None:
    """Three more pass, both ways together."""
    chat = talk(DropAfterPackets(server_name=NAME, packets=3))
    chat.say_hello()
    passed = [chat.down(), chat.up(16), chat.down(data=b"x"), chat.down(data=b"y"), chat.up(16)]
    assert [bool(out) for out in passed] == [True, True, True, False, False]


@pytest.mark.parametrize("name", [None, NAME])
def test_a_packet_freeze_counts_from_the_syn(name: str | None) -> None:
    """Of 25 packets, SYN, SYN-ACK and hello leave 22."""
    chat = talk(FreezePackets(packets=25, server_name=name))
    chat.say_hello()
    assert sum(bool(chat.down(data=b"x") if n % 2 else chat.up(16)) for n in range(50)) == 22


def test_a_byte_freeze_stops_both_ways() -> None:
    """Once the server's IP bytes exceed the limit."""
    chat = talk(Freeze(server_name=NAME, after_bytes=16_384))
    chat.say_hello()
    passed = sum(bool(chat.down(data=bytes(1448))) for _ in range(20))
    assert passed == (16_384 - ends().overhead) // (1448 + ends().overhead)
    assert chat.up(16) == []


def test_policing_drops_and_shaping_delays() -> None:
    """The same rate, by loss or by waiting."""
    policed = talk(Police(server_name=NAME, rate_bytes_per_s=10_000, burst_bytes=15_000))
    shaped = talk(Throttle(server_name=NAME, rate_bytes_per_s=10_000))
    policed.say_hello()
    shaped.say_hello()
    passed, last_due = 0, 0.0
    for n in range(40):
        policed.now = shaped.now = n * 0.1
        passed += len(policed.down(data=bytes(1460)))
        (out,) = shaped.down(data=bytes(1460))
        last_due = out.due
    size = 1460 + ends().overhead
    assert passed == pytest.approx((15_000 + 3.9 * 10_000) / size, abs=1)
    assert last_due == pytest.approx(40 * size / 10_000, abs=0.01)


def test_residual_blocks_the_place_for_its_time() -> None:
    """Other ports of the client too; other servers' ports not; then it ends."""
    box = Middlebox((SniRst(server_name=NAME), Residual(seconds=60)))
    Conversation(box).say_hello()
    assert not Conversation(box, port=40_001, now=59.0).is_open
    assert Conversation(box, port=40_002, now=61.0).is_open


def test_parallel_hellos_are_policed() -> None:
    """Three at once pass, the fourth and all within the minute are dropped."""
    box = Middlebox((ParallelPolicing(server_name=NAME, at_once=3, seconds=60),))
    passed = [bool(Conversation(box, port=n, now=0.1 * n).say_hello()) for n in range(1, 7)]
    assert passed == [True, True, True, False, False, False]
    assert Conversation(box, port=9, now=61.0).say_hello()
    slow = Middlebox((ParallelPolicing(server_name=NAME, at_once=3, seconds=60),))
    assert all(Conversation(slow, port=n, now=2.0 * n).say_hello() for n in range(1, 9))


def test_an_allowlist_lets_elsewhere_connect_only() -> None:
    """The handshake completes, no byte arrives."""
    chat = talk(Allowlist(addresses=("192.0.2.0/24",)))
    assert chat.is_open
    assert chat.say_hello() == []
    assert talk(Allowlist(addresses=SERVER_NETWORKS)).say_hello()


def test_mtproto_is_dropped_by_its_first_bytes() -> None:
    """TLS on the same port passes."""
    rule = MtprotoDrop(port=443)
    assert talk(rule).up(data=b"\xee\xee\xee\xee\x28\0\0\0") == []
    assert talk(rule).say_hello()
    assert talk(MtprotoDrop(port=5222)).up(data=b"\xee\xee\xee\xee\x28\0\0\0")


def test_what_is_forged_turns_round_half_way() -> None:
    """A reset takes one way of the line; the true path would take two."""
    chat = talk(SniRst(server_name=NAME), line=Line(delay_s=0.02, loss=0.5))
    chat.now = 1.0
    for out in chat.say_hello():
        assert out.due == pytest.approx(1.02)


def test_nothing_passes_a_blackout() -> None:
    """Whatever the protocol."""
    box = Middlebox((Blackout(),))
    for direction in ("up", "down"):
        packet = udp.build((ends().client, 1), (ends().server, 443), b"x", 64)
        assert not box.handle(direction, packet, 0)
        packet = ip.build(ends().client, ends().server, ip.ICMP, bytes(8), 64)
        assert not box.handle(direction, packet, 0)


def test_the_same_seed_loses_the_same_packets() -> None:
    """By the line and by a rule; another seed loses others."""

    def lost(seed: int) -> list[bool]:
        box = Middlebox((RandomLoss(share=0.2),), Line(loss=0.1), seed)
        packet = udp.build((ends().client, 1), (ends().server, 443), b"x", 64)
        return [not box.handle("up", packet, n * 0.001) for n in range(2000)]

    assert lost(1) == lost(1) != lost(2)
    assert sum(lost(1)) / 2000 == pytest.approx(0.28, abs=0.03)


@given(st.sampled_from(["up", "down"]), st.binary(max_size=120))
def test_garbage_never_raises(direction: Direction, data: bytes) -> None:
    """Interference is data, and so is rubbish: dropped or forwarded."""
    box = Middlebox((SniRst(server_name=NAME), RandomLoss(share=0.1), Residual()))
    for start in (b"", b"\x45\0", b"\x60\0\0\0"):
        box.handle(direction, start + data, 0.0)


@given(st.data())
def test_a_damaged_conversation_never_raises(data: st.DataObject) -> None:
    """Real packets with one byte changed, cut anywhere."""
    chat = talk(SniRst(server_name=NAME), FreezePackets(), Residual())
    packet = bytearray(
        tcp.build(chat.client, chat.server, seq=ISN + 1, ack=1, flags=24, ttl=64, data=HELLO)
    )
    for _ in range(3):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
        chat.box.handle("up", bytes(packet[: data.draw(st.integers(0, len(packet)))]), 0.0)
