"""CPU that ``reachwatch --help`` costs beyond the interpreter itself.

Claim: at most 0.15 s. Run: ``python benchmarks/start_up.py``. The bare interpreter
is measured side by side, in turns, in the same run; the minimum of each is
compared, since noise only ever adds.
"""

import os
import subprocess
import sys

ROUNDS = 15
LIMIT_S = 0.15


def cpu_seconds(words: list[str]) -> float:
    """Return user and system seconds of one process."""
    before = os.times()
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return (
        after.children_user - before.children_user + after.children_system - before.children_system
    )


def main() -> None:
    bare, command = [], []
    for _ in range(ROUNDS):
        bare.append(cpu_seconds(["-c", "pass"]))
        command.append(cpu_seconds(["-m", "probe.cli.main", "--help"]))
    extra = min(command) - min(bare)
    print(f"interpreter {min(bare):.3f} s, --help {min(command):.3f} s CPU")
    print(f"beyond the interpreter {extra:.3f} s = {extra / LIMIT_S:.2f} of the limit {LIMIT_S} s")
    sys.exit(extra > LIMIT_S)


if __name__ == "__main__":
    main()
