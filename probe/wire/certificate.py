"""Facts of an X.509 certificate (RFC 5280) from its DER bytes."""

import hashlib
import warnings

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from probe.model.observation import Certificate

MAX_NAMES = 100
"""Stored alternative names; CDN certificates reach 100, hostile ones thousands."""
MAX_NAME_CHARS = 300


def parse_certificate(der: bytes) -> Certificate:
    """Describe one certificate; fields that do not parse read ``unparsable``.

    A forged certificate may be malformed in any field and must still be
    recorded, so nothing here raises for bad DER.
    """
    digest = hashlib.sha256(der).hexdigest()
    try:
        # What the library warns of (a serial number of 0, a country of 30
        # letters) is the peer's doing and nothing to tell a user.
        with warnings.catch_warnings(action="ignore"):
            return _described(x509.load_der_x509_certificate(der), digest)
    except (ValueError, TypeError, x509.InvalidVersion, x509.UnsupportedGeneralNameType):
        unknown = "unparsable"
        return Certificate(
            sha256=digest,
            subject=unknown,
            issuer=unknown,
            not_before=unknown,
            not_after=unknown,
            subject_alt_names=(),
        )


def _described(certificate: x509.Certificate, digest: str) -> Certificate:
    return Certificate(
        sha256=digest,
        subject=certificate.subject.rfc4514_string()[:MAX_NAME_CHARS],
        issuer=certificate.issuer.rfc4514_string()[:MAX_NAME_CHARS],
        not_before=certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        not_after=certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        subject_alt_names=_alternative_names(certificate),
    )


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        ).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension):
        return ()
    assert isinstance(extension, x509.SubjectAlternativeName)
    names = [
        str(name.value)[:MAX_NAME_CHARS]
        for name in extension
        if isinstance(name, x509.DNSName | x509.IPAddress)
    ]
    return tuple(names[:MAX_NAMES])
