"""DNS messages: what is sent, what is understood, and that nothing a peer sends raises
anything but MalformedMessageError."""

import struct

import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.wire.addresses import is_address
from probe.wire.dns import (
    MAX_ANSWERS,
    BadNameError,
    MalformedMessageError,
    Record,
    Response,
    build_query,
    frame,
    parse_response,
    unframe,
)

NAME = "www.example.org"
QUERY = build_query(NAME, "A", 0x1234)


def reply(*records: str, rcode: int = 0, query: bytes = QUERY) -> dns.message.Message:
    """Return a reply to the query; records are ``TYPE value``."""
    message = dns.message.make_response(dns.message.from_wire(query))
    message.set_rcode(rcode)  # type: ignore[arg-type] # any number may arrive
    for record in records:
        kind, value = record.split(" ", 1)
        message.answer.append(dns.rrset.from_text(f"{NAME}.", 300, "IN", kind, value))
    return message


REAL = reply(
    "CNAME star.example.net.", "A 93.184.216.34", "A 93.184.216.35", "AAAA 2001:db8::1"
).to_wire()


def test_a_query_asks_one_recursive_question_with_edns() -> None:
    """One question, RD set, EDNS0 with the flag-day size, the id that was given."""
    message = dns.message.from_wire(QUERY)
    assert message.id == 0x1234
    assert [(str(q.name), dns.rdatatype.to_text(q.rdtype)) for q in message.question] == [
        (f"{NAME}.", "A")
    ]
    assert message.flags == dns.flags.RD
    assert (message.edns, message.payload) == (0, 1232)


def test_an_international_name_is_sent_as_ascii() -> None:
    """IDNA, as applications send it."""
    assert b"xn--e1afmkfd" in build_query("пример.example", "A", 1)


@pytest.mark.parametrize(
    "name", ["a..b", ".a", "x" * 64 + ".example", "a." * 130, "xn--\udcff.example"]
)
def test_a_name_that_no_query_can_carry(name: str) -> None:
    """Empty and long labels, long names, lone surrogates."""
    with pytest.raises(BadNameError):
        build_query(name, "A", 1)


@given(st.text(max_size=300))
def test_any_text_makes_a_query_or_a_bad_name(name: str) -> None:
    """Names come from lists that people write."""
    try:
        query = build_query(name, "AAAA", 7)
    except BadNameError:
        return
    assert dns.message.from_wire(query).id == 7


def test_records_of_a_reply() -> None:
    """Addresses and aliases in order, without the root's dot."""
    assert parse_response(REAL, QUERY) == Response(
        rcode="NOERROR",
        matches=True,
        id_matches=True,
        is_truncated=False,
        records=(
            Record("CNAME", "star.example.net", 300),
            Record("A", "93.184.216.34", 300),
            Record("A", "93.184.216.35", 300),
            Record("AAAA", "2001:db8::1", 300),
        ),
    )


def test_other_types_are_left_out() -> None:
    """Signatures and texts are no answer to a question for addresses."""
    assert parse_response(reply('TXT "1.2.3.4"').to_wire(), QUERY).records == ()


@pytest.mark.parametrize(
    ("change", "matches", "id_matches"),
    [
        ({}, True, True),
        ({"id": 0x1235}, False, False),
        ({"flags": 0x0100}, False, True),
        ({"flags": 0x9180}, False, True),
        ({"question": []}, True, True),
    ],
    ids=["same", "other id", "a query", "other opcode", "no question"],
)
def test_what_matches_the_query(
    change: dict[str, object], *, matches: bool, id_matches: bool
) -> None:
    """Id, QR bit, opcode and question must match; an empty question is tolerated."""
    message = reply("A 1.2.3.4")
    for name, value in change.items():
        setattr(message, name, value)
    parsed = parse_response(message.to_wire(), QUERY)
    assert (parsed.matches, parsed.id_matches) == (matches, id_matches)


def test_a_reply_to_another_question_does_not_match() -> None:
    """Another name under the right id is somebody else's answer."""
    other = reply("A 1.2.3.4", query=build_query("www.example.com", "A", 0x1234)).to_wire()
    assert not parse_response(other, QUERY).matches


def test_names_are_compared_without_case() -> None:
    """Some resolvers change the case of the question."""
    shouting = REAL.replace(b"\x03www\x07example", b"\x03WWW\x07EXAMPLE", 1)
    assert parse_response(shouting, QUERY).matches


@pytest.mark.parametrize(
    ("rcode", "word"), [(2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (15, "15")]
)
def test_response_codes(rcode: int, word: str) -> None:
    """Mnemonics where there are any, and numbers where not."""
    assert parse_response(reply(rcode=rcode).to_wire(), QUERY).rcode == word


def test_truncation_is_told() -> None:
    """TC is no error of the message."""
    message = reply()
    message.flags |= dns.flags.TC
    assert parse_response(message.to_wire(), QUERY).is_truncated


def test_records_are_bounded() -> None:
    """A hostile message holds thousands."""
    many = reply(*(f"A 10.0.{i // 256}.{i % 256}" for i in range(2000))).to_wire(max_size=65535)
    assert len(parse_response(many, QUERY).records) == MAX_ANSWERS


@pytest.mark.parametrize("class_number", [2, 3, 4, 254, 255, 2748])
def test_records_of_other_classes_are_left_out(class_number: int) -> None:
    """An A record of class CH holds no address; one such datagram must not end a run."""
    question = QUERY[12 : 12 + len(NAME) + 2 + 4]
    for data in (b"\x01\x02\x03\x04", b"\x01b\x00\x00\x11"):
        record = b"\xc0\x0c" + struct.pack("!HHIH", 1, class_number, 60, len(data)) + data
        wire = QUERY[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + question + record
        try:
            records = parse_response(wire, QUERY).records
        except MalformedMessageError:
            continue
        assert records == ()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real message with bytes changed, cut short, or with rubbish behind it."""
    wire = bytearray(REAL)
    for _ in range(draw(st.integers(0, 6))):
        wire[draw(st.integers(0, len(wire) - 1))] = draw(st.integers(0, 255))
    return bytes(wire[: draw(st.integers(0, len(wire)))]) + draw(st.binary(max_size=20))


@given(st.one_of(damaged(), st.binary(max_size=600)))
def test_no_datagram_raises_anything_else(wire: bytes) -> None:
    """A message is understood, its addresses are addresses, or it is malformed."""
    try:
        response = parse_response(wire, QUERY)
    except MalformedMessageError:
        return
    for record in response.records:
        assert record.type == "CNAME" or is_address(record.value)
        assert record.ttl_s >= 0
    assert len(response.rcode) <= 16


@given(st.lists(st.binary(max_size=300), max_size=5), st.data())
def test_frames_come_apart_as_they_were_put_together(
    messages: list[bytes], data: st.DataObject
) -> None:
    """However the stream is cut into reads, the same messages come out (RFC 1035 4.2.2)."""
    stream = b"".join(map(frame, messages))
    found = []
    buffer = b""
    while stream:
        count = data.draw(st.integers(1, len(stream)))
        buffer, stream = buffer + stream[:count], stream[count:]
        while (split := unframe(buffer)) is not None:
            message, buffer = split
            found.append(message)
    assert (found, buffer) == (messages, b"")
