"""What a world and the process in its middle say to each other, one JSON line each."""

from typing import Literal

from msgspec import Struct

from censorlab.packet.line import Line
from censorlab.rules import Rule

Link = Literal["tun", "veth"]
"""What a side's packets come through: a TUN device, or a veth pair and a packet socket."""

Middle = Literal["middlebox", "router"]
"""What lies between the sides: our packet engine, or the kernel's own forwarding."""


class Layout(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """First line to the process: the addresses of each side; the first is the client.

    ``0.0.0.0/0`` or ``::/0`` make a side answer at every address that is not the
    client's. ``link`` None: the first that this machine allows. ``nameservers``
    are the client's.
    """

    sides: dict[str, tuple[str, ...]]
    middle: Middle = "middlebox"
    link: Link | None = None
    nameservers: tuple[str, ...] = ()


class Ready(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """First line from the process: where to enter.

    ``pid`` is that outside the world; ``descriptors`` are the sides' namespaces,
    open in that process. ``error`` says what the machine does not allow.
    """

    pid: int = 0
    descriptors: dict[str, int] = {}
    link: Link = "tun"
    error: str | None = None


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new middlebox, without memory; None: only count."""

    rules: tuple[Rule, ...] | None = None
    line: Line = Line()
    seed: int = 0


class Counts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answer to every change: packets since the previous change of rules.

    ``refused`` are packets that the kernel did not take: this machine's fault,
    never a rule's or the line's.
    """

    up_in: int = 0
    up_out: int = 0
    down_in: int = 0
    down_out: int = 0
    refused: int = 0


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command that a router carries out, with its standard input."""

    words: tuple[str, ...]
    given: str = ""


class Orders(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that is in force at a router from now on."""

    orders: tuple[Order, ...]


class Done(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answer to orders; ``error`` is what the first command that failed said."""

    error: str | None = None
