"""Each cause maps to one failure string, and each string is documented."""

import errno
import re
from pathlib import Path
from typing import get_args

import pytest

from probe.model import failure
from probe.wire.mtproto.messages import Fault

FAILURES_PAGE = Path(__file__).parents[2] / "docs" / "failures.md"

ERRNO_ROWS = {
    "ECONNREFUSED": "connection_refused",
    "ECONNRESET": "connection_reset",
    "EPIPE": "connection_reset",
    "ECONNABORTED": "connection_aborted",
    "EHOSTUNREACH": "host_unreachable",
    "EHOSTDOWN": "host_unreachable",
    "ENETUNREACH": "network_unreachable",
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
VERIFY_ROWS = {
    2: "ssl_unknown_authority",
    9: "ssl_invalid_certificate",  # not yet valid
    10: "ssl_invalid_certificate",  # expired
    18: "ssl_unknown_authority",
    19: "ssl_unknown_authority",
    20: "ssl_unknown_authority",
    21: "ssl_unknown_authority",
    23: "ssl_invalid_certificate",  # revoked
    62: "ssl_invalid_hostname",
    64: "ssl_invalid_hostname",
    85: "ssl_invalid_certificate",  # missing authority key identifier
}
RCODE_ROWS = [
    ("NOERROR", True, None),
    ("NOERROR", False, "dns_no_answer"),
    ("NXDOMAIN", False, "dns_nxdomain_error"),
    ("NXDOMAIN", True, "dns_nxdomain_error"),
    ("REFUSED", False, "dns_refused_error"),
    ("SERVFAIL", False, "dns_servfail_error"),
    ("FORMERR", False, "dns_server_misbehaving"),
    ("NOTIMP", False, "dns_server_misbehaving"),
    ("YXDOMAIN", True, "dns_server_misbehaving"),
]
GAI_ROWS = {
    "EAI_NONAME": "dns_nxdomain_error",
    "EAI_NODATA": "dns_no_answer",
    "EAI_ADDRFAMILY": "dns_no_answer",
    "EAI_AGAIN": "dns_temporary_failure",
    "EAI_FAIL": "dns_non_recoverable_failure",
    "EAI_MEMORY": "unknown_failure: EAI_MEMORY",
}
ROW = re.compile(r"^\| `([a-z_]+)` \| (.+?) \| (.+?) \|$", re.MULTILINE)
WORD_ROW = re.compile(r"^\| `([A-Za-z_]+)` \| (.+\.) \|$", re.MULTILINE)
SECOND_TABLE = "\n## Words behind `unknown_failure`\n"


@pytest.mark.parametrize("name", ERRNO_ROWS)
def test_errno(name: str) -> None:
    """Row by row: the errno's name gives the string, and the platform has the errno."""
    assert failure.from_errno_name(name) == ERRNO_ROWS[name]
    assert hasattr(errno, name)


def test_every_errno_of_the_table_has_a_row() -> None:
    """The rows above are the whole table."""
    assert set(failure._ERRNO) == set(ERRNO_ROWS)
    assert set(failure._GAI) == set(GAI_ROWS) - {"EAI_MEMORY"}
    assert set(failure._VERIFY_CODE) <= set(VERIFY_ROWS)


@pytest.mark.parametrize("code", VERIFY_ROWS)
def test_verify_code(code: int) -> None:
    """Row by row: wrong name, unknown authority, and everything else."""
    assert failure.from_verify_code(code) == VERIFY_ROWS[code]


@pytest.mark.parametrize(("rcode", "has_answer", "expected"), RCODE_ROWS)
def test_rcode(rcode: str, has_answer: bool, expected: str | None) -> None:  # noqa: FBT001 - a table's column
    """Row by row: only NOERROR with an answer is a success."""
    assert failure.from_rcode(rcode, has_answer=has_answer) == expected


@pytest.mark.parametrize("name", GAI_ROWS)
def test_getaddrinfo(name: str) -> None:
    """Row by row: what the system's resolver says."""
    assert failure.from_gai_name(name) == GAI_ROWS[name]


def test_unknown_causes_keep_their_name() -> None:
    """What has no row is countable all the same."""
    assert failure.from_errno_name("EIO") == "unknown_failure: EIO"
    assert failure.from_errno_name(None) == "unknown_failure: OSError"
    assert failure.from_gai_name(None) == "unknown_failure: gaierror"


def test_errno_names() -> None:
    """A number the platform does not know has no name."""
    assert failure.errno_name(errno.ECONNRESET) == "ECONNRESET"
    assert failure.errno_name(99999) is None
    assert failure.errno_name(None) is None


def test_pattern_accepts_exactly_the_failures() -> None:
    """The stored form admits the table and the unknown prefix, nothing else."""
    accepted = [*failure.FAILURES, "unknown_failure: EIO", "unknown_failure: WinError 10035"]
    refused = ["", "timeout", "connection_reset_x", "unknown_failure: ", "unknown_failure: a\x00b"]
    assert all(re.search(failure.PATTERN, text) for text in accepted)
    assert not any(re.search(failure.PATTERN, text) for text in refused)


def test_groups_are_of_known_failures() -> None:
    """Rules test membership: a misspelt member would never match."""
    known = set(failure.FAILURES)
    assert known >= failure.TIMEOUTS | failure.UNREACHABLE | failure.CERTIFICATE


def test_every_failure_is_documented() -> None:
    """docs/failures.md has one row per string, sorted, and no other."""
    first, _, _ = FAILURES_PAGE.read_text(encoding="utf-8").partition(SECOND_TABLE)
    rows = ROW.findall(first)
    assert [name for name, _, _ in rows] == list(failure.FAILURES)
    assert all(meaning.endswith(".") and seen.endswith(".") for _, meaning, seen in rows)


def test_words_behind_the_prefix_are_documented() -> None:
    """Sorted, each once; those that the handshake of MTProto gives are all there."""
    _, _, second = FAILURES_PAGE.read_text(encoding="utf-8").partition(SECOND_TABLE)
    words = [word for word, _ in WORD_ROW.findall(second)]
    assert words == sorted(set(words))
    faults = {word for part in get_args(Fault) for word in get_args(part) or (part,)}
    assert {word for word in words if "mtproto" in word} == {*faults, "mtproto_error_CODE"}
    assert failure.SKIPPED.removeprefix(failure.UNKNOWN_PREFIX) in words


@pytest.mark.parametrize("word", ["skipped", "not_mtproto", "mtproto_error_404", "proxy_refused"])
def test_words_behind_the_prefix_can_be_stored(word: str) -> None:
    """They fit the pattern, and none is a failure of the first table."""
    assert re.search(failure.PATTERN, f"{failure.UNKNOWN_PREFIX}{word}")
    assert word not in failure.FAILURES
