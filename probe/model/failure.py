"""The one table of failure strings (OONI df-007) and how causes map onto them.

A failure is ``None`` (success), one of `FAILURES`, or ``unknown_failure: WORD``.
Details (errno name, X.509 verify code, alert) are stored *beside* the failure,
never inside it, so that strings stay countable.

Source: OONI data format df-007 "errors"; names of POSIX errors as in the table
of ooni/probe-cli `internal/netxlite/errno.go` (read 2026-08).
"""

import errno
from typing import Final

UNKNOWN_PREFIX: Final = "unknown_failure: "

SKIPPED: Final = f"{UNKNOWN_PREFIX}skipped"
"""Not tried: an extra is missing or the platform cannot; the detail says which."""

GENERIC_TIMEOUT: Final = "generic_timeout_error"
"""Our own deadline passed; a kernel timeout is ``timed_out``."""

CONNECTION_RESET: Final = "connection_reset"
CONNECTION_REFUSED: Final = "connection_refused"
HOST_UNREACHABLE: Final = "host_unreachable"
NETWORK_UNREACHABLE: Final = "network_unreachable"
EOF: Final = "eof_error"
DNS_NXDOMAIN: Final = "dns_nxdomain_error"
DNS_NO_ANSWER: Final = "dns_no_answer"
DNS_REFUSED: Final = "dns_refused_error"
DNS_SERVFAIL: Final = "dns_servfail_error"
DNS_MISBEHAVING: Final = "dns_server_misbehaving"
DNS_WRONG_ID: Final = "dns_reply_with_wrong_query_id"
DNS_TEMPORARY: Final = "dns_temporary_failure"
DNS_NON_RECOVERABLE: Final = "dns_non_recoverable_failure"
SSL_INVALID_HOSTNAME: Final = "ssl_invalid_hostname"
SSL_UNKNOWN_AUTHORITY: Final = "ssl_unknown_authority"
SSL_INVALID_CERTIFICATE: Final = "ssl_invalid_certificate"
SSL_FAILED_HANDSHAKE: Final = "ssl_failed_handshake"
HTTP_REQUEST_FAILED: Final = "http_request_failed"

# EPIPE is written as a reset: the peer's RST arrived before our write, and
# which of the two calls noticed it says nothing about the network.
_ERRNO: Final[dict[str, str]] = {
    "ECONNREFUSED": CONNECTION_REFUSED,
    "ECONNRESET": CONNECTION_RESET,
    "EPIPE": CONNECTION_RESET,
    "ECONNABORTED": "connection_aborted",
    "EHOSTUNREACH": HOST_UNREACHABLE,
    "EHOSTDOWN": HOST_UNREACHABLE,
    "ENETUNREACH": NETWORK_UNREACHABLE,
    "ENETDOWN": "network_down",
    "ENETRESET": "network_reset",
    "ETIMEDOUT": "timed_out",
    "EACCES": "permission_denied",
    "EPERM": "permission_denied",
    "EADDRNOTAVAIL": "address_not_available",
    "EADDRINUSE": "address_in_use",
    "EAFNOSUPPORT": "address_family_not_supported",
    "ENOBUFS": "no_buffer_space",
    "EMSGSIZE": "message_size",
    "ENOPROTOOPT": "no_protocol_option",
    "EPROTONOSUPPORT": "protocol_not_supported",
    "EINVAL": "invalid_argument",
    "ENOTCONN": "not_connected",
    "EINTR": "interrupted",
}

# X.509 verification results, as numbered by OpenSSL (x509_vfy.h).
_VERIFY_CODE: Final[dict[int, str]] = {
    62: SSL_INVALID_HOSTNAME,  # host name mismatch
    64: SSL_INVALID_HOSTNAME,  # IP address mismatch
    2: SSL_UNKNOWN_AUTHORITY,  # unable to get issuer certificate
    18: SSL_UNKNOWN_AUTHORITY,  # self-signed leaf
    19: SSL_UNKNOWN_AUTHORITY,  # self-signed certificate in chain
    20: SSL_UNKNOWN_AUTHORITY,  # unable to get local issuer certificate
    21: SSL_UNKNOWN_AUTHORITY,  # unable to verify the first certificate
}

_RCODE: Final[dict[str, str | None]] = {
    "NOERROR": None,
    "NXDOMAIN": DNS_NXDOMAIN,
    "REFUSED": DNS_REFUSED,
    "SERVFAIL": DNS_SERVFAIL,
}

# getaddrinfo(3). EAI_NONAME covers NXDOMAIN and, in some libcs, an empty
# answer; a resolver of our own separates them.
_GAI: Final[dict[str, str]] = {
    "EAI_NONAME": DNS_NXDOMAIN,
    "EAI_NODATA": DNS_NO_ANSWER,
    "EAI_ADDRFAMILY": DNS_NO_ANSWER,
    "EAI_AGAIN": DNS_TEMPORARY,
    "EAI_FAIL": DNS_NON_RECOVERABLE,
}

FAILURES: Final[tuple[str, ...]] = tuple(
    sorted(
        {
            *_ERRNO.values(),
            *_VERIFY_CODE.values(),
            *(value for value in _RCODE.values() if value is not None),
            *_GAI.values(),
            GENERIC_TIMEOUT,
            EOF,
            DNS_MISBEHAVING,
            DNS_WRONG_ID,
            SSL_INVALID_CERTIFICATE,
            SSL_FAILED_HANDSHAKE,
            HTTP_REQUEST_FAILED,
        }
    )
)
"""Every failure string that this version writes, sorted."""

PATTERN: Final = rf"^({'|'.join(FAILURES)}|{UNKNOWN_PREFIX}[A-Za-z0-9_ ]{{1,60}})$"
"""Regular expression of a stored failure string."""

TIMEOUTS: Final = frozenset({GENERIC_TIMEOUT, "timed_out"})
UNREACHABLE: Final = frozenset({HOST_UNREACHABLE, NETWORK_UNREACHABLE, "permission_denied"})
CERTIFICATE: Final = frozenset(
    {SSL_INVALID_HOSTNAME, SSL_UNKNOWN_AUTHORITY, SSL_INVALID_CERTIFICATE}
)


def errno_name(number: int | None) -> str | None:
    """Symbolic name of an errno, or None where the platform has none."""
    return None if number is None else errno.errorcode.get(number)


def from_errno_name(name: str | None) -> str:
    """Map an errno name such as ``ECONNRESET``; unknown names keep the prefix."""
    if name is None:
        return f"{UNKNOWN_PREFIX}OSError"
    return _ERRNO.get(name, f"{UNKNOWN_PREFIX}{name}")


def from_os_error(error: OSError) -> tuple[str, str | None]:
    """Return failure and detail (the errno's name) of what a socket raised."""
    name = errno_name(error.errno)
    return from_errno_name(name), name


def from_verify_code(code: int) -> str:
    """Map OpenSSL's X.509 verify code of a failed verification (never 0)."""
    return _VERIFY_CODE.get(code, SSL_INVALID_CERTIFICATE)


def from_rcode(rcode: str, *, has_answer: bool) -> str | None:
    """Map a DNS response code name; an empty NOERROR is ``dns_no_answer``."""
    failure = _RCODE.get(rcode, DNS_MISBEHAVING)
    if failure is None and not has_answer:
        return DNS_NO_ANSWER
    return failure


def from_gai_name(name: str | None) -> str:
    """Map a getaddrinfo error name such as ``EAI_AGAIN``."""
    if name is None:
        return f"{UNKNOWN_PREFIX}gaierror"
    return _GAI.get(name, f"{UNKNOWN_PREFIX}{name}")
