"""A scenario on loopback: no root, no namespaces, and only what chunks can express."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from censorlab import topology
from censorlab.engines import NeedsPacketsError, check_chunks
from censorlab.packet.line import Line
from censorlab.process import LabProcess
from censorlab.rules import EVERYWHERE, Rule, SniDrop
from censorlab.scenarios.model import Scenario, read_again

if TYPE_CHECKING:
    from censorlab.scenarios.cast import Authorities
    from censorlab.scenarios.stage import Stage

PLACES: Final[dict[str, tuple[str, ...]]] = {
    **{f"@{name}": (address,) for name, address in topology.DC_ADDRESSES.items()},
    "@dcs": topology.ALL_DC_ADDRESSES,
    "@web": topology.ALL_WEB_ADDRESSES,
    "@service": (*topology.ALL_DC_ADDRESSES, *topology.ALL_WEB_ADDRESSES),
    "@controls": tuple(host.address for host in topology.KNOWN_GOOD),
    "@isp": (topology.RESOLVER_ADDRESS,),
    "@public": (topology.HONEST_RESOLVER_ADDRESS,),
    "@ranges": (topology.SERVICE_RANGE,),
    "@everywhere": ("0.0.0.0/0",),
}
"""What scenarios call addresses, as loopback has them; a place that is not here has none."""


def loopback_rules(scenario: Scenario) -> tuple[Rule, ...]:
    """Return a scenario's rules with loopback's addresses.

    Raises:
        NeedsPacketsError: if loopback cannot express the scenario; it says why.
    """
    if scenario.arrangements:
        raise NeedsPacketsError(f"its peers need namespaces: {', '.join(scenario.arrangements)}")
    if scenario.line != Line():
        raise NeedsPacketsError("loopback has no line that could be slow or lossy")
    if all(truth.target == "messenger/site" for truth in scenario.truths):
        raise NeedsPacketsError("plain HTTP is not served on loopback")
    rules = read_again(scenario.name, PLACES).rules
    check_chunks(rules)
    for rule in rules:
        if getattr(rule, "port", None) is not None:
            raise NeedsPacketsError("on loopback every place has a port of its own")
        if isinstance(rule, SniDrop):
            raise NeedsPacketsError("the kernel acknowledges a hello before the relay reads it")
        addresses = getattr(rule, "addresses", EVERYWHERE)
        if addresses != EVERYWHERE and not all(map(_is_here, addresses or ("",))):
            raise NeedsPacketsError("it is about addresses that loopback has not")
    return rules


def _is_here(address: str) -> bool:
    return address.startswith("127.") or address in EVERYWHERE


@contextmanager
def loopback_stage(
    scenario: Scenario, line: Line, seed: int, authorities: "Authorities"
) -> Iterator["Stage"]:
    """Arrange a scenario on loopback; line and chance are the kernel's own there.

    Raises:
        NeedsPacketsError: if loopback cannot express the scenario.
        censorlab.process.LabFailedError: if the lab does not start.
    """
    from censorlab.scenarios.stage import Stage  # noqa: PLC0415 - its peers need extras

    del line, seed, authorities  # the relay has no line, nothing left to chance, its own keys
    rules = loopback_rules(scenario)
    with LabProcess() as lab:
        lab.apply(rules)
        yield Stage(
            targets=str(lab.targets_path),
            results=str(lab.targets_path.with_name("results")),
            target_ids=(topology.WEB, topology.DC_POOL),
            words=list,
        )
