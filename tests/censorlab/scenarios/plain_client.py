"""A plain socket client: what the kernel and OpenSSL tell anyone, and no code of the prober's.

Reads a JSON list of probes on standard input and writes a JSON list of facts.
Probes of one turn run at once in threads, turn after turn.
"""

import errno
import json
import select
import socket
import ssl
import struct
import sys
import threading
import time
from typing import Any

IP_RECVERR = 11
IPV6_RECVERR = 25
MSG_ERRQUEUE = 0x2000
VERIFY = {9: "not_yet_valid", 10: "expired", 62: "wrong_host"}

Facts = dict[str, Any]
Probe = dict[str, Any]


def named(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ssl.SSLEOFError):
        return "eof"
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def counters(sock: socket.socket) -> Facts:
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return {
        "retransmits": raw[2],
        "unacked": struct.unpack_from("I", raw, 24)[0],
        "acked": struct.unpack_from("Q", raw, 120)[0],
        "received": struct.unpack_from("Q", raw, 128)[0],
    }


def icmp_of(sock: socket.socket) -> str:
    """ICMP type and code of the first queued error, or nothing."""
    sock.settimeout(0.0)
    try:
        _, ancillary, _, _ = sock.recvmsg(512, 512, MSG_ERRQUEUE)
    except OSError:
        return ""
    for _, kind, data in ancillary:
        if kind in (IP_RECVERR, IPV6_RECVERR):
            _, origin, icmp_type, code = struct.unpack_from("IBBB", data)
            return f"{icmp_type}/{code}" if origin in (2, 3) else ""
    return ""


def open_socket(probe: Probe, kind: socket.SocketKind) -> socket.socket:
    is_6 = ":" in probe["address"]
    sock = socket.socket(socket.AF_INET6 if is_6 else socket.AF_INET, kind)
    level, option = (socket.IPPROTO_IPV6, IPV6_RECVERR) if is_6 else (socket.IPPROTO_IP, IP_RECVERR)
    sock.setsockopt(level, option, 1)
    sock.settimeout(probe["timeout_s"])
    return sock


def connect(probe: Probe, sock: socket.socket, facts: Facts) -> bool:
    start = time.monotonic()
    try:
        sock.connect((probe["address"], probe["port"]))
    except OSError as error:
        facts["milliseconds"] = milliseconds(start)
        facts["connect"] = named(error)
        facts["icmp"] = icmp_of(sock)
        return False
    facts["connect"], facts["milliseconds"] = "ok", milliseconds(start)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return True


def milliseconds(start: float) -> int:
    return int((time.monotonic() - start) * 1000)


def probe_tcp(probe: Probe, facts: Facts) -> None:
    with open_socket(probe, socket.SOCK_STREAM) as sock:
        connect(probe, sock, facts)


def probe_bytes(probe: Probe, facts: Facts) -> None:
    """Send bytes, in the pieces and with the pauses wanted; wait for the first answer."""
    with open_socket(probe, socket.SOCK_STREAM) as sock:
        if not connect(probe, sock, facts):
            return
        sock.settimeout(probe["timeout_s"])
        time.sleep(probe.get("idle_s", 0.0))
        start = time.monotonic()
        try:
            for piece in probe["pieces"]:
                sock.sendall(bytes.fromhex(piece))
                time.sleep(probe.get("pause_s", 0.0))
            first = sock.recv(65536)
            facts["recv"] = "data" if first else "eof"
            facts["first"] = first.hex()
        except OSError as error:
            facts["recv"] = named(error)
        facts["milliseconds"] = milliseconds(start)
        facts |= counters(sock)


def read_page(stream: socket.socket, facts: Facts) -> None:
    """Read an HTTP answer to its announced length, or to whatever ends it."""
    data, head, length = b"", b"", -1
    facts["body"] = 0
    try:
        while True:
            piece = stream.recv(65536)
            if not piece:
                facts["recv"] = "complete" if length == -1 and head else "eof"
                return
            data += piece
            if not head and b"\r\n\r\n" in data:
                head, _, data = data.partition(b"\r\n\r\n")
                facts["status"] = int(head.split()[1])
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
            facts["body"] = len(data) if head else 0
            if head and 0 <= length <= len(data):
                facts["recv"] = "complete"
                return
    except OSError as error:
        facts["recv"] = named(error)


def request_of(probe: Probe) -> bytes:
    return f"GET /page HTTP/1.1\r\nHost: {probe['name']}\r\n\r\n".encode()


def probe_http(probe: Probe, facts: Facts) -> None:
    with open_socket(probe, socket.SOCK_STREAM) as sock:
        if not connect(probe, sock, facts):
            return
        start = time.monotonic()
        sock.sendall(request_of(probe))
        read_page(sock, facts)
        facts["milliseconds"] = milliseconds(start)
        facts |= counters(sock)


def probe_https(probe: Probe, facts: Facts) -> None:
    """A verified handshake; where the certificate is bad, once more without verifying."""
    trusting = ssl.create_default_context(cadata=probe["authority"])
    trusting.verify_flags &= ~ssl.VERIFY_X509_STRICT
    code = https_once(probe, facts, trusting)
    facts["verify"] = "ok" if code is None else VERIFY.get(code, "untrusted")
    if code is not None:
        careless = ssl.create_default_context()
        careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
        https_once(probe, facts, careless)


def https_once(probe: Probe, facts: Facts, context: ssl.SSLContext) -> int | None:
    """Return the code of a failed verification."""
    with open_socket(probe, socket.SOCK_STREAM) as sock:
        start = time.monotonic()
        if not connect(probe, sock, facts):
            return None
        tunnel = context.wrap_socket(
            sock, server_hostname=probe["name"], do_handshake_on_connect=False
        )
        with tunnel:
            try:
                tunnel.do_handshake()
            except ssl.SSLCertVerificationError as error:
                return error.verify_code
            except OSError as error:
                facts["handshake"] = facts["recv"] = named(error)
            else:
                facts["handshake"] = "ok"
                tunnel.sendall(request_of(probe))
                read_page(tunnel, facts)
            facts["milliseconds"] = milliseconds(start)
            facts |= counters(tunnel)
    return None


def probe_udp(probe: Probe, facts: Facts) -> None:
    """Send once, keep every datagram until the time is over."""
    answers: list[str] = []
    facts["recv"] = "ok"
    with open_socket(probe, socket.SOCK_DGRAM) as sock:
        sock.connect((probe["address"], probe["port"]))
        sock.send(bytes.fromhex(probe["pieces"][0]))
        start = time.monotonic()
        while (rest := start + probe["timeout_s"] - time.monotonic()) > 0:
            if not select.select([sock], [], [], rest)[0]:
                break
            try:
                answers.append(sock.recv(65536).hex())
            except OSError as error:
                facts["recv"] = named(error)
                break
        facts |= {"datagrams": answers, "answers": len(answers), "icmp": icmp_of(sock)}


def probe_tcp_dns(probe: Probe, facts: Facts) -> None:
    query = bytes.fromhex(probe["pieces"][0])
    with open_socket(probe, socket.SOCK_STREAM) as sock:
        facts["datagrams"] = []
        if not connect(probe, sock, facts):
            return
        sock.sendall(len(query).to_bytes(2, "big") + query)
        try:
            data = sock.recv(65536)
        except OSError as error:
            facts["recv"] = named(error)
            return
        facts["datagrams"] = [data[2:].hex()]


PROBES = {
    "tcp": probe_tcp,
    "bytes": probe_bytes,
    "http": probe_http,
    "https": probe_https,
    "udp": probe_udp,
    "tcp_dns": probe_tcp_dns,
}


def main() -> None:
    probes: list[Probe] = json.load(sys.stdin)
    found: list[Facts] = [{} for _ in probes]
    for turn in sorted({probe["turn"] for probe in probes}):
        threads = [
            threading.Thread(target=PROBES[probe["kind"]], args=(probe, facts))
            for probe, facts in zip(probes, found, strict=True)
            if probe["turn"] == turn
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
