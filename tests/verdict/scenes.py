"""Words of the scenes that the tests of the rules are written in."""

from typing import Any

from facts import Scene
from probe.model.target import CombinationRule
from probe.model.verdict import Verdict
from probe.verdict.judge import judge

A, B, C, D = "91.108.56.1", "149.154.167.1", "149.154.175.1", "91.105.192.1"
TIMEOUT = "generic_timeout_error"
RESET = "connection_reset"

Steps = tuple[tuple[str, str | None], ...]
CONNECTED: Steps = (("tcp", None),)
OK: Steps = (*CONNECTED, ("tls", None))
PAGE: Steps = (*OK, ("http", None))
PLAIN_PAGE: Steps = (*CONNECTED, ("http", None))
SILENT: Steps = (("tcp", TIMEOUT),)
RESET_HELLO: Steps = (*CONNECTED, ("tls", RESET))
UNHEARD_HELLO: Steps = (*CONNECTED, ("tls", TIMEOUT))
UNKNOWN_ISSUER: Steps = (*CONNECTED, ("tls", "ssl_unknown_authority"))
NO_RESPQ: Steps = (*CONNECTED, ("mtproto", TIMEOUT))

UNSEEN: dict[str, Any] = {"bytes_acked": 1}
"""Columns of what no kernel on the other side acknowledged (the SYN counts as a byte)."""

EARLY: dict[str, Any] = {"tcp_rtt_s": 0.1}
"""Columns of what ends half a round trip after it began, as each row of a scene does."""

TAKEN: dict[str, Any] = {"bytes_acked": 518}
"""Columns of what the host itself, or somebody in its place, acknowledged."""

PUBLIC = ("93.184.216.34",)
FORGED = ("203.0.113.9",)

NOBODY: dict[str, Any] = {"target_id": None, "service_id": None, "combination_rule": None}
"""Columns of a row that belongs to no target."""


def clean(rule: CombinationRule = "all_of") -> Scene:
    """Controls of two operators answer."""
    return Scene(rule).controls(None, None)


def twice(scene: Scene, *steps: tuple[str, str | None], address: str = A, **columns: Any) -> Scene:
    """Add the same attempt two times."""
    for _ in range(2):
        scene.chain(*steps, address=address, **columns)
    return scene


def verdict_of(scene: Scene) -> Verdict:
    """Judge the direct way to a scene's one target."""
    (verdict,) = (one for one in judge(scene.rows) if one.tactic in {"none", "socks5"})
    return verdict
