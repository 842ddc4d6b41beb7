"""Which try of a proxy comes next: by what came of those before."""

from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.run.proxy_tries import GIVE_UP_AFTER, Made, next_form
from probe.steps.proxy_try import Phase, Try
from probe.wire.faketls import HelloForm

phases = st.sampled_from(get_args(Phase))
outcomes = st.none() | phases
MOST = 6


def outcome(phase: Phase | None) -> Try:
    return Try(phase, None if phase is None else "generic_timeout_error")


def forms(
    tries: int, ends: Callable[[HelloForm, int], Phase | None], *, is_fake_tls: bool = True
) -> list[Made]:
    """Make tries that end as ``ends`` says of a form and how often it was tried."""
    made: list[Made] = []
    while (form := next_form(made, tries, is_fake_tls=is_fake_tls)) is not None:
        before = sum(each.form == form for each in made)
        made.append(Made(form, outcome(ends(form, before))))
        assert len(made) <= 2 * MOST
    return made


@given(st.integers(1, MOST), st.data(), st.sampled_from(["ee", "other"]))
def test_it_ends_and_no_form_is_tried_more_often_than_asked(
    tries: int, data: st.DataObject, kind: str
) -> None:
    """And what works is tried as often as was asked for."""
    made = forms(tries, lambda *_: data.draw(outcomes), is_fake_tls=kind == "ee")
    counts = dict.fromkeys(get_args(HelloForm), 0)
    working = set()
    for form, one in made:
        counts[form] += 1
        working |= {form} if one.failure is None else set()
    assert max(counts.values()) <= tries
    if working:
        # The form of today's applications goes before.
        assert counts["current" if "current" in working else "old"] == tries
    if kind != "ee":
        assert {each.form for each in made} == {"current"}


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("tcp", ["current", "current"]),
        ("fake_tls", ["current", "old"]),
        ("secret", ["current", "old"]),
        ("mtproto", ["current", "current"]),
        ("dc", ["current", "current"]),
        (None, ["current"] * 3),
    ],
)
def test_two_failures_and_the_second_form_is_one_of_them(
    phase: Phase | None, expected: list[HelloForm]
) -> None:
    """Wherever they were; another form only helps at the hello."""
    assert [each.form for each in forms(3, lambda *_: phase)] == expected


def test_a_proxy_counts_as_old_after_two_failures_only() -> None:
    """A hello that was lost once makes no proxy old."""
    old = forms(3, lambda form, _: None if form == "old" else "fake_tls")
    assert [each.form for each in old].count("current") == GIVE_UP_AFTER
    assert [each.form for each in old].count("old") == 3

    lost = forms(3, lambda form, n: "fake_tls" if (form, n) == ("current", 0) else None)
    assert [each.form for each in lost] == ["current", "old", "current", "current"]


def test_a_form_that_got_past_its_hello_is_tried_again() -> None:
    """What is dropped behind it may be dropped by chance."""
    made = forms(3, lambda form, _: "mtproto" if form == "old" else "fake_tls")
    assert [each.form for each in made] == ["current", "old", "old"]
