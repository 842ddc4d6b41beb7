"""Fingerprints: every row finds what it is for, says where it comes from, and nothing benign."""

import re
import re._constants as nodes
import re._parser as parser
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts import Scene
from probe.model.observation import Header, Observation
from probe.verdict import fingerprints
from probe.verdict.fingerprints import (
    AnswerFingerprint,
    BadFingerprintError,
    Fingerprint,
    IssuerFingerprint,
    PageFingerprint,
    answers,
    issuers,
    match_answer,
    match_issuer,
    match_page,
    pages,
    parse_rows,
)
from probe.wire.http1 import HttpExchange
from probe.wire.visible_text import visible_text

COUNTRIES = set(
    re.findall(
        "..",
        "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBO"
        "BQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZDEDJ"
        "DKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGP"
        "GQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKG"
        "KHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKML"
        "MMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPE"
        "PFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSL"
        "SMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUM"
        "USUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW",
    )
)
"""ISO 3166-1, assigned codes."""

EVERY: Sequence[Fingerprint] = (*pages(), *answers(), *issuers())
PATTERNS = tuple(row for row in EVERY if not isinstance(row, AnswerFingerprint))


def read_benign() -> list[dict[str, Any]]:
    place = resources.files("probe.verdict") / "data" / "benign.toml"
    return list(tomllib.loads(place.read_text(encoding="utf-8"))["page"])


BENIGN = read_benign()


def by_id(row: Fingerprint | dict[str, Any]) -> str:
    return str(row["id"] if isinstance(row, dict) else row.id)


def answer(**columns: Any) -> Observation:
    """Return an answer over plain HTTP."""
    return Scene().add(step="http", port=80, **columns)


def header(line: str) -> Header:
    name, _, value = line.partition(": ")
    return Header(name=name, value=value)


def answer_with(page: PageFingerprint, sample: str) -> Observation:
    """Return an answer that has the sample where the fingerprint looks for it."""
    columns: dict[str, Any] = {"status_code": page.statuses[0] if page.statuses else 200}
    if page.kind == "title":
        columns["title"] = sample
    elif page.kind == "text":
        columns["body_text"] = sample
    else:
        line = f"location: http://{sample}/x?y" if page.kind == "location_host" else sample
        columns["headers"] = (header(line),)
    return answer(**columns)


def test_there_is_something_to_find() -> None:
    """Of every kind, and of many countries."""
    assert len(pages()) >= 25
    assert {page.kind for page in pages()} == {"text", "title", "location_host", "header"}
    assert len({country for page in pages() for country in page.countries}) >= 20
    assert {row.kind for row in answers()} == {"censor", "borrowed", "product"}
    assert {row.kind for row in issuers()} == {"state", "local"}


@pytest.mark.parametrize("page", pages(), ids=by_id)
def test_a_page_is_known_by_its_samples(page: PageFingerprint) -> None:
    """By this row, or by one that is as specific and looks at the same part."""
    for sample in page.samples:
        found = match_page(answer_with(page, sample))
        assert found is not None
        assert found.confidence == page.confidence
        assert set(page.countries) <= set(found.countries) or not found.countries
        assert re.search(page.pattern, sample, re.IGNORECASE)


@pytest.mark.parametrize("page", [p for p in pages() if p.kind == "text"], ids=by_id)
def test_samples_are_as_pages_read(page: PageFingerprint) -> None:
    """A pattern for what `visible_text` leaves out would never match."""
    for sample in page.samples:
        assert visible_text(sample.encode(), "utf-8") == sample


@pytest.mark.parametrize("page", [p for p in pages() if p.statuses], ids=by_id)
def test_another_status_is_another_page(page: PageFingerprint) -> None:
    """Where the row names the status."""
    row = answer_with(page, page.samples[0])
    other = answer(status_code=200, title=row.title, body_text=row.body_text, headers=row.headers)
    assert match_page(other) is None


@pytest.mark.parametrize("page", BENIGN, ids=by_id)
def test_nothing_benign_is_known(page: dict[str, Any]) -> None:
    """Firewalls of sites, sign-in pages, unpaid bills, filters of companies, the news."""
    exchange = HttpExchange("www.example.org", "/", max_body_bytes=65536)
    body = page["html"].encode()
    lines = [f"HTTP/1.1 {page['status']} X", f"Content-Length: {len(body)}"]
    exchange.receive("\r\n".join([*lines, "Content-Type: text/html", "", ""]).encode() + body)
    row = answer(
        status_code=exchange.status_code,
        title=exchange.title(),
        body_text=visible_text(exchange.body, exchange.charset),
        headers=tuple(header(line) for line in page.get("headers", ())),
    )
    assert match_page(row) is None


IRAN = (
    b"HTTP/1.1 403 Forbidden\r\nConnection:close\r\n\r\n<html><head>"
    b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1256"><title>M1-6\n'
    b'</title></head><body><iframe src="http://10.10.34.34?type=x"></iframe></body></html>'
)
RUSSIA = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=windows-1251\r\n\r\n<h1>"
    + "Домен внесён в Единый<br>реестр доменных имён, указателей страниц сайтов".encode("cp1251")
)
RUSSIA_ELSEWHERE = b"HTTP/1.1 302 Found\r\nLocation: http://warning.rt.ru/?id=1&rs=a\r\n\r\n"
KOREA = (
    b"HTTP/1.0 200 OK\r\n\r\n<html><head>"
    b'<META http-equiv=refresh content="0;URL=http://warning.or.kr/"></head></html>'
)


@pytest.mark.parametrize(
    ("fingerprint_id", "response"),
    [
        ("ir_code_title", IRAN),
        ("ru_register", RUSSIA),
        ("ru_rostelecom_host", RUSSIA_ELSEWHERE),
        ("kr_warning_frame", KOREA),
    ],
)
def test_whole_answers(fingerprint_id: str, response: bytes) -> None:
    """From the bytes on the wire."""
    exchange = HttpExchange("www.example.org", "/", max_body_bytes=65536)
    exchange.receive(response)
    found = match_page(
        answer(
            status_code=exchange.status_code,
            title=exchange.title(),
            body_text=visible_text(exchange.body, exchange.charset),
            headers=tuple(Header(name=n, value=v) for n, v in exchange.headers),
        )
    )
    assert found is not None
    assert found.id == fingerprint_id


def test_a_specific_page_comes_before_a_generic_one() -> None:
    """Both match here; what names an authority says more."""
    row = answer(
        headers=(header("location: https://warning.rt.ru:443/?id=1"),),
        body_text="Access to this website is blocked by order of the court",
    )
    found = match_page(row)
    assert found is not None
    assert (found.id, found.confidence) == ("ru_rostelecom_host", "specific")


@pytest.mark.parametrize(
    "location",
    [
        "http://warning.rt.ru/?id=7",
        "HTTP://WARNING.RT.RU",
        "//warning.rt.ru#x",
        "http://me@warning.rt.ru:80/",
        "http://warning.rt.ru./",
    ],
)
def test_the_host_of_a_redirect(location: str) -> None:
    """However the address is written."""
    assert match_page(answer(headers=(header(f"location: {location}"),))) is not None


@pytest.mark.parametrize(
    "location",
    ["http://a.example/?to=//warning.rt.ru/", "warning.rt.ru", "/warning.rt.ru", "http://", ""],
)
def test_a_host_elsewhere_in_a_redirect_means_nothing(location: str) -> None:
    """A path and a query are other people's words."""
    assert match_page(answer(headers=(header(f"location: {location}"),))) is None


def test_another_header_is_no_redirect() -> None:
    """Only Location sends anybody anywhere."""
    assert match_page(answer(headers=(header("via: http://warning.rt.ru/"),))) is None


def test_an_answer_without_anything_is_unknown() -> None:
    """Nothing to look at."""
    assert match_page(answer()) is None


@pytest.mark.parametrize("row", answers(), ids=by_id)
def test_every_address_is_known(row: AnswerFingerprint) -> None:
    """And by this row alone: an address in two rows would be two things."""
    for address in row.addresses:
        assert match_answer(address.partition("/")[0]) is row
    assert len(set(row.addresses)) == len(row.addresses)


@pytest.mark.parametrize("row", answers(), ids=by_id)
def test_who_owns_an_address(row: AnswerFingerprint) -> None:
    """Borrowed addresses and products name theirs; censors' are nobody else's."""
    assert bool(row.owner) == (row.kind != "censor")
    assert bool(row.countries) == (row.kind != "product")


def test_an_address_in_any_notation() -> None:
    """IPv6 has many."""
    found = match_answer("2a03:2880:f130:0083:FACE:b00c:0:25de")
    assert found is not None
    assert (found.id, found.owner) == ("cn_gfw_meta_ipv6", "Meta")
    teredo = match_answer("2001:0:1234::1")
    assert teredo is not None
    assert teredo.id == "cn_gfw_teredo"


@pytest.mark.parametrize(
    "address", ["149.154.167.50", "1.1.1.1", "10.10.34.37", "::1", "127.0.0.1", "a.example", ""]
)
def test_other_answers_are_unknown(address: str) -> None:
    """A bogon is not a fingerprint, and a name is not an address."""
    assert match_answer(address) is None


@pytest.mark.parametrize("row", issuers(), ids=by_id)
def test_an_issuer_is_known_by_its_samples(row: IssuerFingerprint) -> None:
    """By this row alone."""
    for sample in row.samples:
        assert match_issuer(sample) is row
    assert bool(row.countries) == (row.kind == "state")


@pytest.mark.parametrize(
    "name",
    [
        "CN=R11,O=Let's Encrypt,C=US",
        "CN=DigiCert TLS RSA SHA256 2020 CA1,O=DigiCert Inc,C=US",
        "CN=GTS CA 1C3,O=Google Trust Services LLC,C=US",
        "CN=Cloudflare Inc ECC CA-3,O=Cloudflare\\, Inc.,C=US",
        "CN=Cisco Systems RSA OV SSL ICA,O=Cisco Systems\\, Inc.,C=US",
        "CN=GlobalSign RSA OV SSL CA 2018,O=GlobalSign nv-sa,C=BE",
        "CN=Go Daddy Secure Certificate Authority - G2,O=GoDaddy.com\\, Inc.,C=US",
        "CN=Information Security Office CA,O=Example University",
        "CN=www.example.org",
        "unparsable",
        "",
    ],
)
def test_ordinary_issuers_are_unknown(name: str) -> None:
    """Public authorities, and a company's own."""
    assert match_issuer(name) is None


@pytest.mark.parametrize("row", EVERY, ids=by_id)
def test_every_row_says_where_it_comes_from(row: Fingerprint) -> None:
    """A source and countries that exist; no machine's path."""
    assert len(row.provenance) >= len("generic wording")
    assert set(row.countries) <= COUNTRIES
    assert list(row.countries) == list(dict.fromkeys(row.countries))


def test_ids_are_unique_across_the_files() -> None:
    """A verdict names a fingerprint by its id alone."""
    ids = [row.id for row in EVERY]
    assert sorted(ids) == sorted(set(ids))


@pytest.mark.parametrize("page", [p for p in pages() if p.confidence == "generic"], ids=by_id)
def test_generic_wording_is_marked_so(page: PageFingerprint) -> None:
    """And is at home nowhere."""
    assert page.provenance.startswith("generic wording")
    assert not page.countries


@pytest.mark.parametrize("page", [p for p in pages() if p.confidence == "specific"], ids=by_id)
def test_a_specific_page_is_at_home_somewhere(page: PageFingerprint) -> None:
    """What names a law or a provider names a country."""
    assert page.countries


def repeats(tree: Iterable[Any], outer: int = 1) -> Iterable[int]:
    """Yield, for every repetition in a parsed pattern, how often it may run at most."""
    for operation, argument in tree:
        if operation in {nodes.MAX_REPEAT, nodes.MIN_REPEAT, nodes.POSSESSIVE_REPEAT}:
            _, most, inner = argument
            yield outer * int(most)
            yield from repeats(inner, outer * int(most))
        elif operation is nodes.BRANCH:
            for branch in argument[1]:
                yield from repeats(branch, outer)
        elif operation is nodes.SUBPATTERN:
            yield from repeats(argument[-1], outer)
        elif operation in {nodes.ASSERT, nodes.ASSERT_NOT}:
            yield from repeats(argument[1], outer)


@pytest.mark.parametrize("row", PATTERNS, ids=by_id)
def test_no_pattern_repeats_without_a_bound(row: PageFingerprint | IssuerFingerprint) -> None:
    """All is looked for in at most 500 characters, so bounded repetition is bounded work."""
    tree = parser.parse(row.pattern, re.IGNORECASE)
    assert max(repeats(tree), default=0) <= 400


@pytest.mark.parametrize("pattern", ["(a+)+b", "a*", "(a{0,30}){0,30}", "x(?:y|z+)"])
def test_the_bound_is_checked(pattern: str) -> None:
    """The test above sees what it is for."""
    assert max(repeats(parser.parse(pattern))) > 400


@given(st.data())
def test_no_answer_is_too_odd(data: st.DataObject) -> None:
    """Any text made of pieces of the samples: an answer or none, never an error."""
    pieces = st.sampled_from([s for row in pages() for s in row.samples] + [" ", ".", "→", "//"])
    text = "".join(data.draw(st.lists(pieces, max_size=12)))
    headers = (header(f"location: {text[:300]}"), header(f"server: {text[:300]}"))
    row = answer(title=text[:200], body_text=text[:500], headers=headers, status_code=403)
    found = match_page(row)
    assert found is None or found in pages()
    match_issuer(text)
    match_answer(text)


GOOD = """
[[page]]
id = "a_page"
kind = "text"
pattern = "blocked"
confidence = "generic"
provenance = "generic wording"
samples = ["blocked"]
"""


def test_a_good_row() -> None:
    """What a row needs."""
    (row,) = parse_rows(GOOD, "x.toml", "page", PageFingerprint)
    assert (row.id, row.countries, row.statuses) == ("a_page", (), ())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (GOOD.replace("text", "smell"), r"^x\.toml: row a_page: .*smell"),
        (GOOD.replace('provenance = "generic wording"\n', ""), r"row a_page: .*provenance"),
        (GOOD.replace('["blocked"]', "[]"), "row a_page: .*samples"),
        (GOOD + 'countries = ["Russia"]', "row a_page: .*countries"),
        (GOOD + "colour = 1", "row a_page: .*colour"),
        (GOOD + GOOD, "row a_page: the id is taken"),
        (GOOD.replace('id = "a_page"', ""), "row 1: .*id"),
        (GOOD.replace("[[page]]", "[[pages]]"), r"x\.toml: only \[\[page\]\]"),
        (GOOD.replace("[[page]]", "[page]"), r"x\.toml: only \[\[page\]\]"),
        ("page = [1]", "row 1: "),
        ("page = [", r"^x\.toml: "),
    ],
)
def test_a_bad_row_is_named(text: str, complaint: str) -> None:
    """File, row, and what is wrong with it."""
    with pytest.raises(BadFingerprintError, match=complaint):
        parse_rows(text, "x.toml", "page", PageFingerprint)


def test_a_bad_pattern_is_named() -> None:
    """As a row is."""
    with pytest.raises(BadFingerprintError, match=r"x\.toml: a_page: "):
        fingerprints._compiled("x.toml", "a_page", "(")


def test_nothing_is_read_before_it_is_needed() -> None:
    """Start-up pays for no file and no pattern."""
    code = (
        "import sys\n"
        "from probe.verdict import fingerprints as f\n"
        "caches = [f.pages, f.answers, f.issuers]\n"
        "print(sum(c.cache_info().currsize for c in caches))\n"
        "print([n for n in ('trio', 'ssl', 'h11', 'cryptography') if n in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["0", "[]"]
