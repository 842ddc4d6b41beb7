"""Runs in a throw-away namespace that has Telegram's addresses: real proxies, and the command.

Arguments: a folder to work in, and JSON lists of the command's arguments and its input. What
each run ended with comes out as JSON; ``{"missing": …}`` if a server is not installed.
"""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import trustme

from censorlab.servers.data_centre import data_centre
from censorlab.servers.program import FOLDER, MissingProgramError, Program
from censorlab.servers.proxies import dante, microsocks, tinyproxy

SECRET = "00112233445566778899aabbccddeeff"
CENTRE = "149.154.167.51"
SOCKS, HTTP, DANTE, QUIET, MASKED, OURS, COVER, WEB = 1080, 8888, 1081, 9555, 9556, 9443, 9444, 9445
LIMIT_S = 20.0


def cover(port: int) -> None:
    """Serve TLS to whoever asks, as the site whose name an MTProxy shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("www.example.org").configure_cert(context)
    listener = socket.create_server(("0.0.0.0", port))

    def attend(client: socket.socket) -> None:
        try:
            with context.wrap_socket(client, server_side=True) as stream:
                stream.recv(1)
        except OSError:
            return

    while True:
        threading.Thread(target=attend, args=listener.accept()[:1], daemon=True).start()


def web(port: int) -> None:
    """Serve plain HTTP, and nothing but complaints."""
    listener = socket.create_server(("0.0.0.0", port))
    while True:
        client, _ = listener.accept()
        with client:
            client.recv(4096)
            client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def settings(port: int, *, mask: bool) -> str:
    return f"""
PORT = {port}
USERS = {{"user": "{SECRET}"}}
USE_MIDDLE_PROXY = PREFER_IPV6 = False
GET_TIME_PERIOD = 0
MASK = {mask}
MASK_HOST, MASK_PORT = "127.0.0.1", {COVER}
LISTEN_ADDR_IPV6 = None
"""


def start(folder: Path, words: list[str], *ports: int) -> None:
    with (folder / "log").open("ab") as log:
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    deadline = time.monotonic() + LIMIT_S
    for port in ports:
        while True:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline, (words, (folder / "log").read_text())
            time.sleep(0.02)


def start_program(folder: Path, program: Program) -> None:
    """Start a server of the lab's, its files not where a whole lab would have them."""
    below = str(folder / program.name)
    for name, content in program.files.items():
        path = folder / program.name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.replace(FOLDER.encode(), below.encode()))
    words = [word.replace(FOLDER, below) for word in program.words]
    start(folder, words, *(port for _, port in program.listens))


def main(folder: Path, runs: list[tuple[list[str], str]]) -> list[dict[str, object]]:
    servers, work = folder / "servers", folder / "work"
    servers.mkdir()
    work.mkdir()
    for serve, port in ((cover, COVER), (web, WEB)):
        threading.Thread(target=serve, args=(port,), daemon=True).start()
    for program in (data_centre(), microsocks(), tinyproxy(), dante(CENTRE, port=DANTE)):
        start_program(servers, program)
    launcher = str(Path(__file__).with_name("run_mtprotoproxy.py"))
    for port in (QUIET, MASKED):
        configuration = servers / f"{port}.py"
        configuration.write_text(settings(port, mask=port == MASKED))
        start(servers, [sys.executable, launcher, str(configuration)], port)
    ours = [sys.executable, "-m", "censorlab.peers.mtproxy", str(OURS), SECRET, CENTRE, "443"]
    start(servers, ours, OURS)
    # All at once: most of their time is waiting for what stays silent.
    started = [run_command(servers / f"run-{n}", work, *run) for n, run in enumerate(runs)]
    ended = [(each, *each.communicate()) for each in started]
    left = [str(path) for path in work.rglob("*")]
    return [
        {"code": each.returncode, "out": out, "err": err, "files": left} for each, out, err in ended
    ]


def run_command(
    given: Path, work: Path, arguments: list[str], text: str
) -> "subprocess.Popen[str]":
    given.write_text(text)
    with given.open() as stdin:
        return subprocess.Popen(
            [sys.executable, "-m", "probe.cli.main", "proxies", *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=work,
            env={**os.environ, "HOME": str(work), "TMPDIR": str(work)},
        )


if __name__ == "__main__":
    try:
        print(json.dumps(main(Path(sys.argv[1]), json.loads(sys.argv[2]))))
    except MissingProgramError as error:
        print(json.dumps({"missing": str(error)}))
