"""Known artefacts of interference, kept as data: pages, forged addresses, issuers.

A match says what something is known to be, not what it means for a target: that is for
the rules, which also know controls and the target's own addresses. The rows, where each
comes from and how to add one: docs/fingerprints.md.
"""

import ipaddress
import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from probe.model.observation import Observation
from probe.wire.addresses import IPNetwork

Identifier = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{1,39}$")]
CountryCode = Annotated[str, Meta(pattern=r"^[A-Z]{2}$")]
Words = Annotated[str, Meta(min_length=1, max_length=500)]
Samples = Annotated[tuple[Words, ...], Meta(min_length=1)]

PAGES: Final = "blockpages.toml"
ANSWERS: Final = "addresses.toml"
ISSUERS: Final = "issuers.toml"

_HOST: Final = re.compile(r"(?:https?:)?//(?:[^/?#@]{0,100}@)?([^/?#:@]{1,253})", re.IGNORECASE)


class BadFingerprintError(ValueError):
    """A row is not a fingerprint; the message names file, row and what is wrong."""


class PageFingerprint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page that says "blocked", by a pattern in one part of an answer over plain HTTP.

    ``kind``: the part. ``location_host`` is the host of a redirect, ``header`` is
    ``name: value`` of any kept header. ``statuses``: only with one of these, if any.
    ``countries``: where it is at home, if anywhere. ``specific``: an authority's or a
    provider's own page, which nobody else shows. ``generic``: words or a host name that
    block pages have in common; a service may choose them too.
    """

    id: Identifier
    kind: Literal["text", "title", "location_host", "header"]
    pattern: Words
    confidence: Literal["specific", "generic"]
    provenance: Words
    samples: Samples
    countries: tuple[CountryCode, ...] = ()
    statuses: tuple[Annotated[int, Meta(ge=100, le=599)], ...] = ()


class AnswerFingerprint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses (or networks) that stand in DNS answers in place of true ones.

    ``censor``: no service answers there but the censor's. ``borrowed``: a real address
    of ``owner``, given for other people's names; for the owner's names it is true.
    ``product``: a filter that somebody chose for his own network.
    """

    id: Identifier
    kind: Literal["censor", "borrowed", "product"]
    provenance: Words
    addresses: Samples
    countries: tuple[CountryCode, ...] = ()
    owner: str = ""


class IssuerFingerprint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An issuer whose certificates stand in for services' own, by its RFC 4514 name.

    ``state``: ordered by one. ``local``: software of this system or its network.
    ``signs_services``: it also signs genuine certificates, so that for services of its
    country it means nothing.
    """

    id: Identifier
    kind: Literal["state", "local"]
    pattern: Words
    provenance: Words
    samples: Samples
    countries: tuple[CountryCode, ...] = ()
    signs_services: bool = False


Fingerprint = PageFingerprint | AnswerFingerprint | IssuerFingerprint
Row = TypeVar("Row", PageFingerprint, AnswerFingerprint, IssuerFingerprint)


def match_page(row: Observation) -> PageFingerprint | None:
    """Return what the answer is known as, the most specific first; None if nothing."""
    parts = {
        "title": (row.title,) if row.title else (),
        "text": (row.body_text,) if row.body_text else (),
        "location_host": tuple(_redirect_hosts(row)),
        "header": tuple(f"{header.name}: {header.value}" for header in row.headers),
    }
    for page, pattern in _page_patterns():
        if page.statuses and row.status_code not in page.statuses:
            continue
        if any(pattern.search(part) for part in parts[page.kind]):
            return page
    return None


def match_answer(address: str) -> AnswerFingerprint | None:
    """Return what an address in a DNS answer is known as; None also for no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    single, networks = _answers_by_place()
    if parsed in single:
        return single[parsed]
    return next((row for network, row in networks if parsed in network), None)


def match_issuer(name: str) -> IssuerFingerprint | None:
    """Return what an issuer's RFC 4514 name is known as, if anything."""
    return next((row for row, pattern in _issuer_patterns() if pattern.search(name)), None)


def _redirect_hosts(row: Observation) -> Iterator[str]:
    for header in row.headers:
        if header.name == "location" and (host := _HOST.match(header.value.strip())):
            yield host[1].rstrip(".")


@lru_cache(maxsize=1)
def pages() -> tuple[PageFingerprint, ...]:
    """Return every page, those that are specific first."""
    rows = _read(PAGES, "page", PageFingerprint)
    return tuple(sorted(rows, key=lambda row: row.confidence != "specific"))


@lru_cache(maxsize=1)
def answers() -> tuple[AnswerFingerprint, ...]:
    """Return every group of addresses."""
    return _read(ANSWERS, "answer", AnswerFingerprint)


@lru_cache(maxsize=1)
def issuers() -> tuple[IssuerFingerprint, ...]:
    """Return every issuer."""
    return _read(ISSUERS, "issuer", IssuerFingerprint)


@lru_cache(maxsize=1)
def _page_patterns() -> tuple[tuple[PageFingerprint, re.Pattern[str]], ...]:
    return tuple((row, _compiled(PAGES, row.id, row.pattern)) for row in pages())


@lru_cache(maxsize=1)
def _issuer_patterns() -> tuple[tuple[IssuerFingerprint, re.Pattern[str]], ...]:
    return tuple((row, _compiled(ISSUERS, row.id, row.pattern)) for row in issuers())


@lru_cache(maxsize=1)
def _answers_by_place() -> tuple[
    dict[ipaddress.IPv4Address | ipaddress.IPv6Address, AnswerFingerprint],
    tuple[tuple[IPNetwork, AnswerFingerprint], ...],
]:
    single = {}
    networks = []
    for row in answers():
        for text in row.addresses:
            try:
                if "/" in text:
                    networks.append((ipaddress.ip_network(text), row))
                else:
                    single[ipaddress.ip_address(text)] = row
            except ValueError as error:
                raise BadFingerprintError(f"{ANSWERS}: {row.id}: {error}") from None
    return single, tuple(networks)


def _compiled(file: str, row_id: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise BadFingerprintError(f"{file}: {row_id}: {error}") from None


def _read(file: str, table: str, row_type: type[Row]) -> tuple[Row, ...]:
    place = resources.files("probe.verdict") / "data" / file
    return parse_rows(place.read_text(encoding="utf-8"), file, table, row_type)


def parse_rows(text: str, file: str, table: str, row_type: type[Row]) -> tuple[Row, ...]:
    """Read the rows of one file: an array of tables named ``table``, with unique ids.

    Raises:
        BadFingerprintError: naming the file and the row (its id, or its number from 1).
    """
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadFingerprintError(f"{file}: {error}") from None
    raw = data.pop(table, [])
    if data or not isinstance(raw, list):
        raise BadFingerprintError(f"{file}: only [[{table}]] may stand here")
    rows = tuple(_row(file, number, item, row_type) for number, item in enumerate(raw, 1))
    _refuse_duplicates(file, [row.id for row in rows])
    return rows


def _row(file: str, number: int, item: object, row_type: type[Row]) -> Row:
    named = item.get("id", number) if isinstance(item, dict) else number
    try:
        return msgspec.convert(item, row_type)
    except msgspec.ValidationError as error:
        raise BadFingerprintError(f"{file}: row {named}: {error}") from None


def _refuse_duplicates(file: str, ids: Sequence[str]) -> None:
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise BadFingerprintError(f"{file}: row {twice[0]}: the id is taken")
