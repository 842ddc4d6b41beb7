"""Certificates of the simulated network: one authority it trusts, one it does not."""

import ssl

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


def server_context(
    keys: AuthorityKeys, names: tuple[str, ...], default_name: str, alpn: tuple[str, ...] = ()
) -> ssl.SSLContext:
    """Return a server's context with one certificate for each name.

    Any other server name, or none, gets the certificate of ``default_name``: the
    handshake goes on and it is for the client to object.
    """
    authority = trustme.CA.from_pem(keys.certificate.encode(), keys.key.encode())

    def context_for(name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    by_name = {name: context_for(name) for name in names}

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name is not None and name.lower() in by_name:
            connection.context = by_name[name.lower()]

    default = context_for(default_name)
    default.sni_callback = choose
    return default
