"""No secret reaches disk in any case, and the format's own words survive every secret."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facts import RUN, Scene
from probe.model.codec import decode_line, encode_line, flatten
from probe.model.observation import Certificate, Header, Observation
from probe.model.verdict import Verdict
from probe.store.redact import MIN_SECRET_CHARS, REDACTED, Redactor

HOST_LIKE = st.text(
    "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789.-_@éßİ", min_size=4, max_size=20
).filter(lambda text: text != "127.0.0.1")
FREE = (
    "hostname",
    "address",
    "server_name",
    "endpoint_id",
    "member",
    "failure_detail",
    "title",
    "path",
    "alpn",
    "cipher_suite",
)


def row_saying(text: str) -> Observation:
    """Return an observation in which a peer says something wherever it can."""
    certificate = Certificate(
        sha256="ab" * 32,
        subject=f"CN={text}",
        issuer=text,
        not_before="2026-01-01T00:00:00Z",
        not_after="2027-01-01T00:00:00Z",
        subject_alt_names=(text, "www.example.org"),
    )
    scene = Scene().lookup("udp", None, [text])
    return msgspec.structs.replace(
        scene.rows[0],
        headers=(Header(name="location", value=f"http://portal.example/?host={text}&x"),),
        peer_certificates=(certificate,),
        **dict.fromkeys(FREE, text),
    )


def stored(redactor: Redactor, row: Observation) -> str:
    """Return the row's values as they would be stored."""
    return str(list(redactor.apply(flatten(RUN, row)).values()))


@given(HOST_LIKE, st.sampled_from([str, str.upper, str.lower, str.swapcase]))
def test_no_secret_survives_in_any_case(secret: str, change: object) -> None:
    """Wherever a peer repeats it, and however it writes it."""
    said = change(secret)  # type: ignore[operator] # one of str's methods
    # What the secret shares with the format's own words is not the secret's.
    quiet = stored(Redactor([secret]), row_saying("quiet"))
    if secret.lower() in quiet.lower() or said.lower() in quiet.lower():
        return
    text = stored(Redactor([secret]), row_saying(said))
    assert said not in text
    assert secret not in text


@given(st.ip_addresses(v=4).map(str).filter(lambda address: address != "127.0.0.1"))
def test_an_address_is_found_with_dashes_too(address: str) -> None:
    """As reverse DNS names write it."""
    dashed = address.replace(".", "-")
    redactor = Redactor([address])
    for said in (address, f"host-{dashed}.isp.example", f"{dashed}.ISP.example"):
        text = stored(redactor, row_saying(said))
        assert address not in text
        assert dashed not in text


@given(st.lists(HOST_LIKE, max_size=4))
def test_several_secrets(secrets: list[str]) -> None:
    """One inside the other, or overlapping: the longest goes first."""
    said = " ".join(secrets)
    text = Redactor(secrets).apply(said)
    assert all(secret not in text for secret in secrets)


OWN_WORDS = st.sampled_from(
    [
        "test",
        "none",
        "control",
        "reset",
        "connection",
        "2026",
        "telegram",
        "error",
        "0123",
        "abab",
        "o0000",
        "system",
        "NOERROR",
        "any_of",
        "home",
        "unknown",
        "reachable",
        "https",
    ]
)


@settings(max_examples=60)
@given(st.lists(st.one_of(OWN_WORDS, HOST_LIKE), max_size=3))
def test_a_redacted_line_is_a_line(secrets: list[str]) -> None:
    """A host called "test" does not make results unreadable."""
    redactor = Redactor(secrets)
    for text in ("quiet", "x" * 200):
        row = row_saying(text)
        columns = redactor.apply(flatten(RUN, row))
        line = msgspec.json.encode(columns)
        decoded = decode_line(line, Observation)
        assert decoded.run.run_id == RUN.run_id
        assert decoded.value.role == "test"
        assert decoded.value.observation_id == row.observation_id


def test_columns_do_not_outgrow_their_bounds() -> None:
    """A bounded column full of short secrets still decodes."""
    row = msgspec.structs.replace(row_saying("quiet"), failure_detail="abcd" * 50)
    columns = Redactor(["abcd"]).apply(flatten(RUN, row))
    decoded = decode_line(msgspec.json.encode(columns), Observation)

    assert decoded.value.failure_detail == REDACTED * 50


def test_verdicts_are_redacted_too() -> None:
    """Members are addresses and names as well."""
    verdict = Verdict(
        target_id="a/web",
        service_id="a",
        combination_rule="all_of",
        state="blocked",
        rule_id="tls.rst_contrast",
        rules_version=1,
        n_ok=0,
        n_total=1,
        attempts=1,
        control_state="ok",
        controls_ok=2,
        controls_total=2,
        failed_members=("router.home.example",),
    )
    columns = Redactor(["router.home.example", "blocked"]).apply(flatten(RUN, verdict))

    assert columns["failed_members"] == [REDACTED]
    assert columns["state"] == "blocked"


@pytest.mark.parametrize("secret", ["pc", "a", "", "localhost", "LOCALHOST", "127.0.0.1", "::1"])
def test_common_and_short_strings_are_no_secrets(secret: str) -> None:
    """They name nobody and would damage facts."""
    assert len(secret) < MIN_SECRET_CHARS or Redactor([secret]).apply(secret) == secret
    assert Redactor([secret]).apply("a pc on localhost at 127.0.0.1") == (
        "a pc on localhost at 127.0.0.1"
    )


def test_without_secrets_nothing_changes() -> None:
    """The stored line is the encoded one."""
    row = row_saying("anything")
    assert Redactor([]).apply(flatten(RUN, row)) == msgspec.json.decode(encode_line(RUN, row))
