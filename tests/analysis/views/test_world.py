"""Countries side by side: the same axes, n in every panel, gaps that look like gaps."""

import pytest

from analysis.chart.events import Event
from analysis.chart.key import NO_DATA
from analysis.chart.style import save_svg
from analysis.chart.world import INSUFFICIENT
from analysis.drawn import Drawn
from analysis.views.world import MAX_PANELS, view
from legible import assert_legible, words_of
from made_measurements import FIRST, TARGETS, blocked, dataset, measured
from stamped import tile_area


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """Three countries, one of them silent for ten days; the web target fails, the other not."""

    def share(code: str, asn: int, number: int) -> float:
        return float("nan") if code == "US" and number < 10 else blocked(code, asn, number)

    rows = measured([("DE", 1), ("RU", 2), ("US", 3)], 40, share, per_day=10, targets=TARGETS)
    rows.loc[rows["target_id"] == TARGETS[0], "outcome"] = "ok"
    return view(dataset(rows), [Event(FIRST, "A block of all of the addresses", "effective")])


def test_every_panel_has_its_name_and_n(drawn: Drawn) -> None:
    """Panels by what fails, each with n and probes; the target is named, others counted."""
    words = words_of(drawn.figure)

    assert_legible(drawn.figure)
    assert next(word for word in words if word in {"DE", "RU", "US"}) == "RU"
    assert words.count("n = 400, 400 probes") == 2
    assert words.count("n = 300, 300 probes") == 1
    assert "telegram/web" in drawn.title
    assert "1 more target not drawn" in " ".join(words)


def test_silence_is_hatched(drawn: Drawn) -> None:
    """A quarter of one panel is no data; nothing else is."""
    area = tile_area(drawn.figure, NO_DATA.face, NO_DATA.hatch)
    assert area == pytest.approx(2.5 / 4, rel=0.05)
    assert "no data in 10 of 40 days" in drawn.alt
    assert "RU, n = 400 of 400 probes" in drawn.alt


def test_a_share_that_nothing_supports_is_not_drawn() -> None:
    """One measurement: hatched as insufficient, and no share in the words."""
    found = view(dataset(measured([("RU", 1)], 1, lambda *_: 1.0, per_day=1)))

    assert_legible(found.figure)
    assert tile_area(found.figure, INSUFFICIENT.face, INSUFFICIENT.hatch) > 0
    assert "no share can be told" in found.alt


def test_a_world_of_countries_is_legible_small_and_the_same_twice() -> None:
    """Sixty countries: the first 24 are drawn, the rest counted."""
    codes = [one + two for one in "ABCDEF" for two in "ABCDEFGHIJ"]
    rows = measured([(code, 1) for code in codes], 12, blocked, per_day=4)
    one, two = view(dataset(rows)), view(dataset(rows[::-1].reset_index(drop=True)))
    svg = save_svg(one.figure)

    assert_legible(one.figure)
    assert svg == save_svg(two.figure)
    assert len(svg) < 250_000
    left = len(codes) - MAX_PANELS
    assert f"{left} more panels with n = {left * 48:,}" in " ".join(words_of(one.figure))
