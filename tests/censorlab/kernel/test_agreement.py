"""The independent form and the packet engine show a plain client the same.

Each scenario that both can express is arranged by a Linux router with stock tools,
and observed with the same plain client as the engine's form; where rules follow
connections, the engine's form is arranged beside it without delay, and compared.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from censorlab.authority import new_authority
from censorlab.kernel.places import is_about_places
from censorlab.kernel.stage import expressible, independent_stage
from censorlab.packet.line import Line
from censorlab.scenarios.cast import Authorities
from censorlab.scenarios.model import Expected, Scenario, all_scenarios
from censorlab.scenarios.stage import middlebox_stage
from censorlab.servers.program import MissingProgramError
from censorlab.world.system import UnsupportedSystemError

from ..scenarios.signature import Facts, differences, observe  # noqa: TID252  a test folder has no name to import by

pytestmark = pytest.mark.netns

AT_ONCE = 8
SCENARIOS = {one.name: one.without_ways() for one in all_scenarios() if expressible(one) is None}
BY_CONNECTION = [
    name for name, one in SCENARIOS.items() if not all(map(is_about_places, one.rules))
]
"""Rules about places are compared packet by packet in ``test_twins``."""
KINDS_OF_END = ("connect", "icmp", "recv", "handshake", "verify", "first")
"""Where packets are counted, acknowledgements and so the last bytes are chance."""
A_RATES_DOING_MS = 1000
"""What takes longer is a rate's or a server's doing, never a round trip's."""
Run = Future[list[list[Facts]]]


def without_round_trip(scenario: Scenario) -> Scenario:
    """A router adds no round trip, so times that come from one are not expected."""
    signatures = [
        msgspec.structs.replace(
            one,
            sees={
                fact: value
                for fact, value in one.sees.items()
                if fact != "milliseconds" or is_a_rates_doing(value)
            },
        )
        for one in scenario.signature
    ]
    return msgspec.structs.replace(scenario, signature=tuple(signatures))


def is_a_rates_doing(milliseconds: Expected) -> bool:
    assert isinstance(milliseconds, list)
    least = milliseconds[0]
    return isinstance(least, int) and least >= A_RATES_DOING_MS


def new_authorities() -> Authorities:
    now = datetime.fromtimestamp(time.time(), tz=UTC)
    return Authorities(new_authority("Lab"), new_authority("Forger"), now)


def observed(
    stage: Any, scenario: Scenario, line: Line, authorities: Authorities
) -> list[list[Facts]]:
    with stage(scenario, line, 1, authorities) as ready:
        found = observe(ready, scenario, authorities)
    for facts in (one for made in found for one in made):
        # Only an open connection is reset (else it is refused). Without a round trip
        # that may come before connect(2) has told the client that it is open.
        if facts.get("connect") == "ECONNRESET":
            facts |= {"connect": "ok", "recv": "ECONNRESET"}
    return found


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[tuple[str, str], Run]]:
    """Start the scenarios of all tests that were chosen, in the forms they need."""
    wanted = dict.fromkeys(
        (form, item.callspec.params["name"])
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
        for form in ("independent", "engine")[: 1 + (item.originalname == "test_same_ends")]
    )
    forms = {"independent": independent_stage, "engine": middlebox_stage}
    authorities = new_authorities()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            (form, name): pool.submit(
                observed, forms[form], SCENARIOS[name], SCENARIOS[name].line, authorities
            )
            for form, name in wanted
        }


def result(run: Run) -> list[list[Facts]]:
    try:
        return run.result()
    except (UnsupportedSystemError, MissingProgramError) as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", SCENARIOS)
def test_signature(name: str, runs: dict[tuple[str, str], Run]) -> None:
    """Apart from times, the client sees what the scenario's signature says."""
    found = result(runs["independent", name])
    assert differences(without_round_trip(SCENARIOS[name]), found) == []


def ends(scenario: Scenario, found: list[list[Facts]]) -> list[list[str]]:
    """How each probe ended, for all its facts that no chance is in."""
    return [
        sorted(
            f"{signature.probe} {signature.at} {signature.name} "
            + str({fact: facts[fact] for fact in KINDS_OF_END if fact in facts})
            for facts in made
        )
        for signature, made in zip(scenario.signature, found, strict=True)
    ]


@pytest.mark.parametrize("name", BY_CONNECTION)
def test_same_ends(name: str, runs: dict[tuple[str, str], Run]) -> None:
    """Facts that the signature does not mention are the same in both forms too."""
    scenario = SCENARIOS[name]
    independent, engine = (
        ends(scenario, result(runs[form, name])) for form in ("independent", "engine")
    )
    assert independent == engine


def test_a_slow_line_is_as_slow() -> None:
    """Its delay a router cannot make; its rate shows in the times all the same."""
    scenario = next(one for one in all_scenarios() if one.name == "slow_256k")
    line = msgspec.structs.replace(scenario.line, delay_s=0.0)
    try:
        found = observed(independent_stage, scenario, line, new_authorities())
    except (UnsupportedSystemError, MissingProgramError) as error:
        pytest.skip(str(error))
    assert differences(without_round_trip(scenario), found) == []
