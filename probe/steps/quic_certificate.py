"""Is a certificate chain good for a server? OpenSSL says so, in the order it has for TLS.

aioquic can verify too, but looks at dates and name before the authority, says which
of them failed in a sentence only, and reads all authorities again each time. An
interceptor's certificate for another name would go by another word over QUIC than over
TCP. So its own check is off, and this one takes place before anything is answered.

Imports pyOpenSSL and service-identity, which come with aioquic: import it late.
"""

import ipaddress
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import service_identity
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)

from probe.net.tls import TrustError

_INVALID_PURPOSE: Final = 26
_NAME_MISMATCH: Final = 62
_ADDRESS_MISMATCH: Final = 64

_AFTER_NAME: Final = frozenset({4, 6, 7, 9, 10, 13, 14})
"""What OpenSSL finds wrong only once the name is right: signatures and dates."""

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"


class Problem(NamedTuple):
    """Why a chain is not accepted: OpenSSL's verify code and its words."""

    code: int
    message: str


def problem_of(chain: Sequence[x509.Certificate], server_name: str, pem: str) -> Problem | None:
    """Verify a presented chain, leaf first, against anchors; None if it is good.

    ``server_name`` is a host name or an address. Names are compared with alternative
    names only (RFC 9525), never with the subject.

    Raises:
        TrustError: an anchor does not parse.
    """
    with warnings.catch_warnings(action="ignore"):  # as of a serial number of 0
        found = _problem_of_chain(chain, pem)
        if found is None or found.code in _AFTER_NAME:
            return _problem_of_purpose(chain[0]) or _problem_of_name(chain[0], server_name) or found
    return found


@lru_cache(maxsize=16)
def _store(pem: str) -> crypto.X509Store:
    """Building it from a full bundle takes about 10 ms."""
    store = crypto.X509Store()
    try:
        for anchor in pem.split(_BEGIN)[1:]:
            # By OpenSSL: cryptography means to refuse some that are in public bundles.
            store.add_cert(crypto.load_certificate(crypto.FILETYPE_PEM, (_BEGIN + anchor).encode()))
    except (crypto.Error, ValueError) as error:
        raise TrustError(f"trust anchors: {error}") from None
    return store


def _problem_of_chain(chain: Sequence[x509.Certificate], pem: str) -> Problem | None:
    leaf, *others = (crypto.X509.from_cryptography(one) for one in chain)
    try:
        crypto.X509StoreContext(_store(pem), leaf, others).verify_certificate()
    except crypto.X509StoreContextError as error:
        code, _, message = error.errors
        return Problem(int(code), str(message))
    return None


def _problem_of_purpose(leaf: x509.Certificate) -> Problem | None:
    """RFC 5280 section 4.2.1.12: if uses are listed, serving must be one of them."""
    try:
        uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension):
        return Problem(_INVALID_PURPOSE, "extensions do not parse")
    if ExtendedKeyUsageOID.SERVER_AUTH in uses:
        return None
    return Problem(_INVALID_PURPOSE, "unsuitable certificate purpose")


def _problem_of_name(leaf: x509.Certificate, server_name: str) -> Problem | None:
    try:
        ipaddress.ip_address(server_name)
    except ValueError:
        is_address = False
    else:
        is_address = True
    try:
        if is_address:
            verify_certificate_ip_address(leaf, server_name)
        else:
            verify_certificate_hostname(leaf, server_name)
    except (
        service_identity.CertificateError,
        service_identity.VerificationError,
        ValueError,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ):
        if is_address:
            return Problem(_ADDRESS_MISMATCH, "IP address mismatch")
        return Problem(_NAME_MISMATCH, "hostname mismatch")
    return None
