"""``reachwatch doctor``: what this machine has, and what is missing. Sends nothing."""

import argparse
import platform
import ssl
import tempfile
from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.request import getproxies

from probe import __version__
from probe.cli.consent import is_granted
from probe.cli.errors import EXIT_NO_NETWORK, EXIT_OK, CommandError
from probe.cli.inputs import embedded_targets
from probe.cli.machine_options import GRANTS
from probe.cli.output import print_json
from probe.cli.render import style_of
from probe.cli.schedule import this_kind
from probe.net.trio_network import TrioNetwork
from probe.run.session import find_routes

Level = Literal["ok", "note", "problem"]

_EXTRAS: Final = {
    "quic": ("aioquic",),
    "fingerprint": ("utls",),
    "analysis": ("duckdb", "ibis", "jinja2", "matplotlib", "pandas", "pyarrow", "scipy"),
    "lab": ("aiohttp", "aioquic", "mtproto", "trustme"),
    "yaml": ("yaml",),
}
"""Extras by what has to be importable; pyproject.toml names their distributions."""

_OLD_DAYS: Final = 180
"""Telegram has changed addresses oftener than twice a year while it was blocked."""

_TUNNELS: Final = ("tun", "tap", "wg", "utun", "ppp", "ipsec", "tailscale")


class Finding(NamedTuple):
    """One thing looked at. ``say`` is for people; ``level`` problem: measuring suffers."""

    what: str
    level: Level
    say: str


def doctor_command(args: argparse.Namespace) -> int:
    """Run ``doctor``: exit 5 where there is no route to the internet."""
    routes = find_routes(TrioNetwork(), embedded_targets().targets, (4, 6))
    findings = [
        Finding("reachwatch", "ok", f"{__version__} on Python {platform.python_version()}"),
        Finding("TLS", "ok", ssl.OPENSSL_VERSION),
        *_network(routes),
        *_extras(),
        _results(Path(args.results)),
        _targets(date.today()),  # noqa: DTZ011 - an age in days
        *_consent(),
        Finding("timer", "note", f"`reachwatch schedule show` would use {this_kind()}"),
    ]
    if args.format == "json":
        document = {
            "type": "doctor",
            "schema_version": "1.0",
            "findings": [finding._asdict() for finding in findings],
        }
        print_json(document)
    else:
        is_ascii = style_of(ascii_only=args.ascii).ascii_only
        for finding in findings:
            print(f"  {_sign(finding.level, is_ascii=is_ascii)} {finding.what:<12} {finding.say}")  # noqa: T201 - the room that prints
    return EXIT_OK if any(failure is None for failure in routes.values()) else EXIT_NO_NETWORK


def _sign(level: Level, *, is_ascii: bool) -> str:
    if is_ascii:
        return {"ok": "+", "note": "-", "problem": "!"}[level]
    return {"ok": "✓", "note": "·", "problem": "!"}[level]


def _network(routes: dict[Literal[4, 6], str | None]) -> Iterator[Finding]:
    for family, failure in routes.items():
        if failure is None:
            yield Finding(f"IPv{family}", "ok", "has a route")
        else:
            level: Level = "note" if None in routes.values() else "problem"
            yield Finding(f"IPv{family}", level, f"has no route ({failure})")
    proxies = sorted(kind for kind in getproxies() if kind != "no")
    if proxies:
        said = f"the system sets one ({', '.join(proxies)}); measurements go past it"
        yield Finding("proxy", "note", said)
    # Names of devices alone: their addresses are nobody's business.
    with_tunnels = sorted(name for name in _devices() if name.startswith(_TUNNELS))
    if with_tunnels:
        said = f"a device looks like one ({', '.join(with_tunnels)}); then that network is measured"
        yield Finding("VPN", "note", said)


def _devices() -> list[str]:
    folder = Path("/sys/class/net")
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _extras() -> Iterator[Finding]:
    for extra, modules in _EXTRAS.items():
        missing = [name for name in modules if find_spec(name) is None]
        if missing:
            said = f"off ({', '.join(missing)} missing): pip install 'reachwatch[{extra}]'"
            yield Finding(extra, "note", said)
        else:
            yield Finding(extra, "ok", "installed")


def _results(folder: Path) -> Finding:
    try:
        place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding("results", "problem", f"{folder}: cannot be written: {error.strerror}")
    return Finding("results", "ok", f"{folder} can be written")


def _targets(today: date) -> Finding:
    targets = embedded_targets().targets
    age = (today - date.fromisoformat(targets.updated)).days
    level: Level = "ok" if age <= _OLD_DAYS else "note"
    return Finding("targets", level, f"built-in list of {targets.updated}, {max(age, 0)} days old")


def _consent() -> Iterator[Finding]:
    for grant in GRANTS:
        try:
            has = is_granted(grant)
        except CommandError as error:
            yield Finding("consent", "problem", error.lines[0])
            return
        said = "granted" if has else f"not granted: `reachwatch consent grant {grant}`"
        yield Finding(grant, "ok" if has else "note", said)
