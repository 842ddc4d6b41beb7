"""Failure strings -> a few classes, small enough to count and to draw.

OONI's older engines wrote strings that ours never does; they are classed with their heirs.
"""

from typing import Final

from probe.model import failure as failures

CLASSES: Final[dict[str, tuple[str, ...]]] = {
    "timeout": (*sorted(failures.TIMEOUTS), "tcp_timed_out_error", "response_never_received"),
    "reset": (failures.CONNECTION_RESET, "connection_aborted"),
    "closed": (failures.EOF, "connection_closed", "connection_lost"),
    "refused": (failures.CONNECTION_REFUSED, "connection_refused_error"),
    "unreachable": (failures.HOST_UNREACHABLE, failures.NETWORK_UNREACHABLE),
    "certificate": tuple(sorted(failures.CERTIFICATE)),
    "local": (
        "address_family_not_supported",
        "address_in_use",
        "address_not_available",
        "interrupted",
        "invalid_argument",
        "network_down",
        "network_reset",
        "no_buffer_space",
        "no_protocol_option",
        "not_connected",
        "permission_denied",
        "protocol_not_supported",
    ),
    "skipped": (failures.SKIPPED,),
}
"""Class -> its strings; ``local`` is this device's own doing. What begins with ``dns_`` is
``dns``, with ``ssl_`` is ``tls``, with ``http_`` is ``http``; the rest is ``other``."""

PREFIXES: Final = {"dns_": "dns", "android_dns_": "dns", "ssl_": "tls", "http_": "http"}

ALL: Final = (*CLASSES, "dns", "tls", "http", "other", "mixed")


def class_sql(failure: str) -> str:
    """Return SQL of the class of an expression; null for null, ``mixed`` for ``mixed``."""
    whens = " ".join(
        f"WHEN {failure} IN ({', '.join(map(_quoted, strings))}) THEN '{name}'"
        for name, strings in CLASSES.items()
    )
    whens += " " + " ".join(
        f"WHEN starts_with({failure}, '{prefix}') THEN '{name}'"
        for prefix, name in PREFIXES.items()
    )
    return (
        f"CASE WHEN {failure} IS NULL THEN NULL WHEN {failure} = 'mixed' THEN 'mixed' "
        f"{whens} ELSE 'other' END"
    )


def _quoted(text: str) -> str:
    return f"'{text}'"
