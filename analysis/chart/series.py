"""Rows of a chart: one per target and way, the direct way first."""

from typing import Any, NamedTuple

import pandas as pd

from analysis.chart.sheet import Sheet, clean, shortened
from analysis.chart.style import SOFT_INK
from probe.verdict.words import TACTIC_WORDS


class SeriesRow(NamedTuple):
    """One row. ``cells``: its records, in order of day."""

    target_id: str
    service_id: str
    tactic: str
    proxy_id: str | None
    cells: list[dict[str, Any]]

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
    """Return the rows of a table: targets by name, each with its ways below it."""
    found: dict[tuple[str, str, str, str | None], list[dict[str, Any]]] = {}
    for record in table.to_dict("records"):
        key = (
            record["target_id"],
            record["service_id"],
            record["tactic"],
            value(record["proxy_id"]),
        )
        found.setdefault(key, []).append({str(name): item for name, item in record.items()})
    rows = [SeriesRow(*key, cells) for key, cells in found.items()]
    rows.sort(key=lambda row: (row.target_id, row.tactic != "none", row.tactic, row.proxy_id or ""))
    return rows


def draw_labels(
    page: Sheet, row: SeriesRow, x: float, y: float, width: float, *, is_first: bool
) -> None:
    """Write a row's names to the left of it, the target's only on its first row."""
    way = clean(row.way)
    if not is_first:
        page.text(x + 0.12, y, shortened(f"↳ {way}", width - 0.2, 8), size=8)
        return
    name = shortened(clean(row.target_id), width - 0.1, 9.5, bold=True)
    page.text(x, y + 0.08, name, size=9.5, bold=True)
    text = way if row.tactic == "none" else f"↳ {way}"
    page.text(x, y - 0.09, shortened(text, width - 0.1, 8), size=8, colour=SOFT_INK)
