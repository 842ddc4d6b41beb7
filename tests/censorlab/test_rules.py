"""Rules as data: each survives JSON, and a senseless one is refused where it is read."""

from typing import get_args

import msgspec
import orjson
import pytest

from censorlab.rules import Rule

REQUIRED = {
    "server_name": "*.messenger.test",
    "host": "web.messenger.test",
    "name": "web.messenger.test",
    "address": "203.0.113.7",
    "addresses": ("149.154.160.0/20", "2001:db8::1"),
    "share": 0.1,
    "after_bytes": 16384,
    "after_flows": 5,
    "every_s": 10.0,
    "version": "1.2",
    "ja4": "t13d",
}


@pytest.mark.parametrize("kind", get_args(Rule), ids=lambda kind: kind.__name__)
def test_every_rule_survives_json(kind: type[msgspec.Struct]) -> None:
    """What a driver or a scenario file says is what the engine gets."""
    fields = msgspec.structs.fields(kind)
    rule = kind(**{field.name: REQUIRED[field.name] for field in fields if field.required})
    stored = orjson.dumps(msgspec.to_builtins(rule))
    assert msgspec.convert(orjson.loads(stored), Rule) == rule
    assert msgspec.json.decode(msgspec.json.encode(rule), type=Rule) == rule


@pytest.mark.parametrize(
    "raw",
    [
        {"rule": "throttle", "server_name": "a", "rate_bytes_per_s": 0},
        {"rule": "freeze", "server_name": "a", "after_bytes": -1},
        {"rule": "sni_rst", "server_name": ""},
        {"rule": "sni_rst", "server_name": "a", "extra": 1},
        {"rule": "dns_forge", "name": "a", "address": "not an address"},
        {"rule": "dns_hijack", "address": "not an address"},
        {"rule": "syn_drop", "addresses": ["300.1.2.3"]},
        {"rule": "ip_drop", "addresses": ["10.0.0.1/8"]},
        {"rule": "ip_drop"},
        {"rule": "freeze_packets", "addresses": ["x"]},
        {"rule": "icmp_reject", "code": 2},
        {"rule": "random_loss", "share": 1.5},
        {"rule": "sni_reset", "server_name": "a", "to": "nobody"},
        {"rule": "divert", "protocol": "icmp"},
        {"rule": "line_cut", "after_flows": 0},
        {"rule": "nat_rebinding", "every_s": 0},
        {"rule": "http_blockpage", "host": "a", "response": "§" * 601},
        {"rule": "unknown"},
    ],
)
def test_a_senseless_rule_is_refused(raw: dict[str, object]) -> None:
    """A rule that no engine could carry out never gets in force."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(raw, Rule)
