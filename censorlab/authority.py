"""Certificates of the simulated network: one authority it trusts, one it does not.

Made with `cryptography` alone, which the core has, so that the lab's loopback form needs no
extra.
"""

import ssl
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

_FROM: Final = datetime(2000, 1, 1, tzinfo=UTC)
_UNTIL: Final = datetime(3000, 1, 1, tzinfo=UTC)
"""Valid whenever a lab's clock says it is."""


class AuthorityKeys(Struct, frozen=True, kw_only=True):
    """A throw-away authority as PEM: made anew by each lab, trusted by nobody else."""

    certificate: str
    key: str


def new_authority(organization: str) -> AuthorityKeys:
    """Make an authority of that name."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    uses = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "encipher_only", "decipher_only"),
        ),
        False,
    )
    certificate = (
        _begun(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **uses),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return AuthorityKeys(certificate=_pem(certificate), key=_key_pem(key))


class Certificates:
    """A server's context with one certificate for each name it hosts.

    Any other server name, or none, gets the certificate of ``default_name``: the
    handshake goes on and it is for the client to object.
    """

    def __init__(
        self, keys: AuthorityKeys, default_name: str, names: Iterable[str], alpn: Iterable[str] = ()
    ) -> None:
        self._authority = x509.load_pem_x509_certificate(keys.certificate.encode())
        signer = serialization.load_pem_private_key(keys.key.encode(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        self._signer = signer
        # One key for all names: making keys is most of a lab's start.
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._alpn = list(alpn)
        self._by_name: dict[str, ssl.SSLContext] = {}
        self.context = self._issue(default_name)
        self.context.sni_callback = self._choose
        self.host(names)

    def host(self, names: Iterable[str]) -> None:
        """Host these names from now on and no others; a name that stays keeps its certificate."""
        self._by_name = {name: self._by_name.get(name) or self._issue(name) for name in names}

    def _issue(self, name: str) -> ssl.SSLContext:
        public = self._key.public_key()
        signed_by = self._authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        # A common name has room for 64 characters (RFC 5280, appendix A.1); nobody reads it.
        subject = _name(x509.NameAttribute(NameOID.COMMON_NAME, name[:64]))
        certificate = (
            _begun(subject, self._authority.subject, public)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signed_by.value),
                critical=False,
            )
            .sign(self._signer, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # OpenSSL's wrapper takes files only.
        with tempfile.TemporaryDirectory(prefix="censorlab-") as folder:
            path = Path(folder) / "chain.pem"
            path.write_text(_key_pem(self._key) + _pem(certificate), encoding="ascii")
            context.load_cert_chain(path)
        if self._alpn:
            context.set_alpn_protocols(self._alpn)
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name is not None and name.lower() in self._by_name:
            connection.context = self._by_name[name.lower()]


def _name(attribute: x509.NameAttribute[str]) -> x509.Name:
    return x509.Name([attribute])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")
