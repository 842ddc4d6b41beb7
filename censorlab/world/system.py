"""What this machine and user allow, and the commands that set up a namespace."""

import ctypes
import os
import subprocess
from pathlib import Path
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
"""From sched.h; ``os.unshare`` and ``os.setns`` came with Python 3.12."""


class UnsupportedSystemError(RuntimeError):
    """This machine or user cannot have the namespaces; the message says why."""


def new_network() -> int:
    """Move this process into a new network namespace; return its descriptor.

    Raises:
        UnsupportedSystemError: if the machine does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        reason = os.strerror(ctypes.get_errno())
        raise UnsupportedSystemError(f"cannot make a network namespace: {reason}")
    return current_network()


def current_network() -> int:
    """Return a descriptor of this process's network namespace."""
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter_network(namespace: int) -> None:
    """Move this process into the network namespace of a descriptor.

    Raises:
        UnsupportedSystemError: if the machine does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        reason = os.strerror(ctypes.get_errno())
        raise UnsupportedSystemError(f"cannot enter a network namespace: {reason}")


def set_sysctl(name: str, value: str) -> None:
    """Set ``net/NAME`` of the current network namespace.

    Raises:
        UnsupportedSystemError: if the machine does not allow it.
    """
    try:
        Path("/proc/sys/net", name).write_text(value)
    except OSError as error:
        raise UnsupportedSystemError(f"cannot set net/{name}: {error.strerror}") from error


def run(words: list[str], given: str = "", *, inherited: tuple[int, ...] = ()) -> None:
    """Run a set-up command.

    Raises:
        UnsupportedSystemError: with what the command said.
    """
    try:
        done = subprocess.run(  # noqa: S603  words of this package, no shell
            words, input=given, capture_output=True, text=True, check=False, pass_fds=inherited
        )
    except FileNotFoundError as error:
        raise UnsupportedSystemError(f"not installed: {words[0]}") from error
    if done.returncode:
        raise UnsupportedSystemError(f"{words[0]}: {done.stderr.strip()}")
