"""What the world and its middlebox process say to each other, one JSON line each."""

from msgspec import Struct

from censorlab.packet.line import Line
from censorlab.packet.rules import PacketRule


class Layout(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """First line to the process: addresses of both sides, resolvers of the client."""

    client_addresses: tuple[str, ...]
    server_addresses: tuple[str, ...]
    resolvers: tuple[str, ...] = ()


class Ready(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """First line from the process: where to enter.

    ``pid`` is that outside the world; the descriptors are open in that process.
    ``error`` says what the machine does not allow.
    """

    pid: int = 0
    client_descriptor: int = 0
    server_descriptor: int = 0
    error: str | None = None


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new middlebox, without memory; None: only count."""

    rules: tuple[PacketRule, ...] | None = None
    line: Line = Line()
    seed: int = 0


class Counts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answer to every change: packets since the previous change of rules."""

    up_in: int = 0
    up_out: int = 0
    down_in: int = 0
    down_out: int = 0
