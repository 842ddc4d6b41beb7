"""A wrong clock for one program: libfaketime."""

from collections.abc import Sequence
from datetime import timedelta

from censorlab.servers.program import executable


def skewed_words(words: Sequence[str], skew: timedelta) -> tuple[str, ...]:
    """Return the command that runs a command whose clock is off by ``skew``.

    Only the date is wrong: time-outs count true seconds. A command that is killed
    leaves two files in /dev/shm: run it where that is private.
    """
    offset = f"{skew.total_seconds():+.0f}s"
    return (executable("faketime", "faketime"), "--exclude-monotonic", "-f", offset, *words)
