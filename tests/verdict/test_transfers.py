"""Requests and answers: freezes, cuts and block pages, and the sites that say no by themselves."""

from typing import Any

import pytest

from facts import Scene
from probe.model.observation import Header
from probe.model.verdict import BLOCKED_STATES
from verdict.cases import GENERIC_PAGE, KNOWN_PAGE, bare, elsewhere, page, pairs, plain
from verdict.scenes import (
    CONNECTED,
    OK,
    PAGE,
    PLAIN_PAGE,
    RESET,
    RESET_HELLO,
    SILENT,
    TIMEOUT,
    A,
    clean,
    twice,
    verdict_of,
)

WAF = "403 Forbidden. You do not have permission to access this resource on this server."


@pytest.mark.parametrize("further", [0, 16_000, 19_000])
def test_a_contrast_that_got_no_further_shows_no_freeze(further: int) -> None:
    """The other page is as short, or stalls where this one does."""
    assert verdict_of(page(TIMEOUT, 16_000, other=further)).rule_id == "http.interrupted"


@pytest.mark.parametrize("failure", [RESET, TIMEOUT])
def test_a_server_that_breaks_off_for_every_name(failure: str) -> None:
    """The contrast's answer is cut off as well."""
    scene = page(failure, 4000)
    scene.beside("other_name", *OK, ("http", failure), address=A, received_bytes=4000)
    assert verdict_of(scene).rule_id == "http.interrupted"


@pytest.mark.parametrize("received", [0, 16_000])
@pytest.mark.parametrize("failure", [RESET, "eof_error", TIMEOUT])
def test_an_answer_cut_off_once_is_chance(failure: str, received: int) -> None:
    """One attempt, whatever the contrast."""
    scene = clean().chain(*OK, ("http", failure), address=A, received_bytes=received)
    scene.beside("other_name", *PAGE, address=A, received_bytes=60_000)
    assert verdict_of(scene).state == "impaired"


# -- the host's own part in it -----------------------------------------------------

ENDINGS = [RESET, "eof_error", TIMEOUT]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("received", [0, 16_000])
@pytest.mark.parametrize("is_tried", [True, False], ids=["elsewhere", "here alone"])
def test_a_front_whose_host_behind_it_is_sick(
    ending: str, received: int, *, is_tried: bool
) -> None:
    """It takes the request and finds no answer, or half of one; its other names work.

    An upstream that answers too late looks the same.
    """
    scene = page(ending, received, other=60_000, tcp_unacked=0, tcp_retransmits=0)
    if is_tried:
        elsewhere(scene, *PAGE)
    assert verdict_of(scene).rule_id == "http.interrupted"


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("columns", [{"bytes_acked": 90}, {}], ids=["acknowledged", "not known"])
def test_a_virtual_host_that_closes(ending: str, columns: dict[str, int]) -> None:
    """Over plain HTTP: the request arrived, and this host of several has nothing to say."""
    scene = bare(ending, **columns)
    assert verdict_of(scene).rule_id == "http.interrupted"
    assert verdict_of(elsewhere(scene, *PLAIN_PAGE)).rule_id == "http.interrupted"


@pytest.mark.parametrize(
    "columns",
    [
        {"tcp_unacked": 1, "tcp_retransmits": 2},
        {"tcp_unacked": 0, "tcp_retransmits": 3},
        {"tcp_unacked": None, "tcp_retransmits": 3},
        {"tcp_unacked": 1, "tcp_retransmits": None},
        {"bytes_acked": 700},
    ],
)
def test_a_request_that_may_have_arrived(columns: dict[str, int | None]) -> None:
    """Sent again once or twice, or acknowledged after all."""
    assert verdict_of(page(TIMEOUT, 0, other=4000, **columns)).rule_id == "http.interrupted"


@pytest.mark.parametrize("failure", [RESET, "eof_error"])
def test_a_stranger_that_closes_on_strange_names_by_itself(failure: str) -> None:
    """Over plain HTTP, after it had acknowledged the request."""
    there: Any = {"bytes_acked": 90, "tcp_rtt_s": 0.01}
    scene = elsewhere(bare(failure, **there), *CONNECTED, ("http", failure), **there)
    assert verdict_of(scene).rule_id == "http.interrupted"


def test_a_server_whose_reset_overtakes_its_acknowledgement() -> None:
    """A reset of an unacknowledged request is anybody's."""
    assert verdict_of(bare(RESET, bytes_acked=1)).rule_id == "http.interrupted"


def test_a_hello_that_fails_elsewhere_is_no_request_that_does() -> None:
    """The stranger's handshake was lost: nothing was asked there."""
    scene = elsewhere(page(RESET, 0, other=4000), *RESET_HELLO)
    assert verdict_of(scene).rule_id == "http.interrupted"


def test_large_answers_that_are_lost_on_the_way_back() -> None:
    """A path MTU black hole: requests arrive, and only the harmless name's page is short."""
    scene = page(TIMEOUT, 0, other=400, tcp_unacked=0)
    assert verdict_of(scene).rule_id == "http.interrupted"


def test_outcomes_that_differ_name_nothing() -> None:
    """A reset, and then a stall."""
    scene = clean().chain(*OK, ("http", RESET), address=A).chain(
        *OK, ("http", TIMEOUT), address=A
    )  # fmt: skip
    scene.beside("other_name", *PAGE, address=A, received_bytes=60_000)
    assert verdict_of(scene).rule_id == "http.interrupted"


def test_a_second_attempt_that_completes_is_success() -> None:
    """A stall that does not come again."""
    scene = clean().chain(*OK, ("http", TIMEOUT), address=A).chain(*PAGE, address=A)
    assert verdict_of(scene).state == "ok"


def test_tiny_writes_that_stop_are_part_of_the_facts() -> None:
    """A limit of packets shows in many small ones."""
    scene = page(TIMEOUT, 16_000, other=60_000)
    scene.beside("tiny_writes", ("tcp", None), ("writes", TIMEOUT), address=A)
    stopped = scene.rows[-1].observation_id
    assert stopped in verdict_of(scene).reasons


@pytest.mark.parametrize("status", [403, 404, 451, 503, 301])
def test_a_site_that_refuses_by_itself(status: int) -> None:
    """A firewall of the site, an error, a move: another answer than a harmless name's."""
    scene = plain(status_code=status, body_text=WAF, first_byte_s=0.12)
    assert verdict_of(scene).state == "ok"


def test_one_page_for_every_name_is_no_block_of_this_one() -> None:
    """A portal, or a page host behind the address: it says so, and whose order is unknown."""
    columns = {"status_code": 403, "body_text": GENERIC_PAGE.samples[0], "body_sha256": "c" * 64}
    scene = clean().chain(*PLAIN_PAGE, address=A, **columns)
    scene.beside("other_name", *PLAIN_PAGE, address=A, **columns)
    assert verdict_of(scene).rule_id == "http.page_says_so"


def test_words_of_a_block_page_without_a_contrast() -> None:
    """A site may choose such words: alone they say nothing."""
    scene = clean().chain(*PLAIN_PAGE, address=A, body_text=GENERIC_PAGE.samples[0])
    assert verdict_of(scene).state not in BLOCKED_STATES


@pytest.mark.parametrize("text", [GENERIC_PAGE.samples[0], KNOWN_PAGE.samples[0]])
def test_a_page_behind_a_verified_certificate_is_the_services_own(text: str) -> None:
    """Nobody else can have put it there."""
    scene = clean().chain(*PAGE, address=A, status_code=200, body_text=text)
    scene.beside("other_name", *PAGE, address=A, status_code=404)
    assert verdict_of(scene).state == "ok"


@pytest.mark.parametrize(
    "columns",
    [
        {"status_code": 200, "first_byte_s": 0.02},
        {"status_code": 302, "first_byte_s": 0.1},
        {"status_code": 302, "first_byte_s": None},
        {"status_code": 302, "first_byte_s": 0.02, "other_status": 302},
        {"status_code": 302, "first_byte_s": 0.02, "other_rtt_s": 0.02},
    ],
    ids=["a page", "after a round trip", "not timed", "for every name", "a quicker connect"],
)  # fmt: skip
def test_an_answer_that_is_not_too_early(columns: dict[str, float]) -> None:
    """What the host itself could have said in that time."""
    assert verdict_of(plain(**columns)).state == "ok"  # type: ignore[arg-type] # columns of a row


@pytest.mark.parametrize(
    ("place", "state"),
    [
        ("https://blocked.a.example/", "ok"),
        ("https://blocked.a.example./", "ok"),
        ("/blocked", "ok"),
        ("https://blocked.a.example.test/", "likely_blocked"),
        ("https://blocked.other.example/", "likely_blocked"),
    ],
)
def test_a_redirect_within_the_sites_own_domain(place: str, state: str) -> None:
    """Whatever that host is called, nobody else's page is there."""
    header = Header(name="location", value=place)
    for name in ("a.example", "www.A.example."):
        scene = plain(status_code=302, hostname=name, headers=(header,))
        assert verdict_of(scene).state == state


def test_an_early_redirect_is_seen_with_its_header() -> None:
    """The place where it leads to is no condition."""
    header = Header(name="location", value="http://203.0.113.1/")
    verdict = verdict_of(plain(status_code=302, first_byte_s=0.02, headers=(header,)))
    assert verdict.rule_id == "http.early_answer"


# -- pace ------------------------------------------------------------------------


def slowed(scene: Scene) -> Scene:
    for _ in range(3):
        scene.transfers([100], address=A, role="contrast", follow_up="paired")
        scene.transfers([10], address=A, follow_up="paired")
    return scene


def test_a_first_attempt_that_was_lost_does_not_hide_throttling() -> None:
    """The transfer that completed is what was slow."""
    scene = slowed(clean().chain(*SILENT, address=A).transfers([10], address=A))
    assert verdict_of(scene).rule_id == "http.slow_paired"


def test_pairs_of_schema_version_1_0_are_read() -> None:
    """There a contrast had no name, and neither had the turns of the target."""
    scene = clean().transfers([10], address=A)
    for _ in range(3):
        scene.transfers([100], address=A, role="contrast").transfers([10], address=A)
    assert verdict_of(scene).rule_id == "http.slow_paired"


@pytest.mark.parametrize(
    "scene",
    [
        pairs((10, 100), (10, 100)),
        pairs((10, 10), (10, 10), (10, 10)),
        pairs((10, 100), (10, 100), (60, 100)),
        pairs((10, 100), (10, 100), (10, 100), lag=1.0),
    ],
    ids=["two pairs", "slow line", "one fast pair", "own load"],
)
def test_what_is_not_throttled_is_reachable(scene: Scene) -> None:
    """A page that came, however slowly, came."""
    assert verdict_of(scene).state == "ok"


def test_a_stalled_pair_does_not_unmake_the_page() -> None:
    """Turns of a comparison are no attempts of the measurement."""
    scene = clean().chain(*PAGE, address=A)
    twice(scene, *OK, ("http", TIMEOUT), follow_up="paired")
    assert verdict_of(scene).state == "ok"


@pytest.mark.parametrize(
    ("fast", "slow", "rule_id"),
    [
        (4_000_000, 1_000_000, "target.reachable"),
        (1_000_000, 150_000, "http.slow_paired"),
    ],
    ids=["over in 60 ms", "over in 0.4 s"],
)
def test_what_is_over_at_once_is_not_slow(fast: float, slow: float, rule_id: str) -> None:
    """Between two short transfers a single packet's fate decides."""
    scene = pairs((slow, fast), (slow, fast), (slow, fast))
    assert verdict_of(scene).rule_id == rule_id
