"""A heat map: classes where a share can be told, hatches where it cannot."""

import numpy as np
import pytest

from analysis.chart.events import Event
from analysis.chart.heatmap import CLASSES, INSUFFICIENT, KEY, class_of
from analysis.chart.key import NO_DATA
from analysis.chart.style import save_svg
from analysis.drawn import Drawn
from analysis.views.heatmap import MAX_ROWS, view
from legible import assert_legible, words_of
from made_measurements import FIRST, blocked, dataset, measured
from stamped import tile_area

HOSTILE = ("x" * 2_000, "$\\frac{1}{0}$\n\u202e<script>alert(1)</script>")


def thin(code: str, asn: int, number: int) -> float:
    """Network 2 is silent in the second half."""
    return float("nan") if asn == 2 and number >= 20 else blocked(code, asn, number)


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """Forty days: RU blocked from day 20 on, network 2 silent then."""
    rows = measured([("RU", 1), ("US", 2)], 40, thin, per_day=12)
    return view(dataset(rows), [Event(FIRST, "A block of all of the addresses", "effective")])


def test_every_row_has_its_n(drawn: Drawn) -> None:
    """Names, n and probes of each row, n of a day, the source; nothing over another."""
    words = words_of(drawn.figure)

    assert_legible(drawn.figure)
    for word in ("RU AS1", "US AS2", "480", "240", "n", "probes", "n per day", "up to 24"):
        assert word in words
    assert "720 results by OONI, in 2 networks" in " ".join(words)


def test_cells_have_the_look_of_their_class_and_silence_its_own(drawn: Drawn) -> None:
    """Areas add up: half of network 2 is no data, RU's second half a high share."""
    areas = {words: tile_area(drawn.figure, look.face, look.hatch) for look, words in KEY}
    row = sum(areas.values()) / 2

    assert areas["no data"] == pytest.approx(row / 2, rel=0.02)
    assert areas["80 % and more"] == pytest.approx(row / 2, rel=0.1)
    assert areas["under 5 %"] > row / 2
    told = "RU AS1, n = 480 of 480 probes"
    assert told in drawn.alt
    assert "no data in 20 of 40 days" in drawn.alt


def test_the_table_gives_no_share_without_its_n(drawn: Drawn) -> None:
    """A row for each cell with data, each with n, decided and the interval."""
    table = drawn.table
    assert len(table) == 60
    assert (table["n"] == 12).all()
    assert (table["Share"] != "").all()


def test_looks_differ_without_colour() -> None:
    """Hatches are all different, and classes darken: they keep their order in grey."""
    looks = [*(one.look for one in CLASSES), INSUFFICIENT, NO_DATA]
    assert len({look.hatch for look in looks}) == len(looks)

    def grey(face: str) -> float:
        red, green, blue = (int(face[place : place + 2], 16) for place in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    greys = [grey(one.look.face) for one in CLASSES]
    assert all(np.diff(greys) < -25)


def test_every_share_has_a_class() -> None:
    """From nothing to all, in order."""
    found = [CLASSES.index(class_of(share)) for share in np.linspace(0, 1, 201)]
    assert found == sorted(found)
    assert set(found) == set(range(len(CLASSES)))


def test_crowds_and_hostile_names_stay_legible_and_small() -> None:
    """Sixty networks, names that are no names: cut, counted, and the same bytes twice."""
    networks = [("RU", 64512 + number) for number in range(30)]
    rows = measured(networks, 12, blocked, per_day=3, targets=HOSTILE)
    one, two = view(dataset(rows)), view(dataset(rows[::-1].reset_index(drop=True)))
    svg = save_svg(one.figure)

    assert_legible(one.figure)
    n = (60 - MAX_ROWS) * 36
    assert f"{60 - MAX_ROWS} more rows with n = {n:,}" in " ".join(words_of(one.figure))
    assert svg == save_svg(two.figure)
    assert len(svg) < 250_000
    assert b"<script" not in svg
    assert len(one.alt) < 10_000


def test_a_single_measurement_is_no_share() -> None:
    """One cell of one failure: not enough data, whatever the share would be."""
    drawn = view(dataset(measured([("RU", 1)], 1, lambda *_: 1.0, per_day=1)))

    assert_legible(drawn.figure)
    assert tile_area(drawn.figure, INSUFFICIENT.face, INSUFFICIENT.hatch) > 0
    assert drawn.table["Share"].tolist() == [""]
    assert drawn.table["n"].tolist() == [1]
