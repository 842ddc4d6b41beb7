"""Rows put in order: which attempt is whose, and what is left out as unsound."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts import Scene
from probe.model.failure import SKIPPED
from probe.model.observation import FollowUp, Observation
from probe.verdict.members import MAX_LAG_S, WAYS, Member, Place, gather, sound
from verdict.scenes import CONNECTED, OK, PAGE, RESET, RESET_HELLO, SILENT, TIMEOUT, A, B, clean

INF = float("inf")


def place_of(scene: Scene) -> Place:
    """The only place of the only member."""
    ((place,),) = (member.places for member in gather(scene.rows).values())
    return place


def ids(rows: Sequence[Observation]) -> list[str]:
    return [row.observation_id for row in rows]


def test_a_place_has_its_attempts_and_contrasts() -> None:
    """By address; the last row of each try speaks for it."""
    scene = Scene().chain(*RESET_HELLO, address=A).chain(*OK, address=A)
    scene.beside("other_name", *OK, address=A).beside("second_hello", *RESET_HELLO, address=A)
    place = place_of(scene)

    assert (place.address, place.port, len(place.attempts)) == (A, 443, 2)
    assert ids(place.failed()) == ["o00002"]
    assert ids(place.passed("other_name")) == ["o00006"]
    assert ids(place.missed("second_hello")) == ["o00008"]
    assert place.is_ok()


@pytest.mark.parametrize("follow_up", ["other_name", "second_hello", "other_port", "small_hello"])
def test_what_was_skipped_was_not_tried(follow_up: FollowUp) -> None:
    """It neither passed nor failed."""
    scene = Scene().chain(*RESET_HELLO, address=A)
    scene.beside(follow_up, *CONNECTED, ("tls", SKIPPED), address=A)
    place = place_of(scene)
    assert place.passed(follow_up) == place.missed(follow_up) == []


def test_another_port_belongs_to_the_place_that_failed() -> None:
    """It is asked on behalf of the endpoint."""
    scene = Scene().chain(*SILENT, address=A).beside("other_port", *CONNECTED, address=A, port=80)
    place = place_of(scene)
    assert place.port == 443
    assert ids(place.passed("other_port")) == ["o00002"]


@pytest.mark.parametrize("follow_up", sorted(WAYS))
def test_other_ways_are_no_attempts(follow_up: FollowUp) -> None:
    """Whatever their role, they stand apart."""
    scene = Scene().chain(*OK, address=A)
    scene.beside(follow_up, ("quic", TIMEOUT), address=A, role="test")
    (member,) = gather(scene.rows).values()
    assert [ids(place.failed()) for place in member.places] == [[]]
    assert ids(member.ways) == ["o00003"]


def test_a_member_of_follow_ups_alone_is_empty() -> None:
    """Its own rows were left out, as after a minute without a line."""
    scene = Scene().beside("other_name", *OK, address=A)
    (member,) = gather(scene.rows).values()
    assert member.is_empty()
    assert Member("a").is_empty()


def test_contrasts_of_schema_version_1_0_had_no_name() -> None:
    """They were all of one kind."""
    scene = Scene().chain(*RESET_HELLO, address=A).chain(*OK, address=A, role="contrast")
    assert ids(place_of(scene).passed("other_name")) == ["o00004"]


@given(st.randoms(use_true_random=False))
def test_rows_come_in_any_order(order: random.Random) -> None:
    """Time puts them in order, and ids where times are equal."""
    scene = clean().lookup("system", None, [A])
    for address in (A, B):
        scene.chain(*RESET_HELLO, address=address, member="dc").chain(*PAGE, address=address)
        scene.beside("other_name", *OK, address=address, member="dc")
    shuffled = list(scene.rows)
    order.shuffle(shuffled)

    def order_of(rows: Sequence[Observation]) -> list[object]:
        return [
            (name, sorted((p.address or "", ids(list(p.everything()))) for p in member.places))
            for name, member in gather(rows).items()
        ]

    assert order_of(shuffled) == order_of(scene.rows)


# -- what is left out ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "is_kept"),
    [
        ((), True),
        (((0.0, 1.0),), True),
        (((0.0, 5.5),), False),
        (((5.5, 5.6),), False),
        (((5.9, INF),), False),
        (((6.0, INF),), True),
        (((0.0, 1.0), (5.0, 6.0)), False),
    ],
)
def test_silence_at_a_bad_time(bad: tuple[tuple[float, float], ...], *, is_kept: bool) -> None:
    """An attempt from 5 to 6 s, and a time at which controls failed."""
    scene = Scene().chain(*SILENT, address=A, t0=5.0, t=6.0)
    assert bool(sound(scene.rows, bad)) is is_kept


def test_a_chain_goes_as_a_whole() -> None:
    """Without the step that failed, the connect before it would pass for a success."""
    scene = Scene().chain(*CONNECTED, ("tls", TIMEOUT), address=A)
    assert sound(scene.rows, ((0.0, INF),)) == []


@pytest.mark.parametrize("failure", [None, RESET, "connection_refused", "ssl_unknown_authority"])
def test_only_silence_is_doubted(failure: str | None) -> None:
    """What arrived, arrived."""
    scene = Scene().chain(*CONNECTED, ("tls", failure), address=A, loop_lag_s=9.0)
    assert sound(scene.rows, ((0.0, INF),)) == scene.rows


@pytest.mark.parametrize(("lag_s", "is_kept"), [(MAX_LAG_S, True), (MAX_LAG_S + 0.01, False)])
def test_our_own_load(lag_s: float, *, is_kept: bool) -> None:
    """Half of the shortest time limit."""
    scene = Scene().chain(*SILENT, address=A, loop_lag_s=lag_s)
    assert bool(sound(scene.rows, ())) is is_kept


def test_questions_are_kept() -> None:
    """A lookup has resolvers to compare with, which heard the same line."""
    scene = Scene().lookup("system", TIMEOUT, loop_lag_s=9.0)
    assert sound(scene.rows, ((0.0, INF),)) == scene.rows
