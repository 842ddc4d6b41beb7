"""How a command ends: the exit codes, and errors that carry one."""

from collections.abc import Sequence
from typing import Final

EXIT_OK: Final = 0
EXIT_BUG: Final = 1
EXIT_USAGE: Final = 2
EXIT_BAD_INPUT: Final = 3
EXIT_NO_CONSENT: Final = 4
EXIT_NO_NETWORK: Final = 5
EXIT_FAIL_ON: Final = 10
EXIT_EXPECT: Final = 11
EXIT_INTERRUPT: Final = 130
EXIT_TERMINATED: Final = 143


class CommandError(Exception):
    """The command cannot go on; `main` prints the lines and exits with the code."""

    def __init__(self, exit_code: int, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.exit_code = exit_code
        self.lines = tuple(lines)
