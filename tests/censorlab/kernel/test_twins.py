"""Rule by rule, both IP versions: client and server see the same in both forms."""

import json
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import pytest

from censorlab.packet.line import Line
from censorlab.world.system import UnsupportedSystemError

from ..world.test_unprivileged import (  # noqa: TID252  a test folder has no name to import by
    as_nobody,
    interpreter,
)
from .cases import CASES
from .twins import HERE, ONE, SILENT, Case, Probe, Sight, engine, independent

pytestmark = pytest.mark.netns

AT_ONCE = 10
WITHOUT_ROOT = ("sni_reset both", "divert", "parallel_policing")


class Runs(NamedTuple):
    """Each chosen case in both forms, and some of them without root."""

    cases: dict[str, list[Future[Sight]]]
    without_root: Future[list[Sight]]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    """Start everything at once: it mostly waits."""
    names = [
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == request.path and item.originalname == "test_both_forms_look_alike"
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        without_root = pool.submit(unprivileged)
        cases = {
            name: [pool.submit(form, CASES[name]) for form in (independent, engine)]
            for name in dict.fromkeys([*names, *WITHOUT_ROOT])
        }
        yield Runs(cases, without_root)


@pytest.mark.parametrize("name", CASES)
def test_both_forms_look_alike(name: str, runs: Runs) -> None:
    try:
        one, other = (future.result() for future in runs.cases[name])
    except UnsupportedSystemError as error:
        pytest.skip(str(error))
    assert one.client == other.client
    assert one.server == other.server


@pytest.mark.parametrize("form", [independent, engine])
def test_a_line_is_slow_toward_the_server_too(form: Callable[[Case], Sight]) -> None:
    """Two uploads, one by each IP version, share 30 kB/s."""
    upload = Probe("bytes", ONE, SILENT, (bytes(65_000),), facts=("acked", "milliseconds"))
    try:
        sight = form(Case((), (upload,), Line(rate_bytes_per_s=30_000)))
    except UnsupportedSystemError as error:
        pytest.skip(str(error))
    seconds = max(facts["milliseconds"] for facts in sight.client) / 1000
    # Much is sent twice: the wait in the queue is longer than what either kernel expects.
    assert 10_000 < sum(facts["acked"] for facts in sight.client) / seconds < 33_000


PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from kernel.cases import CASES
from kernel.twins import independent
from censorlab.world.system import UnsupportedSystemError
try:
    print(json.dumps([independent(CASES[name]) for name in sys.argv[2:]]))
except UnsupportedSystemError as error:
    sys.exit(f"unsupported: {error}")
"""
"""What a user without rights runs."""


def unprivileged() -> list[Sight]:
    """What a user without rights sees of ``WITHOUT_ROOT``."""
    done = subprocess.run(
        [*interpreter(as_nobody()), "-c", PROGRAM, str(HERE.parent), *WITHOUT_ROOT],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        timeout=60,
    )
    if "unsupported: " in done.stderr:
        raise UnsupportedSystemError(done.stderr)
    assert done.returncode == 0, done.stderr
    return [Sight(*sight) for sight in json.loads(done.stdout)]


def test_it_needs_no_root(runs: Runs) -> None:
    """Netfilter and routes of a user's own namespace do the same as root's."""
    try:
        found = runs.without_root.result()
        known = [runs.cases[name][0].result() for name in WITHOUT_ROOT]
    except UnsupportedSystemError as error:
        pytest.skip(str(error))
    assert found == known
