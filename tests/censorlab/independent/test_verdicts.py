"""What the prober says of censors, and of sick but honest networks, that others have built.

The prober and the lab's censor have one author; these have stock tools for theirs.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from censorlab.authority import new_authority
from censorlab.scenarios import town
from censorlab.servers.interceptor import INTERCEPTOR_PORT, mitmproxy
from censorlab.servers.program import MissingProgramError, Program
from censorlab.servers.resolver import unbound
from censorlab.world.system import UnsupportedSystemError

from . import programs
from .arrange import (
    ACCUSED,
    AUTHORITIES,
    BOX,
    NAMED,
    NAMES,
    SERVICE,
    Place,
    Vhost,
    place,
    script,
    trusted,
    web,
)

pytestmark = pytest.mark.netns

DATA_CENTRES = ",".join(town.ALL_DC_ADDRESSES)
WEB_ADDRESSES = ",".join(a for a in town.ALL_WEB_ADDRESSES if ":" not in a)
PAYLOAD = "0>>22&0x3C@12>>26&0x3C@0"
"""Of u32: the first four bytes after the headers of IPv4 and TCP."""


@contextmanager
def opened(*own_web: Program) -> Iterator[Place]:
    try:
        with place(*own_web) as ready:
            yield ready
    except (UnsupportedSystemError, MissingProgramError) as error:
        pytest.skip(str(error))


def accused(place: Place) -> dict[str, str]:
    return {
        target: f"{one['state']} {one['rule_id']}"
        for target, one in place.check().items()
        if one["state"] in ACCUSED
    }


# Censors --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "mechanism"), [("REJECT --reject-with tcp-reset", "sni_rst"), ("DROP", "sni_drop")]
)
def test_a_name_that_iptables_finds_in_hellos_is_blocked(verdict: str, mechanism: str) -> None:
    with opened() as place:
        place.forward(f"-p tcp --dport 443 {NAMED} -j {verdict}")
        found = place.check()
    assert (found[town.WEB]["state"], found[town.WEB]["mechanism"]) == ("blocked", mechanism)
    assert (found[town.DC_POOL]["state"], found[town.SITE]["state"]) == ("ok", "ok")


def test_connections_by_name_that_stop_after_16_kb_are_frozen() -> None:
    with opened() as place:
        place.forward(f"-p tcp --dport 443 {NAMED} -j CONNMARK --set-mark 7", table="mangle")
        counted = "--connbytes 16384: --connbytes-dir reply --connbytes-mode bytes"
        place.forward(f"-m connmark --mark 7 -m connbytes {counted} -j DROP")
        found = place.check()[town.WEB]
    assert (found["state"], found["mechanism"]) == ("blocked", "freeze")


def test_mtproto_that_is_told_by_its_first_bytes_is_blocked() -> None:
    with opened() as place:
        place.route(
            "iptables -N OTHER",
            f"iptables -A FORWARD -p tcp -d {DATA_CENTRES} -m length --length 61: -j OTHER",
            f"iptables -A OTHER -m u32 --u32 '{PAYLOAD}=0x47455420' -j RETURN",
            f"iptables -A OTHER -m u32 --u32 '{PAYLOAD}>>24=0x16' -j RETURN",
            "iptables -A OTHER -j DROP",
        )
        found = place.check()[town.DC_POOL]
    assert (found["state"], found["mechanism"]) == ("blocked", "mtproto_drop")


def test_a_transparent_mitmproxy_for_the_service_alone_is_an_interception() -> None:
    whose = mitmproxy(new_authority("Ministry of Trust"), AUTHORITIES.trusted.certificate)
    with opened() as place:
        place.put_at_router(whose, INTERCEPTOR_PORT)
        place.route(
            f"iptables -t nat -A PREROUTING -p tcp --dport 443 -d {WEB_ADDRESSES} "
            f"-j REDIRECT --to {INTERCEPTOR_PORT}",
            f"ip6tables -A FORWARD -p tcp --dport 443 -d {SERVICE[1]} -j DROP",
        )
        found = place.check()[town.WEB]
    assert (found["state"], found["mechanism"]) == ("blocked", "tls_mitm")


def test_another_resolver_in_the_place_of_every_one_is_a_hijack() -> None:
    honest = {name: own for name, own in town.ZONE.items() if "messenger" not in name}
    with opened() as place:
        place.put("box", unbound(honest, addresses=[BOX], name="liar"))
        place.route(f"iptables -t nat -A PREROUTING -i side0 -p udp --dport 53 -j DNAT --to {BOX}")
        found = place.check()
    assert {found[target]["state"] for target in (town.WEB, town.SITE)} == {"likely_blocked"}
    assert found[town.WEB]["mechanism"] == "dns_hijack"


# Nobody's doing -------------------------------------------------------------


@pytest.mark.parametrize("mode", ["close", "hang"])
def test_a_front_whose_host_behind_is_down_is_not_a_censor(mode: str) -> None:
    front = script("front", programs.FRONT, 443, mode, *NAMES)
    with opened(web({}, tls_port=8443), front) as place:
        assert accused(place) == {}


def test_a_host_that_never_answers_a_request_is_not_a_censor() -> None:
    asks = "location / { proxy_pass http://127.0.0.1:9000; proxy_read_timeout 120s; }"
    hosts = {name: Vhost(trusted(name), asks) for name in (*NAMES, town.SITE_NAME)}
    with opened(script("sick", programs.SICK_HOST, 9000), web(hosts)) as place:
        assert accused(place) == {}


def test_a_filter_for_the_home_is_not_a_censor() -> None:
    nowhere = {
        name: ("0.0.0.0",) if "messenger" in name else own for name, own in town.ZONE.items()
    }
    with opened() as place:
        place.put("box", unbound(nowhere, addresses=[BOX], name="filter"))
        place.route(
            *(
                f"iptables -t nat -A PREROUTING -d {town.ISP_RESOLVER} -p {protocol} --dport 53 "
                f"-j DNAT --to {BOX}"
                for protocol in ("udp", "tcp")
            )
        )
        assert accused(place) == {}


def test_a_proxy_that_lets_everybody_in_first_is_not_a_censor() -> None:
    with opened() as place:
        place.put_at_router(script("proxy", programs.PROXY, 12345), 12345)
        place.route("iptables -t nat -A PREROUTING -i side0 -p tcp -j REDIRECT --to 12345")
        assert accused(place) == {}


def test_a_black_hole_for_large_packets_is_not_a_censor() -> None:
    many = [f"alternative-name-{n}.{town.WEB_NAME}" for n in range(80)]
    hosts = {town.WEB_NAME: Vhost(trusted(town.WEB_NAME, *many))}
    with opened(web(hosts)) as place:
        place.route(
            f"iptables -A FORWARD -p tcp --sport 443 -s {SERVICE[0]} "
            "-m length --length 1281: -j DROP"
        )
        assert accused(place) == {}
