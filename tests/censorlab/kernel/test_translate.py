"""The translation: pure, complete, honest about what it cannot say, and valid for the tools."""

import shutil
from collections.abc import Iterator
from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from censorlab.kernel.errors import NeedsEngineError
from censorlab.kernel.translate import Devices, translate
from censorlab.packet.line import Line
from censorlab.rules import (
    DnsForge,
    DnsHijack,
    DnsNxdomain,
    DnsRefused,
    DnsServfail,
    DnsTimeout,
    DropAfterPackets,
    EncryptedDnsDrop,
    FirstRecordOnly,
    FirstSegmentOnly,
    ForgedCertificate,
    FreezePackets,
    HttpBlockpage,
    HttpHostRst,
    HttpTruncate,
    IcmpReject,
    IpDrop,
    LineCut,
    MtprotoDrop,
    NatRebinding,
    ParallelPolicing,
    Police,
    ProfileDrop,
    QuicSniDrop,
    RandomLoss,
    RecordDrop,
    Rule,
    SniReset,
    SniRst,
    SynDrop,
    Throttle,
    TlsVersionDrop,
)
from censorlab.world.messages import Order
from censorlab.world.system import UnsupportedSystemError
from censorlab.world.world import RouterWorld

from ..test_rules import REQUIRED  # noqa: TID252  a test folder has no name to import by

BEYOND_STOCK_TOOLS = {
    DnsForge,
    DnsHijack,
    DnsNxdomain,
    DnsRefused,
    DnsServfail,
    EncryptedDnsDrop,
    ForgedCertificate,
    HttpBlockpage,
    HttpTruncate,
    MtprotoDrop,
    NatRebinding,
    ProfileDrop,
    QuicSniDrop,
    RecordDrop,
}
DEVICES = Devices("side0", "side2")
QUIET = Line()


def text_of(*rules: Rule, line: Line = QUIET) -> str:
    return "\n".join(order.given for order in translate(rules, line, DEVICES))


@pytest.mark.parametrize("kind", get_args(Rule), ids=lambda kind: kind.__name__)
def test_every_rule_is_translated_or_refused_by_name(kind: type[msgspec.Struct]) -> None:
    fields = msgspec.structs.fields(kind)
    rule = kind(**{field.name: REQUIRED[field.name] for field in fields if field.required})
    tag = rule.__struct_config__.tag
    if kind in BEYOND_STOCK_TOOLS:
        with pytest.raises(NeedsEngineError, match=f"^{tag}: "):
            translate([rule], QUIET, DEVICES)
        return
    # Netfilter never puts anything together, so the rules that forbid it are in force anyway.
    assert (text_of(rule) == text_of()) == (kind in (FirstSegmentOnly, FirstRecordOnly))


@pytest.mark.parametrize("line", [Line(delay_s=0.01), Line(jitter_s=0.01)])
def test_delay_is_refused(line: Line) -> None:
    with pytest.raises(NeedsEngineError, match="line: delay"):
        translate([], line, DEVICES)


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ([SniRst(server_name="a" * 60 + "." + "b" * 60 + "." + "c" * 60)], "^sni_rst: .*128 bytes"),
        ([SniRst(server_name="блок.test")], "on the wire"),
        ([DnsTimeout(name="a..b")], "^dns_timeout: .*on the wire"),
        ([SniRst(server_name=f"{n}.test") for n in range(23)], "22 rules"),
        ([DnsTimeout(name=f"{n}.test") for n in range(25)], "24 patterns"),
        ([ParallelPolicing(server_name="a", at_once=20)], "^parallel_policing: .*counts to 20"),
        ([ParallelPolicing(server_name="a", window_seconds=0.5)], "whole seconds"),
        ([Throttle(server_name="a"), Throttle(server_name="b")], "only one rate"),
    ],
)
def test_what_does_not_fit_is_refused(rules: list[Rule], reason: str) -> None:
    with pytest.raises(NeedsEngineError, match=reason):
        translate(rules, QUIET, DEVICES)


def test_a_throttle_on_a_slow_line_is_refused() -> None:
    """One device has one queue at its root."""
    with pytest.raises(NeedsEngineError, match="only one rate"):
        translate([Throttle(server_name="a")], Line(rate_bytes_per_s=9000), DEVICES)


def test_an_exact_name_is_looked_for_with_its_length() -> None:
    """So that no longer name is caught; and in hexadecimal, so that no name is syntax."""
    data = b'\x00\x00\x0ba"; drop; b'
    assert f'"|{data.hex()}|"' in text_of(SniRst(server_name='a"; drop; b'))


def test_silence_comes_before_losses_and_losses_before_answers() -> None:
    one = ("192.0.2.7",)
    text = text_of(
        IcmpReject(addresses=one), RandomLoss(addresses=one, share=0.5), IpDrop(addresses=one)
    )
    chain = text[text.index("table ip ") : text.index("table ip6")]
    assert chain.index("daddr { 192.0.2.7/32 } drop") < chain.index("numgen random")
    assert chain.index("numgen random") < chain.index("reject with icmp type admin-prohibited")


@pytest.mark.parametrize(
    ("addresses", "tables"),
    [
        (("192.0.2.0/24",), ["ip"]),
        (("2001:db8::/32",), ["ip6"]),
        (("192.0.2.0/24", "::/0"), ["ip", "ip6"]),
    ],
)
def test_a_rule_is_in_the_tables_of_its_addresses(
    addresses: tuple[str, ...], tables: list[str]
) -> None:
    text = text_of(SynDrop(addresses=addresses))
    parts = {"ip": text[: text.index("table ip6")], "ip6": text[text.index("table ip6") :]}
    assert [family for family, part in parts.items() if "== syn drop" in part] == tables


def test_the_bucket_of_a_policer_is_no_smaller_than_a_second_of_its_rate() -> None:
    """Which is the smallest that nftables has; a larger one is as wanted."""
    large = Police(server_name="a", rate_bytes_per_s=10_000, burst_bytes=15_000)
    small = Police(server_name="a", rate_bytes_per_s=20_000, burst_bytes=15_000)
    assert "10000 bytes/second burst 5000 bytes" in text_of(large)
    assert "20000 bytes/second burst 0 bytes" in text_of(small)


# Are the tools of the same opinion? ---------------------------------------

NAMES = st.sampled_from(["a.test", "*.b.test", "very-long-label.example.test"])
ADDRESSES = st.lists(
    st.sampled_from(["192.0.2.1", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::1", "::/0"]),
    min_size=1,
    max_size=3,
).map(tuple)
PORTS = st.sampled_from([None, 443])
RULES = st.one_of(
    st.builds(SynDrop, addresses=ADDRESSES, port=PORTS),
    st.builds(IpDrop, addresses=ADDRESSES),
    st.builds(
        IcmpReject, addresses=ADDRESSES, port=PORTS, code=st.sampled_from([0, 1, 3, 9, 10, 13])
    ),
    st.builds(RandomLoss, addresses=ADDRESSES, port=PORTS, share=st.floats(0, 1)),
    st.builds(FreezePackets, addresses=ADDRESSES, server_name=st.none() | NAMES),
    st.builds(DropAfterPackets, server_name=NAMES, packets=st.integers(0, 100_000)),
    st.builds(SniReset, server_name=NAMES, to=st.sampled_from(["both", "client", "server"])),
    st.builds(TlsVersionDrop, server_name=NAMES, version=st.sampled_from(["1.2", "1.3"])),
    st.builds(ParallelPolicing, server_name=NAMES, at_once=st.integers(1, 19)),
    st.builds(Police, server_name=NAMES, rate_bytes_per_s=st.integers(1, 10**8)),
    st.builds(HttpHostRst, host=NAMES),
    st.builds(DnsTimeout, name=NAMES),
    st.builds(LineCut, after_flows=st.integers(1, 10_000)),
)
LINES = st.builds(Line, loss=st.floats(0, 1))


@pytest.fixture(scope="module")
def spare() -> Iterator[RouterWorld]:
    """A side whose tools may be asked."""
    if missing := [tool for tool in CHECKING if shutil.which(tool) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    try:
        with RouterWorld({"client": ("10.77.0.2",), "server": ("192.0.2.9",)}) as world:
            yield world
    except UnsupportedSystemError as error:
        pytest.skip(str(error))


CHECKING = {
    "nft": ["nft", "--check", "-f", "-"],
    "iptables-restore": ["iptables-restore", "--test", "--noflush"],
    "ip6tables-restore": ["ip6tables-restore", "--test", "--noflush"],
}


@pytest.mark.netns
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(RULES, max_size=8), LINES)
def test_the_tools_accept_whatever_is_translated(
    spare: RouterWorld, rules: list[Rule], line: Line
) -> None:
    """Any rules together, whatever their numbers and overlapping networks."""
    for order in translate(rules, line, DEVICES):
        if order.words[0] in CHECKING:
            assert refused(spare, order) == ""


def refused(world: RouterWorld, order: Order) -> str:
    done = world.run("client", CHECKING[order.words[0]], timeout_s=10, given=order.given)
    return done.stderr if done.returncode else ""
