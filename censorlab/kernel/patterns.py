"""What a packet must contain: bytes for xt_string to look for.

nftables has no search, so iptables marks the packets and nftables decides.
A suffix (``*.messenger.test``) is looked for as it stands, wherever it is: a name
in which it is not last would be caught too, and no honest one is like that.
"""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from censorlab.kernel.errors import NeedsEngineError
from censorlab.kernel.marks import MAX_PATTERNS
from censorlab.kernel.networks import Family

_MAX_BYTES: Final = 128
"""XT_STRING_MAX_PATTERN_SIZE."""
_DNS_PORT: Final = 53
_QUESTION_AT: Final[dict[Family, int]] = {"ip": 40, "ip6": 60}
"""Behind the headers of IP, UDP (8) and DNS (12)."""


class Pattern(NamedTuple):
    """Bytes to find, ignoring the case of letters, in the client's packets.

    ``dns`` looks at queries only, from so many bytes into the question on.
    """

    data: bytes
    protocol: Literal["tcp", "dns"] = "tcp"
    skip: int = 0


def server_name(pattern: str) -> Pattern:
    """Return how a server name's pattern shows in a hello (RFC 6066 §3)."""
    name = _plain(pattern)
    if name.startswith(b"*."):
        return Pattern(name[1:])
    # Its type and its length come before it, so nothing longer matches.
    return Pattern(b"\x00" + len(name).to_bytes(2, "big") + name)


def http_host(pattern: str) -> Pattern:
    """Return how a host's pattern shows in a request with one space and no port."""
    name = _plain(pattern)
    start = b"" if name.startswith(b"*.") else b"\r\nhost: "
    return Pattern(start + name.removeprefix(b"*") + b"\r\n")


def dns_name(pattern: str) -> Pattern:
    """Return how a name's pattern shows in a question (RFC 1035 §3.1)."""
    name = _plain(pattern)
    labels = name.removeprefix(b"*.").split(b".")
    data = b"".join(bytes([len(label)]) + label for label in labels) + b"\x00"
    # A name below the suffix has a label before it, of two bytes or more.
    return Pattern(data, "dns", 2 if name.startswith(b"*.") else 0)


def _plain(pattern: str) -> bytes:
    name = pattern.lower().rstrip(".")
    if not name.isascii() or not all(0 < len(label) < 64 for label in name.split(".")):
        raise NeedsEngineError(f"{pattern!r} is not a name as it is on the wire (RFC 1035)")
    return name.encode()


class Patterns:
    """Patterns with their bits in a packet's mark."""

    def __init__(self) -> None:
        self._known: list[Pattern] = []

    def bit(self, pattern: Pattern) -> int:
        """Return the bit of a pattern.

        Raises:
            NeedsEngineError: if it is too long, or one too many.
        """
        if len(pattern.data) > _MAX_BYTES:
            raise NeedsEngineError(f"xt_string finds at most {_MAX_BYTES} bytes")
        if pattern not in self._known:
            if len(self._known) == MAX_PATTERNS:
                raise NeedsEngineError(f"a packet's mark holds {MAX_PATTERNS} patterns at most")
            self._known.append(pattern)
        return 1 << self._known.index(pattern)

    def lines(self, family: Family, client_device: str) -> Iterable[str]:
        """Return rules of iptables, for the table mangle."""
        for pattern in self._known:
            where = "-p tcp"
            if pattern.protocol == "dns":
                # The exact name is the question, not part of one.
                start = _QUESTION_AT[family] + pattern.skip
                end = "" if pattern.skip else f" --to {start + len(pattern.data)}"
                where = f"-p udp --dport {_DNS_PORT} -m string --from {start}{end}"
            else:
                where += " -m string"
            yield (
                f"-A PREROUTING -i {client_device} {where} --algo kmp --icase"
                f' --hex-string "|{pattern.data.hex()}|" -j MARK --or-mark {self.bit(pattern):#x}'
            )
