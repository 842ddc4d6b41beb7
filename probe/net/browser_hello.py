"""Contexts whose ClientHello is like a browser's, with the optional package utls.

Its engine is BoringSSL, which Chrome has, and it brings Chrome's hellos: JA4 and key
shares are those of the browser, and the order of extensions varies as there. It has no
others, so ``firefox`` and ``safari`` are as near to those browsers as the engine comes:

* Firefox (148) lists the same cipher suites in the same order, the same signature
  algorithms and key shares. It has status_request, signed_certificate_timestamp,
  delegated_credentials, record_size_limit, the groups ffdhe2048 and ffdhe3072 and three
  ways to compress certificates besides. Its order of extensions is fixed too, and differs
  in three: encrypted_client_hello is last, and key_share and supported_versions come
  before signature_algorithms.
* Safari (26) has status_request and signed_certificate_timestamp, three suites with
  triple DES besides, one signature algorithm twice, no session_ticket, and zlib for
  brotli. Its order of extensions is fixed too, and the same.

Why the two have no status_request (5) and no signed_certificate_timestamp (18): utls
takes a list of extensions as a set. Any list has the engine shuffle them, and no option
undoes that; without a list they keep the engine's own order, and only these two cannot
be had. A fixed order weighs more. Shuffled, the server name stands anywhere, so what a
censor sees differs from attempt to attempt; and where an extension without content comes
last, the engine pads, which is another JA4 (of Firefox's, one hello in eleven).

A censor that lets pass nothing but these two browsers' exact hellos tells them from ours.
Against one that goes by the form of a common TLS library they are other forms.
"""

import importlib
import ssl
from functools import lru_cache
from typing import Any, Final, Literal, TypeGuard

BrowserProfile = Literal["chrome", "firefox", "safari"]

BROWSERS: Final[tuple[str, ...]] = ("chrome", "firefox", "safari")

MISSING: Final = "needs the extra: pip install 'reachwatch[fingerprint]'"

_CHROME: Final = "chrome:stable"
_ALPN: Final = 16
_ALPS: Final = frozenset({17513, 17613})
"""Application-layer protocol settings, which Chrome offers for HTTP/2 only."""

# Groups and key shares by RFC 8446 section 4.2.7; 0x11ec is X25519MLKEM768.
_COMMON: Final[dict[str, Any]] = {
    "extensions_order": (),
    "supported_groups": (0x11EC, 0x001D, 0x0017, 0x0018, 0x0019),
    "alpn": ("h2", "http/1.1"),
    "compress_certificate": ("brotli",),
}
_FIREFOX: Final[dict[str, Any]] = {
    **_COMMON,
    "cipher_suites": (
        *(0x1301, 0x1303, 0x1302),
        *(0xC02B, 0xC02F, 0xCCA9, 0xCCA8, 0xC02C, 0xC030),
        *(0xC00A, 0xC009, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035),
    ),
    "key_shares": (0x11EC, 0x001D, 0x0017),
    "signature_algorithms": (
        *(0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806),
        *(0x0401, 0x0501, 0x0601, 0x0203, 0x0201),
    ),
    "grease": False,
    "ech": "grease",
}
_SAFARI: Final[dict[str, Any]] = {
    **_COMMON,
    "cipher_suites": (
        *(0x1302, 0x1303, 0x1301),
        *(0xC02C, 0xC02B, 0xCCA9, 0xC030, 0xC02F, 0xCCA8),
        *(0xC00A, 0xC009, 0xC014, 0xC013, 0x009D, 0x009C, 0x0035, 0x002F),
    ),
    "key_shares": (0x11EC, 0x001D),
    "signature_algorithms": (
        *(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201),
    ),
    "grease": True,
}


class MissingExtraError(RuntimeError):
    """The extra that a browser's profile needs is not installed."""


def is_browser(profile: str) -> TypeGuard[BrowserProfile]:
    """Tell whether a profile is one of this module's."""
    return profile in BROWSERS


def load_library() -> bool:
    """Import utls; return whether it is there."""
    try:
        importlib.import_module("utls")
    except ImportError:
        return False
    return True


def browser_context(profile: BrowserProfile, alpn: tuple[str, ...]) -> ssl.SSLContext:
    """Return a context that trusts nobody yet.

    Args:
        profile: whose hello.
        alpn: application protocols that the caller speaks. ``("h2", "http/1.1")`` is what
            browsers send for a page, and ``("http/1.1",)`` for a WebSocket; a server
            takes the first that it knows, so this is for the caller to say.

    Raises:
        MissingExtraError: utls is not installed.
    """
    if not load_library():
        raise MissingExtraError(MISSING)
    library: Any = importlib.import_module("utls")
    context: ssl.SSLContext = library.SSLContext(library.PROTOCOL_TLS_CLIENT)
    fingerprint = library.Fingerprint.from_dict(_described(profile, alpn))
    context.set_fingerprint(fingerprint)  # type: ignore[attr-defined] # utls' own
    return context


def _described(profile: BrowserProfile, alpn: tuple[str, ...]) -> dict[str, Any]:
    described = dict(_chrome() if profile == "chrome" else _OTHERS[profile])
    left_out = set() if "h2" in alpn else set(_ALPS)
    if "h2" not in alpn:
        described["alps"] = ()
    if not alpn:
        left_out.add(_ALPN)
    described["alpn"] = alpn
    order = described["extensions_order"]
    described["extensions_order"] = [kind for kind in order if kind not in left_out]
    return described


_OTHERS: Final = {"firefox": _FIREFOX, "safari": _SAFARI}


@lru_cache(maxsize=1)
def _chrome() -> dict[str, Any]:
    library: Any = importlib.import_module("utls")
    described: dict[str, Any] = library.Fingerprint.from_preset(_CHROME).to_dict()
    return described
