"""Each scenario's signature, as a plain socket client sees it on real kernels, from real peers.

The prober has no part in this. Every scenario is arranged once, several side by
side (they mostly wait); then each is a test of its own.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from censorlab.authority import new_authority
from censorlab.matrix.outcome import Cell
from censorlab.matrix.run import line_of
from censorlab.matrix.sweep import QUICK_RTT_S
from censorlab.scenarios.cast import Authorities
from censorlab.scenarios.model import Scenario, all_scenarios
from censorlab.scenarios.stage import middlebox_stage
from censorlab.servers.program import MissingProgramError
from censorlab.world.system import UnsupportedSystemError

from .signature import differences, observe

pytestmark = pytest.mark.netns

AT_ONCE = 6
SCENARIOS = {scenario.name: scenario.without_ways() for scenario in all_scenarios()}
"""Without the further peers of ways around, which these clients have no use for."""


def differing(scenario: Scenario, authorities: Authorities) -> list[str]:
    line = line_of(scenario, Cell(scenario.name, "middlebox", 0.0, QUICK_RTT_S, 1))
    with middlebox_stage(scenario, line, 1, authorities) as stage:
        return differences(scenario, observe(stage, scenario, authorities))


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[list[str]]]]:
    """Start the scenarios of all tests that were chosen."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    names = {call.params.get("name") for call in calls if call is not None}
    now = datetime.fromtimestamp(time.time(), tz=UTC)
    authorities = Authorities(new_authority("Lab"), new_authority("Forger"), now)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: pool.submit(differing, scenario, authorities)
            for name, scenario in SCENARIOS.items()
            if name in names
        }


@pytest.mark.parametrize("name", SCENARIOS)
def test_signature(name: str, runs: dict[str, Future[list[str]]]) -> None:
    try:
        assert runs[name].result() == []
    except (UnsupportedSystemError, MissingProgramError) as error:
        pytest.skip(str(error))
