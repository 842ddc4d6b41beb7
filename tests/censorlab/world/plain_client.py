"""A plain socket client: what the kernel tells anyone, and no code of the prober's.

Reads a JSON list of probes on standard input, runs all at once in threads,
writes a JSON object of facts by name.
"""

import errno
import json
import select
import socket
import struct
import sys
import threading
import time

IP_RECVERR = 11
IPV6_RECVERR = 25
MSG_ERRQUEUE = 0x2000


def tcp_info(sock: socket.socket) -> dict[str, int]:
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return {
        "retransmits": raw[2],
        "unacked": struct.unpack_from("I", raw, 24)[0],
        "acked": struct.unpack_from("Q", raw, 120)[0],
        "received": struct.unpack_from("Q", raw, 128)[0],
    }


def error_queue(sock: socket.socket) -> list[dict[str, object]]:
    """ICMP type, code and sender of every queued error."""
    found = []
    while True:
        try:
            _, ancillary, _, _ = sock.recvmsg(512, 512, MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return found
        for _, kind, data in ancillary:
            if kind not in (IP_RECVERR, IPV6_RECVERR):
                continue
            _, _, icmp_type, code = struct.unpack_from("IBBB", data)
            family = struct.unpack_from("H", data, 16)[0]
            size, at = (4, 20) if family == socket.AF_INET else (16, 24)
            sender = socket.inet_ntop(family, data[at : at + size])
            found.append({"type": icmp_type, "code": code, "sender": sender})


def open_socket(probe: dict, kind: socket.SocketKind) -> socket.socket:
    is_6 = ":" in probe["address"]
    sock = socket.socket(socket.AF_INET6 if is_6 else socket.AF_INET, kind)
    if is_6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    sock.settimeout(probe["timeout"])
    return sock


def named(error: OSError) -> str:
    return "timeout" if isinstance(error, TimeoutError) else errno.errorcode[error.errno]


def probe_tcp(probe: dict, facts: dict) -> None:
    start = time.monotonic()
    with open_socket(probe, socket.SOCK_STREAM) as sock:
        try:
            sock.connect((probe["address"], probe["port"]))
        except OSError as error:
            facts |= {"connect": named(error), "errors": error_queue(sock)}
            facts["seconds"] = time.monotonic() - start
            return
        facts["connect"] = "ok"
        facts["connected_after"] = time.monotonic() - start
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = bytes.fromhex(probe["data"])
        cuts = [0, *probe.get("cuts", []), len(data)]
        body, outcome, deadline = 0, "eof", time.monotonic() + probe["timeout"]
        first = b""
        sent_at = time.monotonic()
        for begin, end in zip(cuts, cuts[1:]):
            sock.sendall(data[begin:end])
            time.sleep(probe.get("pause", 0.0))
        try:
            while True:
                sock.settimeout(max(0.001, deadline - time.monotonic()))
                piece = sock.recv(65536)
                if not piece:
                    break
                if not body:
                    facts["first_after"] = time.monotonic() - sent_at
                    first = piece
                body += len(piece)
        except OSError as error:
            outcome = named(error)
        facts |= {"recv": outcome, "body": body, "text": first[:40].decode("latin-1")}
        facts |= tcp_info(sock)
        facts["seconds"] = time.monotonic() - sent_at


def probe_udp(probe: dict, facts: dict) -> None:
    """Send once, keep every datagram until the time is over."""
    answers: list[dict[str, object]] = []
    with open_socket(probe, socket.SOCK_DGRAM) as sock:
        sock.connect((probe["address"], probe["port"]))
        sock.send(bytes.fromhex(probe["data"]))
        start = time.monotonic()
        outcome = "ok"
        while (rest := start + probe["timeout"] - time.monotonic()) > 0:
            if not select.select([sock], [], [], rest)[0]:
                break
            try:
                answer = sock.recv(65536)
            except OSError as error:
                outcome = named(error)
                break
            answers.append({"after": time.monotonic() - start, "data": answer.hex()})
        facts |= {"recv": outcome, "answers": answers, "errors": error_queue(sock)}


def main() -> None:
    probes = json.load(sys.stdin)
    facts: dict[str, dict[str, object]] = {probe["name"]: {} for probe in probes}
    threads = [
        threading.Thread(
            target=probe_udp if probe["kind"] == "udp" else probe_tcp,
            args=(probe, facts[probe["name"]]),
        )
        for probe in probes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump(facts, sys.stdout)


if __name__ == "__main__":
    main()
