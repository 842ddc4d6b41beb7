"""From rules and a line to commands for a Linux router, or the reason why not.

Who decides when, in the order of netfilter's hooks: what the client opens is
counted (line cut); packets are searched for strings; packets for an interceptor
are marked before routing; rules about places; a connection's first data are
judged; parallel hellos are counted; marked connections are treated; the line
loses its share; tc queues.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from censorlab.kernel.connections import (
    Marked,
    first_data_line,
    is_about_connections,
    judging_lines,
    marked_rules,
    remembered_lines,
    sets_of,
    treatment_lines,
)
from censorlab.kernel.errors import NeedsEngineError, about
from censorlab.kernel.marks import DIVERTED, N_CLASSES
from censorlab.kernel.networks import FAMILIES, Family
from censorlab.kernel.patterns import Patterns
from censorlab.kernel.places import divert_lines, is_about_places, lost, place_lines
from censorlab.kernel.policing import check_policing, policing_lines
from censorlab.packet.line import DEFAULT_QUEUE_BYTES, Line
from censorlab.rules import (
    Divert,
    DnsForge,
    DnsHijack,
    DnsNxdomain,
    DnsRefused,
    DnsServfail,
    EncryptedDnsDrop,
    FirstRecordOnly,
    FirstSegmentOnly,
    ForgedCertificate,
    HttpBlockpage,
    HttpTruncate,
    LineCut,
    MtprotoDrop,
    NatRebinding,
    ParallelPolicing,
    ProfileDrop,
    QuicSniDrop,
    RecordDrop,
    Rule,
    Throttle,
)
from censorlab.world.messages import Order

_NEEDS_ENGINE: Final[dict[type[Rule], str]] = {
    DnsForge: "no stock tool writes a DNS answer",
    DnsHijack: "no stock tool writes a DNS answer; divert leads to a resolver that does",
    DnsNxdomain: "no stock tool writes a DNS answer",
    DnsRefused: "no stock tool writes a DNS answer",
    DnsServfail: "no stock tool writes a DNS answer",
    HttpBlockpage: "no stock tool writes an HTTP response",
    HttpTruncate: "no stock tool ends a stream at a byte",
    ProfileDrop: "a fingerprint counts ciphers and extensions, which netfilter cannot",
    RecordDrop: "TLS records lie across packets",
    QuicSniDrop: "the name is encrypted in QUIC's Initial",
    MtprotoDrop: "the obfuscated transport looks like random bytes, which no match measures",
    NatRebinding: "netfilter's NAT forgets what is idle, not what is old",
    ForgedCertificate: "an interceptor must end TLS; divert leads to one by address",
    EncryptedDnsDrop: "packets do not tell an encrypted resolver; syn_drop takes port 853",
}

_TABLE: Final = "censor"
_DIVERSION: Final = 77
"""Number of the routing table of packets for the interceptor."""
_BURST_BYTES: Final = 1600
"""One packet with its Ethernet header: a token bucket needs that much to let it go."""
_TOWARD_SERVERS: Final = "ifb0"


class Devices(NamedTuple):
    """The router's devices: to the client, and to who answers in others' names."""

    client: str
    interceptor: str


def translate(rules: Iterable[Rule], line: Line, devices: Devices) -> tuple[Order, ...]:
    """Return what a router that has no orders yet is told.

    The same seed does not give the same losses: the kernel draws them.

    Raises:
        NeedsEngineError: for the first rule that stock tools cannot express, or
            if they cannot be that line.
    """
    known = tuple(rules)
    _check(known, line)
    strings = Patterns()
    marked = marked_rules(known, strings)
    # Before the tables that use them, so that every pattern has its bit.
    tables = [_table(known, marked, strings, family, devices) for family in FAMILIES]
    orders = [_routes(known, line, devices)]
    if any(isinstance(rule, Divert) for rule in known):
        mark = f"{DIVERTED:#x}/{DIVERTED:#x}"
        for version in ("-4", "-6"):
            words = ("ip", version, "rule", "add", "fwmark", mark, "lookup", str(_DIVERSION))
            orders.append(Order(words=words))
    orders.append(
        Order(words=("nft", "-f", "-"), given="".join([_line_table(known, line), *tables]))
    )
    for family, tool in zip(FAMILIES, ("iptables-restore", "ip6tables-restore"), strict=True):
        lines = [*strings.lines(family, devices.client), *policing_lines(marked, family)]
        if lines:
            given = "\n".join(["*mangle", *lines, "COMMIT", ""])
            orders.append(Order(words=(tool, "--noflush"), given=given))
    if queues := _queues(known, line, devices):
        orders.append(Order(words=("tc", "-batch", "-"), given="\n".join([*queues, ""])))
    return tuple(orders)


def _check(rules: tuple[Rule, ...], line: Line) -> None:
    for rule in rules:
        name = rule.__struct_config__.tag
        reason = _NEEDS_ENGINE.get(type(rule))
        if reason is not None:
            raise NeedsEngineError(f"{name}: {reason}")
        if isinstance(rule, ParallelPolicing):
            with about(rule):
                check_policing(rule)
        # A rule that is added and not thought of here must not be left out in silence.
        assert (
            is_about_places(rule)
            or is_about_connections(rule)
            or isinstance(rule, LineCut | FirstSegmentOnly | FirstRecordOnly)
        ), name
    if line.delay_s or line.jitter_s:
        raise NeedsEngineError("line: delay and jitter need netem, which many kernels lack")
    if sum(isinstance(rule, Throttle) for rule in rules) + (line.rate_bytes_per_s is not None) > 1:
        raise NeedsEngineError("throttle: only one rate to the client is queued")


def _routes(rules: tuple[Rule, ...], line: Line, devices: Devices) -> Order:
    # The town's addresses are where they are; to all others packets are lost in
    # silence, as they are in the packet engine's world.
    lines = ["route add blackhole 0.0.0.0/0", "route add blackhole ::/0"]
    if any(isinstance(rule, Divert) for rule in rules):
        lines += [
            f"route add {network} dev {devices.interceptor} table {_DIVERSION}"
            for network in ("0.0.0.0/0", "::/0")
        ]
    if line.rate_bytes_per_s is not None:
        lines += [f"link add {_TOWARD_SERVERS} type ifb", f"link set {_TOWARD_SERVERS} up"]
    return Order(words=("ip", "-batch", "-"), given="\n".join([*lines, ""]))


# nftables -----------------------------------------------------------------


def _chain(name: str, lines: Iterable[str], hook: str = "", priority: int = 0) -> str:
    head = f"type filter hook {hook} priority {priority}; policy accept;\n" if hook else ""
    return f"chain {name} {{\n{head}" + "".join(f"{line}\n" for line in lines) + "}\n"


def _line_table(rules: tuple[Rule, ...], line: Line) -> str:
    """Return the table for both IP versions together: the cut of a line, and its losses."""
    cuts = [rule.after_flows for rule in rules if isinstance(rule, LineCut)]
    text = ""
    if cuts:
        # A set with one element, whose key is always zero, is a switch.
        nothing = "meta mark & 0x0"
        opened = f"limit rate over 1/day burst {min(cuts)} packets"
        text += "set cut { type mark; flags dynamic; size 1; }\n"
        lines = [
            f"{nothing} @cut drop",
            f"meta l4proto {{ tcp, udp }} ct packets 1 {opened} add @cut {{ {nothing} }} drop",
        ]
        text += _chain("cutting", lines, "forward", -200)
    if line.loss:
        text += _chain("losing", [lost(line.loss)], "forward", 20)
    return f"table inet {_TABLE} {{\n{text}}}\n" if text else ""


def _table(
    rules: tuple[Rule, ...],
    marked: tuple[Marked, ...],
    strings: Patterns,
    family: Family,
    devices: Devices,
) -> str:
    client = devices.client
    arriving = place_lines(rules, family, client) + remembered_lines(rules, family, client)
    judging = judging_lines(marked, family) if marked else []
    if marked:
        arriving.append(first_data_line(client, "judging"))
    text = "".join(f"{declared}\n" for declared in sets_of(rules, marked, family))
    text += _chain("judging", judging)
    text += _chain("diverting", divert_lines(rules, family, client), "prerouting", -140)
    text += _chain("arriving", arriving, "forward", -160)
    # iptables' table mangle, at -150, counts parallel hellos in between.
    treating = treatment_lines(rules, marked, strings, family, client)
    text += _chain("treating", treating, "forward", -140)
    return f"table {family} {_TABLE} {{\n{text}}}\n"


# tc -----------------------------------------------------------------------


def _queues(rules: tuple[Rule, ...], line: Line, devices: Devices) -> list[str]:
    client, up = devices.client, _TOWARD_SERVERS
    lines = []
    for rule in rules:
        if isinstance(rule, Throttle):
            lines.append(f"qdisc add dev {client} root handle 1: htb")
            lines += [one for n in range(1, N_CLASSES + 1) for one in _class(client, n, rule)]
    if line.rate_bytes_per_s is not None:
        shape = f"root tbf rate {line.rate_bytes_per_s}bps burst {_BURST_BYTES}"
        shape += f" limit {line.queue_bytes}"
        every = "protocol all u32 match u32 0 0"
        lines += [
            f"qdisc add dev {client} {shape}",
            # Toward the servers all sides share one queue, before they part.
            f"qdisc add dev {up} {shape}",
            f"qdisc add dev {client} ingress",
            f"filter add dev {client} parent ffff: {every} action mirred egress redirect dev {up}",
        ]
    return lines


def _class(client: str, number: int, rule: Throttle) -> list[str]:
    rate = f"rate {rule.rate_bytes_per_s}bps burst {_BURST_BYTES} cburst {_BURST_BYTES}"
    return [
        f"class add dev {client} parent 1: classid 1:{number:x} htb {rate}",
        f"qdisc add dev {client} parent 1:{number:x} bfifo limit {DEFAULT_QUEUE_BYTES}",
    ]
