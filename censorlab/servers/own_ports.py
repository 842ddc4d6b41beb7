"""Part of mitmproxy, which loads this file: connect to servers from ports of its own.

By its source port a packet filter tells the interceptor's traffic from that
which it is to intercept. Users and groups cannot do it: in an unprivileged
namespace there is one of each.
"""

import itertools
from typing import Any, Final

FIRST_PORT: Final = 61_000
LAST_PORT: Final = 65_535
"""Linux gives other programs ports up to 60999 unless they ask (ip_local_port_range)."""

_ports = itertools.cycle(range(FIRST_PORT, LAST_PORT + 1))


def server_connect(data: Any) -> None:
    """Choose the source; mitmproxy calls this before each connection to a server."""
    wildcard = "::" if ":" in data.server.address[0] else "0.0.0.0"  # noqa: S104  a source
    data.server.sockname = (wildcard, next(_ports))
