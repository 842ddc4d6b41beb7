"""What a person would read of a page: words, no markup, nobody's number, in linear time."""

import sys
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.wire.addresses import SCRUBBED
from probe.wire.visible_text import MAX_CHARS, MAX_INPUT_BYTES, NUMBER, spans, visible_text

HOSTILE_UNITS = (
    "<",
    "<a",
    "<title>",
    "<title",
    "</",
    "<!--",
    "<![",
    "-->",
    "<script>",
    "<script></script",
    "<a href='",
    '="',
    "= ",
    "<iframe src=//",
    "<meta http-equiv=refresh content=url=",
    "&",
    "&#",
    "&#1",
    "&#x",
    "&amp",
    "1.",
    "1:",
    "1 (",
    "a",
    " ",
    ">",
)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<h1>Access&nbsp;denied</h1><p>by order", "Access denied by order"),
        ("<TITLE>t</TITLE><Script>if(a<b)</sCRIPT>x<style>p{}</style>", "x"),
        ("<!-- <b>no</b> -->yes<!--><b>too</b>", "yestoo"),
        ("<!DOCTYPE html><?xml?></>seen", "seen"),
        ("Bl<b>ock</b>ed<br>page<td>cell", "Blocked page cell"),
        ("<p title='a > b' class=x>in", "in"),
        ("<p class=foo\">stray</p> <a don't>quote", "stray quote"),
        ("1 < 2 &lt;b&gt; &#1044;&#x434; &unknown; &amp", "1 < 2 <b> Дд &unknown; &"),
        ("a\x00\x1b[31mb\u200bc\u202ed", "a[31mbcd"),
        ("cut in a tag <a href='http://", "cut in a tag"),
        ("cut in a script <script>let a", "cut in a script"),
        ("<noscript>enable scripts</noscript>words", "words"),
        ("plain text", "plain text"),
        ("", ""),
    ],
)
def test_words(page: str, text: str) -> None:
    """As a browser would show them, also where the markup is sloppy or cut off."""
    assert visible_text(page.encode(), "utf-8") == text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ('<iframe src="http://w.example/block?id=7&u=me"></iframe>', "→w.example/block"),
        ("<frame src=//a.example/x;s=1>", "→a.example/x"),
        ("<frame src=http://me:word@a.example>", "→a.example"),
        ("<meta http-equiv=Refresh content='0; URL=http://b.example/?who=me'>", "→b.example/"),
        ("<iframe src='http://10.9.8.7?type=x'></iframe>", f"→{SCRUBBED}"),
        ("<iframe src='/own/page'></iframe><iframe src='javascript:x'></iframe>", ""),
        ("<meta name=refresh-rate content=5><iframe>fallback</iframe>", ""),
    ],
)
def test_a_frame_is_what_is_read(page: str, text: str) -> None:
    """Host and path of another page; a query may name the visitor and is left out."""
    assert visible_text(page.encode(), None) == text


@pytest.mark.parametrize(
    "secret",
    [
        "93.184.216.34",
        "93.184.<b>216</b>.34",
        "93.184.&#8203;216.34",
        "93.184&#46;216.34",
        "2001:db8::1",
        "02:42:ac:11:00:02",
        "02-42-AC-11-00-02",
    ],
)
def test_addresses_are_replaced(secret: str) -> None:
    """Whether or not the markup parts them."""
    text = visible_text(f"<p>Your address {secret} is known.".encode(), None)
    assert text in {f"Your address {mark} is known." for mark in (SCRUBBED, NUMBER)}


@pytest.mark.parametrize(
    "number",
    ["12345", "1" * 6000, "+7 (912) 345-67-89", "8 800 100 08 00", "٠١٢٣٤٥٦", "&#49;2345"],
)
def test_numbers_are_replaced(number: str) -> None:
    """Contract, account and telephone numbers, in digits of any script."""
    assert visible_text(f"Contract {number}.".encode(), None) == f"Contract {NUMBER}."


@pytest.mark.parametrize("words", ["149-ФЗ", "от 27 июля 2006", "451", "12:30:05"])
def test_short_numbers_stay(words: str) -> None:
    """The number of a law is what a block page is recognised by."""
    assert visible_text(words.encode(), None) == words


WORDS = "Доступ ограничен"


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (WORDS.encode(), None),
        (WORDS.encode(), "UTF-8"),
        (b"\xef\xbb\xbf" + WORDS.encode(), "koi8-r"),
        (WORDS.encode("utf-16"), None),
        (WORDS.encode("cp1251"), None),
        (WORDS.encode("cp1251"), "Windows-1251"),
        (b"<meta charset=windows-1251>" + WORDS.encode("cp1251"), None),
        (
            b'<META http-equiv="Content-Type" content="text/html; charset=koi8-r">'
            + WORDS.encode("koi8-r"),
            "no-such-thing",
        ),
        (b"<meta charset=utf-16>" + WORDS.encode(), None),
        (b"<meta charset=punycode>" + WORDS.encode(), "hex"),
        ((b" " * 1200) + b"<meta charset=koi8-r>" + WORDS.encode(), None),
    ],
)
def test_encodings(body: bytes, charset: str | None) -> None:
    """Byte order mark, then header, then the page's own word, then UTF-8, then 1251."""
    assert visible_text(body, charset) == WORDS


def test_a_character_cut_in_two_is_not_another_encoding() -> None:
    """The body may end anywhere."""
    assert visible_text(WORDS.encode()[:-1], None) == WORDS[:-1] + "\ufffd"


@given(st.binary(max_size=400), st.one_of(st.none(), st.text(max_size=12)))
def test_any_bytes(body: bytes, charset: str | None) -> None:
    """Never an error, never too long, no control character, no white space but spaces."""
    text = visible_text(body, charset)
    assert len(text) <= MAX_CHARS
    assert text == " ".join(text.split())
    assert all(c >= " " for c in text)
    text.encode()


@given(st.lists(st.sampled_from([*HOSTILE_UNITS, "x", "\n", "é", "İ"]), max_size=60).map("".join))
def test_every_span_begins_where_the_last_one_ended(page: str) -> None:
    """So nothing is looked at again: this is what makes the scan linear."""
    place = 0
    for span in spans(page):
        assert span.start == place
        assert span.end > span.start
        place = span.end
    assert place == len(page)


def steps(body: bytes) -> int:
    """Count the calls, Python's and C's, that reading a page takes."""
    count = 0

    def note(_frame: FrameType, _event: str, _argument: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        visible_text(body, "utf-8")
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("unit", HOSTILE_UNITS)
@pytest.mark.parametrize("opening", ["", "<p title='", "<!--", "&#", "<meta charset=x "])
def test_twice_the_page_takes_twice_the_steps(unit: str, opening: str) -> None:
    """Counted, not timed. With the property above no single step grows either."""
    half = (opening + unit * 2000).encode()
    whole = (opening + unit * 4000).encode()
    assert steps(whole) <= 2 * steps(half) + 50


def test_only_the_beginning_of_a_page_is_read() -> None:
    """A bound on the work, whatever the body's own bound."""
    assert visible_text(b" " * MAX_INPUT_BYTES + b"late", None) == ""
