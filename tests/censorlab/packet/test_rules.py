"""Rules as data."""

from ipaddress import ip_address
from typing import get_args

import msgspec
import pytest

from censorlab.packet.rules import IcmpReject, PacketRule, RandomLoss, SniReset, SynDrop

EXAMPLES = {
    "server_name": "web.messenger.test",
    "host": "web.messenger.test",
    "name": "web.messenger.test",
    "address": "203.0.113.7",
    "addresses": ("149.154.160.0/20",),
    "share": 0.1,
    "after_bytes": 16384,
    "version": "1.2",
    "ja4": "t13d",
}


@pytest.mark.parametrize("kind", get_args(PacketRule), ids=lambda kind: kind.__name__)
def test_every_rule_survives_json(kind: type[msgspec.Struct]) -> None:
    """What a scenario file says is what the middlebox process gets."""
    fields = msgspec.structs.fields(kind)
    rule = kind(**{field.name: EXAMPLES[field.name] for field in fields if field.required})
    text = msgspec.json.encode(rule)
    assert msgspec.json.decode(text, type=PacketRule) == rule


@pytest.mark.parametrize(
    "text",
    [
        '{"rule":"syn_drop","addresses":["300.1.2.3"]}',
        '{"rule":"icmp_reject","code":2}',
        '{"rule":"random_loss","share":1.5}',
        '{"rule":"sni_reset","server_name":"a","to":"nobody"}',
        '{"rule":"sni_drop","server_name":"a","ports":1}',
        '{"rule":"unheard_of"}',
    ],
)
def test_a_wrong_rule_is_refused(text: str) -> None:
    """Where it is read, not when the first packet meets it."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=PacketRule)


def test_places() -> None:
    """Networks and single addresses, of both families, with and without a port."""
    rule = SynDrop(addresses=("149.154.160.0/20", "2001:67c:4e8::/48"), port=443)
    inside, outside = ip_address("149.154.167.51").packed, ip_address("149.155.0.1").packed
    assert rule.covers(inside, 443)
    assert not rule.covers(inside, 80)
    assert not rule.covers(outside, 443)
    assert rule.covers(ip_address("2001:67c:4e8:f002::a").packed, 443)
    assert RandomLoss(share=0.1).covers(outside, 1)
    assert IcmpReject().code == 13
    assert SniReset(server_name="a").to == "both"
