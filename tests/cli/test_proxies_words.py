"""What is said of proxies, whatever came of them."""

from argparse import Namespace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.cli.proxies import _print_results
from probe.cli.proxies_words import said, table
from probe.cli.render import Style
from probe.model.failure import FAILURES
from probe.run.proxies import Candidate, ProxyResult
from probe.steps import web_proxy
from probe.steps.mtproto_handshake import REPLAY
from probe.steps.proxy_try import CANNOT_REACH, REFUSED, WRONG_RECORD, Phase, Try
from probe.wire.mtproto import messages
from probe.wire.proxy_links import ProxyLink

PIPE = Style(width=None, ascii_only=False, colour=False)
ROW_COLUMNS = 67
"""Of a row without its sentence, or its heading."""
LINK = ProxyLink("mtproxy_ee", "198.51.100.77", 443, secret=b"S" * 16, domain="a.example")
FAULTS = [fault for union in get_args(messages.Fault) for fault in get_args(union) or (union,)]
WORDS = [
    *FAILURES,
    *(REFUSED, CANNOT_REACH, REPLAY, WRONG_RECORD),
    *(web_proxy.NO_BRIDGE, web_proxy.UNKNOWN_BRIDGE, web_proxy.REFUSED, web_proxy.WRONG_FRAMES),
    *(f"unknown_failure: {fault}" for fault in (*FAULTS, "faketls_masked", "faketls_not_tls")),
    *(f"unknown_failure: mtproto_error_{code}" for code in (1, 404, 429, 444, 999)),
]

phases = st.sampled_from(get_args(Phase))
tries = st.tuples(phases, st.sampled_from(WORDS), st.none() | st.just("detail")).map(
    lambda parts: Try(*parts)
)


def result(*each: Try, form: str | None = None) -> ProxyResult:
    return ProxyResult(Candidate("0a1b2c3d", "line 7", LINK), each, form)  # type: ignore[arg-type] # either form


def works(offset_s: float | None = 0.0) -> Try:
    return Try(None, None, answer_s=0.1, clock_offset_s=offset_s)


@given(tries)
def test_every_failure_has_a_sentence(each: Try) -> None:
    text = said(each)
    assert "unknown_failure" not in text
    assert "_" not in text.removesuffix("(detail)")


@given(st.lists(tries | st.just(works()), min_size=1, max_size=4), st.integers(60, 200))
def test_a_table_keeps_to_its_width(each: list[Try], width: int) -> None:
    """And to the row itself in a narrower one; a pipe gets one line each."""
    rows = [result(*each)]
    assert len(table(rows, PIPE, show=False)) == 2
    style = Style(width=width, ascii_only=True, colour=False)
    lines = table(rows, style, show=False)
    assert "\n".join(lines).isascii()
    assert max(map(len, lines)) <= max(width, ROW_COLUMNS)


def printed(capsys: pytest.CaptureFixture[str], *results: ProxyResult) -> str:
    args = Namespace(dc=2, format="table", ascii=False, show=False, qr=0)
    _print_results(args, results, [])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("offset_s", "text"), [(900.0, "900 s behind"), (-900.0, "900 s ahead"), (5.0, None)]
)
def test_a_wrong_clock_is_named(
    capsys: pytest.CaptureFixture[str], offset_s: float, text: str | None
) -> None:
    """By what the data centres say: without it, good proxies look masked."""
    masked = Try("secret", "unknown_failure: faketls_masked")
    out = printed(capsys, result(works(offset_s)), result(masked))

    assert ("Set the clock" in out) == (text is not None)
    assert text is None or text in out


@pytest.mark.parametrize("detail", ["credentials_refused", "no_method", "reply_407"])
def test_a_proxy_that_wants_other_credentials(detail: str) -> None:
    """It is no refusal of the way, and its owner can help."""
    text = said(Try("proxy", REFUSED, detail))
    assert "proxy: wants " in text


def test_a_proxy_that_fails_at_times_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    refused = Try("proxy", REFUSED, "reply_1")
    out = printed(capsys, result(works(), refused, works()))

    assert "33%" in out
    assert "works; else proxy: refuses (reply_1)" in out
