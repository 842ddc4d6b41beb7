"""Records of type HTTPS (RFC 9460, RFC 9848): what is kept of them, and whose key counts."""

import base64

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ech_peer import Key, published
from probe.wire.dns import MalformedMessageError, Record, build_query, parse_response

NAME = "www.example.org"
QUERY = build_query(NAME, "HTTPS", 0x1234)
LIST = published(Key())
OTHER_LIST = published(Key(config_id=9))
NEWEST = "1 . alpn=h3,h2 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1 ech={ech}"


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def reply(*records: str, query: bytes = QUERY, kind: str = "HTTPS") -> bytes:
    message = dns.message.make_response(dns.message.from_wire(query))
    for record in records:
        text = record.format(ech=base64_of(LIST), other=base64_of(OTHER_LIST))
        message.answer.append(dns.rrset.from_text(f"{NAME}.", 300, "IN", kind, text))
    return message.to_wire()


def test_a_record_with_a_key() -> None:
    """The list comes out as it was published; the words name no address."""
    response = parse_response(reply(NEWEST), QUERY)

    assert response.matches
    assert response.records == (Record("HTTPS", "alpn=h3,h2 ech", 300),)
    assert response.ech_config_list == LIST


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 .", "service"),
        ("1 . alpn=h2", "alpn=h2"),
        ("1 . alpn=http/1.1,h2,192.0.2.1", "alpn=h2,http/1.1"),
        ("1 . alpn=192.0.2.1", "service"),
        ("1 . port=8443 ech={ech}", "ech"),
        ("0 192-0-2-1.example.", "alias"),
        ("1 . key65000=192.0.2.1", "service"),
    ],
)
def test_the_words(text: str, words: str) -> None:
    """Nothing that a stranger can fill with an address is kept."""
    assert parse_response(reply(text), QUERY).records == (Record("HTTPS", words, 300),)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (("1 . alpn=h2",), None),
        (("0 other.example.",), None),
        (("2 . ech={other}", "1 . ech={ech}"), LIST),
        (("1 . alpn=h2", "2 . ech={ech}"), LIST),
        (("1 . port=8443 ech={other}", "2 . ech={ech}"), LIST),
        (("1 . port=443 ech={ech}",), LIST),
        (("1 other.example. ech={other}", "2 . ech={ech}"), LIST),
        ((f"1 {NAME}. ech={{ech}}",), LIST),
        (("1 . mandatory=ech,alpn alpn=h2 ech={ech}",), LIST),
        (("1 . mandatory=key65000 key65000=x ech={ech}",), None),
    ],
)
def test_whose_key_counts(records: tuple[str, ...], expected: bytes | None) -> None:
    """That of the most preferred record that is about the name itself, on its own port."""
    assert parse_response(reply(*records), QUERY).ech_config_list == expected


@pytest.mark.parametrize("query_type", ["A", "AAAA"])
def test_nobody_else_is_told(query_type: str) -> None:
    """Who asked for addresses gets addresses, whatever else is in the answer."""
    query = build_query(NAME, query_type, 0x1234)  # type: ignore[arg-type] # one of three
    response = parse_response(reply(NEWEST, query=query), query)

    assert (response.records, response.ech_config_list) == ((), None)


def test_an_alias_before_it_is_an_alias() -> None:
    """A CNAME may lead to the record."""
    query = dns.message.from_wire(reply(NEWEST))
    query.answer.insert(0, dns.rrset.from_text(f"{NAME}.", 300, "IN", "CNAME", "a.example."))
    response = parse_response(query.to_wire(), QUERY)

    assert [record.type for record in response.records] == ["CNAME", "HTTPS"]
    assert response.ech_config_list == LIST


REAL = reply(NEWEST, "0 other.example.", "2 . mandatory=alpn alpn=h2 no-default-alpn port=8443")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    wire = bytearray(REAL)
    for _ in range(draw(st.integers(0, 6))):
        wire[draw(st.integers(0, len(wire) - 1))] = draw(st.integers(0, 255))
    return bytes(wire[: draw(st.integers(0, len(wire)))]) + draw(st.binary(max_size=20))


@given(damaged())
def test_no_answer_raises_anything_else(wire: bytes) -> None:
    """It is understood, or malformed; what is kept is short and without addresses."""
    try:
        response = parse_response(wire, QUERY)
    except MalformedMessageError:
        return
    for record in response.records:
        if record.type == "HTTPS":
            words = record.value.split()
            assert set(words) <= {"alias", "service", "ech"} | {w for w in words if "alpn=" in w}
            assert len(record.value) < 40
