"""The two ways in which a side's packets reach the middle: TUN, or veth and a packet socket.

TUN is faster and needs no link layer, but its node is root's alone on many
machines. A veth pair may be made by the root of any user namespace.
"""

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import Final

from censorlab.world.system import UnsupportedSystemError

MTU: Final = 1500

QUEUE_PACKETS: Final = 10_000
"""Of the device, which drops when the middlebox is late: 0.5 s at 20 000 packets/s."""

MAC: Final = "02:00:00:00:00:01"
"""Of both ends of every pair. Without ARP the kernel addresses a frame to its own
device's address, so the far end takes it for its own."""

DEVICE: Final = "line0"
"""A side's only device, so the name cannot clash."""

_NODE: Final = Path("/dev/net/tun")
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000

_ETH_P_ALL: Final = 3
_SOL_PACKET: Final = 263
_PACKET_IGNORE_OUTGOING: Final = 23
_SOCKET_BUFFER_BYTES: Final = 8_000_000
_SO_RCVBUFFORCE: Final = 33
_SO_SNDBUFFORCE: Final = 32

_SIOCETHTOOL: Final = 0x8946
_OFF: Final = (0x15, 0x17, 0x19, 0x1F, 0x25, 0x2C)
"""linux/ethtool.h: set rx and tx checksumming, scatter-gather, TSO, GSO, GRO."""

_ETHERNET_BYTES: Final = 14
_FRAME_BYTES: Final = _ETHERNET_BYTES + MTU
"""None is larger, with offloads off; room for more would be taken for each packet."""
_MACS: Final = bytes.fromhex(MAC.replace(":", "")) * 2
_HEADERS: Final = {4: _MACS + b"\x08\x00", 6: _MACS + b"\x86\xdd"}


class TunLink:
    """Packets of the namespace in which it was made."""

    def __init__(self) -> None:
        """Create the device in the current network namespace; it lives as long as this.

        Raises:
            UnsupportedSystemError: if the node cannot be opened, or the kernel refuses.
        """
        try:
            self.descriptor = os.open(_NODE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise UnsupportedSystemError(f"cannot open {_NODE}: {error.strerror}") from error
        request = struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI)
        try:
            fcntl.ioctl(self.descriptor, _TUNSETIFF, request)
        except OSError as error:
            os.close(self.descriptor)
            raise UnsupportedSystemError(f"cannot create a TUN device: {error.strerror}") from error

    def read(self) -> bytes:
        """Return the next packet; raises BlockingIOError if there is none."""
        return os.read(self.descriptor, _FRAME_BYTES)

    def write(self, packet: bytes) -> None:
        """Hand a packet to the side's kernel; raises OSError if it does not take it."""
        os.write(self.descriptor, packet)


class VethLink:
    """Packets that arrive at the near end of a pair, in the middle's namespace."""

    def __init__(self, near_device: str) -> None:
        """Listen on a device of the current network namespace."""
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        raw.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        for option, unprivileged in (
            (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
            (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
        ):
            try:
                raw.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER_BYTES)
            except PermissionError:  # needs the host's own root
                raw.setsockopt(socket.SOL_SOCKET, unprivileged, _SOCKET_BUFFER_BYTES)
        raw.bind((near_device, _ETH_P_ALL))
        self.descriptor = raw.detach()

    def read(self) -> bytes:
        """Return the next packet; raises BlockingIOError if there is none."""
        return os.read(self.descriptor, _FRAME_BYTES)[_ETHERNET_BYTES:]

    def write(self, packet: bytes) -> None:
        """Hand a packet to the side's kernel; raises OSError if it does not take it."""
        os.write(self.descriptor, _HEADERS[packet[0] >> 4] + packet)


PacketLink = TunLink | VethLink


def switch_offloads_off(device: str) -> None:
    """Make the kernel send this device packets as a wire would carry them.

    With offloads a veth hands over 64 KB super-packets without checksums: no
    packet count is right, and what is forged or delayed is thrown away.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in _OFF:
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sP16x", device.encode(), ctypes.addressof(value))
            try:
                fcntl.ioctl(control, _SIOCETHTOOL, request)
            except OSError as error:
                raise UnsupportedSystemError(
                    f"cannot switch offload {command:#x} of {device} off: {error.strerror}"
                ) from error
