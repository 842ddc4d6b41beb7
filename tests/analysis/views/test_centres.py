"""Members of a target by day: each n of N as measured, days without data left open."""

import pytest

import ooni_measurements as ooni
from analysis.chart.style import save_svg
from analysis.drawn import NoDataError
from analysis.views.centres import MAX_ROWS, view
from legible import assert_legible, words_of
from small_tables import Row, dataset_of, measured, step

SILENT = {"failure": "generic_timeout_error", "failure_class": "timeout", "source": "ooni"}


def pool(number: int, run: str, works: dict[str, bool], **columns: object) -> dict[str, list[Row]]:
    """Return a measurement of a pool, and its connects."""
    rows = [step(number, run, name, **({"source": "ooni"} if ok else SILENT), **columns)
            for name, ok in works.items()]  # fmt: skip
    own = measured(number, run, sum(works.values()), len(works), **columns)
    return {"observations": rows, "measurements": [own]}


def both(*parts: dict[str, list[Row]]) -> dict[str, list[Row]]:
    return {name: [row for part in parts for row in part[name]]
            for name in ("observations", "measurements")}  # fmt: skip


TWO_DAYS = both(
    pool(0, "a", {"dc1": True, "dc2": True, "dc10": False}),
    pool(0, "b", {"dc1": True, "dc2": False, "dc10": False}),
    pool(2, "c", {"dc1": True, "dc2": True, "dc10": True}),
)


def test_each_member_is_counted_by_day() -> None:
    """N are the measurements that tried it; a day without data is no row and no zero."""
    table = view(dataset_of(**TWO_DAYS)).table
    found = {(row.Member, row.From.day): f"{row.Worked}/{row.n}" for row in table.itertuples()}

    assert found == {
        ("dc1", 1): "2/2", ("dc2", 1): "1/2", ("dc10", 1): "0/2",
        ("dc1", 3): "1/1", ("dc2", 3): "1/1", ("dc10", 3): "1/1",
        ("all", 1): "1.5/3/2", ("all", 3): "3/3/1",
    }  # fmt: skip


def test_members_are_in_the_order_of_their_numbers() -> None:
    """Dc2 stands before dc10, and the alt text tells each."""
    drawn = view(dataset_of(**TWO_DAYS))
    words = words_of(drawn.figure)

    assert [word for word in words if word.startswith("dc")] == ["dc1", "dc2", "dc10"]
    assert "dc2: in full in 1, in part in 1, not in 0, no data in 1 of 3 days, n=3" in drawn.alt
    assert_legible(drawn.figure)


def test_a_member_works_if_each_step_passes_once() -> None:
    """A retry that passes counts; a later step that never passes does too."""
    rows = [
        step(0, "a", "x", **SILENT), step(0, "a", "x", source="ooni"),
        step(0, "a", "y", source="ooni"), step(0, "a", "y", step="tls", **SILENT),
        step(0, "a", "z", step="dns", source="ooni"),
    ]  # fmt: skip
    table = view(dataset_of(observations=rows, measurements=[measured(0, "a", 1, 2)])).table
    found = {row.Member: row.Worked for row in table.itertuples()}

    # z is a name that was found: nothing was tried at it.
    assert found == {"x": 1, "y": 0, "all": "1/2"}


def test_means_are_never_rounded_to_all_or_none() -> None:
    """4.97 of 5 is 4.9, not 5; one failure in a thousand shows."""
    days = both(*(pool(0, str(n), {f"dc{i}": n > 0 or i > 1 for i in range(1, 6)})
                  for n in range(40)))  # fmt: skip
    table = view(dataset_of(**days)).table
    (row,) = table[table["Member"] == "all"].to_dict("records")

    assert row["Worked"] == "4.9/5"


def test_a_real_measurement_has_five_data_centres(tmp_path_factory: pytest.TempPathFactory) -> None:
    """OONI's real blocked one: all of Telegram's centres answered, and the web did not."""
    from analysis.dataset import load

    source = next(path for path in ooni.all_real() if "telegram" in path.name.lower())
    drawn = view(load(source))
    members = {row.Member for row in drawn.table.itertuples()}

    assert {f"dc{n}" for n in range(1, 6)} <= members
    assert_legible(drawn.figure)


@pytest.mark.parametrize("n_days", [1, 1200])
def test_every_span_is_legible_and_small(n_days: int) -> None:
    """Days become weeks and months; the file stays one that a page can hold."""
    days = both(*(pool(n, str(n), {f"dc{i}": (n + i) % 7 > 0 for i in range(1, 6)})
                  for n in range(0, n_days, 1 + n_days // 150)))  # fmt: skip
    drawn = view(dataset_of(**days))

    assert_legible(drawn.figure)
    assert len(save_svg(drawn.figure)) < 170_000


def test_hundreds_of_members_stay_one_page() -> None:
    """Hosts with hostile names: the most measured are drawn, the rest is counted."""
    many = pool(0, "a", {f"<b>{n}\n" + "y" * n: True for n in range(300)})
    drawn = view(dataset_of(**many))

    assert f"{300 - MAX_ROWS} more members not shown" in " ".join(words_of(drawn.figure))
    assert_legible(drawn.figure)


def test_a_single_host_is_no_raster() -> None:
    """There is nothing to count."""
    with pytest.raises(NoDataError, match="two members"):
        view(dataset_of(**pool(0, "a", {"host": True})))
