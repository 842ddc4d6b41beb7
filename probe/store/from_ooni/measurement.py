"""The parts of an OONI measurement that are read, and nothing more of it.

Keys come and go between versions of OONI's engine, so everything that some version
leaves out has a default. What is there must have its type: a damaged measurement is
refused as a whole, never half understood.
"""

import ipaddress
import re
from typing import Annotated, Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
import orjson
from msgspec import Meta, Struct

from probe.wire.addresses import a_label, is_address

TESTS: Final = frozenset(
    {"web_connectivity", "telegram", "signal", "whatsapp", "facebook_messenger"}
)

Seconds = Annotated[float, Meta(ge=0, le=1e6)]
Port = Annotated[int, Meta(ge=1, le=65535)]
_Row = TypeVar("_Row")
Rows = Annotated[list[_Row], Meta(max_length=2000)] | None
"""Ten times what the largest real measurement has; joining rows costs the square."""

Failure = str | bool | None
"""Null, or a failure string; the first version wrote false for null."""

_HOST: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_MAX_SHOWN: Final = 60


class BadRecordError(ValueError):
    """A record is not a measurement that can be read. The message names the JSON path."""


class SkippedTestError(Exception):
    """The measurement is of a test that is not imported. Carries its name."""


class Answer(Struct, frozen=True):
    """df-002: one resource record; ``asn`` is of the address, by the probe's database."""

    answer_type: str
    ipv4: str | None = None
    ipv6: str | None = None
    hostname: str | None = None
    asn: int | None = None
    ttl: Annotated[int, Meta(ge=0, le=2**32)] | None = None


class Query(Struct, frozen=True):
    """df-002: one question to one resolver."""

    hostname: str
    query_type: str
    answers: Rows[Answer] = None
    engine: str | None = None
    failure: Failure = None
    resolver_address: str | None = None
    raw_response: bytes | None = None
    t0: Seconds | None = None
    t: Seconds | None = None
    transaction_id: int | None = None


class TcpStatus(Struct, frozen=True):
    """df-005: how a connect ended."""

    success: bool
    failure: Failure = None


class Tcp(Struct, frozen=True):
    """df-005: one connect."""

    ip: str
    port: Port
    status: TcpStatus
    t0: Seconds | None = None
    t: Seconds | None = None
    transaction_id: int | None = None
    tags: list[str] | None = None


class Binary(Struct, frozen=True):
    """Bytes that are no text: base64 in JSON."""

    data: bytes
    format: str


class Tls(Struct, frozen=True):
    """df-006: one handshake over TCP. Old versions give no address."""

    address: str | None = None
    server_name: str | None = None
    failure: Failure = None
    tls_version: str | None = None
    cipher_suite: str | None = None
    negotiated_protocol: str | None = None
    no_tls_verify: bool = False
    peer_certificates: list[Binary] | None = None
    t0: Seconds | None = None
    t: Seconds | None = None
    transaction_id: int | None = None


class Request(Struct, frozen=True):
    """df-001: what was asked for."""

    url: str


class Response(Struct, frozen=True):
    """df-001: what came back; ``code`` is 0 where nothing did."""

    code: Annotated[int, Meta(ge=0, le=999)] | None = None
    body: str | Binary | None = None
    body_is_truncated: bool | None = None
    headers: dict[str, str | Binary] | None = None
    headers_list: list[tuple[str, str | Binary]] | None = None

    def __post_init__(self) -> None:
        """Refuse what is no status code; raises ValueError."""
        if 0 < (self.code or 0) < 100:
            raise ValueError(f"{self.code} is not a status code")


class Http(Struct, frozen=True):
    """df-001: one request. ``t`` is its start where there is no transaction id."""

    request: Request
    response: Response | None = None
    failure: Failure = None
    t0: Seconds | None = None
    t: Seconds | None = None
    transaction_id: int | None = None


class HelperDns(Struct, frozen=True):
    """What the test helper's resolver said."""

    failure: Failure = None
    addrs: list[str] | None = None


class Helper(Struct, frozen=True):
    """What the test helper saw from outside; only its DNS has a place in our facts."""

    dns: HelperDns | None = None


class TestKeys(Struct, frozen=True):
    """The facts of a measurement."""

    __test__ = False  # no test class, though pytest reads the name so

    queries: Rows[Query] = None
    tcp_connect: Rows[Tcp] = None
    tls_handshakes: Rows[Tls] = None
    requests: Rows[Http] = None
    control: Helper | None = None
    control_failure: Failure = None
    x_dns_duplicate_responses: Rows[Query] = None


class Annotations(Struct, frozen=True):
    """What the probe says of itself."""

    network_type: str | None = None
    platform: str | None = None


class Measurement(Struct, frozen=True):
    """df-000: the envelope."""

    test_name: str
    measurement_start_time: str
    test_keys: TestKeys
    probe_cc: str | None = None
    probe_asn: str | None = None
    probe_ip: str | None = None
    input: str | None = None
    software_name: str = ""
    software_version: str = ""
    annotations: Annotations | None = None
    test_helpers: Any = None


class Parsed(NamedTuple):
    """A measurement, and the document that it was read from."""

    measurement: Measurement
    document: dict[str, Any]


def parse(data: bytes) -> Parsed:
    """Read one measurement from its JSON.

    Raises:
        BadRecordError: it is none, or a part of it has another type.
        SkippedTestError: it is of a test that is not imported.
    """
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRecordError(f"$: not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadRecordError(f"$: expected an object, got {type(document).__name__}")
    name = document.get("test_name")
    if not isinstance(name, str):
        raise BadRecordError("$.test_name: expected the name of a test")
    # "web_connectivity@v0.5" was the name of that version while it was tried out.
    if name.partition("@")[0] not in TESTS:
        raise SkippedTestError(shown(name))
    try:
        return Parsed(msgspec.convert(document, Measurement), document)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at ")
        raise BadRecordError(f"{place.strip('`') or '$'}: {text}") from None


def shown(text: str) -> str:
    """Return a foreign text as it may go to a terminal: short, nothing unprintable."""
    short = text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"
    return short if re.fullmatch(r"[\w.@-]+", short, re.ASCII) else repr(short)


def address_of(text: str, path: str) -> str:
    """Return an address literal in its usual spelling; raises BadRecordError."""
    # A zone (fe80::1%eth0) is one machine's name for an interface, not an address.
    if "%" in text or not is_address(text):
        raise BadRecordError(f"{path}: {shown(text)} is not an IP address")
    return str(ipaddress.ip_address(text))


def host_of(text: str, path: str) -> str:
    """Return a host name (as A-labels) or an address literal; raises BadRecordError."""
    bare = text.strip("[]")
    if is_address(bare):
        return address_of(bare, path)
    try:
        name = a_label(text.rstrip(".").lower())
    except UnicodeError:
        name = ""
    if len(name) > 253 or not _HOST.fullmatch(name):
        raise BadRecordError(f"{path}: {shown(text)} is not a host name")
    return name


class Url(NamedTuple):
    """The parts of a URL that say where it leads."""

    host: str
    port: int
    path: str


def url_of(text: str, path: str) -> Url:
    """Return the place that an http or https URL names; raises BadRecordError."""
    try:
        parts = urlsplit(text)
        port = parts.port
        host = parts.hostname or ""
    except ValueError:
        raise BadRecordError(f"{path}: {shown(text)} is not a URL") from None
    if parts.scheme not in {"http", "https"} or port == 0:
        raise BadRecordError(f"{path}: {shown(text)} is not an http or https URL")
    port = port or (443 if parts.scheme == "https" else 80)
    return Url(host_of(host, path), port, parts.path or "/")


def endpoint_of(text: str, path: str) -> tuple[str, int]:
    """Return address and port of ``1.2.3.4:443`` or ``[::1]:443``; raises BadRecordError."""
    address, _, port = text.rpartition(":")
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port, re.ASCII) or int(port) > 65535:
        raise BadRecordError(f"{path}: {shown(text)} is not an address with a port")
    return address_of(address.strip("[]"), path), int(port)
