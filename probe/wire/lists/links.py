"""Plain links and hosts, one a line. Proxies are recognised, and not taken.

A proxy's address is a secret of those who use it: in a target list it would end up in
results. ``reachwatch proxies`` tries them and stores nothing.
"""

from typing import Final

from probe.wire.lists.places import BadPlaceError, read_place
from probe.wire.lists.row import ReadList, Row, bounded
from probe.wire.lists.words import kept_value
from probe.wire.proxy_links import BadLinkError, parse_link

SOURCE: Final = "links"
PROXY: Final = "a proxy: `reachwatch proxies FILE` tries it; no target list may hold it"

_WEB: Final = ("http://", "https://")
_TELEGRAM_HOSTS: Final = ("t.me/", "telegram.me/", "telegram.dog/", "www.t.me/")


def read_links(text: str, *, private: bool) -> ReadList:
    """Read links; empty lines and those that begin with # are no entries."""
    rows = (
        _row(f"line {number}", line.strip(), private=private)
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip() and not line.lstrip().startswith("#")
    )
    return ReadList(rows=bounded(rows), source=SOURCE)


def is_proxy(text: str) -> bool:
    """Tell whether a line is a link to a proxy. A plain web address is a page, not a proxy."""
    lowered = text.lower()
    if lowered.startswith(("tg:", "socks")):
        return True
    is_telegram = any(
        lowered.removeprefix("https://").removeprefix("http://").startswith(host)
        for host in _TELEGRAM_HOSTS
    )
    if lowered.startswith(_WEB) and not is_telegram:
        return False
    try:
        parse_link(text)
    except BadLinkError:
        return False
    return True


def _row(at: str, line: str, *, private: bool) -> Row:
    if is_proxy(line):
        return Row(at=at, reason=PROXY)  # nothing of it is kept: it may be a secret
    try:
        endpoint, notes = read_place(line if "://" in line else f"https://{line}", private=private)
    except BadPlaceError as error:
        # Other kinds of links to proxies (vless://, ss://) are secrets as a whole.
        is_web = line.lower().startswith(_WEB)
        return Row(at=at, reason=str(error), kept=kept_value({"url": line}) if is_web else {})
    return Row(at=at, endpoint=endpoint, notes=notes)
