"""Rules by name: what a test writes as a word and keyword arguments."""

from collections.abc import Mapping
from typing import Final, cast, get_args

import msgspec

from censorlab.engines import needs_packets
from censorlab.rules import Rule


class UnknownRuleError(ValueError):
    """No rule has that name; the message lists those of the loopback lab."""


class WrongParameterError(ValueError):
    """A parameter is missing, unknown, or of the wrong kind; the message lists the right ones."""


_RULES: Final[Mapping[str, type[Rule]]] = {
    cast("str", one.__struct_config__.tag): one for one in get_args(Rule)
}

LOOPBACK_RULES: Final = tuple(name for name, one in _RULES.items() if not needs_packets(one))
"""Names of the rules that the loopback lab can express."""


def parameters_of(name: str) -> dict[str, bool]:
    """Return a known rule's parameters, each with whether it must be given."""
    return {field.name: field.required for field in msgspec.structs.fields(_RULES[name])}


def rule_named(name: str, parameters: Mapping[str, object]) -> Rule:
    """Make a rule.

    Raises:
        UnknownRuleError: for a name that no rule has.
        WrongParameterError: for parameters that do not fit the rule.
    """
    if name not in _RULES:
        raise UnknownRuleError(f"no rule {name!r}; there are: {', '.join(LOOPBACK_RULES)}")
    try:
        return msgspec.convert(dict(parameters), _RULES[name])
    except msgspec.ValidationError as error:
        known = ", ".join(p if must else f"[{p}]" for p, must in parameters_of(name).items())
        raise WrongParameterError(f"{name}({known}): {error}") from None
