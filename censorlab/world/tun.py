"""TUN devices: a descriptor that carries IP packets of the namespace it was made in."""

import fcntl
import os
import struct
from pathlib import Path
from typing import Final

_NODE: Final = Path("/dev/net/tun")
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000

DEVICE: Final = "tun0"
"""One to a namespace, so the name cannot clash."""

QUEUE_PACKETS: Final = 10_000
"""Of the device, which drops when the middlebox is late: 0.5 s at 20 000 packets/s."""


class UnsupportedSystemError(RuntimeError):
    """This machine or user cannot have the namespaces; the message says why."""


def open_tun() -> int:
    """Create the device in the current network namespace and return its descriptor.

    Non-blocking; the device lives as long as the descriptor.

    Raises:
        UnsupportedSystemError: if the node cannot be opened, or the kernel refuses.
    """
    try:
        descriptor = os.open(_NODE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UnsupportedSystemError(f"cannot open {_NODE}: {error.strerror}") from error
    request = struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
    except OSError as error:
        os.close(descriptor)
        raise UnsupportedSystemError(f"cannot create a TUN device: {error.strerror}") from error
    return descriptor
