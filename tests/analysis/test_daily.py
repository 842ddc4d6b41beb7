"""Daily tables: typed columns, a row for every day, and faults with their place."""

import os
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.daily import COUNTS, BadTableError, read_counts, read_tor_users

DATA = Path(os.environ.get("REACHWATCH_DATA", Path(__file__).parents[3] / "shared" / "data"))
HEADER = ",ok,dns,http,tls,error,date,total\n"
USERS = ",date,country,users,lower,upper,frac\n"


def saved(folder: Path, text: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_counts_have_a_row_for_every_day(tmp_path: Path) -> None:
    """A day that the table does not have was not measured, and is marked so."""
    path = saved(tmp_path, HEADER + "9,5,1,2,0,4,2030-03-03,8\n3,1,0,0,0,0,2030-03-01,1\n")
    table = read_counts(path)

    assert [str(day.date()) for day in table["day"]] == ["2030-03-01", "2030-03-02", "2030-03-03"]
    assert table["total"].tolist() == [1, 0, 8]
    assert table["is_listed"].tolist() == [True, False, True]
    assert {str(table[name].dtype) for name in COUNTS} == {"int64"}
    assert str(table["day"].dtype).startswith("datetime64")


def test_users_stay_unknown_where_nobody_tells(tmp_path: Path) -> None:
    """Days and bands that are missing are missing, not zero; countries are kept apart."""
    path = saved(
        tmp_path,
        "# a comment\n" + USERS + "0,2030-03-01,ru,100,,,86\n1,2030-03-03,ru,90,80.5,120.0,83\n"
        "2,2030-03-02,by,7,1,9,83\n",
    )
    table = read_tor_users(path)

    assert table["country"].tolist() == ["BY", "RU", "RU", "RU"]
    russia = table[table["country"] == "RU"]
    assert russia["users"].isna().tolist() == [False, True, False]
    assert russia["lower"].isna().tolist() == [True, True, False]
    assert [str(table[name].dtype) for name in ("users", "lower", "upper", "frac")] == [
        "Int64", "Float64", "Float64", "Int64",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("9,5,1,2,0,4,2030-03-03,7\n", "line 2, column total: is not ok + dns"),
        ("9,5,1,2,0,4,2030-3-3,8\n", "line 2, column date: expected a day"),
        ("9,5,1,2,0,4,2030-02-30,8\n", "line 2, column date: expected a day"),
        ("9,-5,1,2,0,4,2030-03-03,8\n", "line 2, column ok: expected a whole number"),
        ("9,nan,1,2,0,4,2030-03-03,8\n", "column ok"),
        ("9,1e9,1,2,0,4,2030-03-03,8\n", "column ok"),
        ("9,1_0,1,2,0,4,2030-03-03,8\n", "column ok"),
        ("9,\u0665,1,2,0,4,2030-03-03,8\n", "column ok"),
        ("9,5.5,1,2,0,4,2030-03-03,8\n", "column ok"),
        ("9,5,1,2,0,4,2030-03-03\n", "line 2: 7 cells, not 8"),
        ('9,5,1,2,0,"4,2030-03-03,8\n', "line 2: "),
        ("9,5,1,2,0,4,2030-03-03,8\n" * 2, "line 3, column date: 2030-03-03 once more"),
        (
            "1,1,0,0,0,0,1800-01-01,1\n2,1,0,0,0,0,2030-01-01,1\n",
            "from 1800-01-01 to 2030-01-01 are more than",
        ),
        ("x" * 5000 + "\n", "line 2: more than 4096 bytes"),
        ("", "no days"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, row: str, words: str) -> None:
    """File, line and column."""
    path = saved(tmp_path, HEADER + row)
    with pytest.raises(BadTableError) as raised:
        read_counts(path)
    assert str(path) in str(raised.value)
    assert words in str(raised.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A missing column, a missing file, two columns of a name, bytes that are no text."""
    for content, words in (
        (USERS, "no column 'ok'"),
        ("", "no column 'date'"),
        (HEADER.replace("error", "ok,error"), "two columns"),
        (HEADER.encode() + b"\xff,1,0,0,0,0,2030-03-01,1\n", "line 2: "),
    ):
        with pytest.raises(BadTableError, match=words):
            read_counts(saved(tmp_path, content))
    with pytest.raises(BadTableError, match="No such file"):
        read_tor_users(tmp_path / "missing.csv")
    with pytest.raises(BadTableError, match="column country: expected two letters"):
        read_tor_users(saved(tmp_path, USERS + "0,2030-03-01,<b>,1,,,1\n"))


@settings(max_examples=80, deadline=None)
@given(content=st.binary(max_size=200) | st.text(max_size=80).map(str.encode))
def test_whatever_follows_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """No other exception."""
    folder = tmp_path_factory.getbasetemp()
    for header, read in ((HEADER, read_counts), (USERS, read_tor_users)):
        path = saved(folder, header.encode() + content)
        try:
            assert isinstance(read(path), pd.DataFrame)
        except BadTableError as error:
            assert str(error).startswith(str(path))  # noqa: PT017 - either is right


@pytest.mark.skipif(not (DATA / "daily").is_dir(), reason="no daily series here")
@pytest.mark.parametrize("country", ["ir", "mm", "ru", "tr"])
def test_real_series_are_read(country: str) -> None:
    """Two years and more, without a gap in the grid."""
    counts = read_counts(DATA / "daily" / f"ooni-data-{country}.csv")

    assert len(counts) >= 820
    assert counts["day"].is_unique
    assert counts.loc[~counts["is_listed"], "total"].sum() == 0
    path = DATA / "daily" / f"tor-data-{country}.csv"
    if path.exists():
        users = read_tor_users(path)
        assert users["day"].min().date() == date(2021, 1, 1)
        assert set(users["country"]) == {country.upper()}
