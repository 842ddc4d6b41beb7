"""Every rule has a name and parameters, and a wrong one says what is right."""

import pytest

from censorlab.rulebook import (
    LOOPBACK_RULES,
    UnknownRuleError,
    WrongParameterError,
    parameters_of,
    rule_named,
)
from censorlab.rules import Blackout, IpDrop, SniRst, Throttle


def test_rules_by_name() -> None:
    """A name and its parameters make the rule; a default need not be given."""
    assert rule_named("sni_rst", {"server_name": "*.a.test"}) == SniRst(server_name="*.a.test")
    assert rule_named("ip_drop", {"addresses": ["127.0.0.2"]}) == IpDrop(addresses=("127.0.0.2",))
    assert rule_named("throttle", {"server_name": "a.test"}) == Throttle(server_name="a.test")
    assert rule_named("blackout", {}) == Blackout()


def test_unknown_names_list_the_known() -> None:
    """A misspelt rule is an error that names every rule of loopback, and no other."""
    with pytest.raises(UnknownRuleError, match="sni_block") as caught:
        rule_named("sni_block", {})
    listed = str(caught.value).partition(": ")[2].split(", ")
    assert listed == list(LOOPBACK_RULES)
    assert "sni_rst" in listed
    assert "icmp_reject" not in listed


@pytest.mark.parametrize(
    ("name", "parameters", "fault"),
    [
        ("sni_rst", {}, "missing required field `server_name`"),
        ("sni_rst", {"server_name": "a.test", "port": 1}, "unknown field `port`"),
        ("sni_rst", {"server_name": ""}, r"length >= 1 - at `\$.server_name`"),
        ("throttle", {"server_name": "a", "rate_bytes_per_s": 0}, r">= 1 - at `\$.rate_bytes"),
        ("ip_drop", {"addresses": "127.0.0.2"}, r"got `str` - at `\$.addresses`"),
        ("dns_forge", {"name": "a.test", "address": "b"}, "'b' does not appear to be an IPv4"),
    ],
)
def test_wrong_parameters_list_the_right(
    name: str, parameters: dict[str, object], fault: str
) -> None:
    """The error names the fault, and the rule with all that it takes."""
    with pytest.raises(WrongParameterError, match=fault) as caught:
        rule_named(name, parameters)
    assert str(caught.value).startswith(f"{name}(")
    assert all(
        parameter in str(caught.value).partition(":")[0] for parameter in parameters_of(name)
    )
