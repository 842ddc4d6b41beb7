"""TCP_INFO: what the kernel knows about a connection, without privileges.

Layout: Linux include/uapi/linux/tcp.h. macOS (TCP_CONNECTION_INFO) and Windows
(SIO_TCP_INFO) have equivalents that are not read yet; there the facts are null.
"""

import socket
import struct
import sys
from typing import Protocol

from probe.net.api import TcpInfo

# Offsets: retransmits u8 at 2; unacked u32 at 24; rtt in microseconds u32 at
# 68; total_retrans u32 at 100; bytes_acked u64 at 120; bytes_received u64 at 128.
_LENGTH = 136


class HasOptions(Protocol):
    """A socket of the standard library or of trio."""

    def getsockopt(self, level: int, option: int, length: int, /) -> bytes:
        """As `socket.socket.getsockopt` with a buffer length."""


def read_tcp_info(sock: HasOptions) -> TcpInfo | None:
    """Read TCP_INFO of a socket; None where unsupported or too old (< Linux 4.1)."""
    if sys.platform != "linux":
        return None
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LENGTH)
    except OSError:
        return None
    if len(raw) < _LENGTH:
        return None
    (unacked,) = struct.unpack_from("=I", raw, 24)
    (rtt_us,) = struct.unpack_from("=I", raw, 68)
    (total_retransmits,) = struct.unpack_from("=I", raw, 100)
    acked, received = struct.unpack_from("=QQ", raw, 120)
    return TcpInfo(
        rtt_s=rtt_us / 1e6,
        retransmits=raw[2],
        total_retransmits=total_retransmits,
        unacked=unacked,
        bytes_acked=acked,
        bytes_received=received,
    )
