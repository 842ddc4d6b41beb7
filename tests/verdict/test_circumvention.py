"""What gets around: n of the members that the direct way fails, and nothing that is not known."""

from typing import Any

import pytest

from facts import Scene
from probe.model.failure import SKIPPED
from probe.model.observation import Tactic
from probe.model.verdict import Verdict
from probe.verdict.judge import judge
from probe.verdict.words import result_of, three_answers, untested, ways_of
from verdict.scenes import CONNECTED, OK, RESET_HELLO, SILENT, TIMEOUT, A, Steps, clean, twice

HOST = "a.example"
B, C = "203.0.113.66", "2001:db8:9::9"


def asked(scene: Scene) -> Scene:
    """Ways are tried in the run, at some other target."""
    return scene.chain(*OK, address=B, tactic="tls12", target_id="b/other", member="b.example")


def of(scene: Scene) -> dict[Tactic, Verdict]:
    rows = asked(scene).rows
    return {v.tactic: v for v in judge(rows) if v.tactic != "none" and v.target_id == "a/web"}


def counts(verdict: Verdict) -> tuple[int, int]:
    return verdict.n_ok, verdict.n_total


def tried(scene: Scene, tactic: Tactic, *outcomes: tuple[str, str | None], **rest: Any) -> Scene:
    return scene.chain(*outcomes, **({"address": A, "tactic": tactic} | rest))


def test_a_way_that_comes_to_its_end_works() -> None:
    """And one that is cut off as the direct way is does not."""
    scene = twice(clean(), *RESET_HELLO)
    tried(scene, "record_split", *OK)
    tried(scene, "tls12", *RESET_HELLO)

    found = of(scene)

    assert counts(found["record_split"]) == (1, 1)
    assert found["record_split"].rule_id == "way.works"
    assert counts(found["tls12"]) == (0, 1)
    assert found["tls12"].rule_id == "way.fails"
    assert "hello split into records: 1/1" in three_answers(judge(scene.rows)).what_works


def test_part_is_not_rounded() -> None:
    """Of two members that fail, one is reached: one of two."""
    scene = clean()
    for member in ("a.example", "b.example"):
        twice(scene, *RESET_HELLO, member=member)
    tried(scene, "segment_split", *OK, member="a.example")
    tried(scene, "segment_split", *RESET_HELLO, member="b.example")

    verdict = of(scene)["segment_split"]

    assert (counts(verdict), verdict.failed_members) == ((1, 2), ("b.example",))
    assert (verdict.rule_id, verdict.state) == ("way.partial", "impaired")


def test_a_connection_is_not_a_way() -> None:
    """Connecting, and even a verified handshake before a cut page, is not enough."""
    scene = twice(clean(), *RESET_HELLO)
    tried(scene, "segment_split", *CONNECTED, ("tls", None), ("http", TIMEOUT))

    assert counts(of(scene)["segment_split"]) == (0, 1)


def test_what_was_skipped_is_not_tested() -> None:
    """A missing extra says nothing about the network."""
    scene = twice(clean(), *RESET_HELLO)
    tried(scene, "chrome", *CONNECTED, ("tls", SKIPPED))

    assert "chrome" not in of(scene)
    assert "chrome" in untested(judge(scene.rows))
    assert result_of(0, 0) == "not_tested"


def test_without_working_controls_nothing_is_said_of_ways() -> None:
    """A dead line is no reason to give up on a way."""
    scene = twice(Scene().controls(TIMEOUT, TIMEOUT), *SILENT)
    tried(scene, "tls12", *SILENT)

    assert all(verdict.state == "insufficient" for verdict in of(scene).values())
    assert ways_of(judge(scene.rows)) == []


def test_an_address_of_encrypted_dns_that_works() -> None:
    """Where the ordinary resolver denies a name that an encrypted one knows."""
    scene = clean()
    for kind in ("A", "AAAA"):
        scene.lookup("udp", "dns_nxdomain_error", query_type=kind)
    scene.lookup("doh", None, (A,), query_type="A")
    scene.chain(*OK, address=A, member=HOST)

    found = of(scene)

    assert counts(found["encrypted_dns"]) == (1, 1)


def test_encrypted_dns_does_not_open_an_address() -> None:
    """The right address alone is no way past a cut name."""
    scene = clean()
    for resolver in ("udp", "doh"):
        scene.lookup(resolver, None, (A,), query_type="A")
    twice(scene, *RESET_HELLO, member=HOST)

    assert counts(of(scene)["encrypted_dns"]) == (0, 1)


def test_the_other_family_is_a_way() -> None:
    """All of one family fail, all of the other work."""
    scene = Scene("any_of").controls(None, None).controls(None, None, ip_version=6)
    twice(scene, *SILENT, address=A)
    twice(scene, *RESET_HELLO, address=C, ip_version=6)
    found = of(scene)
    assert counts(found["ipv4"]) == (0, 1)
    assert counts(found["ipv6"]) == (0, 1)


def two_members(*chains: tuple[Steps, str, int]) -> Scene:
    """Two members with the same places: steps at an address of a family and a port."""
    scene = Scene("any_of").controls(None, None).controls(None, None, ip_version=6)
    for number, member in enumerate(("dc1", "dc2"), 1):
        for steps, prefix, port in chains:
            address = f"{prefix}{number}"
            twice(
                scene,
                *steps,
                address=address,
                member=member,
                port=port,
                endpoint_id=f"{address}:{port}",
                ip_version=6 if ":" in address else 4,
            )
    return scene


V4, V6 = "149.154.167.", "2001:67c:4e8::"


def test_a_family_that_fails_everywhere_leaves_the_other_as_the_way() -> None:
    """Another port of the failing family is none; one of the other family is no other port."""
    scene = two_members((SILENT, V4, 443), (SILENT, V4, 80), (OK, V6, 443), (OK, V6, 80))

    (direct,) = (v for v in judge(scene.rows) if v.tactic == "none")
    found = of(scene)

    assert (direct.rule_id, direct.failed_families) == ("target.one_family", (4,))
    assert "over IPv4" in direct.summary
    assert counts(found["ipv6"]) == (2, 2)
    assert counts(found["ipv4"]) == counts(found["other_port"]) == (0, 2)
    assert "encrypted_dns" not in found


def test_a_port_that_fails_everywhere_leaves_another_as_the_way() -> None:
    """Neither family reaches the failing port."""
    scene = two_members((SILENT, V4, 443), (OK, V4, 80), (SILENT, V6, 443), (OK, V6, 80))

    (direct,) = (v for v in judge(scene.rows) if v.tactic == "none")
    found = of(scene)

    assert (direct.rule_id, direct.failed_ports) == ("tcp.port_everywhere", (443,))
    assert "at port 443" in direct.summary
    assert counts(found["other_port"]) == (2, 2)
    assert counts(found["ipv4"]) == counts(found["ipv6"]) == (0, 2)


def test_a_port_that_nobody_needs_asks_for_no_way() -> None:
    """The usual port works everywhere."""
    scene = two_members((OK, V4, 443), (SILENT, V4, 5222))

    assert of(scene) == {}


def test_a_hello_cut_off_over_one_family_is_found() -> None:
    """Of a single host too, where the contrast at that address passes."""
    scene = Scene().controls(None, None).controls(None, None, ip_version=6)
    twice(scene, *RESET_HELLO, address=A, member=HOST, ip_version=4)
    for _ in range(2):
        scene.beside("other_name", *OK, address=A, member=HOST)
    scene.chain(*OK, address=C, member=HOST, ip_version=6)

    (direct,) = (v for v in judge(scene.rows) if v.tactic == "none")

    assert (direct.state, direct.mechanism) == ("impaired", "sni_rst")
    assert (direct.n_ok, direct.failed_families) == (1, (4,))


def test_another_port_is_a_way() -> None:
    """Members that are silent at 443 and answer at another port."""
    scene = clean()
    for port, steps in ((443, SILENT), (80, SILENT), (5222, SILENT)):
        twice(scene, *steps, endpoint_id=f"{A}:{port}", port=port)
    assert counts(of(scene)["other_port"]) == (0, 1)


@pytest.mark.parametrize(
    ("steps", "said"),
    [((*OK, ("mtproto", None)), (1, 1)), (SILENT, (0, 1)), (CONNECTED, None)],
    ids=["answers", "silent", "only connects"],
)
def test_a_web_socket_stands_in_for_its_data_centre(
    steps: Steps, said: tuple[int, int] | None
) -> None:
    """Another target's host of the same member reaches it, does not, or was not asked."""
    scene = clean()
    twice(scene, *SILENT, member="dc2")
    web: dict[str, Any] = {"target_id": "a/websocket", "member": "dc2"}
    scene.lookup("udp", None, (B,), **web)
    is_asked = steps[-1][0] == "mtproto"
    scene.chain(*steps, address=B, **web, mtproto_transport="websocket" if is_asked else None)
    found = {(v.target_id, v.tactic): v for v in judge(asked(scene).rows)}

    verdict = found.get(("a/web", "websocket"))
    assert (counts(verdict) if verdict else None) == said


def test_together_with_encrypted_dns() -> None:
    """A way that began at an address which applications are not given says so."""
    scene = clean()
    scene.lookup("udp", "dns_nxdomain_error", query_type="A")
    scene.lookup("doh", None, (A,), query_type="A")
    twice(scene, *RESET_HELLO, member=HOST)
    tried(scene, "record_split", *OK, member=HOST)

    verdict = of(scene)["record_split"]

    assert verdict.with_encrypted_dns
    assert "together with encrypted DNS" in verdict.summary


def test_a_name_that_leads_astray_ends_a_way() -> None:
    """A way whose lookup fails was not begun: it does not work, and is not left out."""
    scene = clean()
    scene.lookup("udp", "dns_nxdomain_error", query_type="A")
    scene.lookup("doh", None, (A,), query_type="A")
    scene.chain(*OK, address=A, member=HOST)
    scene.lookup("udp", "dns_nxdomain_error", query_type="A", tactic="segment_split")

    assert counts(of(scene)["segment_split"]) == (0, 1)


@pytest.mark.parametrize("proxy_id", ["fresh-1", "fresh-2"])
def test_one_fresh_address_of_several_is_enough(proxy_id: str) -> None:
    """Applications try them in turn."""
    scene = twice(clean(), *SILENT, member="dc2")
    for each in ("fresh-1", "fresh-2"):
        outcome = None if each == proxy_id else TIMEOUT
        columns = {"tactic": "special_config", "proxy_id": each, "member": "dc2"}
        scene.add(step="mtproto", failure=outcome, **columns)

    assert counts(of(scene)["special_config"]) == (1, 1)
