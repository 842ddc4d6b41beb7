"""A page in headless Chromium, over its debugging protocol."""

import json
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

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
    "--remote-debugging-port=0",
    # Whatever it asks for, it asks a port at which nobody listens.
    "--proxy-server=http://127.0.0.1:9",
)
WAIT_S = 30


class Tab:
    """One tab. ``heard`` holds all events since the last page was opened."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self.heard: list[dict[str, Any]] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._connection.recv(timeout=WAIT_S))
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.heard.append(message)

    def open(self, path: Path) -> None:
        """Open a page and wait until all of it is there."""
        self.heard.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.heard):
            self.heard.append(json.loads(self._connection.recv(timeout=WAIT_S)))

    def run(self, expression: str) -> Any:
        """Return what an expression of JavaScript gives; the page's policy does not bind it."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def resize(self, width: int, height: int = 900) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def media(self, kind: str = "", *, scheme: str = "light") -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=kind, features=features)

    def press_tab(self) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9,
            )  # fmt: skip

    def pdf(self) -> bytes:
        return b64decode(self.call("Page.printToPDF")["data"])

    def png(self) -> bytes:
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, fromSurface=True)
        return b64decode(shot["data"])

    def named(self) -> list[dict[str, str]]:
        """Return role, name and description of all that assistive technology is told of."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            {
                key: str(node.get(key, {}).get("value", ""))
                for key in ("role", "name", "description")
            }
            for node in nodes
            if not node["ignored"]
        ]


@contextmanager
def chromium_tab(profile: Path) -> Iterator[Tab]:
    """Start the browser, give its tab, and end it."""
    assert CHROMIUM
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            port = _port(profile, browser)
            with connect(f"ws://127.0.0.1:{port}{_tab_path(port)}", max_size=None) as connection:
                tab = Tab(connection)
                for domain in ("Page", "Network", "Log", "Runtime", "Accessibility"):
                    tab.call(f"{domain}.enable")
                yield tab
        finally:
            browser.terminate()
            browser.wait(WAIT_S)


def _port(profile: Path, browser: "subprocess.Popen[bytes]") -> int:
    announced = profile / "DevToolsActivePort"
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and browser.poll() is None:
        if announced.exists() and (lines := announced.read_text().split()):
            return int(lines[0])
        time.sleep(0.02)
    raise AssertionError("Chromium did not say where it listens")


def _tab_path(port: int) -> str:
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
        tabs = json.load(answer)
    url: str = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
    return url.partition(str(port))[2]
