"""The forms of a scenario's censor, and which of them this machine allows."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Literal

from censorlab.engines import NeedsPacketsError
from censorlab.kernel.stage import expressible, independent_stage
from censorlab.packet.line import Line
from censorlab.scenarios.cast import Authorities
from censorlab.scenarios.loopback import loopback_rules, loopback_stage
from censorlab.scenarios.model import Scenario
from censorlab.scenarios.stage import Stage, middlebox_stage
from censorlab.world.system import UnsupportedSystemError
from censorlab.world.world import World

Form = Literal["middlebox", "independent", "loopback"]
"""The packet engine; stock netfilter and tc in a router; the relay without root."""

OpenStage = Callable[[Scenario, Line, int, Authorities], AbstractContextManager[Stage]]

STAGES: Final[dict[Form, OpenStage]] = {
    "middlebox": middlebox_stage,
    "independent": independent_stage,
    "loopback": loopback_stage,
}


def inexpressible(form: Form, scenario: Scenario) -> str | None:
    """Return why a form cannot have a scenario, None if it can."""
    if form == "independent":
        return expressible(scenario)
    if form == "loopback":
        try:
            loopback_rules(scenario)
        except NeedsPacketsError as error:
            return str(error)
    return None


def missing_for_packets() -> str | None:
    """Return why this machine or user cannot have namespaces, None if it can."""
    try:
        with World({"client": ("10.77.0.2",), "server": ("10.77.0.3",)}):
            return None
    except UnsupportedSystemError as error:
        return str(error)
