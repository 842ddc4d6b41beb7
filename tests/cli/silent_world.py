"""Run inside a namespace by test_silent_world: controls answer, the rest is silent."""

import json
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import trustme


def main() -> None:
    """Serve the controls, run the command, print its document and the bytes on the wire."""
    limit_s = float(sys.argv[1])
    authority = trustme.CA()
    root = Path(__file__).resolve().parent.parent.parent
    listed = json.loads((root / "targets.json").read_bytes())
    listed["trust_anchors"] = [authority.cert_pem.bytes().decode()]
    listed["targets"] = [t for t in listed["targets"] if t["service"] == "telegram"]
    listed["services"] = [s for s in listed["services"] if s["id"] == "telegram"]
    Path("targets.json").write_text(json.dumps(listed))
    for control in listed["controls"]:
        if control["kind"] == "known_good":
            serve(control["address"], control["server_name"], authority)
        elif control["kind"] == "portal_check":
            serve_page(control["address"])
    before = wire_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "probe.cli.main", "check", "targets.json", "--format", "json"],
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    print(
        json.dumps(
            {
                "exit_code": done.returncode,
                "wire_bytes": wire_bytes() - before,
                "run": json.loads(done.stdout),
            }
        )
    )


def serve(address: str, server_name: str, authority: trustme.CA) -> None:
    """Answer TLS handshakes at an address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(server_name).configure_cert(context)
    listener = listen(address, 443)
    threading.Thread(target=accept, args=(listener, context), daemon=True).start()


def listen(address: str, port: int) -> socket.socket:
    """Give an address to loopback and listen there."""
    is_v6 = ":" in address
    extra = ["nodad"] if is_v6 else []
    subprocess.run(
        ["ip", "addr", "add", f"{address}/{128 if is_v6 else 32}", "dev", "lo", *extra], check=True
    )
    return socket.create_server(
        (address, port), family=socket.AF_INET6 if is_v6 else socket.AF_INET, backlog=64
    )


def serve_page(address: str) -> None:
    """Answer any request at an address with an empty 204: this is no walled garden."""
    threading.Thread(target=answer_pages, args=(listen(address, 80),), daemon=True).start()


def answer_pages(listener: socket.socket) -> None:
    """Answer one request after another."""
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")


def accept(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Answer one handshake after another."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, context), daemon=True).start()


def answer(connection: socket.socket, context: ssl.SSLContext) -> None:
    """Shake hands, then wait until the client leaves."""
    try:
        with context.wrap_socket(connection, server_side=True) as stream:
            stream.recv(1)
    except OSError:
        connection.close()


def wire_bytes() -> int:
    """Bytes sent and received by the device to the world, link layer included."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "v0":
            fields = counters.split()
            return int(fields[0]) + int(fields[8])
    raise SystemExit("no device v0")


if __name__ == "__main__":
    main()
