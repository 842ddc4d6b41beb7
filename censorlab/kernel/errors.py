"""What stock tools cannot do."""

from collections.abc import Iterator
from contextlib import contextmanager

from censorlab.rules import Rule


class NeedsEngineError(ValueError):
    """Stock tools cannot express a rule or a line; the message says which and why."""


@contextmanager
def about(rule: Rule) -> Iterator[None]:
    """Name the rule in the message of a `NeedsEngineError` raised inside."""
    try:
        yield
    except NeedsEngineError as error:
        raise NeedsEngineError(f"{rule.__struct_config__.tag}: {error}") from None
