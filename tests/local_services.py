"""TLS services, controls and a resolver on loopback, each with the authority that a test gives."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

import dns.message
import dns.rrset
import trustme

from censorlab.servers.data_centre import CentreKey, RefusedError, Session
from censorlab.servers.data_centre_answers import Centre

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"


class Place(NamedTuple):
    """Where something listens."""

    address: str
    port: int


def certified(authority: trustme.CA, *names: str, **issue: Any) -> ssl.SSLContext:
    """Return a server's configuration with a certificate for the names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **issue).configure_cert(context)
    return context


def minting(authority: trustme.CA) -> ssl.SSLContext:
    """Return the configuration of an interceptor, who signs for whatever name is asked for."""
    context = certified(authority, "interceptor.example")

    def mint(server: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        server.context = certified(authority, name or "nobody.example")

    context.sni_callback = mint
    return context


@contextmanager
def serving(
    address: str, context: ssl.SSLContext, port: int = 0, *, page: bytes = PAGE
) -> Iterator[Place]:
    """Answer every handshake, then every request with one page, until left."""
    with socket.create_server((address, port), backlog=64) as listener:

        def answer(connection: socket.socket) -> None:
            try:
                with context.wrap_socket(connection, server_side=True) as stream:
                    while stream.recv(4096):
                        stream.sendall(page)
            except OSError:
                connection.close()

        with _accepting(listener, answer):
            yield Place(*listener.getsockname())


@contextmanager
def _accepting(listener: socket.socket, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(20)
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield
    # Wakes accept(); closing alone leaves it waiting.
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@contextmanager
def telegram_like(address: str, port: int, key: bytes) -> Iterator[Place]:
    """Speak MTProto as a data centre whose private key this is (in PEM), until left."""
    centre = Centre(key=CentreKey.from_pem(key))
    with socket.create_server((address, port)) as listener:

        def answer(connection: socket.socket) -> None:
            session = Session(centre)
            with connection, suppress(OSError, RefusedError):
                while data := connection.recv(4096):
                    connection.sendall(session.receive(data, time.time(), os.urandom(16)))

        with _accepting(listener, answer):
            yield Place(*listener.getsockname())


@contextmanager
def resolving(address: str, names: Mapping[str, str]) -> Iterator[Place]:
    """Answer A for the names over UDP, and for every other name that it does not exist."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind((address, 0))

        def answer() -> None:
            while True:
                data, client = udp.recvfrom(4096)
                if not data:
                    return
                query = dns.message.from_wire(data)
                response = dns.message.make_response(query)
                (question,) = query.question
                name = question.name.to_text(omit_final_dot=True)
                if name not in names:
                    response.set_rcode(dns.rcode.NXDOMAIN)
                elif question.rdtype == dns.rdatatype.A:
                    response.answer.append(
                        dns.rrset.from_text(question.name, 60, "IN", "A", names[name])
                    )
                udp.sendto(response.to_wire(), client)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield Place(*udp.getsockname())
        udp.sendto(b"", udp.getsockname())
        thread.join()


@contextmanager
def surroundings(names: Mapping[str, str]) -> Iterator[tuple[dict[str, Any], trustme.CA]]:
    """Six known-good hosts of six operators, and a resolver that knows the names.

    Yields the rest of a target list, and its authority, which stands for the public web's.
    """
    public = trustme.CA()
    with ExitStack() as stack:
        known = {f"known{i}.example": f"127.0.44.{i}" for i in range(1, 7)}
        controls: list[dict[str, Any]] = [
            {
                "id": f"known_good/{name}",
                "kind": "known_good",
                "operator": f"Operator of {name}",
                "address": place.address,
                "port": place.port,
                "server_name": name,
            }
            for name, address in known.items()
            for place in (stack.enter_context(serving(address, certified(public, name))),)
        ]
        plain = {"operator": "IANA", "server_name": "plain.example"}
        resolver = stack.enter_context(resolving("127.0.44.53", {**known, **names}))
        around = {
            "controls": [
                *controls,
                {"id": "innocuous_name/plain", "kind": "innocuous_name", **plain},
            ],
            "resolvers": [
                {
                    "id": "local",
                    "protocol": "udp",
                    "address": resolver.address,
                    "port": resolver.port,
                }
            ],
            "trust_anchors": [public.cert_pem.bytes().decode()],
        }
        yield around, public
