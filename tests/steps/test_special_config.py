"""A signed list of addresses, fetched and verified, or what came in its place."""

import errno
import json
import re
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import trio
import trustme

import loopback
from censorlab.servers.special_config import (
    NAME,
    Place,
    SigningKey,
    google_answer,
    new_signing_key,
    signed_text,
)
from fakes import Arrival, FakeNetwork, FakeTcpConnection, Row, context_of, play
from loopback import after_hello, server_context, tcp_peer, tls
from probe.model.observation import Observation
from probe.model.step import SpecialConfig
from probe.net.tls import TlsStream, TrustStores
from probe.net.trio_network import TrioNetwork
from probe.steps.special_config import (
    MAX_BODY_BYTES,
    PADDING_CHARS,
    FreshEndpoint,
    special_config,
)

HOST = "192.0.2.1"
NOW = FakeNetwork().wall_clock()
DAY = timedelta(days=1)
KEY = new_signing_key()
PLACES = (
    Place(2, "127.0.0.1", 8443),
    Place(4, "10.1.2.3", 443, b"\xee" + bytes(16) + b"www.example.org"),
    Place(4, "198.51.100.7", 5222),
)
SPEC = SpecialConfig(
    host="dns.example",
    path=f"/resolve?name={NAME}&type=16",
    form="dns_json",
    timeout_s=8.0,
    public_keys=(KEY.public,),
)
TEXT_SPEC = SpecialConfig(
    host="front.example",
    path="/config.txt",
    form="text",
    timeout_s=8.0,
    public_keys=SPEC.public_keys,
)


def text(*, expires: datetime = NOW + DAY, key: SigningKey = KEY) -> str:
    return signed_text(key, PLACES, date=expires - 2 * DAY, expires=expires)


def answer(signed: str | None) -> bytes:
    return json.dumps(google_answer(NAME, signed)).encode()


def page(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %s\r\nDate: Tue, 24 Nov 2026 12:00:35 GMT\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def fetch(
    *arrivals: Arrival, spec: SpecialConfig = SPEC
) -> tuple[Observation, tuple[FreshEndpoint, ...], bytes]:
    """Ask over what is written down; return what was sent too."""
    row = Row(HOST, arrivals=arrivals)

    async def scene() -> tuple[Observation, tuple[FreshEndpoint, ...], bytes]:
        connection = FakeTcpConnection(row)
        context = context_of(FakeNetwork([row]), address=HOST)
        observation, fresh = await special_config(context, spec, connection, connection)
        return observation, fresh, connection.sent

    return play(scene)


def test_a_signed_list() -> None:
    """Its addresses are returned as they are signed, and only counted in the row."""
    row, fresh, _ = fetch(Arrival(0.1, page(answer(text()))))

    assert (row.step, row.failure, row.status_code) == ("special_config", None, 200)
    assert (row.config_endpoints, row.config_expires) == (3, "2026-11-25")
    assert row.clock_offset_s == 5
    assert row.sent_bytes > 0
    assert row.received_bytes > 600
    assert fresh == tuple(
        FreshEndpoint(place.dc_id, place.address, place.port, place.secret or b"")
        for place in PLACES
    )
    assert "10.1.2.3" not in repr(row)
    assert "example.org" not in repr(fresh)


def test_the_request_is_padded_as_the_clients_pad_it() -> None:
    """With letters and digits, of any length from 13 to 128."""
    sizes = set()
    for _ in range(60):
        _, _, sent = fetch(Arrival(0.1, b""))
        target = re.match(rb"GET (\S+) HTTP/1.1\r\n", sent)
        assert target is not None
        query = parse_qs(urlsplit(target[1].decode()).query)
        assert (query["name"], query["type"]) == ([NAME], ["16"])
        (padding,) = query["random_padding"]
        assert padding.isascii()
        assert padding.isalnum()
        sizes.add(len(padding))
    assert len(sizes) > 10
    assert PADDING_CHARS[0] <= min(sizes) <= max(sizes) <= PADDING_CHARS[1]


def test_it_accepts_the_json_form_and_nothing_else() -> None:
    """A resolver with two forms gives the other one otherwise."""
    _, _, sent = fetch(Arrival(0.1, b""))

    assert re.findall(rb"(?i)\r\naccept: (.*?)\r\n", sent) == [b"application/dns-json"]
    assert b"\r\nHost: dns.example\r\n" in sent


def test_a_text_is_asked_for_as_any_page() -> None:
    row, fresh, sent = fetch(Arrival(0.1, page(text().encode())), spec=TEXT_SPEC)

    assert (row.failure, len(fresh)) == (None, 3)
    assert sent.startswith(b"GET /config.txt HTTP/1.1\r\nHost: front.example\r\n")
    assert b"\r\nAccept: */*\r\n" in sent


def test_a_path_without_a_query_gets_one() -> None:
    spec = SpecialConfig(host="a", path="/a", form="dns_json", timeout_s=8.0)
    _, _, sent = fetch(Arrival(0.1, b""), spec=spec)

    assert sent.startswith(b"GET /a?random_padding=")


def test_any_status_will_do() -> None:
    """A signature is worth more than a status."""
    row, fresh, _ = fetch(Arrival(0.1, page(answer(text()), b"404 Not Found")))

    assert (row.failure, row.status_code, len(fresh)) == (None, 404, 3)


@pytest.mark.parametrize(
    ("expires", "word"),
    [(NOW - DAY, "special_config_expired"), (NOW + 3 * DAY, "special_config_not_yet_valid")],
)
def test_out_of_date(expires: datetime, word: str) -> None:
    """Signed: so it is known until when it held, and nobody is sent there."""
    row, fresh, _ = fetch(Arrival(0.1, page(answer(text(expires=expires)))))

    assert row.failure == f"unknown_failure: {word}"
    assert (row.config_endpoints, row.config_expires) == (3, expires.date().isoformat())
    assert fresh == ()


@pytest.mark.parametrize(
    ("body", "word", "detail"),
    [
        (b"<h1>Blocked 93.184.216.34", "special_config_not_dns_json", None),
        (answer(None), "special_config_not_found", "response code 3"),
        (answer(text()[4:]), "special_config_wrong_length", "340 characters"),
        (answer("A" + text()[1:]), "special_config_bad_signature", None),
        (answer(text(key=new_signing_key())), "special_config_bad_signature", None),
        (b" " * MAX_BODY_BYTES + answer(text()), "special_config_not_dns_json", None),
    ],
    ids=["page", "no name", "cut", "changed", "stranger", "too long"],
)
def test_what_comes_in_its_place(body: bytes, word: str, detail: str | None) -> None:
    row, fresh, _ = fetch(Arrival(0.1, page(body)))

    assert (row.failure, row.failure_detail) == (f"unknown_failure: {word}", detail)
    assert (row.status_code, row.config_endpoints, row.config_expires) == (200, None, None)
    assert fresh == ()


def test_the_services_own_key_alone() -> None:
    """A lab's signature is nothing to a plan that does not name the lab's key."""
    spec = SpecialConfig(host=SPEC.host, path=SPEC.path, form=SPEC.form, timeout_s=8.0)
    row, _, _ = fetch(Arrival(0.1, page(answer(text()))), spec=spec)

    assert row.failure == "unknown_failure: special_config_bad_signature"


@pytest.mark.parametrize(
    ("arrivals", "failure", "status"),
    [
        ([Arrival(0.1, b"")], "eof_error", None),
        ([Arrival(0.1, page(answer(text()))[:300]), Arrival(0.2, b"")], "eof_error", 200),
        ([Arrival(0.1, errno.ECONNRESET)], "connection_reset", None),
        ([Arrival(0.1, b"Blocked\r\n\r\n")], "http_request_failed", None),
        ([Arrival(0.1, page(answer(text()))[:300])], "generic_timeout_error", 200),
        ([], "generic_timeout_error", None),
    ],
    ids=["close", "close in the body", "reset", "no http", "stall", "silence"],
)
def test_an_answer_cut_off(arrivals: list[Arrival], failure: str, status: int | None) -> None:
    """What arrived before is known; the deadline is the plan's."""
    row, fresh, _ = fetch(*arrivals)

    assert (row.failure, row.status_code, fresh) == (failure, status, ())
    assert row.t - row.t0 <= SPEC.timeout_s + 1e-6
    if failure == "generic_timeout_error":
        assert row.t - row.t0 == pytest.approx(SPEC.timeout_s)


def test_a_key_that_is_none_is_a_fault_of_the_list() -> None:
    """Not of the network: nothing is sent."""
    spec = SpecialConfig(host="a", path="/", form="text", timeout_s=8.0, public_keys=("no key",))
    with pytest.raises(ValueError):
        fetch(spec=spec)


def test_cancelling_propagates() -> None:
    """Somebody else's cancellation gives no observation."""

    async def scene() -> bool:
        row = Row(HOST)
        connection = FakeTcpConnection(row)
        context = context_of(FakeNetwork([row]), address=HOST)
        with trio.move_on_after(1) as outer:
            await special_config(context, SPEC, connection, connection)
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)


@pytest.mark.anyio
async def test_a_real_peer_over_tls() -> None:
    """Bytes are counted below TLS, and the kernel's counters are there."""
    authority = trustme.CA()
    trust = TrustStores({"ours": [authority.cert_pem.bytes().decode()]})
    network = TrioNetwork()
    now = network.wall_clock()
    response = page(answer(text(expires=now + DAY)))
    peer = tls(server_context(authority, SPEC.host), after_hello(response))  # type: ignore[arg-type] # a stream is a stream

    async with tcp_peer(peer) as port:
        connection = network.open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            stream = TlsStream(connection, trust.context("ours", ()), SPEC.host)
            await stream.handshake()
            context = context_of(network, address=loopback.ADDRESS)
            row, fresh = await special_config(context, SPEC, stream, connection)
        finally:
            connection.close()

    assert (row.failure, row.config_endpoints, len(fresh)) == (None, 3, 3)
    assert row.received_bytes > len(response)
    if connection.tcp_info() is not None:
        assert row.tcp_unacked == 0
        assert row.bytes_received is not None
