"""Run inside a namespace by test_tls_split: handshakes with a real server, and their packets.

Reads a JSON list of [profile, split, name, highest version, group or null] and writes, for
each, the outcome and what the client's packets with data held, as hexadecimal digits.
"""

import json
import socket
import ssl
import subprocess
import sys
import threading
from typing import Any

import trio
import trustme

from censorlab.packet import ip, tcp
from probe.net.browser_hello import is_browser
from probe.net.browser_tls import BrowserTlsStream
from probe.net.tls import TlsStream, TrustStores
from probe.net.trio_network import TrioTcpConnection

ADDRESS = "127.0.0.1"
LIMIT_S = 20
_EVERY_PROTOCOL = 3
_ETHERNET_HEADER = 14


def serve(authority: trustme.CA, name: str, highest: str, group: str | None) -> int:
    """Attend one client, which is echoed a byte; return the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    context.maximum_version = ssl.TLSVersion[highest]
    if group is not None:
        context.set_ecdh_curve(group)
    listener = socket.create_server((ADDRESS, 0))

    def attend() -> None:
        plain, _ = listener.accept()
        with listener, plain, context.wrap_socket(plain, server_side=True) as client:
            client.sendall(client.recv(1))

    threading.Thread(target=attend, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


async def shake_hands(authority: trustme.CA, case: list[Any]) -> dict[str, Any]:
    profile, split, name, highest, group = case
    port = serve(authority, name, highest, group)
    trust = TrustStores({"ours": [authority.cert_pem.bytes().decode()]})
    connection = TrioTcpConnection(ADDRESS, port)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_PROTOCOL)) as tap:
        tap.bind(("lo", 0))
        tap.setblocking(False)  # noqa: FBT003 - the standard library's
        kind = BrowserTlsStream if is_browser(profile) else TlsStream
        stream = kind(connection, trust.context("ours", (), profile), name, split)
        try:
            with trio.fail_after(LIMIT_S):
                await connection.connect()
                await stream.handshake()
                await stream.send_all(b"x")
                echoed = await stream.receive_some()
        finally:
            connection.close()
        return {
            "version": stream.version(),
            "echoed": echoed.decode(),
            "first_flight_bytes": stream.first_flight_bytes,
            "packets": [data.hex() for data in sent(tap, port)],
        }


def sent(tap: socket.socket, port: int) -> list[bytes]:
    """Return the data of the packets to the server's port, as they left."""
    found = []
    while True:
        try:
            frame, (_, _, direction, *_rest) = tap.recvfrom(65536)
        except BlockingIOError:
            return found
        if direction != socket.PACKET_OUTGOING:
            continue
        packet = frame[_ETHERNET_HEADER:]
        header = ip.read_header(packet)
        segment = tcp.read_segment(packet, header)
        if segment.destination_port == port and segment.data_at < header.end:
            found.append(packet[segment.data_at : header.end])


async def main() -> None:
    authority = trustme.CA()
    print(json.dumps([await shake_hands(authority, case) for case in json.load(sys.stdin)]))


if __name__ == "__main__":
    # An Ethernet's: a hello with a post-quantum key share does not fit into one packet.
    subprocess.run(["ip", "link", "set", "lo", "mtu", "1500", "up"], check=True)
    trio.run(main)
