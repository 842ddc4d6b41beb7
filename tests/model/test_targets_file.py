"""The shipped target list is sound, canonical and as cheap as it promises."""

import ipaddress
from collections import Counter
from pathlib import Path

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from probe.model.target import Endpoint, Target, Targets
from probe.model.validate import load_targets

SHIPPED = Path(__file__).parents[2] / "targets.json"

# The categories that the test lists of the Citizen Lab use for such services.
CATEGORIES = {"ANON", "COMT", "CULTR", "GRP", "HOST", "HUMR", "MMED", "NEWS"}


@pytest.fixture(scope="module")
def targets() -> Targets:
    return load_targets(SHIPPED.read_bytes())


def target(targets: Targets, name: str) -> Target:
    return next(t for t in targets.targets if t.id == name)


def endpoints(targets: Targets) -> list[Endpoint]:
    return [endpoint for t in targets.targets for endpoint in t.endpoints]


def test_is_canonical() -> None:
    """Two-space JSON with a final newline: edits make small diffs."""
    data = SHIPPED.read_bytes()
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    assert orjson.dumps(orjson.loads(data), option=options) == data


def test_names_its_schema(targets: Targets) -> None:
    """Editors find the schema beside the list."""
    assert (SHIPPED.parent / targets.schema_url).is_file()


def test_licence_and_date(targets: Targets) -> None:
    """The list is free to copy, and says how old it is."""
    assert (targets.license, targets.updated) == ("CC0-1.0", "2026-11-25")


def test_services_are_used_and_sourced(targets: Targets) -> None:
    """Each service has a target, a source and a category; ten and more besides messengers."""
    assert {t.service for t in targets.targets} == {s.id for s in targets.services}
    assert all(s.source and s.category_code in CATEGORIES for s in targets.services)
    assert len(targets.services) >= 14


def test_data_centres(targets: Targets) -> None:
    """Six data centres, each over IPv4 and IPv6, each address on the clients' three ports."""
    pool = target(targets, "telegram/dc_pool")
    assert pool.combination_rule == "any_of"
    assert {e.group for e in pool.endpoints} == {"dc1", "dc2", "dc3", "dc4", "dc5", "dc203"}
    for group in {e.group for e in pool.endpoints}:
        addresses = {e.address for e in pool.endpoints if e.group == group}
        assert {ipaddress.ip_address(a).version for a in addresses} == {4, 6}
    ports = Counter(e.address for e in pool.endpoints)
    assert set(ports.values()) == {3}
    assert {e.port for e in pool.endpoints} == {443, 80, 5222}
    assert {e.probes for e in pool.endpoints} == {("tcp", "mtproto")}
    # The media servers of a data centre go by its number with a minus sign.
    assert all(e.group == f"dc{e.dc_id}" for e in pool.endpoints)
    assert {e.dc_id for e in target(targets, "telegram/media").endpoints} == {-2, -4}


def test_data_centres_lie_in_the_published_ranges(targets: Targets) -> None:
    """A mistyped address would lie outside; the one known exception is named."""
    service = targets.service_of(target(targets, "telegram/dc_pool"))
    blocks = [ipaddress.ip_network(block) for block in service.address_ranges]
    outside = {
        e.address
        for name in ("telegram/dc_pool", "telegram/media")
        for e in target(targets, name).endpoints
        if not any(ipaddress.ip_address(e.address) in block for block in blocks)
    }
    assert outside == {"95.161.76.100"}


def test_no_test_data_centres(targets: Targets) -> None:
    """Telegram's test data centres say nothing about what people use."""
    test_centres = {
        "149.154.175.10",
        "149.154.167.40",
        "149.154.175.117",
        "2001:b28:f23d:f001::e",
        "2001:67c:4e8:f002::e",
        "2001:b28:f23d:f003::e",
    }
    assert not test_centres & {e.address for e in endpoints(targets)}


def test_websockets_are_grouped_by_data_centre(targets: Targets) -> None:
    """n of N counts data centres, not names."""
    for name in ("telegram/websocket", "telegram/websocket_alternates"):
        groups = Counter(e.group for e in target(targets, name).endpoints)
        assert groups == dict.fromkeys(("dc1", "dc2", "dc3", "dc4", "dc5"), 2)


def test_pages_are_fetched_from_three_hosts_only(targets: Targets) -> None:
    """Pages cost most of a run's bytes."""
    fetched = {e.address for e in endpoints(targets) if "http" in e.probes}
    assert fetched == {"web.telegram.org", "telegram.org", "t.me"}


def test_groups_stop_at_one_layer(targets: Targets) -> None:
    """Alternatives of one group are probed alike: else a shallow one hides a blocked layer."""
    for t in targets.targets:
        depths = {(e.group or f"{e.address}:{e.port}", e.probes) for e in t.endpoints}
        assert len(depths) == len({group for group, _ in depths}), t.id


# "Signal Messenger", 2022-01-26 to 2032-01-24: the constant of OONI's signal test, and what
# servers presented on 2026-10-01 (signal-web's evidence has this fingerprint).
SIGNAL_ROOT = "ddb0f92bb95c8d6fd202ea6e8cc5ccd182b544f8cd696f47d580659ddc9df65a"


def test_signals_servers_are_verified_by_its_own_authority(targets: Targets) -> None:
    """Byte for byte the published certificate; every one of its hosts is asked in TLS."""
    (service,) = (s for s in targets.services if s.trust_anchors)
    (root,) = (x509.load_pem_x509_certificate(pem.encode()) for pem in service.trust_anchors)
    root.verify_directly_issued_by(root)
    assert (service.id, root.fingerprint(hashes.SHA256()).hex()) == ("signal", SIGNAL_ROOT)
    own = [e for t in targets.targets if t.service == "signal" for e in t.endpoints]
    assert {e.probes for e in own} == {("dns", "tcp", "tls")}
    assert all(e.server_name == e.address for e in own)


def test_what_signal_shows_browsers_is_a_service_of_its_own(targets: Targets) -> None:
    """A service trusts its own authority only, and these have the public web's certificates."""
    hosts = {e.address for e in target(targets, "signal-web/site").endpoints}
    assert hosts == {"signal.org", "updates.signal.org"}
    assert not targets.service_of(target(targets, "signal-web/site")).trust_anchors


def test_whatsapps_chat_servers_are_two_ports_each(targets: Targets) -> None:
    """Chat works if one server does, and a server if one of its ports does."""
    chat = target(targets, "whatsapp/chat")
    ports = {(e.group, e.address, e.port) for e in chat.endpoints}
    assert chat.combination_rule == "any_of"
    assert ports == {
        (f"e{i}", f"e{i}.whatsapp.net", port) for i in range(1, 17) for port in (443, 5222)
    }


def test_controls_are_of_several_operators(targets: Targets) -> None:
    """No single operator, country or IP version decides whether the network works."""
    known_good = [c for c in targets.controls if c.kind == "known_good"]
    versions = Counter(ipaddress.ip_address(c.address).version for c in known_good)
    assert len({c.operator for c in known_good}) >= 6
    assert len({c.operator for c in known_good if ":" in c.address}) >= 3
    assert (versions[4], versions[6]) == (6, 3)
    assert {c.scope for c in known_good} == {"foreign", "RU"}
    assert {c.kind for c in targets.controls} == {
        "known_good",
        "innocuous_name",
        "resolvable_name",
        "portal_check",
        "unroutable",
        "no_resolver",
    }


def test_special_controls_are_where_they_must_be(targets: Targets) -> None:
    """Nobody can be at the one (RFC 5737); two operators speak QUIC, for its contrast."""
    (nobody,) = (c for c in targets.controls if c.kind == "unroutable")
    assert ipaddress.ip_address(nobody.address) in ipaddress.ip_network("192.0.2.0/24")
    assert len({c.operator for c in targets.controls if c.has_quic}) >= 2
    answering = {c.address for c in targets.controls if c.kind == "no_resolver"}
    assert not answering & {r.address for r in targets.resolvers}


def test_resolvers_cover_every_protocol(targets: Targets) -> None:
    """Injection shows between UDP and TCP, hijacking between plain and encrypted DNS."""
    protocols = Counter(r.protocol for r in targets.resolvers)
    assert set(protocols) == {"system", "udp", "tcp", "dot", "doh", "doq"}
    # Two operators that speak DoH over HTTP/1.1; Quad9 asks for HTTP/2.
    assert protocols["doh"] >= 2
