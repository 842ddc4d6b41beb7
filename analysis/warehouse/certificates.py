"""Certificate chains of many handshakes -> what each says, every distinct one parsed once.

A hundred thousand handshakes show a few hundred chains. Nothing is verified here: what the
probe made of a chain is a column of its own.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import pyarrow as pa
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from analysis.warehouse.ooni_sql import MAX_TEXT

_MAX_KEPT: Final = 4096
_DER_BEGINS: Final = b"\x30"

_REFUSED: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

SCHEMA: Final = pa.schema(
    [
        ("chain", pa.list_(pa.string())),
        ("certificate_sha256", pa.string()),
        ("certificate_subject", pa.string()),
        ("certificate_issuer", pa.string()),
        ("certificate_names", pa.string()),
        ("certificate_not_before", pa.timestamp("us")),
        ("certificate_not_after", pa.timestamp("us")),
        ("certificate_chain_length", pa.int32()),
        ("certificate_chain_sha256", pa.string()),
    ]
)


class Said(NamedTuple):
    """What a leaf says of itself; null where it is none that can be read."""

    subject: str | None = None
    issuer: str | None = None
    names: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None


def table_of(chains: Iterable[list[str | None]]) -> pa.Table:
    """Return a row for each chain of base64 texts, leaf first."""
    return pa.Table.from_pylist([_row(chain) for chain in chains], schema=SCHEMA)


def _row(chain: list[str | None]) -> dict[str, Any]:
    hashes = [_sha256(text or "") for text in chain]
    said = _said(chain[0] or "")
    return {
        "chain": chain,
        "certificate_sha256": hashes[0],
        **{f"certificate_{name}": value for name, value in said._asdict().items()},
        "certificate_chain_length": len(chain),
        "certificate_chain_sha256": " ".join(one or "-" for one in hashes),
    }


@lru_cache(_MAX_KEPT)
def _sha256(text: str) -> str | None:
    data = _decoded(text)
    return hashlib.sha256(data).hexdigest() if data else None


@lru_cache(_MAX_KEPT)
def _said(text: str) -> Said:
    data = _decoded(text)
    if not data.startswith(_DER_BEGINS):
        return Said()
    try:
        leaf = x509.load_der_x509_certificate(data)
        return Said(
            subject=leaf.subject.rfc4514_string()[:MAX_TEXT],
            issuer=leaf.issuer.rfc4514_string()[:MAX_TEXT],
            names=_names(leaf),
            not_before=leaf.not_valid_before_utc.replace(tzinfo=None),
            not_after=leaf.not_valid_after_utc.replace(tzinfo=None),
        )
    except _REFUSED:
        return Said()


def _names(leaf: x509.Certificate) -> str | None:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return None
    kept: list[str] = []
    for name in found.value.get_values_for_type(x509.DNSName):
        if sum(map(len, kept)) + len(kept) + len(name) > MAX_TEXT:
            break
        kept.append(name)
    return " ".join(kept)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""
