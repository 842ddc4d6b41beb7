"""What a censor remembers beyond one connection: residual blocks, parallel hellos."""

from collections import deque
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeVar

from censorlab.addresses import subnet
from censorlab.decide import PASS, Treatment, matches, on_first_bytes
from censorlab.opening.first_bytes import Seen
from censorlab.rules import ParallelPolicing, Residual, Rule

_MAX_ENTRIES: Final = 65_536
"""Of each kind: ten runs of a prober with 1000 endpoints; the oldest is forgotten."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Contact(NamedTuple):
    """A client and the place it talks to; addresses are 4 or 16 bytes."""

    client: bytes
    server: bytes
    port: int
    protocol: Literal["tcp", "udp"] = "tcp"


class _Parallel(NamedTuple):
    rule: int
    subnet: bytes
    name: str


class Memory:
    """The rules with their timed state, asked with the time as an argument."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = tuple(rules)
        self._residual_s = max(
            (r.seconds for r in self.rules if isinstance(r, Residual)), default=0.0
        )
        self._policing = tuple(rule for rule in self.rules if isinstance(rule, ParallelPolicing))
        self._blocked_until: dict[Contact, float] = {}
        self._hellos: dict[_Parallel, deque[float]] = {}
        self._policed_until: dict[_Parallel, float] = {}

    def judge(
        self, contact: Contact, seen: Seen, now: float, opened: Treatment = PASS
    ) -> Treatment:
        """Decide about a connection by its first bytes, and remember what follows from it."""
        treatment = on_first_bytes(self.rules, seen, contact.server, contact.port, opened)
        name = seen.hello and seen.hello.server_name
        if name and self._is_policed(contact.server, name, now):
            treatment = treatment._replace(action="drop")
        if treatment.action != "pass":
            self.hit(contact, now)
        return treatment

    def hit(self, contact: Contact, now: float) -> None:
        """Remember that a rule struck a connection."""
        if self._residual_s:
            _put(self._blocked_until, contact, now + self._residual_s)

    def is_blocked(self, contact: Contact, now: float) -> bool:
        """Whether an earlier hit still stands against a new connection."""
        return self._blocked_until.get(contact, 0.0) > now

    def _is_policed(self, server: bytes, server_name: str, now: float) -> bool:
        """Count a hello, and say whether it is one too many."""
        exceeds = [
            self._exceeds(rule, _Parallel(n, subnet(server), server_name.lower()), now)
            for n, rule in enumerate(self._policing)
            if matches(rule.server_name, server_name)
        ]
        return any(exceeds)

    def _exceeds(self, rule: ParallelPolicing, what: _Parallel, now: float) -> bool:
        if self._policed_until.get(what, 0.0) > now:
            return True
        times = self._hellos.get(what)
        if times is None:
            times = deque()
            _put(self._hellos, what, times)
        while times and times[0] <= now - rule.window_seconds:
            times.popleft()
        times.append(now)
        if len(times) > rule.at_once:
            _put(self._policed_until, what, now + rule.seconds)
            times.clear()
            return True
        return False


def _put(entries: dict[Key, Value], key: Key, value: Value) -> None:
    """Enter as the newest, and forget the oldest of too many."""
    entries.pop(key, None)
    if len(entries) >= _MAX_ENTRIES:
        del entries[next(iter(entries))]
    entries[key] = value
