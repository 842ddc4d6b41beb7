"""The words of an HTML page that a person would read, for recognising block pages.

A scanner of our own instead of ``html.parser``: that one looks for the end of an
unfinished construct again from its start, so that 64 KiB of ``<![`` cost it time by
the square, and nothing else is measured meanwhile. Here every construct begins where
the last one ended and is found by one search that stops at its end; a search that
finds no end is the last (`spans`). So each character is looked at a fixed number of times.
"""

import html
import re
import string
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from probe.wire.addresses import scrub

MAX_INPUT_BYTES: Final = 64 * 1024
MAX_CHARS: Final = 500

NUMBER: Final = "[number]"
"""Stands for a number of a contract, an account, a telephone or a device."""

FRAMED: Final = "→"
"""Before the place (host and path) of a frame, or of the page that follows at once."""

_MAX_PLACE_CHARS: Final = 100
_PRESCAN_BYTES: Final = 1024
"""How far browsers look for a page's own word on its encoding (WHATWG HTML, 13.2.3.2)."""

# Only encodings of text whose decoders take linear time: Python's codecs include
# "punycode", which does not, and "hex", which is none. WHATWG names, with its
# equations (Latin-1 and ASCII are read as windows-1252).
_CODECS: Final = {
    **{f"windows-{number}": f"cp{number}" for number in (1250, *range(1251, 1259), 874)},
    **{f"cp{number}": f"cp{number}" for number in (866, *range(1250, 1259))},
    **{f"iso-8859-{part}": f"iso8859-{part}" for part in (*range(2, 9), 10, 13, 14, 15, 16)},
    **dict.fromkeys(("utf-8", "utf8"), "utf-8"),
    **dict.fromkeys(("iso-8859-1", "latin1", "us-ascii", "ascii"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk", "gb18030"), "gb18030"),
    **dict.fromkeys(("euc-kr", "ks-c-5601-1987", "korean"), "cp949"),
    **dict.fromkeys(("shift-jis", "sjis", "x-sjis"), "cp932"),
    **dict.fromkeys(("big5", "big5-hkscs"), "big5hkscs"),
    **dict.fromkeys(("utf-16", "utf-16le"), "utf-16-le"),
    "utf-16be": "utf-16-be",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "ibm866": "cp866",
    "euc-jp": "euc-jp",
    "x-mac-cyrillic": "mac-cyrillic",
}
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))

_META_CHARSET: Final = re.compile(
    rb"<meta[^>]{0,200}?charset[ \t\r\n]{0,4}=[ \t\r\n]{0,4}[\"']?([\w:.-]{1,40})", re.IGNORECASE
)
_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
"""Not ``str.lower``: that makes two characters of one (U+0130), and places would shift."""

_OPENING: Final = re.compile(r"<[a-z/!?]")
_NAME: Final = re.compile(r"</?([a-z][a-z0-9]{0,15})")
_TAG_STOP: Final = re.compile(r">|=[ \t\r\n\f]{0,20}[\"']")
"""A quote matters only where a value begins: elsewhere browsers take it as a letter."""

_SOURCE: Final = re.compile(r"[\s\"']src[ \t]{0,9}=[ \t]{0,9}[\"']?[ \t]{0,9}([^\"'\s>]{1,300})")
_REFRESH: Final = re.compile(r"url[ \t]{0,9}=[ \t]{0,9}[\"']?[ \t]{0,9}([^\"'\s>]{1,300})")
_PLACE: Final = re.compile(r"(?:https?:)?//(?:[^/?#@]{0,100}@)?([^/?#@]{1,253})([^?#;]{0,300})")

_HIDDEN: Final = frozenset(
    {"script", "style", "title", "noscript", "template", "iframe", "noframes", "noembed"}
)
"""Elements whose content is not on the page; the title has a column of its own."""

_INLINE: Final = frozenset(
    (
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em"),
        *("font", "i", "ins", "kbd", "label", "mark", "nobr", "q", "s", "samp", "small", "span"),
        *("strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
    )
)
"""Elements that do not part what stands before them from what stands behind."""

# int() refuses more than 4300 digits, and html.unescape asks it.
_LONG_REFERENCE: Final = re.compile(r"&#[0-9]{8,};?")

# Controls would steer a terminal; invisible characters would part an address or a word.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
# A link address with dashes (`scrub` knows those with colons), a run of digits, and a
# number as people write it: +7 (912) 345-67-89.
_NUMBERS: Final = re.compile(
    r"(?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}|\d{5,}|\+?\d(?:[ .()\u2010-\u2015-]{0,2}\d){6,}"
)


class Span(NamedTuple):
    """A stretch of markup: ``name`` is the tag's, in lower case, or empty."""

    kind: Literal["text", "tag", "unseen"]
    start: int
    end: int
    name: str = ""


def visible_text(body: bytes, charset: str | None) -> str:
    """Return the first 500 characters of what a person would read on a page.

    Without scripts, styles and tags; character references decoded; white space
    collapsed. Frames are the page that is read, so their places stand in it, without
    queries (these name the visitor). Addresses and numbers of five or more digits are
    replaced, and letters that are not seen are left out.

    Args:
        body: the page, of which 64 KiB are considered.
        charset: what the answer's header says of its encoding.
    """
    text = _decoded(body[:MAX_INPUT_BYTES], charset)
    pieces: list[str] = []
    lowered = text.translate(_LOWER)
    for span in spans(lowered):
        if span.kind == "text":
            pieces.append(_unescaped(text[span.start : span.end]))
        elif span.kind == "tag" and span.name not in _INLINE:
            pieces.append(f" {_framed(lowered, span)} ")
    words = " ".join(_UNSEEN.sub("", "".join(pieces)).split())
    return _NUMBERS.sub(NUMBER, scrub(words))[:MAX_CHARS].rstrip()


def spans(lowered: str) -> Iterator[Span]:
    """Cut HTML into stretches, each beginning where the last one ended.

    Args:
        lowered: the page, its ASCII letters in lower case.
    """
    place = 0
    while place < len(lowered):
        opening = _OPENING.search(lowered, place)
        if opening is None:
            yield Span("text", place, len(lowered))
            return
        if opening.start() > place:
            yield Span("text", place, opening.start())
        place = opening.start()
        name = _NAME.match(lowered, place)
        if name is None:
            # A comment, a declaration, or what browsers take for one. "<!-->" is whole.
            is_comment = lowered.startswith("<!--", place)
            end = _behind(lowered, "-->" if is_comment else ">", place + 2)
            yield Span("unseen", place, end)
        else:
            end = _end_of_tag(lowered, name.end())
            yield Span("tag", place, end, name[1])
            if name[1] in _HIDDEN and lowered[place + 1] != "/" and end < len(lowered):
                content_end = lowered.find(f"</{name[1]}", end)
                content_end = len(lowered) if content_end < 0 else content_end
                if content_end > end:
                    yield Span("unseen", end, content_end)
                end = content_end
        place = end


def _behind(lowered: str, mark: str, start: int) -> int:
    found = lowered.find(mark, start)
    return len(lowered) if found < 0 else found + len(mark)


def _end_of_tag(lowered: str, place: int) -> int:
    while True:
        stop = _TAG_STOP.search(lowered, place)
        if stop is None:
            return len(lowered)
        if stop[0] == ">":
            return stop.end()
        place = _behind(lowered, stop[0][-1], stop.end())


def _framed(lowered: str, span: Span) -> str:
    """Return the place that a tag puts in front of the reader, if it does."""
    if span.name in {"iframe", "frame"}:
        source = _SOURCE.search(lowered, span.start, span.end)
    elif span.name == "meta" and lowered.find("refresh", span.start, span.end) >= 0:
        source = _REFRESH.search(lowered, span.start, span.end)
    else:
        return ""
    place = _PLACE.match(html.unescape(_shortened(source[1]))) if source else None
    return f"{FRAMED}{place[1]}{place[2]}"[:_MAX_PLACE_CHARS] if place else ""


def _unescaped(text: str) -> str:
    return html.unescape(_shortened(text)) if "&" in text else text


def _shortened(text: str) -> str:
    return _LONG_REFERENCE.sub("\ufffd", text)


def _decoded(body: bytes, charset: str | None) -> str:
    for mark, codec in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(codec, "replace")
    declared = _codec(charset)
    if declared is None:
        meta = _META_CHARSET.search(body, 0, _PRESCAN_BYTES)
        declared = _codec(meta[1].decode("latin-1")) if meta else None
        # What can be read as ASCII, as that word was, is not UTF-16.
        declared = "utf-8" if declared in {"utf-16-le", "utf-16-be"} else declared
    if declared is not None:
        return body.decode(declared, "replace")
    text = body.decode("utf-8", "replace")
    # Pages of providers that name no encoding are mostly old ones in Russian. A single
    # broken character may be the cut at the end of the body.
    return text if text.count("\ufffd") <= 1 else body.decode("cp1251", "replace")


def _codec(charset: str | None) -> str | None:
    return _CODECS.get((charset or "").strip().lower().replace("_", "-"))
