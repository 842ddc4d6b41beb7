"""Options of ``targets import``, declared without importing what reads lists."""

from typing import Any


def add_targets_import_parser(actions: Any) -> None:
    """Declare ``import`` among the actions of ``targets``."""
    action = actions.add_parser(
        "import",
        help="make a target list of somebody else's list",
        description="Read a test list of Citizen Lab, an OONI Run descriptor, a gatus or "
        "Prometheus file_sd file, or links, and write a target list. Nothing is contacted. What "
        "cannot be mapped is told on standard error and, with -o, kept in FILE.import.jsonl.",
    )
    action.add_argument("source", metavar="SOURCE", help="the file to read")
    action.add_argument(
        "-o", "--output", metavar="FILE", help="where to write (default: standard output)"
    )
    action.add_argument(
        "--from",
        dest="form",
        choices=("citizenlab", "ooni-run", "gatus", "file-sd", "links"),
        help="its format (default: told by its content)",
    )
    action.add_argument(
        "--private",
        action="store_true",
        help="also take addresses and names of local networks, for lists of your own: a list "
        "of somebody else could make this machine scan the network it is in",
    )
