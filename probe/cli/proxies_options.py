"""Options of ``proxies``, declared without importing what measures."""

import argparse
import re
from typing import Any, Final

MAX_TRIES: Final = 20
MAX_TIMEOUT_S: Final = 60


def add_proxies_parser(commands: Any) -> None:
    """Declare ``proxies`` among the commands."""
    proxies = commands.add_parser(
        "proxies",
        help="try proxies by Telegram's own handshake and rank them",
        description="Ask a data centre of Telegram for an answer through each proxy: SOCKS5, "
        "SOCKS4, HTTP CONNECT, MTProxy (plain, dd, ee), WEB proxy. Nothing is stored or uploaded, "
        "and no account is needed. Whoever runs your network sees that you connect to the proxies.",
    )
    proxies.add_argument(
        "items",
        nargs="*",
        default=["-"],
        metavar="LINK|FILE|-",
        help="tg://proxy?…, https://t.me/proxy?…, tg://webproxy?…, tg://socks?…, socks5://…, "
        "socks4://…, http://…; a file with one a line; - for standard input (the default)",
    )
    proxies.add_argument(
        "--tries", type=_whole(1, MAX_TRIES), default=3, metavar="N", help="of each (default: 3)"
    )
    proxies.add_argument(
        "--timeout",
        type=_whole(1, MAX_TIMEOUT_S),
        default=8,
        metavar="SECONDS",
        help="of one try (default: 8)",
    )
    proxies.add_argument(
        "--dc", type=_whole(1, 5), default=2, metavar="N", help="data centre (default: 2)"
    )
    proxies.add_argument(
        "--anchors",
        metavar="FILE",
        help="certificates (PEM) to trust for WEB proxies in place of the public authorities: "
        "for a proxy of your own that has no public one",
    )
    proxies.add_argument(
        "--show", action="store_true", help="name each proxy's host and port (never its secret)"
    )
    proxies.add_argument(
        "--qr",
        type=_whole(0, 100),
        default=0,
        metavar="N",
        help="print the N best as QR codes. Such a code is the whole link, secret included: "
        "for your own screen",
    )
    proxies.add_argument(
        "-f", "--format", choices=("table", "json", "ndjson"), default="table", help="output"
    )
    proxies.add_argument(
        "-y", "--yes", action="store_true", help="agree to measure, for this run (see consent)"
    )
    proxies.add_argument("--ascii", action="store_true", help="no symbols beyond ASCII")
    proxies.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")


def _whole(low: int, high: int) -> Any:
    """Return a parser of numbers whose error does not repeat what may be a link."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}")
        return int(text)

    return parse
