"""``reachwatch proxies``: which of these proxies work from here, best first."""

import argparse
import re
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import segno

from probe.cli.consent import require_measure
from probe.cli.errors import (
    EXIT_BAD_INPUT,
    EXIT_NO_NETWORK,
    EXIT_OK,
    EXIT_USAGE,
    CommandError,
)
from probe.cli.inputs import embedded_targets
from probe.cli.proxies_words import CLOCK_LIMIT_S, clock_offset_s, columns, qr_lines, table
from probe.cli.render import style_of
from probe.cli.supervise import run_supervised
from probe.model import failure as failures
from probe.model.step import PUBLIC_TRUST
from probe.net.tls import TrustError, TrustStores
from probe.net.trio_network import TrioNetwork
from probe.run.proxies import Candidate, ProxyChecked, ProxyResult, check_proxies, new_candidate
from probe.steps.proxy_try import Terms
from probe.wire.addresses import ip_version
from probe.wire.proxy_links import BadLinkError, looks_like_link, parse_link

MAX_INPUT_BYTES: Final = 8 * 1024 * 1024
"""Of all files and standard input together: some 50 000 links."""

_GIVEN_ANCHORS: Final = "anchors"
_SCHEMA_VERSION: Final = "1.0"
_NO_NETWORK: Final = "not enough data: this device has no way to the internet"


class BadLink(NamedTuple):
    """A link that cannot be tried: where it stands, and why; nothing of what it says."""

    position: str
    reason: str


def proxies_command(args: argparse.Namespace) -> int:
    """Run ``proxies``; see docs/exit-codes.md."""
    try:
        return _proxies(args)
    except CommandError as error:
        if args.format != "table":
            document = {"type": "error", "exit_code": error.exit_code, "errors": error.lines}
            _print_json(document)
        raise


def _proxies(args: argparse.Namespace) -> int:
    if args.qr and args.format != "table":
        raise CommandError(EXIT_USAGE, ["--qr: only with --format table"])
    candidates, bad = read_candidates(args.items)
    for link in bad:
        _say(f"{link.position}: {link.reason}")
    if args.format == "ndjson":
        for link in bad:
            _print_json({"type": "bad_link", **link._asdict()})
    if not candidates:
        text = f"no link to a proxy among {len(bad)}" if bad else "no links were given"
        raise CommandError(EXIT_BAD_INPUT, [text])
    # One on loopback is a way out too: it carries what it is given to Telegram.
    require_measure(is_given=args.yes, hosts=lambda: [one.position for one in candidates])
    if args.format == "ndjson":
        counts = {"proxies_total": len(candidates), "bad_links_total": len(bad)}
        _print_json({"type": "run_started", "dc": args.dc, "tries": args.tries, **counts})
    trust, trust_key = _trust(args.anchors)
    terms = Terms(
        *(_destination(args.dc), args.dc, float(args.timeout), secrets.token_bytes),
        trust=trust,
        trust_key=trust_key,
    )
    results = _run(candidates, terms, args.tries, _subscriber(args))
    _print_results(args, results, bad)
    if _has_no_network(results):
        _say(_NO_NETWORK)
        return EXIT_NO_NETWORK
    return EXIT_BAD_INPUT if bad else EXIT_OK


def read_candidates(items: Sequence[str]) -> tuple[list[Candidate], list[BadLink]]:
    """Read links from arguments, files and standard input; a proxy named twice is kept once.

    Raises:
        CommandError: a file cannot be read, or all is more than `MAX_INPUT_BYTES`.
    """
    key = secrets.token_bytes(32)
    found: dict[str, Candidate] = {}
    bad: list[BadLink] = []
    for position, text in _texts(items):
        try:
            link = parse_link(text)
        except BadLinkError as error:
            bad.append(BadLink(position, str(error)))
            continue
        # By the link itself: ids of so few digits may meet.
        found.setdefault(link.url(), new_candidate(link, position, key))
    return list(found.values()), bad


def _texts(items: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each link with its position."""
    left = MAX_INPUT_BYTES
    for number, item in enumerate(items, 1):
        if item != "-" and (looks_like_link(item) or not _is_file(item)):
            yield f"argument {number}", item
            continue
        data = _read(item, left + 1)
        left -= len(data)
        if left < 0:
            raise CommandError(EXIT_BAD_INPUT, [f"more than {MAX_INPUT_BYTES >> 20} MiB of links"])
        name = "line" if item == "-" or len(items) == 1 else f"{Path(item).name}, line"
        # Lines as editors count them: str.splitlines knows other ends besides.
        lines = re.split(r"\r\n|\r|\n", data.decode("utf-8-sig", "replace"))
        for line_number, line in enumerate(lines, 1):
            text = line.strip()
            if text and not text.startswith("#"):
                yield f"{name} {line_number}", text


def _is_file(item: str) -> bool:
    try:
        return Path(item).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _read(item: str, most: int) -> bytes:
    if item == "-":
        if sys.stdin.isatty():
            _say("Links, one a line; Ctrl-D ends:")
        return sys.stdin.buffer.read(most)
    try:
        with Path(item).open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise CommandError(EXIT_BAD_INPUT, [f"{item}: {error.strerror}"]) from None


def _destination(dc: int) -> tuple[str, int]:
    """Return the data centre's IPv4 address and port of the built-in list."""
    for target in embedded_targets().targets.targets:
        if target.id == "telegram/dc_pool":
            for end in target.endpoints:
                if (end.dc_id, end.port, ip_version(end.address)) == (dc, 443, 4):
                    return end.address, end.port
    raise CommandError(EXIT_BAD_INPUT, [f"the built-in list has no data centre {dc}: reinstall"])


def _trust(anchors: str | None) -> tuple[TrustStores, str]:
    """Return what WEB proxies' certificates are verified by."""
    if anchors is None:
        return TrustStores(), PUBLIC_TRUST
    pem = _read(anchors, MAX_INPUT_BYTES).decode("ascii", "replace")
    trust = TrustStores({_GIVEN_ANCHORS: [pem]})
    try:
        trust.context(_GIVEN_ANCHORS, ())
    except TrustError:
        raise CommandError(EXIT_BAD_INPUT, [f"{anchors}: not certificates in PEM"]) from None
    return trust, _GIVEN_ANCHORS


def _run(
    candidates: Sequence[Candidate],
    terms: Terms,
    tries: int,
    say: Callable[[ProxyChecked], None],
) -> tuple[ProxyResult, ...]:
    """Run until done, SIGINT or SIGTERM."""
    return run_supervised(
        lambda: check_proxies(candidates, terms, tries, TrioNetwork(), say),
        "stopped; nothing is stored",
    )


def _subscriber(args: argparse.Namespace) -> Callable[[ProxyChecked], None]:
    """Choose who listens to progress: NDJSON on stdout, or one line on stderr."""
    shows_line = sys.stderr.isatty() and not args.quiet
    works = 0

    def say(event: ProxyChecked) -> None:
        nonlocal works
        works += event.result.successes > 0
        if args.format == "ndjson":
            # Ranks are known at the end only.
            row = columns(event.result, 0, show=args.show)
            _print_json({"type": "proxy", **row, "rank": None})
        if shows_line:
            done = event.done == event.total
            text = "" if done else f"{event.done}/{event.total} proxies tried, {works} work"
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    return say


def _print_results(
    args: argparse.Namespace, results: Sequence[ProxyResult], bad: Sequence[BadLink]
) -> None:
    working = [result for result in results if result.successes]
    offset_s = clock_offset_s(results)
    summary: dict[str, Any] = {
        "dc": args.dc,
        "proxies_total": len(results),
        "proxies_working": len(working),
        "bad_links_total": len(bad),
        "clock_offset_s": offset_s,
    }
    if args.format == "json":
        rows = [columns(each, rank, show=args.show) for rank, each in enumerate(results, 1)]
        links = [link._asdict() for link in bad]
        _print_json({"type": "proxies", **summary, "proxies": rows, "bad_links": links})
        return
    if args.format == "ndjson":
        ranking = [result.candidate.proxy_id for result in working]
        _print_json({"type": "run_finished", **summary, "ranking": ranking})
        return
    style = style_of(ascii_only=args.ascii)
    lines = table(results, style, show=args.show)
    lines += ["", f"{len(working)} of {len(results)} proxies work. Nothing is stored."]
    if offset_s is not None and abs(offset_s) >= CLOCK_LIMIT_S:
        way = "behind" if offset_s > 0 else "ahead"
        lines.append(
            f"This device's clock is {abs(offset_s):.0f} s {way} of Telegram's: "
            "MTProxies with ee refuse it. Set the clock and try again."
        )
    for rank, result in enumerate(working[: args.qr], 1):
        lines += ["", f"{rank}: the whole link, secret included"]
        modules = segno.make_qr(result.candidate.link.url(), error="l").matrix_iter(border=4)
        lines += qr_lines([list(row) for row in modules], ascii_only=style.ascii_only)
    print("\n".join(lines))  # noqa: T201 - the room that prints


def _has_no_network(results: Sequence[ProxyResult]) -> bool:
    """Tell whether every proxy failed because nothing leaves this device."""
    return all(
        each.failure == failures.NETWORK_UNREACHABLE or each.phase == "name"
        for result in results
        for each in result.tries
    ) and all(
        TrioNetwork().route_errno(address) is not None for address in ("192.0.2.1", "2001:db8::1")
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 - the room that prints


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(orjson.dumps({"schema_version": _SCHEMA_VERSION, **document}).decode() + "\n")
    sys.stdout.flush()
