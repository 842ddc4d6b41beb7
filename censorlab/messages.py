"""What the driving process and the lab say to each other: one JSON line each."""

from typing import Annotated, TypeVar

import msgspec
import orjson
from msgspec import Meta, Struct

from censorlab.rules import Rule

Message = TypeVar("Message", bound=Struct)

HostName = Annotated[
    str,
    Meta(
        max_length=253,
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
    ),
]
"""RFC 1123 §2.1, in lower case and with a dot in it; the last label starts with a
letter, so an address is none."""

ServerNames = Annotated[tuple[HostName, ...], Meta(min_length=1)]
"""The names of one server, which has a certificate for each."""


class MalformedMessageError(ValueError):
    """A line is not of the expected type; the message names the place in it."""


class Ready(Struct, frozen=True, kw_only=True):
    """First line of the lab: the list is written, every door is open.

    ``ports`` are keyed by endpoint group, known-good id and resolver id, and
    ``proxy``; ``zone`` is what an honest resolver answers. ``one_address``: every
    place is at 127.0.0.1 with a port of its own, and no SYN can be dropped.
    """

    targets_path: str
    proxy_url: str
    ports: dict[str, int]
    zone: dict[str, tuple[str, ...]]
    one_address: bool


class Server(Struct, frozen=True, kw_only=True):
    """A web server behind the censor, as clients reach it.

    ``port`` speaks TLS, ``http_port`` HTTP/1.1 without it.
    """

    names: tuple[str, ...]
    address: str
    port: int
    http_port: int

    @property
    def url(self) -> str:
        """Of its page, by its first name."""
        return f"https://{self.names[0]}:{self.port}/"


class Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replace the rules in force or the servers added (null leaves them), or stop.

    A server named before and again stays as it is, connections included; one no
    longer named is closed.
    """

    rules: tuple[Rule, ...] | None = None
    servers: tuple[ServerNames, ...] | None = None
    stop: bool = False


class Acknowledgement(Struct, frozen=True, kw_only=True):
    """Sent once the command is in force; ``error`` says why nothing of it is.

    ``servers`` are those added to the topology's, in the order of the command.
    """

    rules_in_force: int
    servers: tuple[Server, ...] = ()
    error: str | None = None


def encode(message: Struct) -> bytes:
    """Encode one line, newline included."""
    return orjson.dumps(msgspec.to_builtins(message), option=orjson.OPT_APPEND_NEWLINE)


def decode(line: bytes, message_type: type[Message]) -> Message:
    """Decode one line.

    Raises:
        MalformedMessageError: for anything but a message of that type.
    """
    try:
        return msgspec.convert(orjson.loads(line), message_type)
    except (orjson.JSONDecodeError, msgspec.ValidationError) as error:
        raise MalformedMessageError(str(error)) from error
