"""Any bytes are either a usable target list or a list of problems with their places."""

import datetime as dt
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from model import mutation
from probe.model.codec import targets_schema
from probe.model.target import Targets
from probe.model.validate import (
    MAX_PROBLEMS,
    MAX_TARGETS_BYTES,
    BadTargetsError,
    Problem,
    load_targets,
    schema_validator,
)

SHIPPED = Path(__file__).parents[2] / "targets.json"

AUTHORITY = trustme.CA()
ANCHOR = AUTHORITY.cert_pem.bytes().decode()


def public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, pkcs1: bool = False) -> str:
    form = (
        serialization.PublicFormat.PKCS1
        if pkcs1
        else serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


RSA_KEY = rsa.generate_private_key(65537, 2048)
PUBLIC_KEY = public_pem(RSA_KEY)

SMALL: dict[str, Any] = {
    "schema_version": "1.0",
    "name": "small",
    "updated": "2026-11-20",
    "services": [
        {
            "id": "s",
            "name": "S",
            "category_code": "COMT",
            "address_ranges": ["192.0.2.0/24", "2001:db8::/32"],
            "trust_anchors": [ANCHOR],
            "mtproto_keys": [public_pem(RSA_KEY, pkcs1=True)],
            "discovery": [
                {
                    "id": "d",
                    "address": "192.0.2.3",
                    "server_name": "front.example",
                    "host": "hidden.example",
                    "path": "/resolve?name=x",
                }
            ],
            "discovery_keys": [PUBLIC_KEY],
        }
    ],
    "targets": [
        {
            "id": "s/a",
            "service": "s",
            "combination_rule": "any_of",
            "endpoints": [
                {"address": "192.0.2.1", "port": 443, "probes": ["tcp"], "group": "g"},
                {
                    "address": "a.example",
                    "port": 443,
                    "probes": ["dns", "tcp", "tls", "http"],
                    "server_name": "a.example",
                    "alpn": ["http/1.1"],
                    "path": "/x",
                },
            ],
        }
    ],
    "controls": [
        {"id": "k", "kind": "known_good", "address": "192.0.2.9", "server_name": "k.example"},
        {"id": "i", "kind": "innocuous_name", "server_name": "i.example", "pairs_with": "s/a"},
        {"id": "r", "kind": "resolvable_name", "server_name": "r.example"},
    ],
    "resolvers": [
        {"id": "system", "protocol": "system"},
        {"id": "u", "protocol": "udp", "address": "192.0.2.53", "port": 53},
        {
            "id": "h",
            "protocol": "doh",
            "address": "2001:db8::53",
            "port": 443,
            "server_name": "dns.example",
        },
    ],
    "trust_anchors": [],
}

ENDPOINT = ("targets", 0, "endpoints", 0)
ORDER = "dns, tcp, tls, http, mtproto, quic, ech"


def problems_of(data: bytes) -> tuple[Problem, ...]:
    with pytest.raises(BadTargetsError) as caught:
        load_targets(data)
    return caught.value.problems


def problems_with(*changes: tuple[mutation.Path, Any]) -> list[str]:
    document: Any = SMALL
    for path, value in changes:
        document = mutation.replaced(document, path, value)
    return [str(problem) for problem in problems_of(orjson.dumps(document))]


def outcome(data: bytes) -> Targets | BadTargetsError:
    """Load, and check what every refusal has: problems with places, short and printable."""
    try:
        return load_targets(data)
    except BadTargetsError as error:
        refusal = error
    assert refusal.problems
    for problem in refusal.problems:
        assert problem.path.startswith("$")
        assert problem.message
        assert len(problem.path) <= 200
        assert len(problem.message) <= 200
        assert str(problem).isprintable()
    return refusal


def test_small_list_loads() -> None:
    """The list that the other tests damage is sound."""
    targets = load_targets(orjson.dumps(SMALL))
    assert targets.targets[0].endpoints[1].probes == ("dns", "tcp", "tls", "http")


def test_every_problem_at_once() -> None:
    """Structural faults are all listed, each with its path and its value."""
    assert problems_with(
        ((*ENDPOINT, "port"), 70000),
        (("targets", 0, "combination_rule"), "most_of"),
        (("services", 0, "id"), "Has Capitals"),
        (("resolvers", 1, "prot"), "udp"),
        (("controls",), {}),
    ) == [
        "$.services[0].id: 'Has Capitals' does not match ^[a-z0-9][a-z0-9._/-]{0,79}$",
        "$.targets[0].combination_rule: 'most_of' is not one of all_of, any_of",
        "$.targets[0].endpoints[0].port: 70000 is greater than the maximum of 65535",
        "$.controls: an object is not of type array",
        "$.resolvers[1].prot: unknown key",
    ]


def test_missing_keys_are_all_named() -> None:
    """Each missing key is a problem of its own."""
    assert problems_with((("services", 0), {})) == [
        "$.services[0]: 'id' is missing",
        "$.services[0]: 'name' is missing",
        "$.services[0]: 'category_code' is missing",
    ]


def test_all_semantic_problems_at_once() -> None:
    """Faults of meaning are listed together, where the structure holds."""
    assert problems_with(
        (("updated",), "2026-02-30"),
        (("targets", 0, "service"), "t"),
        (("controls", 1, "pairs_with"), "nothing"),
    ) == [
        "$.updated: '2026-02-30' is not a date",
        "$.targets[0].service: no service 't'",
        "$.controls[1].pairs_with: no target 'nothing'",
    ]


@pytest.mark.parametrize("name", ["services", "targets", "controls", "resolvers"])
def test_repeated_id(name: str) -> None:
    """Ids are unique among their kind."""
    document = mutation.doubled(SMALL, (name, 0))
    (problem,) = problems_of(orjson.dumps(document))
    assert problem.path == f"$.{name}[1].id"
    assert problem.message.endswith(f"is already the id of $.{name}[0]")


@pytest.mark.parametrize(
    ("first", "second"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:DB8:0::1"), ("b.example", "B.example")],
)
def test_repeated_endpoint(first: str, second: str) -> None:
    """One endpoint may not stand twice in a target, in whatever spelling."""
    probes = ["dns", "tcp"] if "example" in first else ["tcp"]
    endpoints = [{"address": a, "port": 443, "probes": probes} for a in (first, second)]
    assert problems_with((("targets", 0, "endpoints"), endpoints)) == [
        "$.targets[0].endpoints[1]: the same as $.targets[0].endpoints[0]"
    ]


def test_one_address_under_two_names() -> None:
    """The same address and port under another server name is another endpoint."""
    endpoint = {"address": "192.0.2.1", "port": 443, "probes": ["tcp", "tls"]}
    endpoints = [{**endpoint, "server_name": name} for name in ("a.example", "b.example")]
    document = mutation.replaced(SMALL, ("targets", 0, "endpoints"), endpoints)
    assert len(load_targets(orjson.dumps(document)).targets[0].endpoints) == 2


@pytest.mark.parametrize(
    "name",
    [
        "a..example",
        ".example",
        "a.example.",
        "-a.example",
        "a-.example",
        "a b.example",
        "a" * 64 + ".example",
        ".".join(["a" * 60] * 5),
        "192.0.2.256",
        "1.2.3",
        "fe80::1%eth0",
        "[2001:db8::1]",
        "a.example:443",
        "user@a.example",
        "é" * 64 + ".example",
        "a.example\n",
    ],
)
def test_not_an_address(name: str) -> None:
    """What is neither an address literal nor a host name is refused where it stands."""
    changes = (((*ENDPOINT, "address"), name), ((*ENDPOINT, "probes"), ["dns", "tcp"]))
    assert any(p.startswith("$.targets[0].endpoints[0].address: ") for p in problems_with(*changes))


@pytest.mark.parametrize(
    "name",
    ["localhost", "_dmarc.a_b.example", "xn--bcher-kva.example", "bücher.example", "телеграм.рф"],
)
def test_host_names(name: str) -> None:
    """Underscores, A-labels and Unicode that encodes are host names."""
    document = mutation.replaced(SMALL, (*ENDPOINT, "address"), name)
    document = mutation.replaced(document, (*ENDPOINT, "probes"), ["dns", "tcp"])
    assert load_targets(orjson.dumps(document)).targets[0].endpoints[0].address == name


@pytest.mark.parametrize(
    ("address", "probes", "message"),
    [
        ("192.0.2.1", ["dns", "tcp"], "an IP address has nothing to ask dns for"),
        ("a.example", ["tcp"], "a host name needs the dns probe"),
        ("192.0.2.1", ["tls", "tcp"], f"not in wire order ({ORDER}), each at most once"),
        ("192.0.2.1", ["tcp", "tcp"], f"not in wire order ({ORDER}), each at most once"),
        ("192.0.2.1", ["tls"], "tls needs tcp"),
        ("a.example", ["dns", "http"], "http needs tcp"),
        ("192.0.2.1", ["mtproto"], "mtproto needs tcp"),
        ("192.0.2.1", ["tcp", "quic"], "quic needs tls"),
        ("192.0.2.1", ["tcp", "ech"], "ech needs tls"),
        (
            "192.0.2.1",
            ["tcp", "tls", "mtproto"],
            "mtproto is spoken on a connection of its own",
        ),
    ],
)
def test_bad_probes(address: str, probes: list[str], message: str) -> None:
    """Probes that cannot follow each other on a wire are refused."""
    changes = (((*ENDPOINT, "address"), address), ((*ENDPOINT, "probes"), probes))
    assert f"$.targets[0].endpoints[0].probes: {message}" in problems_with(*changes)


@pytest.mark.parametrize(
    "probes",
    [["tcp"], ["tcp", "http"], ["tcp", "mtproto"], ["tcp", "tls", "http", "quic", "ech"]],
)
def test_probes_that_go_together(probes: list[str]) -> None:
    """http without tls is plain HTTP, and fine; other ways go beside TLS over TCP."""
    document = mutation.replaced(SMALL, (*ENDPOINT, "probes"), probes)
    assert load_targets(orjson.dumps(document)).targets[0].endpoints[0].probes == tuple(probes)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (
            ("services", 0, "address_ranges", 1),
            "192.0.2.1/24",
            "$.services[0].address_ranges[1]: not a CIDR block: 192.0.2.1/24 has host bits set",
        ),
        (
            (*ENDPOINT, "server_name"),
            "192.0.2.1",
            "$.targets[0].endpoints[0].server_name: '192.0.2.1' is not a host name",
        ),
        (
            (*ENDPOINT, "alpn"),
            [""],
            "$.targets[0].endpoints[0].alpn[0]: '' is not a protocol name (visible ASCII)",
        ),
        (
            ("controls", 0, "address"),
            "k.example",
            "$.controls[0].address: a control of kind known_good needs an IP address",
        ),
        (
            ("controls", 0, "server_name"),
            "",
            "$.controls[0]: a control of kind known_good needs server_name",
        ),
        (
            ("controls", 1, "server_name"),
            "",
            "$.controls[1]: a control of kind innocuous_name needs server_name",
        ),
        (
            ("controls", 2, "server_name"),
            "",
            "$.controls[2]: a control of kind resolvable_name needs server_name",
        ),
        (
            ("resolvers", 1, "address"),
            "dns.example",
            "$.resolvers[1].address: a resolver of protocol udp needs an IP address",
        ),
        (
            ("resolvers", 1, "port"),
            0,
            "$.resolvers[1].port: a resolver of protocol udp needs a port",
        ),
        (
            ("resolvers", 2, "server_name"),
            "",
            "$.resolvers[2]: a resolver of protocol doh needs server_name",
        ),
        (
            ("resolvers", 1, "protocol"),
            "doq",
            "$.resolvers[1]: a resolver of protocol doq needs server_name",
        ),
        (
            ("resolvers", 2, "path"),
            "/dns query",
            "$.resolvers[2].path: '/dns query' is not an absolute path",
        ),
        (("name",), "a\x1b[2J", "$.name: control character U+001B"),
        (("services", 0, "id"), "s\n", "$.services[0].id: control character U+000A"),
    ],
)
def test_meaning(path: mutation.Path, value: Any, problem: str) -> None:
    """Each rule that a schema cannot state has words of its own."""
    assert any(line.startswith(problem) for line in problems_with((path, value)))


@pytest.mark.parametrize("kind", ["known_good", "portal_check", "unroutable", "no_resolver"])
def test_controls_that_must_not_depend_on_dns(kind: str) -> None:
    """Each is placed by an address."""
    named = (("controls", 0, "address"), "k.example")
    assert problems_with((("controls", 0, "kind"), kind), named) == [
        f"$.controls[0].address: a control of kind {kind} needs an IP address"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MIIBAAAA",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN PRIVATE KEY-----\nMIIBAAAA\n-----END PRIVATE KEY-----",
        PUBLIC_KEY,
        ANCHOR + ANCHOR,
    ],
)
@pytest.mark.parametrize("place", [("services", 0, "trust_anchors"), ("trust_anchors",)])
def test_bad_trust_anchor(place: mutation.Path, text: str) -> None:
    """A trust anchor is one PEM block of a certificate, in either place."""
    (problem,) = problems_with((place, [text]))
    assert problem.endswith("trust_anchors[0]: not one PEM block of a CERTIFICATE (RFC 7468)")


def self_signed(until: dt.date) -> str:
    """Return an authority's certificate of ten years that ends on a day."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority")])
    end = dt.datetime.combine(until, dt.time(12), dt.UTC)
    builder = (
        x509.CertificateBuilder(name, name, RSA_KEY.public_key(), x509.random_serial_number())
        .not_valid_before(end - dt.timedelta(days=3650))
        .not_valid_after(end)
    )
    certificate = builder.sign(RSA_KEY, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def test_a_trust_anchor_that_verifies_nothing() -> None:
    """Not a certificate, a server's in place of its authority's, and an expired one."""
    leaf = AUTHORITY.issue_cert("s.example").cert_chain_pems[0].bytes().decode()
    intermediate = AUTHORITY.create_child_ca().cert_pem.bytes().decode()
    last_day = dt.date(2026, 11, 20)
    anchors = [
        "-----BEGIN CERTIFICATE-----\nMIIBAAAA\n-----END CERTIFICATE-----",
        leaf,
        intermediate,
        self_signed(last_day - dt.timedelta(days=1)),
        self_signed(last_day),
    ]
    own = "a server's or intermediate certificate: take that of its issuer, "
    problems = [p.partition("anchors")[2] for p in problems_with((("trust_anchors",), anchors))]
    assert (
        problems[0] == "[0]: the PEM block is not a certificate (RFC 5280): cut short, or changed?"
    )
    assert [own in p for p in problems] == [False, True, True, False]
    assert all("O=trustme" in p for p in problems[1:3])
    assert problems[3:] == ["[3]: it expired on 2026-11-19, before the list's date"]


@pytest.mark.parametrize("name", ["mtproto_keys", "discovery_keys"])
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (ANCHOR, "not one PEM block of a PUBLIC KEY or RSA PUBLIC KEY (RFC 7468)"),
        (PUBLIC_KEY * 2, "not one PEM block of a PUBLIC KEY or RSA PUBLIC KEY (RFC 7468)"),
        (
            "-----BEGIN PUBLIC KEY-----\nMIIBAAAA\n-----END PUBLIC KEY-----",
            "the PEM block is not a public key (RFC 8017): cut short, or changed?",
        ),
        (public_pem(rsa.generate_private_key(65537, 1024)), "not an RSA key of 2048 bits"),
        (public_pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA key of 2048 bits"),
    ],
)
def test_bad_key(name: str, text: str, fault: str) -> None:
    """A key of MTProto is an RSA key of 2048 bits; what else is given is never repeated."""
    assert problems_with((("services", 0, name), [PUBLIC_KEY, text])) == [
        f"$.services[0].{name}[1]: {fault}"
    ]


def test_discovery() -> None:
    """It is asked by address, under names, and each has an id of its own."""
    discovery = SMALL["services"][0]["discovery"][0]
    changed = {**discovery, "address": "d.example", "server_name": "192.0.2.3", "host": ""}
    assert problems_with((("services", 0, "discovery"), [discovery, changed])) == [
        "$.services[0].discovery[1].id: 'd' is already the id of $.services[0].discovery[0]",
        "$.services[0].discovery[1].address: a discovery needs an IP address",
        "$.services[0].discovery[1].server_name: '192.0.2.3' is not a host name",
        "$.services[0].discovery[1].host: '' is not a host name",
    ]
    (problem,) = problems_with((("services", 0, "discovery", 0, "path"), "resolve"))
    assert problem.startswith("$.services[0].discovery[0].path: 'resolve' does not match ")


@pytest.mark.parametrize(
    ("transport", "probes", "message"),
    [
        ("websocket", ["tcp", "tls", "mtproto"], None),
        ("websocket", ["tcp", "mtproto"], "mtproto over websocket needs tls"),
        ("obfuscated", ["tcp", "mtproto"], None),
        (
            "websocket",
            ["tcp", "tls", "http", "mtproto"],
            "mtproto is spoken on a connection of its own",
        ),
    ],
)
def test_mtproto_transports(transport: str, probes: list[str], message: str | None) -> None:
    """WebSockets are spoken inside TLS, the obfuscated transport on bare TCP."""
    document = mutation.replaced(SMALL, (*ENDPOINT, "probes"), probes)
    document = mutation.replaced(document, (*ENDPOINT, "mtproto_transport"), transport)
    result = outcome(orjson.dumps(document))
    if message is None:
        assert isinstance(result, Targets)
    else:
        assert isinstance(result, BadTargetsError)
        assert str(result) == f"$.targets[0].endpoints[0].probes: {message}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON: line 1, column 1: "),
        (b'{\n "name": NaN}', "not JSON: line 2, column 10: "),
        (b'{\n"name": "\xff"}', "not UTF-8: byte 0xff in line 2"),
        (b'{"name": "\\ud800"}', "not JSON: line 1, column 1"),
        (b'{"name": 1e999}', "not JSON: line 1, column 10: number is infinity"),
        (b"9" * 5000, "not JSON: line 1, column 1: number is infinity"),
        (b"[" * 5000, "not JSON: line 1, column 10"),
        (b"[" * 900 + b"]" * 900, "line 1: nested deeper than 16 levels"),
        (b'\n{"a":' * 20 + b"1" + b"}" * 20, "line 18: nested deeper than 16 levels"),
        (b" " * (MAX_TARGETS_BYTES + 1), "10485761 bytes are more than the maximum of 10485760"),
        (b"[]", "an array is not of type object"),
        (b"123456789012345678901234567890", "1.2345678901234568e"),
    ],
)
def test_hostile_text(data: bytes, message: str) -> None:
    """Text that cannot be a list is refused with its place, whatever is wrong with it."""
    (problem,) = problems_of(data)
    assert problem.path == "$"
    assert problem.message.startswith(message)


def test_integral_float_is_no_integer() -> None:
    """443.0 is refused: other readers of the list would see a different type."""
    assert problems_with(((*ENDPOINT, "port"), 443.0)) == [
        "$.targets[0].endpoints[0].port: 443.0 is not of type integer"
    ]


def test_repeated_keys() -> None:
    """A key given twice is found in any object, also where an escape hides it."""
    data = orjson.dumps(SMALL)
    data = data.replace(b'"name":"small"', b'"name":"small","n\\u0061me":"{\\"[,:"')
    data = data.replace(b'"group":"g"', b'"group":"g","port":80')
    assert [str(problem) for problem in problems_of(data)] == [
        "$.name: the key is given twice",
        "$.targets[0].endpoints[0].port: the key is given twice",
    ]


def test_many_problems_are_cut() -> None:
    """Ten thousand faults do not make ten thousand lines, and the cut is announced."""
    problems = problems_of(orjson.dumps({**SMALL, "targets": [1] * 10_000}))
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].message == f"more than {MAX_PROBLEMS} problems; the rest is not listed"


def test_hostile_keys_are_shown_safely() -> None:
    """A key from the file reaches no terminal as it is."""
    result = outcome(orjson.dumps({**SMALL, "\x1b[2J\u202e" + "k" * 5000: 1}))
    assert isinstance(result, BadTargetsError)


def systematic_mutants() -> list[bytes]:
    """Every node of the small list deleted, doubled and replaced by each JSON type."""
    mutants = []
    for path in mutation.paths(SMALL):
        documents = [mutation.replaced(SMALL, path, value) for value in mutation.REPLACEMENTS]
        if path:
            documents += [mutation.deleted(SMALL, path), mutation.doubled(SMALL, path)]
        mutants += [orjson.dumps(document) for document in documents]
    return mutants


def test_systematic_mutants() -> None:
    """Whichever node is damaged, the result is a list or problems; schema and types agree."""
    mutants = systematic_mutants()
    assert len(mutants) >= 200
    validator = schema_validator(targets_schema())
    refused = 0
    for mutant in mutants:
        result = outcome(mutant)
        refused += isinstance(result, BadTargetsError)
        if isinstance(result, Targets):
            assert validator.is_valid(orjson.loads(mutant))
    assert refused > len(mutants) / 2


SHIPPED_BYTES = SHIPPED.read_bytes()
SHIPPED_DOCUMENT = orjson.loads(SHIPPED_BYTES)
SHIPPED_PATHS = [path for path in mutation.paths(SHIPPED_DOCUMENT) if path]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50)
@given(path=st.sampled_from(SHIPPED_PATHS), value=json_values)
def test_any_node_replaced(path: mutation.Path, value: Any) -> None:
    """The shipped list with any node replaced by any value: a list or problems."""
    outcome(orjson.dumps(mutation.replaced(SHIPPED_DOCUMENT, path, value)))


@settings(deadline=None, max_examples=50)
@given(path=st.sampled_from(SHIPPED_PATHS), again=st.sampled_from(SHIPPED_PATHS))
def test_any_node_deleted_or_moved(path: mutation.Path, again: mutation.Path) -> None:
    """The shipped list with nodes deleted, doubled, or put in each other's place."""
    node = SHIPPED_DOCUMENT
    for key in again:
        node = node[key]
    outcome(orjson.dumps(mutation.deleted(SHIPPED_DOCUMENT, path)))
    outcome(orjson.dumps(mutation.doubled(SHIPPED_DOCUMENT, path)))
    outcome(orjson.dumps(mutation.replaced(SHIPPED_DOCUMENT, path, node)))


@settings(deadline=None, max_examples=50)
@given(
    end=st.integers(0, len(SHIPPED_BYTES)),
    flips=st.lists(
        st.tuples(st.integers(0, len(SHIPPED_BYTES) - 1), st.integers(0, 255)), max_size=4
    ),
    is_cut=st.booleans(),
)
def test_any_bytes_flipped(end: int, flips: list[tuple[int, int]], is_cut: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
    """The shipped list truncated, or with bytes overwritten: a list or problems."""
    data = bytearray(SHIPPED_BYTES)
    for place, byte in flips:
        data[place] = byte
    outcome(bytes(data[:end] if is_cut else data))


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Bytes that were never a list are refused."""
    assert isinstance(outcome(data), BadTargetsError)
