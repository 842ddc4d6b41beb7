"""One measurement -> the columns of a run and its observations."""

import hashlib
import re
from collections import Counter
from datetime import datetime
from itertools import count
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.vantage import NetworkType, RunColumns
from probe.store.from_ooni import MAPPING, MAPPING_SHA256
from probe.store.from_ooni.connections import Connection, Joined, Place, failed, join
from probe.store.from_ooni.facts import (
    body_of,
    certificates_of,
    failure_of,
    headers_of,
    word,
)
from probe.store.from_ooni.lookups import Question, helper_questions, questions
from probe.store.from_ooni.measurement import (
    BadRecordError,
    Measurement,
    Parsed,
    Url,
    shown,
    url_of,
)
from probe.store.from_ooni.owners import Owner, main_place, owner_of
from probe.wire.addresses import ip_version, scrub
from probe.wire.visible_text import visible_text

HELPER: Final = "ooni/test_helper"

NOT_ASKED: Final = "the page was asked of another address"

_CONTENT: Final = ("report_id", "input", "test_name", "measurement_start_time", "test_keys")
"""What makes two documents one measurement. Publishers add keys of their own."""

_NETWORK_TYPES: Final[dict[str, NetworkType]] = {"mobile": "mobile", "vpn": "vpn"}
"""Not "wifi": that may be a home, a café or a firm."""

_MAX_PATH_CHARS: Final = 500
_MAX_VERSION_CHARS: Final = 32


class Imported(NamedTuple):
    """One measurement as a run of ours. ``secrets`` must not reach the disk."""

    run: RunColumns
    rows: tuple[Observation, ...]
    secrets: tuple[str, ...]


def convert(parsed: Parsed) -> Imported:
    """Map a measurement onto our facts. Pure, and the same for the same content.

    Raises:
        BadRecordError: a value is not what its key says.
    """
    measurement = parsed.measurement
    page = url_of(measurement.input, "$.input") if measurement.input else None
    joined = join(measurement.test_keys, page)
    rows = _Rows(measurement.test_name.partition("@")[0], joined)
    _add_lookups(rows, measurement, page)
    # Those that carried a page first: of findings that are equally good, one of these
    # says more than one about a connection that was never asked for anything.
    for connection in sorted(joined.connections, key=lambda one: one.http is None):
        rows.connection(connection)
    rows.controls(_helper_host(measurement))
    address = measurement.probe_ip or ""
    return Imported(_run(parsed), tuple(rows.found), (address,) if address else ())


def _add_lookups(rows: "_Rows", measurement: Measurement, page: Url | None) -> None:
    joined = rows.joined
    asked = set()
    for question in questions(joined.lookups, joined.duplicates):
        rows.lookup(question)
        asked.add((question.hostname, question.query_type))
    control = measurement.test_keys.control
    if page and control and control.dns and not failed(measurement.test_keys.control_failure):
        for question in helper_questions(control.dns, page.host):
            # Alone it would be taken for the resolver that applications use.
            if (question.hostname, question.query_type) in asked:
                rows.lookup(question)


def _helper_host(measurement: Measurement) -> str | None:
    """Return the test helper's name if it answered over HTTPS, else None."""
    keys = measurement.test_keys
    if failed(keys.control_failure) or keys.control is None or keys.control.dns is None:
        return None
    helpers = measurement.test_helpers
    backend = helpers.get("backend") if isinstance(helpers, dict) else None
    address = backend.get("address") if isinstance(backend, dict) else backend
    if not isinstance(address, str) or not address.startswith("https://"):
        return None
    return url_of(address, "$.test_helpers.backend.address").host


class _Rows:
    """Builds and numbers the observations of one measurement."""

    def __init__(self, test_name: str, joined: Joined) -> None:
        self.joined = joined
        self.found: list[Observation] = []
        self._test_name = test_name
        self._ids = count(1)
        self._chains = count(1)
        self._attempts: Counter[tuple[str, str, str | None]] = Counter()
        self._paged = {page.host for page in joined.pages}

    def lookup(self, question: Question) -> None:
        place = main_place(question.hostname, self.joined.pages)
        owner = owner_of(self._test_name, place, self.joined.pages)
        if owner is not None:
            base = self._base(owner, place, self._chain())
            self._add(base, step="dns", **question._asdict())

    def connection(self, connection: Connection) -> None:
        place, address = connection.place, connection.address
        owner = owner_of(self._test_name, place, self.joined.pages)
        if owner is None:
            return
        endpoint = f"{place.host}:{place.port}"
        self._attempts[owner.member, endpoint, address] += 1
        base = self._base(owner, place, self._chain()) | {
            "hostname": None if address == place.host else place.host,
            "address": address,
            "port": place.port,
            "ip_version": None if address is None else ip_version(address),
            "attempt": self._attempts[owner.member, endpoint, address],
        }
        clock = _Clock(connection)
        if connection.tcp is not None:
            failure, detail = failure_of(connection.tcp.status.failure)
            self._add(base, "tcp", failure=failure, failure_detail=detail, **clock.tcp())
        if connection.tls is not None:
            self._handshake(base, connection, clock)
        if connection.http is not None:
            self._page(base, connection, clock)
        elif connection.is_open and place.host in self._paged:
            # Without this row the connection would pass for one that did all its steps.
            self._add(
                base,
                "http",
                failure=failures.SKIPPED,
                failure_detail=NOT_ASKED,
                path=None,
                **clock.skipped(),
            )

    def controls(self, helper: str | None) -> None:
        """Add what shows that the line worked: the test helper's answer over HTTPS."""
        if helper is not None:
            base = self._base(None, Place(helper, 443), self._chain())
            self._add(base, "tls", failure=None, t0=0.0, t=0.0, server_name=helper)

    def _handshake(self, base: dict[str, Any], connection: Connection, clock: "_Clock") -> None:
        tls = connection.tls
        assert tls is not None
        failure, detail = failure_of(tls.failure)
        if tls.no_tls_verify and failure is None:
            detail = "the certificate was not verified"
        self._add(
            base,
            "tls",
            failure=failure,
            failure_detail=detail,
            server_name=tls.server_name and scrub(tls.server_name)[:253],
            tls_version=word(tls.tls_version),
            cipher_suite=word(tls.cipher_suite),
            alpn=word(tls.negotiated_protocol),
            peer_certificates=certificates_of(tls),
            **clock.tls(),
        )

    def _page(self, base: dict[str, Any], connection: Connection, clock: "_Clock") -> None:
        http = connection.http
        assert http is not None
        failure, detail = failure_of(http.failure)
        facts: dict[str, Any] = {}
        response = http.response
        if response is not None and response.code:
            exchange, is_cut = body_of(response)
            headers = headers_of(response)
            kind = next((h.value for h in headers if h.name == "content-type"), "")
            charset = re.search(r"charset=[\"']?([\w.:-]{1,40})", kind, re.IGNORECASE | re.ASCII)
            facts = {
                "status_code": response.code,
                "headers": headers,
                "title": exchange.title(),
                "body_bytes": len(exchange.body),
                "body_sha256": exchange.body_sha256(),
                "body_is_truncated": is_cut,
                "body_text": visible_text(exchange.body, charset[1] if charset else None) or None,
                # A lower bound: what is below the body is not counted.
                "received_bytes": len(exchange.body),
            }
        self._add(
            base,
            "http",
            failure=failure,
            failure_detail=detail,
            path=scrub(connection.path)[:_MAX_PATH_CHARS],
            **facts,
            **clock.http(),
        )

    def _base(self, owner: Owner | None, place: Place, chain_id: str) -> dict[str, Any]:
        return {
            "chain_id": chain_id,
            "role": "control" if owner is None else "test",
            "service_id": owner and owner.service_id,
            "target_id": owner and owner.target_id,
            "combination_rule": owner and owner.combination_rule,
            "control_id": HELPER if owner is None else None,
            "endpoint_id": f"{place.host}:{place.port}",
            "member": "OONI" if owner is None else owner.member,
        }

    def _add(self, base: dict[str, Any], step: str, **facts: Any) -> None:
        row = msgspec.convert(
            {**base, "observation_id": self._id(), "step": step, **facts},
            Observation,
            from_attributes=True,
        )
        self.found.append(row)

    def _id(self) -> str:
        return f"o{next(self._ids):05d}"

    def _chain(self) -> str:
        return f"c{next(self._chains):05d}"


class _Clock:
    """Start and end of each step of a connection, never before those of the step before.

    Old versions record one time a row: the end of a connect or handshake, the start of
    a request. What is unknown is bounded: a step begins when the last thing before it
    is known to have ended.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._t = 0.0

    def tcp(self) -> dict[str, float]:
        row = self._connection.tcp
        assert row is not None
        end = row.t or 0.0
        return self._next(self._connection.asked_at if row.t0 is None else row.t0, end)

    def tls(self) -> dict[str, float]:
        row = self._connection.tls
        assert row is not None
        return self._next(self._t if row.t0 is None else row.t0, row.t)

    def http(self) -> dict[str, float]:
        row = self._connection.http
        assert row is not None
        start = row.t if row.t0 is None and not row.transaction_id else row.t0
        return self._next(self._t if start is None else start, row.t)

    def skipped(self) -> dict[str, float]:
        return self._next(self._t, self._t)

    def _next(self, start: float, end: float | None) -> dict[str, float]:
        end = max(self._t, end or 0.0)
        start = min(max(self._t, start), end)
        self._t = end
        return {"t0": round(start, 6), "t": round(end, 6)}


def _run(parsed: Parsed) -> RunColumns:
    measurement = parsed.measurement
    said = measurement.annotations
    platform = (said and said.platform) or ""
    return RunColumns(
        run_id=_run_id(parsed.document),
        measurement_start_time=_minute(measurement.measurement_start_time),
        targets_sha256=MAPPING_SHA256,
        probe_cc=_country(measurement.probe_cc or "ZZ"),
        probe_asn=_network(measurement.probe_asn or "AS0"),
        network_type=_NETWORK_TYPES.get((said and said.network_type) or "", "unknown"),
        platform=platform if re.fullmatch(r"[a-z0-9_-]{1,32}", platform) else "unknown",
        software_version=_software(measurement),
    )


def _run_id(document: dict[str, Any]) -> str:
    """Name a measurement by its content, wherever it was downloaded from.

    Not by its identifier: that is missing in some sources, and two measurements that
    claim the same one would overwrite each other.
    """
    content = orjson.dumps(
        [MAPPING, *(document.get(key) for key in _CONTENT)], option=orjson.OPT_SORT_KEYS
    )
    return hashlib.sha256(content).hexdigest()[:16]


def _minute(text: str) -> str:
    try:
        start = datetime.strptime(f"{text} +0000", "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        raise BadRecordError(f"$.measurement_start_time: {shown(text)} is not a time") from None
    return f"{start:%Y-%m-%dT%H:%M}:00Z" if start.year >= 1000 else _minute("")


def _country(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{2}", text):
        raise BadRecordError(f"$.probe_cc: {shown(text)} is not a country code")
    return text


def _network(text: str) -> int:
    found = re.fullmatch(r"AS([0-9]{1,10})", text, re.ASCII)
    if not found or int(found[1]) > 4294967295:
        raise BadRecordError(f"$.probe_asn: {shown(text)} is not an AS number")
    return int(found[1])


def _software(measurement: Measurement) -> str:
    """Return ``name/version``, the name cut before the version is."""
    version = re.sub(r"[^\w.+-]", "", measurement.software_version, flags=re.ASCII)[:16] or "0"
    name = re.sub(r"[^\w.+-]", "", measurement.software_name, flags=re.ASCII) or "ooni"
    return f"{name[: _MAX_VERSION_CHARS - 1 - len(version)]}/{version}"
