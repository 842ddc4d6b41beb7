"""Servers for the plain client: answer the first bytes with many, UDP with an echo or DNS."""

import socket
import socketserver
import sys
import threading
from typing import Any

import dns.flags
import dns.message
import dns.rrset

BODY = bytes(200_000)
TRUE_ADDRESS = "198.51.100.80"


class Talker(socketserver.BaseRequestHandler):
    """Reads until a beginning is whole, then sends the body and closes."""

    def handle(self) -> None:
        self.request.settimeout(20)
        try:
            data = b""
            while len(data) < 64 and b"\r\n\r\n" not in data:
                piece = self.request.recv(4096)
                if not piece:
                    return
                data += piece
            if data.startswith(b"GET"):
                self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            else:
                self.request.sendall(BODY)
            # Closing over unread bytes would send a RST.
            self.request.shutdown(socket.SHUT_WR)
            while self.request.recv(4096):
                pass
        except OSError:
            return


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, sock = self.request
        sock.sendto(data[:20], self.client_address)


class Resolver(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, sock = self.request
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        name = query.question[0].name
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", TRUE_ADDRESS))
        sock.sendto(answer.to_wire(), self.client_address)


class Tcp(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


class Udp(socketserver.ThreadingUDPServer):
    """One address to a socket, so that answers leave from where they were asked."""

    daemon_threads = True


def serve(server: Any) -> None:
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main(addresses: list[str]) -> None:
    for port in (80, 443, 5222):
        serve(Tcp(("::", port), Talker))
    for address in addresses:
        for port, handler in ((53, Resolver), (443, Echo), (4433, Echo)):
            serve(Udp((address, port), handler))
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
