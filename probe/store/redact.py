"""The last gate before disk: nothing in a stored line names the volunteer.

Steps already store no own address; this catches what a hostile or chatty peer
put into a banner, a certificate or an answer.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from probe.wire.addresses import SCRUBBED

MIN_SECRET_CHARS: Final = 4
"""Shorter strings (a host called "pc") would damage facts everywhere."""

_COMMON: Final = frozenset({"localhost", "localhost.localdomain", "127.0.0.1", "::1"})


class Redactor:
    """Replaces given secrets in every string of a record, ignoring case."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Args: host names, own and resolver addresses, proxy hosts and secrets."""
        kept = {s.lower() for s in secrets if len(s) >= MIN_SECRET_CHARS} - _COMMON
        # Reverse DNS names carry addresses with dashes; both forms are secrets.
        dashed = {s.replace(".", "-") for s in kept if s.count(".") == 3}
        longest_first = sorted(kept | dashed, key=len, reverse=True)
        self._pattern = (
            re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
            if longest_first
            else None
        )

    def apply(self, value: Any) -> Any:
        """Return a copy of JSON-like data with every secret replaced."""
        if isinstance(value, str):
            return self._pattern.sub(SCRUBBED, value) if self._pattern else value
        if isinstance(value, dict):
            return {key: self.apply(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.apply(item) for item in value]
        return value
