"""Proxies: SOCKS5 (RFC 1928) by microsocks and Dante, HTTP CONNECT by tinyproxy."""

from typing import Final

from censorlab.servers.program import FOLDER, Program, executable

SOCKS_PORT: Final = 1080
CONNECT_PORT: Final = 8888


def microsocks(*, name: str = "microsocks", port: int = SOCKS_PORT) -> Program:
    """Serve SOCKS5 on every IPv4 and IPv6 address."""
    return Program(
        name=name,
        package="microsocks",
        files={},
        words=(executable("microsocks", "microsocks"), "-i", "::", "-p", str(port)),
        listens=(("tcp", port),),
    )


def dante(*external: str, name: str = "dante", port: int = SOCKS_PORT) -> Program:
    """Serve SOCKS5 on every IPv4 address; connections leave from the ``external`` addresses."""
    leaving = "\n".join(f"external: {each}" for each in external)
    configuration = f"""
logoutput: stderr
errorlog: stderr
internal: 0.0.0.0 port = {port}
{leaving}
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: root
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 log: error }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 log: error }}
socks pass {{ from: 0.0.0.0/0 to: ::/0 log: error }}
"""
    below = f"{FOLDER}/{name}"
    return Program(
        name=name,
        package="dante-server",
        files={f"{name}/danted.conf": configuration.encode()},
        words=(
            # Its processes share memory through files there.
            *(executable("env", "coreutils"), f"TMPDIR={below}"),
            *(executable("danted", "dante-server"), "-N", "1"),
            *("-f", f"{below}/danted.conf", "-p", f"{below}/pid"),
        ),
        listens=(("tcp", port),),
    )


def tinyproxy(*, name: str = "tinyproxy", port: int = CONNECT_PORT) -> Program:
    """Serve HTTP CONNECT, to any port, on every IPv4 and IPv6 address."""
    configuration = f"""
Port {port}
Timeout 600
MaxClients 100
LogLevel Critical
DisableViaHeader Yes
"""
    return Program(
        name=name,
        package="tinyproxy",
        files={f"{name}/tinyproxy.conf": configuration.encode()},
        words=(
            *(executable("tinyproxy", "tinyproxy"), "-d"),
            *("-c", f"{FOLDER}/{name}/tinyproxy.conf"),
        ),
        listens=(("tcp", port),),
    )
