"""Who measured what, and where, in words."""

from collections.abc import Iterable, Mapping
from typing import Final

_BY: Final = {"reachwatch": "by reachwatch", "ooni": "by OONI"}


def counted(n: int, noun: str) -> str:
    """Write a number with its noun: ``1 network``, ``1,204 measurements``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def network_words(probe_cc: str, probe_asn: int) -> str:
    """Name a network: ``RU AS8402``, ``RU, network unknown``, ``network unknown``."""
    where = "" if probe_cc == "ZZ" else probe_cc
    if not probe_asn:
        return f"{where}, network unknown" if where else "network unknown"
    return f"{where} AS{probe_asn}".strip()


def source_words(n_by_source: Mapping[str, int], networks: Iterable[object], noun: str) -> str:
    """Say how much of what was measured by whom: ``12 runs by reachwatch, in 3 networks``."""
    parts = [
        f"{counted(n, noun)} {_BY.get(source, source)}"
        for source, n in sorted(n_by_source.items(), key=lambda item: (-item[1], item[0]))
    ]
    return f"{' and '.join(parts)}, in {counted(len(set(networks)), 'network')}"


def left_out(n_left: int, noun: str, n: int) -> str:
    """Say, after a source, how much of a frame is in the table but not drawn; nothing if all is."""
    return f"; {counted(n_left, noun)} with n = {n:,} are in the table" if n_left > 0 else ""
