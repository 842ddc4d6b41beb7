"""Parallel hellos, counted by xt_recent: a window that slides, as the rule's does.

Its list is kept for a rule's pattern and a network, so hellos that name two hosts
below one suffix in one network are counted together.
"""

from collections.abc import Iterable
from typing import Final

from censorlab.kernel.connections import Marked
from censorlab.kernel.errors import NeedsEngineError
from censorlab.kernel.marks import FRESH, SILENCED
from censorlab.kernel.networks import Family
from censorlab.rules import ParallelPolicing

_MASKS: Final[dict[Family, str]] = {"ip": "255.255.255.0", "ip6": "ffff:ffff:ffff::"}
"""What policing counts together: a /24 or a /48."""
_MAX_HITS: Final = 20
"""``ip_pkt_list_tot``: how many times xt_recent remembers of each address."""


def check_policing(rule: ParallelPolicing) -> None:
    """Check that xt_recent can count so.

    Raises:
        NeedsEngineError: if it cannot.
    """
    if rule.at_once >= _MAX_HITS:
        raise NeedsEngineError(f"xt_recent counts to {_MAX_HITS}, not to {rule.at_once + 1}")
    if not (rule.window_seconds.is_integer() and rule.seconds.is_integer()):
        raise NeedsEngineError("xt_recent counts whole seconds")


def policing_lines(marked: Iterable[Marked], family: Family) -> list[str]:
    """Return chains and rules of iptables, for the table mangle."""
    lines: list[str] = []
    for rule, bit, _ in marked:
        if not isinstance(rule, ParallelPolicing):
            continue
        count, strike = f"count{bit:x}", f"strike{bit:x}"
        hellos, policed = (
            f"-m recent --name {kind}_{family}_{bit:x} --rdest --mask {_MASKS[family]}"
            for kind in ("hellos", "policed")
        )
        window, hits = int(rule.window_seconds), rule.at_once + 1
        judged = f"-m mark --mark {FRESH:#x}/{FRESH:#x} -m connmark --mark {bit:#x}/{bit:#x}"
        lines += [
            f"-N {count}",
            f"-N {strike}",
            f"-A FORWARD {judged} -j {count}",
            f"-A {count} {policed} --rcheck --seconds {int(rule.seconds)} -g {strike}",
            f"-A {count} {hellos} --set",
            f"-A {count} {hellos} ! --rcheck --seconds {window} --hitcount {hits} -j RETURN",
            f"-A {count} {hellos} --remove",
            f"-A {count} {policed} --set",
            f"-A {count} -g {strike}",
            f"-A {strike} -j CONNMARK --or-mark {SILENCED:#x}",
        ]
    return lines
