"""Options of ``results import``, declared without importing what reads measurements."""

from typing import Any


def add_import_parser(actions: Any) -> None:
    """Declare ``import`` among the actions of ``results``."""
    action = actions.add_parser(
        "import",
        help="judge measurements of OONI by our rules and store them",
        description="Read OONI measurements (JSON or JSON lines; plain, gzip or zstd), map them "
        "onto our facts, judge those, and store both. Importing again changes nothing.",
    )
    action.add_argument("--from", dest="source", choices=("ooni",), required=True)
    action.add_argument("--results", default="results", metavar="DIR", help="where to store")
    action.add_argument("files", nargs="+", metavar="FILE")
