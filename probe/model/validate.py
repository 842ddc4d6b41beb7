"""From the bytes of a target list to `Targets`, or to every fault in it at once.

A target list is written by hand, and often by somebody else: the reader wants
all faults with their places, and must survive a hostile file. Three passes, each
on what the one before it left standing:

1. text: size, JSON syntax (RFC 8259), depth, repeated keys;
2. structure: the published JSON Schema (2020-12), or rather the types it comes from;
3. meaning: what a schema cannot say (names that exist, probes in wire order, ...).

Pure: an address is judged by its spelling, never by asking the network.
"""

import base64
import ipaddress
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import msgspec
import orjson

from probe.model.codec import targets_schema
from probe.model.target import (
    Control,
    Discovery,
    Endpoint,
    Probe,
    Resolver,
    Service,
    Target,
    Targets,
)

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

MAX_TARGETS_BYTES: Final = 10 * 1024 * 1024
"""Largest list that is read: 200 times the shipped one, about 38,000 endpoints."""

MAX_PROBLEMS: Final = 1000
"""Problems listed for one file. More than a person mends in one sitting, and it
bounds the work that ten million wrong list items could cause."""

_MAX_DEPTH: Final = 16
"""Nesting that is read: the schema needs 6. The bound keeps recursion (ours and
the schema validator's ``repr``) far from Python's limit of 1000."""

_MAX_WORDS: Final = 200
"""Characters of a path or a message: one or two terminal lines."""

_MAX_SHOWN: Final = 60
"""Characters of an offending value: enough to find it, no dump of a certificate."""

_PROBE_ORDER: Final[tuple[Probe, ...]] = get_args(Probe)

_NEEDS: Final[tuple[tuple[Probe, Probe], ...]] = (
    ("tls", "tcp"),
    ("http", "tcp"),
    ("mtproto", "tcp"),
    ("quic", "tls"),
    ("ech", "tls"),
)
"""Probes that say something only beside, or on top of, another."""

_PLACED: Final = frozenset({"known_good", "portal_check", "unroutable", "no_resolver"})
"""Kinds of controls that must not depend on DNS."""

_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]')
"""Strings and structure of valid JSON; numbers and literals carry no keys."""

# RFC 1123 section 2.1, with the underscore that real names have all the same.
_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_VISIBLE_ASCII: Final = re.compile(r"[\x21-\x7e]+")

_AUTHORITY_LABELS: Final = ("CERTIFICATE",)
_KEY_LABELS: Final = ("RSA PUBLIC KEY", "PUBLIC KEY")
"""PKCS #1, as Telegram's applications have them, and SubjectPublicKeyInfo (RFC 7468)."""

_PEM_KEYS: Final = frozenset({"trust_anchors", "mtproto_keys", "discovery_keys"})

_MTPROTO_KEY_BITS: Final = 2048
"""The one size for which MTProto's RSA_PAD is defined (core.telegram.org/mtproto/auth_key)."""

_WORDS: Final = {
    "type": "{shown} is not of type {limit}",
    "enum": "{shown} is not one of {limit}",
    "pattern": "{shown} does not match {limit}",
    "minimum": "{shown} is less than the minimum of {limit}",
    "maximum": "{shown} is greater than the maximum of {limit}",
    "minLength": "{shown} has fewer than {limit} characters",
    "maxLength": "{shown} has more than {limit} characters",
    "minItems": "has fewer than {limit} items",
    "maxItems": "has more than {limit} items",
}


class Problem(NamedTuple):
    """One fault: its JSON path (``$.targets[3].id``) and what is wrong there."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class BadTargetsError(ValueError):
    """The list cannot be used. ``problems`` has every fault found, never none."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def load_targets(data: bytes) -> Targets:
    """Read and validate the bytes of a target list.

    Raises:
        BadTargetsError: with every problem, in the order of the file's structure;
            more than `MAX_PROBLEMS` are cut with a last problem that says so.
    """
    if len(data) > MAX_TARGETS_BYTES:
        raise BadTargetsError(
            [Problem("$", f"{len(data)} bytes are more than the maximum of {MAX_TARGETS_BYTES}")]
        )
    try:
        text = data.decode()
        raw = orjson.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fault = f"not UTF-8: byte 0x{data[error.start]:02x} in line {line}"
        raise BadTargetsError([Problem("$", fault)]) from None
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadTargetsError([_problem("$", f"not JSON: {place}: {error.msg}")]) from None
    too_deep = _too_deep(text)
    if too_deep is not None:
        raise BadTargetsError([too_deep])
    problems = _listed(_repeated_keys(text))
    try:
        # The same definitions as the schema, and 65 times faster on the shipped list: the schema
        # validator is loaded only when there is something to explain.
        targets = msgspec.convert(raw, Targets)
    except msgspec.ValidationError as error:
        problems += _listed(_structural(raw, str(error)))
        raise BadTargetsError(problems) from None
    problems += _listed(_semantic(targets, raw))
    if problems:
        raise BadTargetsError(problems)
    return targets


def _listed(problems: Iterable[Problem]) -> list[Problem]:
    """Take the first `MAX_PROBLEMS`, each once."""
    listed: dict[Problem, None] = {}
    for problem in problems:
        if len(listed) == MAX_PROBLEMS and problem not in listed:
            return [
                *listed,
                Problem("$", f"more than {MAX_PROBLEMS} problems; the rest is not listed"),
            ]
        listed[problem] = None
    return list(listed)


# -- text ---------------------------------------------------------------------


@dataclass(slots=True)
class _Container:
    """An open object or array while scanning; ``keys`` is None in an array."""

    path: str
    keys: set[str] | None
    inside: str
    index: int = 0


def _too_deep(text: str) -> Problem | None:
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "{[":
            depth += 1
            if depth > _MAX_DEPTH:
                line = text.count("\n", 0, token.start()) + 1
                return Problem("$", f"line {line}: nested deeper than {_MAX_DEPTH} levels")
        elif token[0] in "}]":
            depth -= 1
    return None


def _repeated_keys(text: str) -> Iterator[Problem]:
    """Find keys given twice in one object of valid JSON text.

    RFC 8259 leaves their meaning open and the parser keeps the last one, so a
    reader and the program could see two different lists in one file.
    """
    stack: list[_Container] = []
    last_string = ""
    for match in _TOKEN.finditer(text):
        mark = match[0]
        if mark in "{[":
            path = stack[-1].inside if stack else "$"
            is_array = mark == "["
            inside = f"{path}[0]" if is_array else path
            stack.append(_Container(path, None if is_array else set(), inside))
        elif mark in "}]":
            stack.pop()
        elif mark == ",":
            top = stack[-1]
            if top.keys is None:
                top.index += 1
                top.inside = f"{top.path}[{top.index}]"
        elif mark == ":":
            top = stack[-1]
            assert top.keys is not None, "a colon stands in objects only"
            key: str = orjson.loads(last_string)
            top.inside = _child(top.path, key)
            if key in top.keys:
                yield _problem(top.inside, "the key is given twice")
            top.keys.add(key)
        else:
            last_string = mark


# -- structure ----------------------------------------------------------------


def schema_validator(schema: dict[str, Any]) -> "Validator":
    """Return a JSON Schema 2020-12 validator that agrees with the types.

    One difference from the specification: there 443.0 is an integer, here (and
    for the decoder) it is not.
    """
    # Imported here: it takes 0.1 s, as long as all of this room, and only faults need it.
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 - see above

    def is_integer(_checker: object, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    strict = Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer)
    extended = validators.extend(  # type: ignore[no-untyped-call]  # its stub has no types
        Draft202012Validator, type_checker=strict
    )
    validator: Validator = extended(schema)
    return validator


def _structural(raw: Any, reason: str) -> Iterator[Problem]:
    is_explained = False
    for error in schema_validator(targets_schema()).iter_errors(raw):
        is_explained = True
        yield from _explained(error)
    assert is_explained, f"the schema allows what the types refuse: {reason}"


def _explained(error: "ValidationError") -> Iterator[Problem]:
    path = "$"
    for part in error.absolute_path:
        path = _child(path, part)
    keyword = str(error.validator)
    instance: Any = error.instance
    limit: Any = error.validator_value
    schema: Any = error.schema
    if keyword == "required":
        # One error per missing key, none of which names its key as a value:
        # each lists all of the object's, and `_listed` keeps one of each.
        for name in limit:
            if name not in instance:
                yield _problem(path, f"{name!r} is missing")
    elif keyword == "additionalProperties":
        for name in instance:
            if name not in schema["properties"]:
                yield _problem(_child(path, name), "unknown key")
    else:
        options = ", ".join(limit) if isinstance(limit, list) else limit
        yield _problem(path, _WORDS[keyword].format(shown=_shown(instance), limit=options))


# -- meaning ------------------------------------------------------------------


def _semantic(targets: Targets, raw: object) -> Iterator[Problem]:
    yield from _control_characters(raw, "$")
    try:
        updated = date.fromisoformat(targets.updated)
    except ValueError:
        updated = date.min
        yield _problem("$.updated", f"{_shown(targets.updated)} is not a date")
    yield from _anchors(targets.trust_anchors, updated, "$.trust_anchors")
    for name in ("services", "targets", "controls", "resolvers"):
        yield from _repeated_ids(getattr(targets, name), f"$.{name}")
    service_ids = {service.id for service in targets.services}
    pairs = {"*", *(target.id for target in targets.targets)}
    for i, service in enumerate(targets.services):
        yield from _service(service, updated, f"$.services[{i}]")
    for i, target in enumerate(targets.targets):
        if target.service not in service_ids:
            yield _problem(f"$.targets[{i}].service", f"no service {_shown(target.service)}")
        yield from _target(target, f"$.targets[{i}]")
    for i, control in enumerate(targets.controls):
        if control.pairs_with not in pairs:
            yield _problem(f"$.controls[{i}].pairs_with", f"no target {_shown(control.pairs_with)}")
        yield from _control(control, f"$.controls[{i}]")
    for i, resolver in enumerate(targets.resolvers):
        yield from _resolver(resolver, f"$.resolvers[{i}]")


def _control_characters(value: object, path: str) -> Iterator[Problem]:
    """Find control characters in any string but a certificate or key.

    They would reach terminals and request lines, and ``$`` in a pattern lets one
    newline through.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in _PEM_KEYS:
                yield from _control_characters(item, _child(path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _control_characters(item, f"{path}[{i}]")
    elif isinstance(value, str) and (found := _CONTROL_CHARACTER.search(value)):
        yield _problem(path, f"control character U+{ord(found[0]):04X}")


def _repeated_ids(
    items: Sequence[Service | Target | Control | Resolver | Discovery], path: str
) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for i, item in enumerate(items):
        if first.setdefault(item.id, i) != i:
            yield _problem(
                f"{path}[{i}].id",
                f"{_shown(item.id)} is already the id of {path}[{first[item.id]}]",
            )


def _service(service: Service, updated: date, at: str) -> Iterator[Problem]:
    for i, block in enumerate(service.address_ranges):
        try:
            ipaddress.ip_network(block)
        except ValueError as error:
            yield _problem(f"{at}.address_ranges[{i}]", f"not a CIDR block: {error}")
    yield from _anchors(service.trust_anchors, updated, f"{at}.trust_anchors")
    yield from _keys(service.mtproto_keys, f"{at}.mtproto_keys")
    yield from _repeated_ids(service.discovery, f"{at}.discovery")
    for i, discovery in enumerate(service.discovery):
        yield from _discovery(discovery, f"{at}.discovery[{i}]")
    yield from _keys(service.discovery_keys, f"{at}.discovery_keys")


def _discovery(discovery: Discovery, at: str) -> Iterator[Problem]:
    # It is asked when names are blocked, so it must not depend on DNS.
    if not _is_literal(discovery.address):
        yield Problem(f"{at}.address", "a discovery needs an IP address")
    for key, name in (("server_name", discovery.server_name), ("host", discovery.host)):
        if not _is_host_name(name):
            yield _problem(f"{at}.{key}", f"{_shown(name)} is not a host name")


def _anchors(anchors: Sequence[str], updated: date, at: str) -> Iterator[Problem]:
    for i, text in enumerate(anchors):
        if (fault := _anchor_fault(text, updated)) is not None:
            yield _problem(f"{at}[{i}]", fault)


def _keys(keys: Sequence[str], at: str) -> Iterator[Problem]:
    for i, text in enumerate(keys):
        if (fault := _key_fault(text)) is not None:
            yield Problem(f"{at}[{i}]", fault)


def _target(target: Target, at: str) -> Iterator[Problem]:
    first: dict[tuple[str, int, str, str], int] = {}
    for i, endpoint in enumerate(target.endpoints):
        here = f"{at}.endpoints[{i}]"
        # One address and port may be worth measuring under two names or paths.
        key = (
            _normal(endpoint.address),
            endpoint.port,
            _normal(endpoint.server_name or endpoint.address),
            endpoint.path,
        )
        if first.setdefault(key, i) != i:
            yield _problem(here, f"the same as {at}.endpoints[{first[key]}]")
        yield from _endpoint(endpoint, here)


def _endpoint(endpoint: Endpoint, at: str) -> Iterator[Problem]:
    probes = endpoint.probes
    is_literal = _is_literal(endpoint.address)
    if not is_literal and not _is_host_name(endpoint.address):
        yield _problem(
            f"{at}.address",
            f"{_shown(endpoint.address)} is neither an IP address nor a host name",
        )
    elif is_literal and "dns" in probes:
        yield Problem(f"{at}.probes", "an IP address has nothing to ask dns for")
    elif not is_literal and "dns" not in probes:
        yield Problem(f"{at}.probes", "a host name needs the dns probe")
    if any(_PROBE_ORDER.index(a) >= _PROBE_ORDER.index(b) for a, b in pairwise(probes)):
        order = ", ".join(_PROBE_ORDER)
        yield Problem(f"{at}.probes", f"not in wire order ({order}), each at most once")
    for probe, needed in _NEEDS:
        if probe in probes and needed not in probes:
            yield Problem(f"{at}.probes", f"{probe} needs {needed}")
    if "mtproto" in probes:
        is_inside_tls = endpoint.mtproto_transport == "websocket"
        if "http" in probes or ("tls" in probes and not is_inside_tls):
            yield Problem(f"{at}.probes", "mtproto is spoken on a connection of its own")
        elif is_inside_tls and "tls" not in probes:
            yield Problem(f"{at}.probes", "mtproto over websocket needs tls")
    yield from _server_name(endpoint.server_name, at)
    for i, protocol in enumerate(endpoint.alpn):
        if not _VISIBLE_ASCII.fullmatch(protocol):
            yield _problem(
                f"{at}.alpn[{i}]", f"{_shown(protocol)} is not a protocol name (visible ASCII)"
            )


def _control(control: Control, at: str) -> Iterator[Problem]:
    if not control.server_name:
        yield Problem(at, f"a control of kind {control.kind} needs server_name")
    if control.kind in _PLACED and not _is_literal(control.address):
        yield Problem(f"{at}.address", f"a control of kind {control.kind} needs an IP address")
    yield from _server_name(control.server_name, at)


def _resolver(resolver: Resolver, at: str) -> Iterator[Problem]:
    protocol = resolver.protocol
    if protocol != "system":
        if not _is_literal(resolver.address):
            yield Problem(f"{at}.address", f"a resolver of protocol {protocol} needs an IP address")
        if resolver.port == 0:
            yield Problem(f"{at}.port", f"a resolver of protocol {protocol} needs a port")
    if protocol in {"dot", "doh", "doq"} and not resolver.server_name:
        yield Problem(at, f"a resolver of protocol {protocol} needs server_name")
    if not (resolver.path.startswith("/") and _VISIBLE_ASCII.fullmatch(resolver.path)):
        yield _problem(f"{at}.path", f"{_shown(resolver.path)} is not an absolute path")
    yield from _server_name(resolver.server_name, at)


def _server_name(name: str, at: str) -> Iterator[Problem]:
    # RFC 6066 section 3: an address literal is not a server name.
    if name and not _is_host_name(name):
        yield _problem(f"{at}.server_name", f"{_shown(name)} is not a host name")


def _normal(address: str) -> str:
    """One spelling per address or name, so that duplicates are found."""
    return str(ipaddress.ip_address(address)) if _is_literal(address) else address.lower()


def _is_literal(text: str) -> bool:
    # A zone (fe80::1%eth0) is one machine's name for an interface, not an address.
    if "%" in text:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_host_name(text: str) -> bool:
    """Tell whether the text is a host name, as A-labels or as Unicode that encodes."""
    try:
        name = text.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    labels = name.split(".")
    return (
        len(name) <= 253  # RFC 1035 section 2.3.4, less the root's length octet and dot
        and all(_LABEL.fullmatch(label) for label in labels)
        # A numeric last label is a mistyped IPv4 address (RFC 3696 section 2).
        and not labels[-1].isdecimal()
    )


# -- certificates and keys ------------------------------------------------------


def _anchor_fault(text: str, updated: date) -> str | None:
    """Say why a trust anchor would not verify anything, if so."""
    if not _is_pem(text, _AUTHORITY_LABELS):
        return "not one PEM block of a CERTIFICATE (RFC 7468)"
    # Imported here: it takes 35 ms, and only lists with certificates or keys need it.
    from cryptography import x509  # noqa: PLC0415 - see above

    try:
        # What the library warns of (a serial number of 0) does not keep it from verifying.
        with warnings.catch_warnings(action="ignore"):
            certificate = x509.load_pem_x509_certificate(text.strip().encode())
            issuer, subject = certificate.issuer, certificate.subject
            end = certificate.not_valid_after_utc.date()
    except (ValueError, TypeError, x509.InvalidVersion):
        return "the PEM block is not a certificate (RFC 5280): cut short, or changed?"
    if issuer != subject:
        # The mistake of a list's author who exports what a server presents first. OpenSSL
        # ends a chain only at a certificate that is its own issuer's.
        by = _shown(issuer.rfc4514_string())
        return f"a server's or intermediate certificate: take that of its issuer, {by}"
    if end < updated:
        return f"it expired on {end}, before the list's date"
    return None


def _key_fault(text: str) -> str | None:
    """Say why a public key is none that MTProto can use, if so."""
    if not _is_pem(text, _KEY_LABELS):
        return "not one PEM block of a PUBLIC KEY or RSA PUBLIC KEY (RFC 7468)"
    # Imported here, as above.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415

    try:
        key = serialization.load_pem_public_key(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        return "the PEM block is not a public key (RFC 8017): cut short, or changed?"
    if not (isinstance(key, RSAPublicKey) and key.key_size == _MTPROTO_KEY_BITS):
        return f"not an RSA key of {_MTPROTO_KEY_BITS} bits"
    return None


def _is_pem(text: str, labels: Sequence[str]) -> bool:
    """Tell whether the text is one block with one of the labels, and nothing beside it."""
    body = text.strip()
    for label in labels:
        begin, end = f"-----BEGIN {label}-----", f"-----END {label}-----"
        if body.startswith(begin) and body.endswith(end):
            encoded = "".join(body[len(begin) : -len(end)].split())
            try:
                return bool(base64.b64decode(encoded, validate=True))
            except ValueError:
                return False
    return False


# -- words --------------------------------------------------------------------


def _problem(path: str, message: str) -> Problem:
    return Problem(_bounded(path, _MAX_WORDS), _bounded(message, _MAX_WORDS))


def _child(path: str, part: str | int) -> str:
    if isinstance(part, int):
        return f"{path}[{part}]"
    if _PLAIN_KEY.fullmatch(part):
        return f"{path}.{part}"
    return f"{path}[{_shown(part)}]"


def _shown(value: object) -> str:
    """Show a value on a terminal: short, nothing unprintable."""
    if isinstance(value, str):
        return repr(_bounded(value, _MAX_SHOWN))
    if isinstance(value, list):
        return "an array"
    if isinstance(value, dict):
        return "an object"
    return orjson.dumps(value).decode()


def _bounded(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
