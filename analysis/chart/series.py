"""Rows of a chart: one per target and way, the direct way first."""

from typing import Any, NamedTuple

import pandas as pd

from analysis.chart.sheet import Sheet, clean, shortened
from analysis.chart.style import SOFT_INK
from probe.verdict.words import TACTIC_WORDS


class SeriesRow(NamedTuple):
    """One row. ``cells``: its records, in order of day.

    ``place``: network and source in words; empty where all rows are of one.
    """

    target_id: str
    service_id: str
    tactic: str
    proxy_id: str | None
    cells: list[dict[str, Any]]
    place: str = ""

    @property
    def way(self) -> str:
        """Name the way in words, e.g. ``via SOCKS5 proxy-1``."""
        return way_words(self.tactic, self.proxy_id)


_PROXY_WORDS = {"socks5": "SOCKS5", "http_connect": "HTTP CONNECT", "mtproxy": "MTProxy"}
_WORDS = {str(tactic): words for tactic, words in TACTIC_WORDS.items()}


def way_words(tactic: str, proxy_id: str | None) -> str:
    """Name a way in words: ``direct``, ``via SOCKS5 proxy-1``, or as it is known."""
    if tactic == "none":
        return "direct"
    if tactic in _PROXY_WORDS:
        return f"via {_PROXY_WORDS[tactic]} {proxy_id or 'proxy'}"
    return _WORDS.get(tactic, tactic)


def value(item: Any) -> Any:
    """Return None for a missing value of a table, in any of its forms."""
    return None if pd.isna(item) else item


def grouped_rows(table: pd.DataFrame) -> list[SeriesRow]:
    """Return the rows of a table in its order: those of one place, target and way are one."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in table.to_dict("records"):
        key = (
            record["target_id"], record["service_id"], record["tactic"],
            value(record["proxy_id"]) or None, record.get("place", ""),
        )  # fmt: skip
        found.setdefault(key, []).append({str(name): item for name, item in record.items()})
    return [
        SeriesRow(target_id, service_id, tactic, proxy_id, cells, place)
        for (target_id, service_id, tactic, proxy_id, place), cells in found.items()
    ]


def draw_labels(
    page: Sheet, row: SeriesRow, before: SeriesRow | None, at: tuple[float, float], width: float
) -> None:
    """Write to the left of a row what the row before it is not named alike: place, target, way."""
    x, y = at
    way = clean(row.way) if row.tactic == "none" else f"↳ {clean(row.way)}"
    target = clean(row.target_id)
    is_new_target = before is None or row.target_id != before.target_id
    if not is_new_target and before is not None and row.place == before.place:
        page.text(x + 0.12, y, shortened(way, width - 0.2, 8), size=8)
        return
    name = shortened(clean(row.place) or target, width - 0.1, 9.5, bold=True)
    if row.place and not is_new_target and row.tactic == "none":
        page.text(x, y, name, size=9.5, bold=True)
        return
    page.text(x, y + 0.08, name, size=9.5, bold=True)
    text = f"{target}, {way}" if row.place and is_new_target else way
    page.text(x, y - 0.09, shortened(text, width - 0.1, 8), size=8, colour=SOFT_INK)
