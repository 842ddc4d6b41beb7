"""Rules about names: a connection is judged by its first data, once, and marked.

Netfilter reads packets, not streams: what decides must be in the first packet
with data. A hello of OpenSSL or a browser without a post-quantum key share is.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from censorlab.kernel import patterns
from censorlab.kernel.errors import NeedsEngineError, about
from censorlab.kernel.marks import (
    ANSWERED,
    CLASS,
    FIRST_RULE_BIT,
    FRESH,
    JUDGED,
    MAX_RULES,
    N_CLASSES,
    SILENCED,
    connection_has,
    connection_lacks,
    packet_has,
    packet_lacks,
)
from censorlab.kernel.networks import Family, servers, statement, toward
from censorlab.kernel.patterns import Patterns
from censorlab.kernel.places import HAS_DATA, SYN
from censorlab.rules import (
    DnsTimeout,
    DropAfterPackets,
    EchDrop,
    Freeze,
    FreezePackets,
    HttpHostRst,
    ParallelPolicing,
    Police,
    Residual,
    Rule,
    SniDrop,
    SniDropReply,
    SniReset,
    SniRst,
    Throttle,
    TlsVersionDrop,
)

_HELLO: Final = "@ih,0,8 0x16 @ih,40,8 0x01"
"""A record of handshake messages whose first is a ClientHello (RFC 8446 §4)."""
_METHODS: Final = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"CONN", b"DELE")
_REQUEST: Final = f"@ih,0,32 {{ {', '.join(f'0x{method.hex()}' for method in _METHODS)} }}"
_TLS_12_OR_LATER: Final = "@ih,72,16 0x0303"
"""The version that the hello calls its highest, if no extension knows better."""
_OFFERS_TLS_13: Final = (
    patterns.Pattern(bytes.fromhex("03040303")),
    patterns.Pattern(bytes.fromhex("002b0003020304")),
)
"""In supported_versions: 1.3 before 1.2, or alone (RFC 8446 §4.2.1). In one hello
of seven millions its random bytes say the same."""
_HAS_ECH: Final = (patterns.Pattern(b"\xfe\x0d\x00"), patterns.Pattern(b"\xfe\x0d\x01"))
"""The extension's type and its length, which is below 512 (draft-ietf-tls-esni).
In one hello of fifteen thousands random bytes say the same."""

_Answer = SniRst | SniReset | SniDropReply | HttpHostRst
_ByName = (
    _Answer
    | SniDrop
    | TlsVersionDrop
    | EchDrop
    | Freeze
    | FreezePackets
    | DropAfterPackets
    | Throttle
    | Police
    | ParallelPolicing
)


class Marked(NamedTuple):
    """A rule about names, its bit in a connection's mark, and what a first packet shows."""

    rule: _ByName
    bit: int
    shows: tuple[str, ...]

    @property
    def strikes(self) -> bool:
        """Whether a censor with a memory remembers it."""
        return isinstance(self.rule, _Answer | SniDrop | TlsVersionDrop | EchDrop)


def is_about_connections(rule: Rule) -> bool:
    """Whether this module expresses the rule."""
    return isinstance(rule, _ByName | DnsTimeout | Residual)


def marked_rules(rules: Iterable[Rule], strings: Patterns) -> tuple[Marked, ...]:
    """Give each rule that depends on a name its bit.

    Raises:
        NeedsEngineError: if there are too many.
    """
    named = [
        rule
        for rule in rules
        if isinstance(rule, _ByName)
        and not (isinstance(rule, FreezePackets) and rule.server_name is None)
    ]
    if len(named) > MAX_RULES:
        raise NeedsEngineError(f"a connection's mark holds {MAX_RULES} rules about names at most")
    return tuple(
        Marked(rule, 1 << (FIRST_RULE_BIT + number), _shows(rule, strings))
        for number, rule in enumerate(named)
    )


def _shows(rule: _ByName, strings: Patterns) -> tuple[str, ...]:
    with about(rule):
        return _matches(rule, strings)


def _matches(rule: _ByName, strings: Patterns) -> tuple[str, ...]:
    if isinstance(rule, HttpHostRst):
        return (_REQUEST, packet_has(strings.bit(patterns.http_host(rule.host))))
    assert rule.server_name is not None
    shows = [_HELLO, packet_has(strings.bit(patterns.server_name(rule.server_name)))]
    match rule:
        case TlsVersionDrop(version="1.3"):
            shows.append(packet_has(_any_of(strings, _OFFERS_TLS_13)))
        case TlsVersionDrop():
            shows += [_TLS_12_OR_LATER, packet_lacks(_any_of(strings, _OFFERS_TLS_13))]
        case EchDrop():
            shows.append(packet_has(_any_of(strings, _HAS_ECH)))
        case _:
            pass
    return tuple(shows)


def _any_of(strings: Patterns, wanted: Iterable[patterns.Pattern]) -> int:
    return sum(strings.bit(pattern) for pattern in wanted)


def judging_lines(marked: Iterable[Marked], family: Family) -> list[str]:
    """Return the nftables rules that a connection's first data go through."""
    lines = [
        f"ct mark set numgen inc mod {N_CLASSES} offset {JUDGED + 1}",
        f"meta mark set meta mark | {FRESH:#x}",
    ]
    for rule, bit, shows in marked:
        where, bits = "", bit
        if isinstance(rule, FreezePackets):
            match = servers(family, rule.addresses, "up")
            if match is None:
                continue
            where = match
        if isinstance(rule, _Answer):
            where, bits = connection_lacks(ANSWERED), bit | ANSWERED
        lines.append(statement(where, *shows, f"ct mark set ct mark | {bits:#x}"))
    return lines


def first_data_line(client_device: str, chain: str) -> str:
    """Return the nftables rule that sends a connection's first data to be judged."""
    match = connection_lacks(JUDGED)
    return statement(
        toward(client_device, "up"), "meta l4proto tcp", match, HAS_DATA, f"jump {chain}"
    )


# What becomes of them -----------------------------------------------------


def sets_of(rules: Iterable[Rule], marked: Iterable[Marked], family: Family) -> list[str]:
    """Return nftables' declarations of what is remembered."""
    address = "ipv4_addr" if family == "ip" else "ipv6_addr"
    sets = [
        f"set counted{bit:x} {{ typeof ct id; flags dynamic; size 65536; }}"
        for rule, bit, _ in marked
        if isinstance(rule, DropAfterPackets | Police)
    ]
    if _residual_s(rules):
        kinds = f"type {address} . {address} . inet_service"
        sets.append(f"set struck {{ {kinds}; flags dynamic, timeout; size 65536; }}")
    return sets


def _residual_s(rules: Iterable[Rule]) -> float:
    return max((rule.seconds for rule in rules if isinstance(rule, Residual)), default=0.0)


def remembered_lines(rules: Iterable[Rule], family: Family, client_device: str) -> list[str]:
    """Return the nftables rules against new connections to where an old one was hit."""
    if not _residual_s(rules):
        return []
    return [statement(toward(client_device, "up"), SYN, f"{_contact(family)} @struck", "drop")]


def _contact(family: Family) -> str:
    return f"{family} saddr . {family} daddr . tcp dport"


def treatment_lines(
    rules: Iterable[Rule],
    marked: Iterable[Marked],
    strings: Patterns,
    family: Family,
    client_device: str,
) -> list[str]:
    """Return the nftables rules for packets of judged connections, and for queries."""
    known, bits = tuple(rules), tuple(marked)
    up, down = toward(client_device, "up"), toward(client_device, "down")
    lines = []
    for rule in known:
        if isinstance(rule, FreezePackets) and rule.server_name is None:
            lines += _frozen(rule, family, client_device)
    if seconds := _residual_s(known):
        strikes = SILENCED | sum(one.bit for one in bits if one.strikes)
        keep = f"update @struck {{ {_contact(family)} timeout {round(seconds * 1000)}ms }}"
        lines.append(statement(up, packet_has(FRESH), connection_has(strikes), keep))
    lines.append(statement(connection_has(SILENCED), "drop"))
    for one in sorted(bits, key=lambda one: isinstance(one.rule, _Answer)):
        lines += _treatment(one, down, family)
    for rule in known:
        if isinstance(rule, DnsTimeout):
            with about(rule):
                asked = packet_has(strings.bit(patterns.dns_name(rule.name)))
            lines.append(statement(up, "udp dport 53", asked, "drop"))
    return lines


def _frozen(rule: FreezePackets, family: Family, client_device: str) -> list[str]:
    out = servers(family, rule.addresses, "up")
    back = servers(family, rule.addresses, "down")
    if out is None or back is None:
        return []
    what = f"meta l4proto {{ tcp, udp }} ct packets > {rule.packets} drop"
    return [
        statement(toward(client_device, "up"), out, what),
        statement(toward(client_device, "down"), back, what),
    ]


def _treatment(one: Marked, down: str, family: Family) -> list[str]:
    is_one = connection_has(one.bit)
    fresh, later = packet_has(FRESH), packet_lacks(FRESH)
    # The server's twin of the RST: the hello itself, turned into one.
    to_server = "tcp flags set rst | ack"
    copy = f"dup to {family} daddr"
    to_client = "reject with tcp reset"
    match one.rule:
        case SniDrop() | TlsVersionDrop() | EchDrop():
            return [statement(is_one, "drop")]
        case Freeze(after_bytes=limit):
            return [statement(is_one, f"ct reply bytes > {limit} drop")]
        case FreezePackets(packets=packets):
            return [statement(is_one, f"ct packets > {packets} drop")]
        case DropAfterPackets(packets=0):
            return [statement(is_one, later, "drop")]
        case DropAfterPackets(packets=packets):
            more = f"ct id limit rate over 1/day burst {packets} packets"
            return [statement(is_one, later, f"add @counted{one.bit:x} {{ {more} }} drop")]
        case SniReset(to="client"):
            return [statement(is_one, fresh, copy, to_client)]
        case SniReset(to="server"):
            return [statement(is_one, fresh, to_server, "accept")]
        case SniRst() | SniReset() | HttpHostRst():
            # Refusing needs a packet that is no RST itself.
            whole = statement(to_server, copy, "tcp flags set psh | ack", to_client)
            return [statement(is_one, fresh, whole), statement(is_one, "drop")]
        case SniDropReply():
            return [
                statement(is_one, down, "meta l4proto tcp", HAS_DATA, "drop"),
                statement(is_one, down, "tcp flags & (fin | rst) != 0x0", "drop"),
            ]
        case Police(rate_bytes_per_s=rate, burst_bytes=burst):
            # The bucket of nftables holds the burst and one second of the rate: one
            # smaller than that second is not to be had.
            more = f"burst {max(0, burst - rate)} bytes"
            much = f"ct id limit rate over {rate} bytes/second {more}"
            return [statement(is_one, down, f"add @counted{one.bit:x} {{ {much} }} drop")]
        case Throttle():
            classes = ", ".join(f"{n:#x} : 1:{n:x}" for n in range(1, N_CLASSES + 1))
            own = f"meta priority set ct mark & {CLASS:#x} map {{ {classes} }}"
            return [statement(is_one, down, own)]
        case _:
            return []
