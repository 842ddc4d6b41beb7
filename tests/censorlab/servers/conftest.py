"""Throw-away namespaces, as root and as an unprivileged user, for real servers to run in."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import netns
from censorlab.authority import AuthorityKeys, new_authority
from censorlab.servers.program import FOLDER, MissingProgramError, Program

ADDRESSES = ("198.51.100.7/32", "198.51.100.8/32", "2001:db8::7/128")
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


class Inside:
    """What runs in the namespace; any call of ``inside.py`` is a method here."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.call("set_up", folder=FOLDER, addresses=ADDRESSES)

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        return partial(self.call, name)

    def call(self, name: str, /, *positional: Any, **arguments: Any) -> dict[str, Any]:
        assert not positional
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process inside has ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer

    def start(self, make: Callable[[], Program]) -> dict[str, Any]:
        try:
            program = make()
        except MissingProgramError as error:
            pytest.skip(f"{error} (make peers)")
        return self.call(
            "start",
            folder=FOLDER,
            files={name: content.hex() for name, content in program.files.items()},
            words=program.words,
            listens=program.listens,
        )


def entering(user: str) -> list[str]:
    """Return the command that makes the namespaces, or skip the test."""
    netns.prefix()  # skips
    options = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
    if user == "root":
        if os.geteuid() != 0:
            pytest.skip("this user is not root")
        return options
    options += ["--user", "--map-root-user"]
    # An interpreter in root's home is closed to others: then root itself, with
    # one mapped user and no rights outside.
    for words in ([*NOBODY, *options], options):
        if allowed([*words, sys.executable, "-c", ""]):
            return words
    pytest.skip("this machine does not allow user namespaces")


def allowed(words: list[str]) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def namespace(user: str) -> Iterator[Inside]:
    words = [*entering(user), sys.executable, str(Path(__file__).with_name("inside.py"))]
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(netns.ROOT)},
    ) as process:
        yield Inside(process)


@pytest.fixture(scope="module", params=["root", "one user"])
def inside(request: pytest.FixtureRequest) -> Iterator[Inside]:
    with namespace(request.param) as inside:
        yield inside


@pytest.fixture(scope="module")
def shared() -> Iterator[Inside]:
    """A namespace for the tests of one module, of an ordinary user."""
    with namespace("one user") as inside:
        yield inside


@pytest.fixture
def fresh() -> Iterator[Inside]:
    """A namespace for this test alone, of an ordinary user."""
    with namespace("one user") as inside:
        yield inside


@pytest.fixture(scope="session")
def authority() -> AuthorityKeys:
    return new_authority("Lab")


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)
