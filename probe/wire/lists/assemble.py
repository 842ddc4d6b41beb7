"""From rows to one valid target list, and what became of each row.

A service is what one operator runs, so each host is one of its own: the rules take hosts of
a service that are silent together for a sign of blocking, which dead sites of one category,
one list or one group of a monitor are not.
"""

import hashlib
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_type_hints

import msgspec

from probe.model.target import Endpoint, Service, Target, Targets
from probe.wire.addresses import is_address
from probe.wire.lists.row import ReadList, Row

_MAX_ID_CHARS: Final = 80
_MAX_SERVICE_CHARS: Final = 56
_CLEAN_PATH: Final = re.compile(r"(?:/[a-z0-9._-]+)+")
_DIGEST_CHARS: Final = 8

Status = Literal["imported", "merged", "not_mapped"]
Key = tuple[str, int, tuple[str, ...], str]


class Outcome(NamedTuple):
    """What became of a row. ``target_ids``: those that it is in; none if not mapped."""

    row: Row
    status: Status
    target_ids: tuple[str, ...]
    reason: str


class Assembled(NamedTuple):
    """``targets`` is None if there is nothing to measure."""

    targets: Targets | None
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What the list is called and of when it is (YYYY-MM-DD) where it does not say so."""

    name: str
    updated: str


def assemble(read: ReadList, builtin: Targets, heading: Heading) -> Assembled:
    """Make one list; the same rows give the same ids, whatever their order."""
    room = _Room(read.source, builtin)
    outcomes = tuple(room.take(row) for row in read.rows)
    if not room.targets:
        return Assembled(None, outcomes)
    targets = Targets(
        schema_version="1.0",
        name=read.name or heading.name,
        updated=read.updated or heading.updated,
        services=tuple(room.services.values()),
        targets=tuple(room.targets.values()),
        license=read.license,
    )
    return Assembled(targets, outcomes)


class _Room:
    """The list as it grows."""

    def __init__(self, source: str, builtin: Targets) -> None:
        self.services: dict[str, Service] = {}
        self.targets: dict[str, Target] = {}
        self._source = source
        self._builtin = builtin
        self._first: dict[Key | str, tuple[str, tuple[str, ...]]] = {}
        self._of_host: dict[str, str] = {}
        # An id of the built-in list means that list's service, whether it is here or not.
        self._taken = {service.id for service in builtin.services}
        self._max_services = _max_items("services")
        self._max_targets = _max_items("targets")

    def take(self, row: Row) -> Outcome:
        """Add a row's targets, or say why not."""
        if row.endpoint is None and not row.builtin:
            return Outcome(row, "not_mapped", (), row.reason)
        key = row.builtin or _key(row.endpoint)
        if key in self._first:
            at, ids = self._first[key]
            return Outcome(row, "merged", ids, f"the same as {at}")
        if row.builtin:
            made = self._built_in(row.builtin)
        else:
            assert row.endpoint is not None
            made = self._own(row, row.endpoint)
        if isinstance(made, str):
            return Outcome(row, "not_mapped", (), made)
        service, targets = made
        if (
            len(self.services) + (service.id not in self.services) > self._max_services
            or len(self.targets) + len(targets) > self._max_targets
        ):
            full = f"{self._max_services} services, {self._max_targets} targets"
            return Outcome(row, "not_mapped", (), f"the list is full ({full})")
        self.services.setdefault(service.id, service)
        self.targets.update((target.id, target) for target in targets)
        ids = tuple(target.id for target in targets)
        self._first[key] = (row.at, ids)
        return Outcome(row, "imported", ids, "")

    def _built_in(self, wanted: str) -> tuple[Service, list[Target]] | str:
        service = next((s for s in self._builtin.services if s.id == wanted), None)
        targets = [t for t in self._builtin.targets if t.service == wanted]
        if service is None or not targets:
            return f"no service {wanted} in the built-in list"
        return service, targets

    def _own(self, row: Row, endpoint: Endpoint) -> tuple[Service, list[Target]]:
        host = endpoint.address
        service = Service(
            id=self._service_id(host),
            name=_for_people(host),
            category_code=row.category,
            source=self._source,
        )
        target = Target(
            id=self._target_id(service.id, endpoint),
            service=service.id,
            combination_rule="all_of",
            endpoints=(endpoint,),
            name=row.name,
        )
        return service, [target]

    def _service_id(self, host: str) -> str:
        if host not in self._of_host:
            # Room is left for what a target's id adds.
            found = _unique(_slug(host), _MAX_SERVICE_CHARS, host, self._taken)
            self._of_host[host] = found
            self._taken.add(found)
        return self._of_host[host]

    def _target_id(self, service: str, endpoint: Endpoint) -> str:
        kind, port = _kind(endpoint)
        text = f"{service}/{kind}" + ("" if endpoint.port == port else f"-{endpoint.port}")
        whole = "|".join(map(str, _key(endpoint)))
        if endpoint.path == "/":
            return _unique(text, _MAX_ID_CHARS, whole, self.targets)
        if _CLEAN_PATH.fullmatch(endpoint.path) and len(text + endpoint.path) <= _MAX_ID_CHARS:
            return _unique(text + endpoint.path, _MAX_ID_CHARS, whole, self.targets)
        slug = re.sub(r"[^a-z0-9._-]+", "-", endpoint.path.lower()).strip("-.")
        return _with_digest(f"{text}/{slug}", _MAX_ID_CHARS, whole)


def _max_items(name: str) -> int:
    """Return how many the model allows."""
    hint = get_type_hints(Targets, include_extras=True)[name]
    limit = next(meta.max_length for meta in hint.__metadata__ if meta.max_length is not None)
    assert isinstance(limit, int)
    return limit


def _key(endpoint: Endpoint | None) -> Key:
    assert endpoint is not None
    return endpoint.address, endpoint.port, endpoint.probes, endpoint.path


def _kind(endpoint: Endpoint) -> tuple[str, int]:
    """Return the word for what is asked, and the port that it usually has."""
    if "http" in endpoint.probes:
        return ("https", 443) if "tls" in endpoint.probes else ("http", 80)
    return ("tls", 443) if "tls" in endpoint.probes else ("tcp", 0)


def _slug(host: str) -> str:
    return re.sub(r"[^a-z0-9.-]+", "-", host).strip("-.") or "host"


def _for_people(host: str) -> str:
    """Return a name in its own script."""
    if is_address(host):
        return host
    try:
        return host.encode().decode("idna")
    except UnicodeError:
        return host


def _unique(text: str, limit: int, whole: str, taken: Container[str]) -> str:
    if len(text) <= limit and text not in taken:
        return text
    return _with_digest(text, limit, whole)


def _with_digest(text: str, limit: int, whole: str) -> str:
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST_CHARS]
    return f"{text[: limit - _DIGEST_CHARS - 1].rstrip('-./_')}-{digest}"


def as_bytes(targets: Targets) -> bytes:
    """Return a list in the form it is stored in."""
    return msgspec.json.format(msgspec.json.encode(targets), indent=1) + b"\n"
