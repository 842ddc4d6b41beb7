"""Start, drive and end the web servers' process from the lab's."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Final

import trio
from msgspec import Struct

from censorlab.lines import Lines
from censorlab.messages import decode, encode
from censorlab.peers.site import SitePorts, SiteSettings, SiteZone
from censorlab.peers.zone import Zone

_MODULE: Final = "censorlab.peers.web" if find_spec("aiohttp") else "censorlab.peers.plain_web"
"""Without the extra ``lab`` the core's libraries serve what loopback needs."""

_EXIT_LIMIT_S: Final = 3.0
"""The web process ends within a tenth of a second of its input closing."""


class WebPeerDiedError(RuntimeError):
    """The web process ended while it was needed."""


class WebProcess:
    """The running web servers; ``ports`` is where they listen on 127.0.0.1."""

    def __init__(self, commands: trio.abc.SendStream, answers: trio.abc.ReceiveStream) -> None:
        self._commands = commands
        self._answers = Lines(answers)
        self.ports: SitePorts

    async def start(self, settings: SiteSettings) -> None:
        """Return once it listens."""
        self.ports = await self._ask(settings)

    async def host(self, zone: Zone) -> None:
        """Return once it serves the names of this zone and no others."""
        await self._ask(SiteZone(zone=dict(zone)))

    async def _ask(self, message: Struct) -> SitePorts:
        await self._commands.send_all(encode(message))
        line = await self._answers.next()
        if line is None:
            raise WebPeerDiedError("the web process ended before it was ready")
        return decode(line, SitePorts)


@asynccontextmanager
async def web_process(settings: SiteSettings) -> AsyncIterator[WebProcess]:
    """Run the web servers for the length of the block.

    Raises:
        WebPeerDiedError: if they end by themselves, before or within the block.
    """
    process = await trio.lowlevel.open_process(
        # -P: a module of the current directory must not stand for one of ours.
        [sys.executable, "-P", "-m", _MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        web = WebProcess(process.stdin, process.stdout)
        await web.start(settings)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_guard, process)
            yield web
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await process.stdin.aclose()
            with trio.move_on_after(_EXIT_LIMIT_S):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()
            await process.stdout.aclose()


async def _guard(process: trio.Process) -> None:
    code = await process.wait()
    raise WebPeerDiedError(f"the web process ended with code {code}")
