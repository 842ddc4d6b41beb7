"""The page in a real browser: it shows, and asks nobody for anything."""

import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from analysis.report import write_report
from analysis_results import write_history

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_opens_offline_without_a_request(tmp_path: Path) -> None:
    """Every name is sent to a proxy of ours, which hears nothing; the headline is there."""
    write_history(tmp_path / "results")
    page = tmp_path / "report.html"
    write_report(tmp_path / "results", None, page)
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        port = proxy.getsockname()[1]
        listener = threading.Thread(target=listen, args=(proxy, asked), daemon=True)
        listener.start()
        done = subprocess.run(
            [
                str(CHROMIUM),
                *FLAGS,
                f"--proxy-server=http://127.0.0.1:{port}",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--dump-dom",
                page.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        proxy.shutdown(socket.SHUT_RDWR)
        listener.join()

    assert "Signs of blocking on" in done.stdout
    assert "<svg" in done.stdout
    # The browser itself calls home whatever the page says; the page's own hosts
    # would be these two.
    assert not [line for line in asked if b"198.51.100" in line or b"messenger" in line]
    assert "Refused to" not in done.stderr


def listen(proxy: socket.socket, asked: list[bytes]) -> None:
    """Note the first line of each request and hang up."""
    while True:
        try:
            connection, _ = proxy.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(5)
            try:
                asked.append(connection.recv(4096).split(b"\r\n")[0])
            except OSError:
                continue
