"""The drawn confusion matrix: every count and interval, and the same bytes each time."""

import pytest
from matplotlib.figure import Figure

from analysis.chart.confusion import ALARM_FACE, RIGHT_FACE, WRONG_FACE, confusion_chart
from analysis.chart.style import save_png, save_svg
from censorlab.matrix.confusion import Confusion, Row, confusion

TABLE = Confusion(
    rows=(
        Row(
            truth="sni_rst",
            is_benign=False,
            counts={"sni_rst": 19, "~sni_drop": 1},
            right_counts={"sni_rst": 19},
            alarm_counts={},
        ),
        Row(
            truth="slow_line",
            is_benign=True,
            counts={"ok": 7, "ip_drop": 2},
            right_counts={"ok": 7},
            alarm_counts={"ip_drop": 2},
        ),
    ),
    columns=("sni_rst", "~sni_drop", "ip_drop", "ok"),
)


@pytest.fixture(scope="module")
def figure() -> Figure:
    return confusion_chart(TABLE, "a test")


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_every_count_share_and_interval_is_written(figure: Figure) -> None:
    """n is beside every share; nothing has to be read off a colour."""
    shown = texts(figure)
    for expected in ("19", "1", "7", "2", "19/20  76%-99%", "7/9  45%-94%"):
        assert expected in shown
    assert "SIMULATED NETWORK" in shown
    assert [label for label in TABLE.columns if label not in shown] == []


def test_right_wrong_and_false_alarm_look_different(figure: Figure) -> None:
    """By colour and by hatch: either alone is enough."""
    hatches = {patch.get_hatch() for patch in figure.axes[0].patches}
    assert {"xxx", "\\\\\\"} <= hatches
    assert len({RIGHT_FACE, WRONG_FACE, ALARM_FACE}) == 3


def test_no_text_leaves_the_sheet(figure: Figure) -> None:
    figure.canvas.draw()
    page = figure.bbox
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        assert page.x0 <= box.x0, text.get_text()
        assert box.x1 <= page.x1, text.get_text()
        assert page.y0 <= box.y0, text.get_text()
        assert box.y1 <= page.y1, text.get_text()


def test_two_drawings_are_the_same_bytes() -> None:
    first, second = (confusion_chart(TABLE, "a test") for _ in range(2))
    assert save_svg(first) == save_svg(second)
    assert save_png(first) == save_png(second)


def test_a_table_with_one_row_is_drawn() -> None:
    only = Confusion(rows=TABLE.rows[:1], columns=TABLE.columns)
    assert "Nobody blocks" not in texts(confusion_chart(only, "a test"))
    assert confusion([]).rows == ()
