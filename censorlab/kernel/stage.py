"""A scenario made real by a Linux router with stock tools, beside the packet engine's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from censorlab.kernel.errors import NeedsEngineError
from censorlab.kernel.translate import Devices, translate
from censorlab.packet.line import Line
from censorlab.rules import FirstSegmentOnly
from censorlab.scenarios import town
from censorlab.scenarios.cast import Authorities, cast_of
from censorlab.scenarios.model import Scenario
from censorlab.scenarios.stage import Stage, furnish
from censorlab.world.namespaces import near_device
from censorlab.world.world import RouterWorld

_INTERCEPTOR: Final = "interceptor"
_SOME_DEVICES: Final = Devices("client", "interceptor")


def expressible(scenario: Scenario) -> str | None:
    """Return why stock tools cannot express a scenario, None if they can."""
    try:
        translate(scenario.rules, scenario.line, _SOME_DEVICES)
    except NeedsEngineError as error:
        return str(error)
    reassembles = not any(isinstance(rule, FirstSegmentOnly) for rule in scenario.rules)
    if reassembles and any(signature.option == "split" for signature in scenario.signature):
        return "a hello in several segments must be put together, and netfilter reads packets"
    return None


@contextmanager
def independent_stage(
    scenario: Scenario,
    line: Line,
    _seed: int,
    authorities: Authorities,
) -> Iterator[Stage]:
    """Arrange a scenario with netfilter, routes and tc as its line and its censor.

    The parameters are those of ``middlebox_stage``; a seed has no effect, since the
    kernel's chance takes none.

    Raises:
        NeedsEngineError: before anything is done, if stock tools cannot express it.
        UnsupportedSystemError: if this machine, user or kernel does not allow it.
        MissingProgramError: if a peer is not installed.
        WorldFailedError: if a peer does not start.
    """
    cast = cast_of(scenario.arrangements, authorities, scenario.ways)
    sides = list(cast.sides)
    # Without one, whoever serves all else answers, as in the packet engine's world.
    interceptor = _INTERCEPTOR if _INTERCEPTOR in sides else sides[1]
    devices = Devices(near_device(sides, sides[0]), near_device(sides, interceptor))
    orders = translate(scenario.rules, line, devices)
    with RouterWorld(cast.sides, nameservers=(town.ISP_RESOLVER,)) as world:
        ready = furnish(world, cast)
        world.apply(orders)
        yield ready
