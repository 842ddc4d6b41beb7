"""Text from lists and peers, made harmless for any format."""

import re
from typing import Final

_UNSEEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
    "\ud800-\udfff\ufffe\uffff]"
)
"""What steers a terminal or a page, turns the direction of text, or no XML 1.0 may hold
(its section 2.2). U+200C and U+200D stay: Persian is written with them."""


def plain(text: str) -> str:
    """Return one line in which everything can be seen."""
    return _UNSEEN.sub("\ufffd", text)
