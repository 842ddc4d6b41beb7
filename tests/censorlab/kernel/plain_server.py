"""A server that tells what reaches it, one JSON line for each connection.

``ANSWERING`` ports answer the first bytes with the server's name; the ``SILENT``
one only reads. UDP datagrams are answered by the name too.
"""

import errno
import json
import socket
import struct
import sys
import threading

ANSWERING = (80, 443, 853)
SILENT = 4443
UDP = (53, 443)
TALKING = threading.Lock()


def serve(connection: socket.socket, port: int, version: int, name: str) -> None:
    story = {"version": version, "port": port, "bytes": 0, "end": "eof"}
    with connection:
        try:
            while connection.recv(65536):
                if port != SILENT:
                    connection.sendall(name.encode())
        except OSError as error:
            story["end"] = errno.errorcode[error.errno]
        # What has arrived: a reset may come before the program has read it.
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (story["bytes"],) = struct.unpack_from("Q", info, 128)
    with TALKING:
        print(json.dumps(story), flush=True)


def listen(port: int, version: int, name: str) -> None:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if version == 6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(("", port))
    listener.listen(50)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, port, version, name), daemon=True).start()


def answer(address: str, port: int, name: str) -> None:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, port))
    while True:
        _, client = sock.recvfrom(65536)
        sock.sendto(name.encode(), client)


def main() -> None:
    name, *addresses = sys.argv[1:]
    threads = [
        threading.Thread(target=listen, args=(port, version, name), daemon=True)
        for port in (*ANSWERING, SILENT)
        for version in (4, 6)
    ]
    threads += [
        threading.Thread(target=answer, args=(address, port, name), daemon=True)
        for address in addresses
        for port in UDP
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
