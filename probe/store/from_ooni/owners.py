"""Whose fact a row is: the target that a place belongs to, and its member.

Identifiers are those of the built-in target list where it has the same target.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from probe.model.target import CombinationRule
from probe.store.from_ooni.connections import Place
from probe.wire.addresses import is_address

_DATA_CENTRES: Final = {
    "149.154.175.50": "dc1",
    "149.154.167.51": "dc2",
    "95.161.76.100": "dc2",
    "149.154.175.100": "dc3",
    "149.154.167.91": "dc4",
    "149.154.171.5": "dc5",
}
"""The addresses of OONI's telegram test; numbers as in Telegram's own clients."""

_UPTIME: Final = "uptime.signal.org"
"""A lookup of Signal's own status: 127.0.0.1 means "all well", and is no bogon."""

_WHATSAPP_CHAT: Final = re.compile(r"(e[0-9]{1,2})\.whatsapp\.net")
_WHATSAPP_REGISTRATION: Final = "v.whatsapp.net"


class Owner(NamedTuple):
    """The columns that say whose fact a row is."""

    service_id: str
    target_id: str
    combination_rule: CombinationRule
    member: str


def owner_of(test_name: str, place: Place, pages: Sequence[Place]) -> Owner | None:
    """Return the owner of what was seen at a place; None for what belongs to none.

    ``pages`` are the places of which a page was asked. A page over plain HTTP is a
    member of its own: a redirect to HTTPS that arrives says nothing of HTTPS.
    """
    host, port = place
    match test_name:
        case "telegram":
            if is_address(host):
                member = _DATA_CENTRES.get(host, host)
                return Owner("telegram", "telegram/dc_pool", "any_of", member)
            return _page("telegram", "telegram/web", place, pages)
        case "signal":
            return None if host == _UPTIME else _page("signal", "signal/web", place, pages)
        case "whatsapp":
            if chat := _WHATSAPP_CHAT.fullmatch(host):
                return Owner("whatsapp", "whatsapp/endpoints", "any_of", chat[1])
            if is_address(host):
                return Owner("whatsapp", "whatsapp/endpoints", "any_of", host)
            which = "registration" if host == _WHATSAPP_REGISTRATION else "web"
            return _page("whatsapp", f"whatsapp/{which}", place, pages)
        case "facebook_messenger":
            return Owner("facebook", "facebook/messenger", "all_of", host)
        case _:
            return _page("web", f"web/{host}", Place(host, port), pages)


def main_place(host: str, pages: Sequence[Place]) -> Place:
    """Return the place that lookups of a host are counted with."""
    asked = [page for page in pages if page.host == host]
    if not asked:
        return Place(host, 443)
    return next((page for page in asked if page.port == 443), asked[0])


def _page(service: str, target: str, place: Place, pages: Sequence[Place]) -> Owner:
    # A port that is only tried beside the page's own (Web Connectivity shakes hands on
    # 443 for http:// URLs too) is an alternative to it, not one more thing that must work.
    counted = place if place in pages else main_place(place.host, pages)
    member = counted.host if counted.port == 443 else f"{counted.host}:{counted.port}"
    return Owner(service, target, "all_of", member)
