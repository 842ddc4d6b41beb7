"""What the driving process and the lab say to each other: one JSON line each."""

from typing import TypeVar

import msgspec
import orjson
from msgspec import Struct

from censorlab.rules import Rule

Message = TypeVar("Message", bound=Struct)


class MalformedMessageError(ValueError):
    """A line is not of the expected type; the message names the place in it."""


class Ready(Struct, frozen=True, kw_only=True):
    """First line of the lab: the list is written, every door is open.

    ``ports`` are keyed by endpoint group, known-good id and resolver id, and
    ``proxy``; ``zone`` is what an honest resolver answers.
    """

    targets_path: str
    proxy_url: str
    ports: dict[str, int]
    zone: dict[str, tuple[str, ...]]


class Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Replace the rules in force (null leaves them), or stop."""

    rules: tuple[Rule, ...] | None = None
    stop: bool = False


class Acknowledgement(Struct, frozen=True, kw_only=True):
    """Sent once the command is in force; ``error`` says why it is not."""

    rules_in_force: int
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
