"""What the loopback lab cannot do where every place is at one address.

There (macOS, Windows) a place is told from the others by its port, and a
listener can accept or refuse SYNs but not drop them. A rule that wants more is
refused, never played by something that looks like it.
"""

from collections.abc import Iterable
from typing import Final

from censorlab.engines import NeedsPacketsError
from censorlab.rules import (
    EVERYWHERE,
    Blackout,
    EncryptedDnsDrop,
    IpDrop,
    Rule,
    SynDrop,
    UdpDrop,
)

_DROPS_SYNS: Final = (Blackout, EncryptedDnsDrop, IpDrop, SynDrop)


class NeedsManyAddressesError(NeedsPacketsError):
    """A rule wants SYNs dropped, or a place named by its address alone."""


def check_one_address(rules: Iterable[Rule]) -> None:
    """Check that a lab at one address can express all the rules.

    Raises:
        NeedsManyAddressesError: for the first that it cannot; the message says why.
    """
    for rule in rules:
        name = rule.__struct_config__.tag
        if isinstance(rule, _DROPS_SYNS):
            raise NeedsManyAddressesError(
                f"{name} drops SYNs, which loopback can do without root on Linux only"
            )
        if getattr(rule, "addresses", EVERYWHERE) == EVERYWHERE:
            continue
        # The port of UdpDrop is DNS's, not that which the resolver has here.
        if isinstance(rule, UdpDrop) or not hasattr(rule, "port"):
            raise NeedsManyAddressesError(
                f"{name} names places by address, and all are at one here; syn_rst takes a port"
            )
        if rule.port is None:
            raise NeedsManyAddressesError(
                f"{name} without a port names every place: all are at one address here"
            )
