"""What would identify this host if it reached disk, so that it can be kept off."""

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_RESOLV_CONF: Final = Path("/etc/resolv.conf")


def identifying_strings(toward: Iterable[str]) -> list[str]:
    """Return own host name, own addresses and configured resolvers.

    ``toward`` are addresses whose routes choose the own addresses; a UDP socket
    is connected to each, which sends nothing.
    """
    found = [socket.gethostname()]
    for address in toward:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asker:
                asker.connect((address, 443))
                found.append(str(asker.getsockname()[0]).split("%")[0])
        except OSError:
            continue
    try:
        lines = _RESOLV_CONF.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        words = line.split()
        if words[:1] == ["nameserver"]:
            found.extend(words[1:2])
        elif words[:1] in (["domain"], ["search"]):
            # One-label domains ("home", "lan") name nobody and are common words.
            found.extend(word for word in words[1:] if "." in word.strip("."))
    return list(dict.fromkeys(found))


def resolve_once(hostname: str) -> str | None:
    """Return one address of a host (a user's own proxy), or None. Blocks."""
    try:
        found = socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None
    return str(found[0][4][0])
