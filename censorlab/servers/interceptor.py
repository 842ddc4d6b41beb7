"""A TLS interceptor, as antivirus software and companies run one: mitmproxy."""

from pathlib import Path
from typing import Final

from censorlab.authority import AuthorityKeys
from censorlab.servers import own_ports
from censorlab.servers.program import FOLDER, Program, executable

INTERCEPTOR_PORT: Final = 8443


def mitmproxy(
    authority: AuthorityKeys,
    trusted: str,
    *,
    name: str = "mitmproxy",
    port: int = INTERCEPTOR_PORT,
) -> Program:
    """Intercept what `redirect_words` sends there, with certificates forged by ``authority``.

    It verifies the real servers by the authorities in ``trusted`` (PEM).
    Connections that are neither TLS nor HTTP pass untouched.
    """
    below = f"{FOLDER}/{name}"
    return Program(
        name=name,
        package="mitmproxy",
        files={
            f"{name}/mitmproxy-ca.pem": (authority.key + authority.certificate).encode(),
            f"{name}/trusted.pem": trusted.encode(),
            f"{name}/own_ports.py": Path(own_ports.__file__).read_bytes(),
            f"{name}/redirect.nft": _ruleset(port).encode(),
        },
        words=(
            *(executable("mitmdump", "mitmproxy"), "--quiet"),
            *("--mode", "transparent", "--listen-port", str(port)),
            *("--scripts", f"{below}/own_ports.py"),
            *("--set", f"confdir={below}"),
            *("--set", f"ssl_verify_upstream_trusted_ca={below}/trusted.pem"),
        ),
        listens=(("tcp", port),),
    )


def redirect_words(name: str = "mitmproxy") -> tuple[str, ...]:
    """Return the command that sends a namespace's TLS to the interceptor in it.

    Both what is made there (this machine's own interceptor) and what is routed
    through (a gateway's). It reads a file of the program, which must be there.
    """
    return (executable("nft", "nftables"), "-f", f"{FOLDER}/{name}/redirect.nft")


def _ruleset(port: int) -> str:
    return f"""
table inet interceptor {{
    chain made_here {{
        type nat hook output priority -100;
        tcp sport {own_ports.FIRST_PORT}-{own_ports.LAST_PORT} accept
        tcp dport 443 redirect to :{port}
    }}
    chain routed_through {{
        type nat hook prerouting priority -100;
        tcp dport 443 redirect to :{port}
    }}
}}
"""
