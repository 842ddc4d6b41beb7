"""Certificates for the servers: good ones, and each kind of bad one. Keys are P-256."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from censorlab.authority import AuthorityKeys

_LIFE: Final = timedelta(days=90)
"""As issued by the most used public authority: a clock wrong by a year finds it invalid."""
_BACKDATED: Final = timedelta(hours=1)
_GONE: Final = timedelta(days=1)


class Leaf(NamedTuple):
    """A server's certificate and its key, PEM."""

    certificate: bytes
    key: bytes


def leaf(authority: AuthorityKeys, *names: str, now: datetime) -> Leaf:
    """Issue a certificate for these names or addresses, valid for 90 days from an hour ago.

    The authority of a forger makes it a forged one.
    """
    return _issue(authority, names, now - _BACKDATED)


def expired_leaf(authority: AuthorityKeys, *names: str, now: datetime) -> Leaf:
    """Issue a certificate that expired a day ago."""
    return _issue(authority, names, now - _GONE - _LIFE)


def future_leaf(authority: AuthorityKeys, *names: str, now: datetime) -> Leaf:
    """Issue a certificate that becomes valid in a day."""
    return _issue(authority, names, now + _GONE)


def self_signed(*names: str, now: datetime) -> Leaf:
    """Make a certificate that no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    certificate = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now - _BACKDATED + _LIFE)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return Leaf(
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _issue(authority: AuthorityKeys, names: tuple[str, ...], start: datetime) -> Leaf:
    signer = trustme.CA.from_pem(authority.certificate.encode(), authority.key.encode())
    issued = signer.issue_cert(
        *names, not_before=start, not_after=start + _LIFE, key_type=trustme.KeyType.ECDSA
    )
    return Leaf(
        certificate=b"".join(pem.bytes() for pem in issued.cert_chain_pems),
        key=issued.private_key_pem.bytes(),
    )
