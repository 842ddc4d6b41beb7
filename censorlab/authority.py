"""Certificates of the simulated network: one authority it trusts, one it does not."""

import ssl
from collections.abc import Iterable

import trustme
from msgspec import Struct


class AuthorityKeys(Struct, frozen=True, kw_only=True):
    """A throw-away authority as PEM: made anew by each lab, trusted by nobody else."""

    certificate: str
    key: str


def new_authority(organization: str) -> AuthorityKeys:
    """Make an authority of that name."""
    authority = trustme.CA(organization_name=organization)
    return AuthorityKeys(
        certificate=authority.cert_pem.bytes().decode(),
        key=authority.private_key_pem.bytes().decode(),
    )


class Certificates:
    """A server's context with one certificate for each name it hosts.

    Any other server name, or none, gets the certificate of ``default_name``: the
    handshake goes on and it is for the client to object.
    """

    def __init__(
        self, keys: AuthorityKeys, default_name: str, names: Iterable[str], alpn: Iterable[str] = ()
    ) -> None:
        self._authority = trustme.CA.from_pem(keys.certificate.encode(), keys.key.encode())
        self._alpn = list(alpn)
        self._by_name: dict[str, ssl.SSLContext] = {}
        self.context = self._issue(default_name)
        self.context.sni_callback = self._choose
        self.host(names)

    def host(self, names: Iterable[str]) -> None:
        """Host these names from now on and no others; a name that stays keeps its certificate."""
        self._by_name = {name: self._by_name.get(name) or self._issue(name) for name in names}

    def _issue(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(name).configure_cert(context)
        if self._alpn:
            context.set_alpn_protocols(self._alpn)
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name is not None and name.lower() in self._by_name:
            connection.context = self._by_name[name.lower()]
