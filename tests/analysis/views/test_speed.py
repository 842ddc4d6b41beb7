"""Speed: beside the controls of the same day and network; without them nothing is compared."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.chart.scale import three_digits
from analysis.drawn import NoDataError
from analysis.query.speed import speed_histograms
from analysis.stats.histograms import histogram, median_ratio, quantiles
from analysis.views.speed import view
from legible import assert_legible, words_of
from small_tables import Row, dataset_of, step

CONTROL = {"role": "control", "target_id": None, "service_id": None}


def timed(number: int, run: str, seconds: float, **columns: object) -> Row:
    return step(number, run, "dc1", t0=5.0, t=5.0 + seconds, **columns)


def week(target: float, control: float | None, runs: int = 12) -> list[Row]:
    """Return days of ``runs`` runs, with one connect to the target and perhaps to a control."""
    rows = []
    for number in range(3):
        for run in range(runs):
            spread = 1 + run / 100
            rows.append(timed(number, f"{number}-{run}", target * spread))
            if control is not None:
                rows.append(timed(number, f"{number}-{run}", control * spread, **CONTROL))
    return rows


def ratios(rows: list[Row]) -> list[str]:
    return [str(value) for value in view(dataset_of(observations=rows)).table["Ratio"]]


def test_a_slow_target_is_told_from_its_controls() -> None:
    """Ten times the controls' median, with an interval that says so."""
    drawn = view(dataset_of(observations=week(0.4, 0.04)))

    assert all(float(ratio) == pytest.approx(10, rel=0.1) for ratio in drawn.table["Ratio"])
    assert all(float(text.split(" to ")[0]) > 1 for text in drawn.table["95 % interval"])
    assert "told from it in 3 days above and 0 below, of 3" in drawn.alt
    assert_legible(drawn.figure)


def test_a_line_that_is_slow_to_all_is_no_slow_target() -> None:
    """Both at 400 ms: nothing is told from anything."""
    drawn = view(dataset_of(observations=week(0.4, 0.4)))
    assert "told from it in 0 days above and 0 below" in drawn.alt


def test_silence_of_controls_is_not_slowness() -> None:
    """No ratio, no mark; the words say that there is nothing to compare with."""
    drawn = view(dataset_of(observations=week(4.0, None)))

    assert set(drawn.table["Ratio"]) == {""}
    assert set(drawn.table["Controls' median"]) == {"no control measured"}
    assert "no control measured: nothing to compare with" in words_of(drawn.figure)
    assert "no control measured to compare with" in drawn.alt


def test_controls_of_another_network_are_no_controls() -> None:
    """Nor are those of another day."""
    rows = [timed(0, "a", 0.4), timed(0, "b", 0.1, probe_asn=7, **CONTROL),
            timed(1, "c", 0.1, **CONTROL)]  # fmt: skip
    assert ratios(rows) == [""]


def test_ooni_is_drawn_alone_and_says_so() -> None:
    """Its measurements have no controls."""
    rows = [row | {"source": "ooni"} for row in week(0.1, None)]
    drawn = view(dataset_of(observations=rows))

    assert any("OONI measures no controls" in word for word in words_of(drawn.figure))


def test_what_failed_has_no_speed() -> None:
    """A timeout of ten seconds is no slow connect; ways and follow-ups are not the target."""
    rows = week(0.1, 0.1)
    n = len(view(dataset_of(observations=rows)).table)
    odd = [
        timed(0, "x", 10.0, failure="generic_timeout_error"), timed(0, "x", 9.0, tactic="socks5"),
        timed(0, "x", 9.0, follow_up="paired"), timed(0, "x", 9.0, proxy_id="p"),
        timed(0, "x", -1.0), timed(0, "x", 1e9), timed(0, "x", 1.0) | {"t0": None},
    ]  # fmt: skip
    table = view(dataset_of(observations=rows + odd)).table

    assert len(table) == n
    assert set(table["n"]) == {12}


def test_bodies_that_say_something_have_a_rate() -> None:
    """24 KiB in 2 s are 12 kB/s; an error page of a line says nothing."""
    body = {"step": "http", "body_bytes": 24576, "body_duration_s": 2.0, "body_is_truncated": True}
    small = body | {"body_bytes": 300, "body_duration_s": 0.001}
    rows = [timed(0, f"r{n}", 0.1, **columns) for n, columns in enumerate([body, small])]
    table = view(dataset_of(observations=rows)).table

    assert list(table["What"]) == ["Throughput of bodies"]
    assert list(table["n"]) == [1]
    assert table["Median"][0] == "12.5 kB/s"


def test_buckets_are_no_wider_than_a_tenth() -> None:
    """Whole microseconds of two digits: the same on every engine."""
    seconds = np.geomspace(2e-6, 900, 60)
    rows = [timed(0, "r", float(second)) for second in seconds]
    found = speed_histograms(dataset_of(observations=rows).observations, ["telegram/dc_pool"])
    values = [row["value"] for row in found.to_pyarrow().to_pylist() for _ in range(row["n"])]
    exact = np.floor((5.0 + seconds - 5.0) * 1e6)

    assert len(values) == 60
    assert all(value == int(str(value)[:2].ljust(len(str(value)), "0")) for value in values)
    assert np.all(np.abs(np.sort(values) - exact) <= np.maximum(exact / 10, 1))


def test_quantiles_of_a_histogram_are_those_of_its_values() -> None:
    """The inverted distribution, as numpy has it."""
    rng = np.random.default_rng(1)
    values = rng.integers(1, 40, 500)
    levels, counts = np.unique(values, return_counts=True)
    shares = [0.1, 0.5, 0.9]
    expected = np.quantile(values, shares, method="inverted_cdf")

    assert list(quantiles(histogram(levels, counts), shares)) == list(expected)


def test_the_ratios_interval_covers_as_often_as_it_says() -> None:
    """Two samples of 40 from lognormals whose medians are 1 to 2."""
    rng = np.random.default_rng(7)
    hits = 0
    for number in range(120):
        one, other = (np.round(1000 * factor * rng.lognormal(0, 0.5, 40)) for factor in (1, 2))
        found = median_ratio(histogram(one, np.ones(40)), histogram(other, np.ones(40)), (40, 40),
                             number)  # fmt: skip
        hits += found.low <= 0.5 <= found.high
    assert 0.91 <= hits / 120 <= 0.995


@pytest.mark.parametrize("n_days", [1, 1200])
def test_every_span_is_legible(n_days: int) -> None:
    """Gaps, hostile names, several targets."""
    rows = [
        timed(n, f"{n}", 0.02 * (1 + t), target_id=f"<b>{t}\n" + "z" * 400, step=what)
        for n in range(0, n_days, 1 + n_days // 60) for t in range(6) for what in ("tcp", "tls")
    ]  # fmt: skip
    rows += [timed(n, f"{n}", 0.02, **CONTROL) for n in range(0, n_days, 1 + n_days // 30)]
    drawn = view(dataset_of(observations=rows))

    assert_legible(drawn.figure)
    assert "more rows with n = " in " ".join(words_of(drawn.figure))


def test_without_times_it_says_what_is_missing() -> None:
    """Old OONI data have no beginnings of steps."""
    with pytest.raises(NoDataError, match="beginning"):
        view(dataset_of(observations=[step(0, "a", "dc1", t0=None)]))


@given(st.floats(1e-3, 1e9))
def test_numbers_are_never_powers_of_ten(value: float) -> None:
    """And are told to within half a per cent."""
    text = three_digits(value)

    assert "e" not in text
    assert float(text.replace(",", "")) == pytest.approx(value, rel=0.0051)
