"""From what a person typed to a target list, proxies and identifying strings."""

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

import probe
from probe.cli.errors import EXIT_BAD_INPUT, EXIT_USAGE, CommandError
from probe.model.target import Endpoint, Probe, Service, Target, Targets
from probe.model.validate import MAX_TARGETS_BYTES, BadTargetsError, load_targets
from probe.net.api import ProxyAddress
from probe.net.own import identifying_strings, resolve_once
from probe.wire.addresses import a_label, is_address
from probe.wire.proxy_links import BadLinkError, ProxyLink, parse_link

DEFAULT_SERVICE: Final = "telegram"

_MAX_SLUG_CHARS: Final = 50

WEB_PROBES: Final[tuple[Probe, ...]] = ("dns", "tcp", "tls", "http")


class LoadedTargets(NamedTuple):
    """A target list and the SHA-256 of the bytes it came from."""

    targets: Targets
    sha256: str


def embedded_targets() -> LoadedTargets:
    """Load the built-in list (packaged, or beside the package in a checkout)."""
    package = Path(probe.__file__).parent
    for path in (package / "targets.json", package.parent / "targets.json"):
        if path.is_file():
            return read_targets(path)
    raise CommandError(EXIT_BAD_INPUT, ["the built-in targets.json is missing: reinstall"])


def read_targets(path: Path) -> LoadedTargets:
    """Load a targets file; raises CommandError naming each problem's place."""
    data = _read(path)
    try:
        targets = load_targets(data)
    except BadTargetsError as error:
        raise CommandError(
            EXIT_BAD_INPUT, [f"{path}: {problem}" for problem in error.problems]
        ) from None
    return LoadedTargets(targets, hashlib.sha256(data).hexdigest())


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_TARGETS_BYTES + 1)
    except OSError as error:
        raise CommandError(EXIT_BAD_INPUT, [f"{path}: {error.strerror}"]) from None


def select_targets(items: Sequence[str]) -> LoadedTargets:
    """Turn the words of ``check`` into one list.

    A list of the user's own without controls or resolvers gets the built-in
    ones: without controls nothing could be called blocked.

    Raises:
        CommandError: exit 3 for bad files and unknown ids.
    """
    embedded = embedded_targets()
    chosen: dict[str, Target] = {}
    services: dict[str, Service] = {}
    own: list[LoadedTargets] = []
    for item in items or (DEFAULT_SERVICE,):
        found = [t for t in embedded.targets.targets if item in {t.id, t.service}]
        if not found and _is_file(item):
            path = Path(item)
            if path.suffix == ".json":
                own.append(read_targets(path))
            else:
                for number, line in _lines(path):
                    _add_place(line, f"{path}:{number}", chosen, services)
            continue
        for target in found:
            chosen[target.id] = target
            services[target.service] = embedded.targets.service_of(target)
        if not found:
            _add_place(item, item, chosen, services)
    if own:
        if chosen or len(own) > 1:
            raise CommandError(EXIT_USAGE, ["give one targets file, or ids, URLs and hosts"])
        return own[0] if _is_complete(own[0].targets) else _completed(own[0], embedded.targets)
    narrowed = msgspec.structs.replace(
        embedded.targets,
        name=", ".join(service.name for service in services.values()),
        services=tuple(services.values()),
        targets=tuple(chosen.values()),
    )
    return LoadedTargets(narrowed, embedded.sha256)


def _is_file(item: str) -> bool:
    if "://" in item:
        return False
    return item.endswith((".json", ".txt")) or Path(item).is_file()


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return lines with their numbers, as editors count them, without comments."""
    text = _read(path).decode("utf-8-sig", "replace")
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    return [(n, line) for n, line in enumerate(lines, 1) if line and line[0] != "#"]


def _is_complete(targets: Targets) -> bool:
    return bool(targets.controls) and bool(targets.resolvers)


def _completed(own: LoadedTargets, embedded: Targets) -> LoadedTargets:
    targets = msgspec.structs.replace(
        own.targets,
        controls=own.targets.controls or embedded.controls,
        resolvers=own.targets.resolvers or embedded.resolvers,
    )
    return LoadedTargets(targets, own.sha256)


def _add_place(
    text: str, place: str, chosen: dict[str, Target], services: dict[str, Service]
) -> None:
    """Add a URL or host as a target, and a service, of its own.

    What fails at several networks of one service at once is evidence; that places which have
    nothing to do with each other fail is none.
    """
    endpoint = _endpoint(text, place)
    name = endpoint.address.rstrip(".").lower()
    slug = re.sub(r"[^a-z0-9.-]+", "-", name).strip("-.") or "host"
    if slug != name or len(slug) > _MAX_SLUG_CHARS:
        # Two hosts may be cut or changed to the same word, and one would be lost.
        slug = f"{slug[:_MAX_SLUG_CHARS].rstrip('-.')}-{_digest(name)}"
    service = f"custom-{slug}"
    services[service] = Service(id=service, name=name[:200], category_code="MISC")
    suffix = "" if endpoint.port == 443 else f"-{endpoint.port}"
    id_ = f"custom/{slug}{suffix}"
    if id_ in chosen and chosen[id_].endpoints != (endpoint,):
        # Another page of the same host, or the same port without TLS.
        id_ += f"-{_digest(f'{endpoint.probes}{endpoint.path}')}"
    chosen[id_] = Target(id=id_, service=service, combination_rule="all_of", endpoints=(endpoint,))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _endpoint(text: str, place: str) -> Endpoint:
    def bad(reason: str) -> CommandError:
        return CommandError(
            EXIT_BAD_INPUT,
            [f"{place}: {reason} (expected a service or target id, a file, a URL or a host)"],
        )

    has_scheme = "://" in text
    try:
        parts = urlsplit(text if has_scheme else f"//{text}")
        port = parts.port
    except ValueError as error:
        raise bad(str(error)) from None
    host = (parts.hostname or "").strip(".")
    if has_scheme and parts.scheme not in {"http", "https"}:
        raise bad(f"scheme {parts.scheme!r} is not http or https")
    if not host or not (is_address(host) or _is_host_name(host)):
        raise bad("not a known id, and not a host name")
    secure = parts.scheme != "http"
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if is_address(host):
        probes: tuple[Probe, ...] = ("tcp",) if secure else ("tcp", "http")
    else:
        probes = WEB_PROBES if secure else ("dns", "tcp", "http")
    try:
        host = a_label(host)
        # `convert` checks the bounds that a constructor does not.
        return msgspec.convert(
            {
                "address": host,
                "port": (443 if secure else 80) if port is None else port,
                "probes": probes,
                "server_name": "" if is_address(host) else host,
                "path": path or "/",
            },
            Endpoint,
        )
    except (msgspec.ValidationError, ValueError) as error:
        raise bad(str(error)) from None


def _is_host_name(host: str) -> bool:
    try:
        ascii_name = a_label(host)
    except UnicodeError:
        return False
    label = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
    # A single word is a mistyped id far more often than a host.
    return re.fullmatch(rf"{label}(\.{label})+", ascii_name) is not None or host == "localhost"


def parse_proxy(url: str) -> ProxyLink:
    """Read a link to a proxy, as `reachwatch proxies` does. Asks nobody.

    Raises:
        CommandError: exit 2, without repeating the link, which may hold a secret.
    """
    try:
        link = parse_link(url)
    except BadLinkError as error:
        raise CommandError(EXIT_USAGE, [f"--proxy: {error}"]) from None
    if link.kind == "socks4":
        raise CommandError(EXIT_USAGE, ["--proxy: SOCKS4 is for `reachwatch proxies` only"])
    return link


def find_proxy(link: ProxyLink) -> ProxyAddress:
    """Resolve a proxy's host, once.

    Raises:
        CommandError: exit 3, without its name.
    """
    address = link.host if is_address(link.host) else resolve_once(link.host)
    if address is None:
        raise CommandError(EXIT_BAD_INPUT, ["--proxy: the proxy's host name does not resolve"])
    return ProxyAddress(link, address)


def kind_in_plan(link: ProxyLink) -> Literal["socks5", "http_connect", "mtproxy"]:
    """Return what a plan needs to know of a proxy."""
    match link.kind:
        case "socks5" | "http_connect" as kind:
            return kind
    return "mtproxy"


def is_loopback(host: str) -> bool:
    """Tell whether a host is an address of this machine; a name is not taken for one."""
    return is_address(host) and ipaddress.ip_address(host).is_loopback


def secrets_of_host(targets: Targets) -> list[str]:
    """Strings that must not reach disk, less the list's own public addresses."""
    public = {c.address for c in targets.controls} | {r.address for r in targets.resolvers}
    literals = {e.address for t in targets.targets for e in t.endpoints if is_address(e.address)}
    toward = sorted({a for a in public if is_address(a)} | set(sorted(literals)[:4]))
    return [text for text in identifying_strings(toward) if text not in public | literals]


def is_loopback_only(targets: Targets) -> bool:
    """Tell whether everything the list names by address is on this machine (a lab)."""
    literals = [
        *(c.address for c in targets.controls if c.address),
        *(r.address for r in targets.resolvers if r.protocol != "system"),
        *(e.address for t in targets.targets for e in t.endpoints if is_address(e.address)),
    ]
    has_system = any(r.protocol == "system" for r in targets.resolvers)
    return (
        bool(literals)
        and not has_system
        and all(ipaddress.ip_address(address).is_loopback for address in literals)
    )
