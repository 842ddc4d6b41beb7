"""Runs PyPI's ``mtprotoproxy`` 1.0.6, made for Python 3.7, on today's.

``asyncio`` has lost or changed what it calls since; its protocol is untouched.
It is started without its first step, which asks web services for its own address.
"""

import asyncio
import importlib.metadata
import runpy
import sys
from pathlib import Path
from typing import Any


def script() -> Path:
    """Return where the distribution put its program; it has no module."""
    files = importlib.metadata.files("mtprotoproxy") or []
    (found,) = {file.locate() for file in files if file.name == "mtprotoproxy.py"}
    return Path(str(found))


def modernize(loop: asyncio.AbstractEventLoop) -> None:
    """Put back what it calls: five names, none of which touches a byte of its protocol."""
    start_server, task = asyncio.start_server, asyncio.Task

    def start(*arguments: Any, loop: object, **options: Any) -> Any:
        return start_server(*arguments, **options)

    vars(asyncio).update(
        get_event_loop=lambda: loop,
        start_server=start,
        Task=lambda coroutine: task(coroutine, loop=loop),
        ensure_future=lambda what: what if isinstance(what, task) else loop.create_task(what),
    )
    vars(asyncio.streams).update(IncompleteReadError=asyncio.IncompleteReadError)


if __name__ == "__main__":
    program = runpy.run_path(str(script()))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    modernize(loop)
    program["init_config"]()
    sys.exit(program["main"]())
