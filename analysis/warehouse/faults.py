"""What could not be read: every place counted, the first ones kept."""

import re
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Final

from analysis.result_files import Fault

if TYPE_CHECKING:
    from pathlib import Path

MAX_KEPT: Final = 1000
"""Places that are kept with their reasons. A file of nothing else must not fill memory."""

_MAX_KINDS: Final = 200
_MAX_REASON: Final = 200
_VARYING: Final = re.compile(r"'.*'|\".*\"|[0-9]+")


class Faults(list[Fault]):
    """A list of faults that stops growing; ``total``, ``by_kind`` and ``by_path`` count all.

    A kind is a reason without its numbers and quoted values.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()
        self.total = 0
        self.by_kind: Counter[str] = Counter()
        self.by_path: Counter[Path] = Counter()

    def append(self, fault: Fault, /) -> None:
        """Count a fault, and keep it if there is room. Any thread may."""
        with self._lock:
            self._append(fault)

    def _append(self, fault: Fault) -> None:
        self.total += 1
        self.by_path[fault.path] += 1
        kind = _VARYING.sub("…", fault.reason[:_MAX_REASON])
        is_room = kind in self.by_kind or len(self.by_kind) < _MAX_KINDS
        self.by_kind[kind if is_room else "other"] += 1
        if len(self) < MAX_KEPT:
            super().append(fault._replace(reason=fault.reason[:_MAX_REASON]))
