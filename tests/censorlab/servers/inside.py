"""Runs in a throw-away namespace: starts servers there and is their plain client.

One JSON line in, one out; ends, with all that it started, when its input does.
"""

import hashlib
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
from cryptography import x509
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

LIMIT_S = 5.0
START_LIMIT_S = 20.0
Answer = dict[str, Any]


def set_up(folder: str, addresses: list[str]) -> Answer:
    for private in ("/run", "/dev/shm"):
        subprocess.run(["mount", "-t", "tmpfs", "lab", private], check=True)
    # A server that needs to write elsewhere fails; some containers forbid this.
    subprocess.run(["mount", "-o", "remount,bind,ro", "/"], stderr=subprocess.DEVNULL, check=False)
    Path(folder).mkdir()
    if os.getuid() == 0:
        Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("0")
    lines = ["link set lo up", *(f"addr add {address} dev lo" for address in addresses)]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
    return {}


def start(folder: str, files: dict[str, str], words: list[str], listens: list[Any]) -> Answer:
    for name, content in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes.fromhex(content))
    # No name, no home, nothing of the host's: what a program needs is in its words.
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.environ["PYTHONPATH"]}
    log = Path(folder, f"log-{time.monotonic_ns()}")
    with log.open("wb") as errors:
        server = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=environment
        )
    missing = {tuple(socket_) for socket_ in listens}
    deadline = time.monotonic() + START_LIMIT_S
    while missing := missing - listening():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{server.poll()} {missing} {log.read_text()}")
        time.sleep(0.02)
    return {"pid": server.pid, "log": str(log)}


def stop(pid: int, signal: int) -> Answer:
    os.kill(pid, signal)
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return {"status": status}
        time.sleep(0.01)
    raise TimeoutError


def run(words: list[str]) -> Answer:
    begin = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    times = {"begin": begin, "end": time.monotonic()}
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr} | times


def listening() -> set[tuple[str, int]]:
    found = set()
    for kind in ("tcp", "udp"):
        for version in ("", "6"):
            for row in Path(f"/proc/net/{kind}{version}").read_text().splitlines()[1:]:
                _, local, _, state, *_ = row.split()
                if kind == "udp" or state == "0A":
                    found.add((kind, int(local.rpartition(":")[2], 16)))
    return found


def get(
    address: str,
    name: str,
    *,
    path: str = "/",
    port: int = 443,
    trusted: str | None = None,
    source: tuple[str, int] | None = None,
    via: list[Any] | None = None,
) -> Answer:
    """GET over TLS if an authority is given, else plain; ``via`` is (kind, address, port)."""
    facts: Answer = {"verify_code": 0}
    begin = time.monotonic()
    peer = tunnel(via, address, port) if via else connect(address, port, source)
    with peer:
        stream: socket.socket = peer
        if trusted is not None:
            context = ssl.create_default_context(cadata=trusted)
            # Set by default from Python 3.13 on; mitmproxy's certificates do not pass.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            try:
                stream = context.wrap_socket(peer, server_hostname=name)
            except ssl.SSLCertVerificationError as error:
                return {"verify_code": error.verify_code}
            der = stream.getpeercert(binary_form=True)
            issuer = x509.load_der_x509_certificate(der).issuer.rfc4514_string()
            facts["issuer"] = issuer
        with stream:
            stream.sendall(
                f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
            )
            received = b""
            biggest = 0
            while piece := stream.recv(65536):
                biggest = max(biggest, len(piece))
                received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    headers = dict(field.lower().split(": ", 1) for field in fields)
    return facts | {
        "status": int(status.split()[1]),
        "headers": headers,
        "bytes": len(body),
        "digest": hashlib.sha256(body).hexdigest(),
        "start": body[:64].decode(errors="replace"),
        "biggest": biggest,
        "seconds": time.monotonic() - begin,
    }


def connect(address: str, port: int, source: tuple[str, int] | None = None) -> socket.socket:
    where = tuple(source) if source else None
    return socket.create_connection((address, port), LIMIT_S, source_address=where)


def tunnel(via: list[Any], address: str, port: int) -> socket.socket:
    kind, proxy, proxy_port = via
    peer = connect(proxy, proxy_port)
    if kind == "socks5":
        peer.sendall(b"\x05\x01\x00")
        assert peer.recv(2) == b"\x05\x00"
        if ":" in address:
            where = b"\x04" + socket.inet_pton(socket.AF_INET6, address)
        else:
            where = b"\x01" + socket.inet_aton(address)
        peer.sendall(b"\x05\x01\x00" + where + port.to_bytes(2, "big"))
        reply = peer.recv(64)
        assert reply[:2] == b"\x05\x00", reply
    else:
        peer.sendall(
            f"CONNECT {address}:{port} HTTP/1.1\r\nHost: {address}:{port}\r\n\r\n".encode()
        )
        reply = peer.recv(4096)
        assert reply.split()[1] == b"200", reply
    return peer


def burst(address: str, port: int, name: str, count: int, source: str) -> Answer:
    """Ask so many times, each on its own connection; say what came of each."""
    outcomes = []
    for _ in range(count):
        try:
            outcomes.append(get(address, name, port=port, source=(source, 0))["status"])
        except (OSError, ValueError, IndexError) as error:
            outcomes.append(type(error).__name__)
    return {"outcomes": outcomes}


def ask(
    address: str,
    name: str,
    *,
    kind: str = "A",
    over: str = "udp",
    trusted: str = "",
    host: str = "",
) -> Answer:
    query = dns.message.make_query(name, kind)
    begin = time.monotonic()
    if over == "udp":
        message = dns.query.udp(query, address, LIMIT_S)
    elif over == "tcp":
        message = dns.query.tcp(query, address, LIMIT_S)
    else:
        context = ssl.create_default_context(cadata=trusted)
        if over == "dot":
            message = dns.query.tls(
                query, address, LIMIT_S, ssl_context=context, server_hostname=host
            )
        else:
            message = doh(query, address, host, context)
    rows = [str(item) for rrset in message.answer for item in rrset]
    return {
        "rcode": dns.rcode.to_text(message.rcode()),
        "rows": rows,
        "ttl": [rrset.ttl for rrset in message.answer],
        "seconds": time.monotonic() - begin,
    }


def doh(
    query: dns.message.Message, address: str, host: str, context: ssl.SSLContext
) -> dns.message.Message:
    """HTTP/2 by hand: unbound speaks no other, the standard library no HTTP/2."""
    context.set_alpn_protocols(["h2"])
    wire = query.to_wire()
    with connect(address, 443) as peer, context.wrap_socket(peer, server_hostname=host) as stream:
        assert stream.selected_alpn_protocol() == "h2"

        def literal(name: str, value: str) -> bytes:
            return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()

        block = b"".join(
            literal(*field)
            for field in (
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", host),
                (":path", "/dns-query"),
                ("content-type", "application/dns-message"),
                ("content-length", str(len(wire))),
            )
        )
        stream.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + frame(4, 0, 0, b"")
            + frame(1, 4, 1, block)
            + frame(0, 1, 1, wire)
        )
        body = b""
        while True:
            head = exactly(stream, 9)
            payload = exactly(stream, int.from_bytes(head[:3], "big"))
            if head[3] == 0:
                body += payload
                if head[4] & 1:
                    return dns.message.from_wire(body)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.recv(size - len(data))
        if not piece:
            raise EOFError(data)
        data += piece
    return data


def res_pq(address: str, port: int, transport: str, *, obfuscated: bool, chunk: int) -> Answer:
    """Ask for resPQ in plain bytes, so many to a segment; say if the nonce came back."""
    tag, length_bytes = {
        "abridged": (b"\xef", 1),
        "intermediate": (b"\xee" * 4, 4),
        "padded": (b"\xdd" * 4, 4),
    }[transport]
    nonce = os.urandom(16)
    body = 0xBE7E8EF1.to_bytes(4, "little") + nonce
    packet = bytes(8) + (time.time_ns() << 2).to_bytes(8, "little") + bytes([20, 0, 0, 0]) + body
    packet += b"pad" if transport == "padded" else b""
    size = len(packet) // 4 if transport == "abridged" else len(packet)
    data = size.to_bytes(length_bytes, "little") + packet
    decrypt: Callable[[bytes], bytes] = bytes
    if obfuscated:
        start = b"\x01" * 8 + os.urandom(48) + (tag * 4)[:4] + b"\x02\x00" + os.urandom(2)
        back = start[8:56][::-1]
        encryptor = Cipher(AES(start[8:40]), CTR(start[40:56])).encryptor()
        decrypt = Cipher(AES(back[:32]), CTR(back[32:])).decryptor().update
        data = start[:56] + encryptor.update(start)[56:] + encryptor.update(data)
    else:
        data = tag + data
    with connect(address, port) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for begin in range(0, len(data), chunk):
            peer.sendall(data[begin : begin + chunk])
        received = decrypt(exactly(peer, length_bytes))
        size = int.from_bytes(received, "little") * (4 if transport == "abridged" else 1)
        answer = decrypt(exactly(peer, size))
    return {
        "key_id": answer[:8].hex(),
        "message_id": int.from_bytes(answer[8:16], "little"),
        "length": int.from_bytes(answer[16:20], "little"),
        "constructor": answer[20:24][::-1].hex(),
        "echoed": answer[24:40] == nonce,
        "pq": int.from_bytes(answer[57:65], "big"),
        "size": len(answer),
    }


def raw(address: str, port: int, data: str, enough: int) -> Answer:
    """Send these bytes; return what comes until the peer closes or it is enough."""
    with connect(address, port) as peer:
        peer.sendall(bytes.fromhex(data))
        received = b""
        while len(received) < enough:
            piece = peer.recv(4096)
            if not piece:
                return {"received": received.hex(), "closed": True}
            received += piece
    return {"received": received.hex(), "closed": False}


CALLS: dict[str, Callable[..., Answer]] = {
    call.__name__: call for call in (set_up, start, stop, run, get, burst, ask, res_pq, raw)
}

if __name__ == "__main__":
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = CALLS[name](**arguments)
        except Exception as error:  # noqa: BLE001  told to the test, which fails with it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
