"""What a censor remembers beyond one connection: residual blocks, parallel hellos."""

from collections import deque
from collections.abc import Iterable

from censorlab.packet.addresses import subnet
from censorlab.packet.flow import FlowKey
from censorlab.packet.rules import PacketRule, ParallelPolicing, Residual
from censorlab.rules import matches


class Memory:
    """Timed state, asked with the time as an argument."""

    def __init__(self, rules: Iterable[PacketRule]) -> None:
        rules = tuple(rules)
        self._residual_s = max((r.seconds for r in rules if isinstance(r, Residual)), default=0.0)
        self._policing = tuple(rule for rule in rules if isinstance(rule, ParallelPolicing))
        self._blocked: dict[tuple[int, bytes, bytes, int], float] = {}
        self._hellos: dict[tuple[bytes, str], deque[float]] = {}
        self._policed_until: dict[tuple[bytes, str], float] = {}

    def hit(self, key: FlowKey, now: float) -> None:
        """Remember that a rule struck this connection."""
        if self._residual_s:
            place = (key.protocol, key.client, key.server, key.server_port)
            self._blocked[place] = now + self._residual_s

    def is_blocked(self, key: FlowKey, now: float) -> bool:
        """Whether an earlier hit still stands against a new connection."""
        if not self._blocked:
            return False
        place = (key.protocol, key.client, key.server, key.server_port)
        return self._blocked.get(place, 0.0) > now

    def is_policed(self, server: bytes, server_name: str, now: float) -> bool:
        """Count a hello, and say whether it is one too many."""
        exceeds = [
            self._exceeds(rule, (subnet(server), server_name.lower()), now)
            for rule in self._policing
            if matches(rule.server_name, server_name)
        ]
        return any(exceeds)

    def _exceeds(self, rule: ParallelPolicing, what: tuple[bytes, str], now: float) -> bool:
        if self._policed_until.get(what, 0.0) > now:
            return True
        times = self._hellos.setdefault(what, deque())
        while times and times[0] <= now - rule.window_seconds:
            times.popleft()
        times.append(now)
        if len(times) > rule.at_once:
            self._policed_until[what] = now + rule.seconds
            times.clear()
            return True
        return False
