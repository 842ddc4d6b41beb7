"""Start-up: ``--help`` must not pay for what it does not use."""

import subprocess
import sys

HEAVY = ("trio", "ssl", "dns", "msgspec", "orjson", "cryptography", "ibis", "matplotlib", "pandas")


def test_help_imports_nothing_heavy() -> None:
    """The command tree is declared without any room that measures or draws."""
    code = (
        "import sys\n"
        "from probe.cli.main import build_parser\n"
        "build_parser().format_help()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
