"""An explanation says what the verdict rests on, all of it, and nothing else."""

import unicodedata
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facts import Scene
from model.values import values_of
from probe.model.observation import Certificate, FollowUp, Observation
from probe.model.verdict import Rival, Verdict
from probe.verdict import RULES_VERSION
from probe.verdict.explain import (
    MAX_FACTS,
    PURPOSES,
    STATE_MEANINGS,
    explain,
    fact,
    named_by,
    plain,
)
from probe.verdict.judge import judge
from probe.verdict.rules import RULES

A = "91.108.56.1"
OK = (("tcp", None), ("tls", None))
RESET = (("tcp", None), ("tls", "connection_reset"))
GLOSSARY = Path(__file__).parents[2] / "docs" / "glossary.md"


def reset_after_the_name(*controls: str | None) -> Scene:
    """Two hellos with the name are reset; one with a harmless name is not."""
    scene = Scene().controls(*controls)
    for _ in range(2):
        sent = {"server_name": "a.example", "bytes_acked": 1, "sent_bytes": 517}
        scene.chain(*RESET, address=A, **sent, tcp_rtt_s=0.1)
    return scene.chain(
        *OK, address=A, role="contrast", follow_up="other_name", server_name="b.example"
    )


def test_every_part_of_a_verdict_is_there() -> None:
    """Facts, rule, counts, rivals on both sides, what would change it, who says so."""
    rows = reset_after_the_name(None, None).rows
    (verdict,) = judge(rows)
    rule = RULES[verdict.rule_id]

    explained = explain(verdict, rows)

    assert explained.said == f"a/web: {verdict.summary}"
    assert len(explained.facts) == len(named_by(verdict))
    assert rule.needs in explained.rule[0]
    assert "2 of 2 tries failed as the rule says" in explained.counts
    assert "1 of 1 contrasts passed" in explained.counts
    assert "0 of 1 members work" in explained.counts
    assert "2 of 2 controls answered (ok)" in explained.counts
    for rival, line in zip(verdict.rivals, explained.ruled_out, strict=False):
        assert line == f"{rival.cause}: by {', '.join(rival.ruled_out_by)}"
    assert explained.ruled_out[-1] == f"by the rule: {rule.excludes}"
    assert explained.not_ruled_out == verdict.open_rivals
    assert (explained.changes, explained.source) == (rule.changes, rule.source)


def test_facts_are_told_as_they_were_seen() -> None:
    """Time, place, name, outcome, and what TCP knows; the oldest first."""
    rows = reset_after_the_name(None, None).rows
    (verdict,) = judge(rows)

    first, _, last = explain(verdict, rows[::-1]).facts

    assert first.endswith(
        "tls a.example at 91.108.56.1:443: connection_reset after 0.05 s; "
        "517 bytes sent, 0 acknowledged"
    )
    assert last.endswith("tls b.example at 91.108.56.1:443, with a harmless name: passed")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"step": "tcp", "address": "2001:db8::1", "port": 443}, "to [2001:db8::1]:443: passed"),
        (
            {"step": "tcp", "failure": "host_unreachable", "icmp_type": 3, "icmp_code": 13,
             "icmp_origin": "path", "address": A, "port": 443, "tcp_retransmits": 2},
            "host_unreachable after 0.05 s; sent again 2 times; ICMP 3/13 from the path",
        ),
        (
            {"step": "tls", "failure": "ssl_unknown_authority", "peer_certificates": (
                Certificate(sha256="0" * 64, subject="CN=a", issuer="CN=Qaznet", not_before="2019",
                            not_after="2020", subject_alt_names=()),)},
            "certificate by CN=Qaznet for CN=a, 2019 to 2020",
        ),
        (
            {"step": "http", "address": A, "port": 80, "status_code": 403, "title": "Blocked",
             "body_bytes": 9, "first_byte_s": 0.01},
            ':80: passed; first byte after 0.010 s; status 403 "Blocked"; 9 bytes of body',
        ),
        (
            {"step": "http", "path": "/x", "hostname": "a.example", "address": A, "port": 80},
            f"http /x of a.example at {A}:80: passed",
        ),
        ({"step": "tls", "loop_lag_s": 0.9}, "passed; our own delay 0.9 s"),
        ({"step": "tls", "follow_up": "hop", "hop_limit": 3}, "passed; after 3 hops at most"),
        ({"step": "tls", "proxy_id": "proxy-1", "tactic": "socks5"}, ", via proxy-1: passed"),
        ({"step": "mtproto", "mtproto_transport": "full", "address": A}, f"mtproto (full) to {A}"),
        ({"step": "tls", "role": "control"}, ", control: passed"),
    ],
)  # fmt: skip
def test_a_fact_has_its_particulars(columns: dict[str, object], said: str) -> None:
    """What a rule may have looked at can be read."""
    assert said in fact(Scene().add(**columns))


def test_each_answer_to_a_question_is_told() -> None:
    """Two answers to one query are what injection looks like."""
    scene = Scene().lookup("udp", None, ["203.0.113.9"], ["93.184.216.34"])

    text = fact(scene.rows[0])

    assert "dns A a.example from udp: passed" in text
    assert text.endswith("203.0.113.9 after 0.010 s; 93.184.216.34 after 0.020 s")


def test_of_many_facts_each_kind_is_shown() -> None:
    """The one contrast that passed is not lost behind thirty resets."""
    scene = Scene().controls(None, None)
    for _ in range(30):
        scene.chain(*RESET, address=A)
    rows = scene.chain(*OK, address=A, role="contrast").rows
    (verdict,) = judge(rows)
    named = len(named_by(verdict))
    assert named > MAX_FACTS

    facts = explain(verdict, rows).facts

    assert len(facts) == MAX_FACTS + 1
    assert facts[-1] == f"and {named - MAX_FACTS} more"
    assert sum("passed" in line for line in facts) == 1


def test_what_is_missing_is_counted() -> None:
    """Facts that are gone are not passed over."""
    rows = reset_after_the_name(None, None).rows
    (verdict,) = judge(rows)

    facts = explain(verdict, []).facts

    assert facts == ("3 named by the verdict, not among the facts",)


def test_a_verdict_that_is_held_back_says_so() -> None:
    """One control that answers does not carry what the rule could say."""
    rows = reset_after_the_name(None, "generic_timeout_error").rows
    (verdict,) = judge(rows)

    explained = explain(verdict, rows)

    assert verdict.state != RULES[verdict.rule_id].state
    assert any("may say at most: blocked" in line for line in explained.rule)
    assert "1 of 2 controls answered (degraded)" in explained.counts


def test_verdicts_of_other_rules_are_told_apart() -> None:
    """By an older version: said. By a rule that is no more: said too, and nothing made up."""
    rows = reset_after_the_name(None, None).rows
    (verdict,) = judge(rows)
    old = msgspec.structs.replace(verdict, rules_version=RULES_VERSION + 1)
    gone = msgspec.structs.replace(old, rule_id="tls.no_more")

    assert "results rejudge" in explain(old, rows).rule[-1]
    explained = explain(gone, rows)
    assert "has no such rule" in explained.rule[0]
    assert (explained.changes, explained.source) == ("", "")


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(values_of(Verdict), st.lists(values_of(Observation), max_size=4))
def test_no_peer_steers_the_terminal(verdict: Verdict, rows: list[Observation]) -> None:
    """Whatever is stored can be explained, in lines of bounded length without controls."""
    named = tuple(row.observation_id for row in rows)
    verdict = msgspec.structs.replace(
        verdict, reasons=named, rivals=(Rival(cause="\x1b[2J" * 99, ruled_out_by=named),)
    )
    explained = explain(verdict, rows)

    for part in (explained.facts, explained.rule, explained.counts, explained.ruled_out):
        for line in part:
            assert len(line) < 2000
            assert not any(unicodedata.category(c)[0] == "C" for c in line)


@given(st.text())
def test_foreign_text_is_one_bounded_line(text: str) -> None:
    shown = plain(text)

    assert len(shown) <= 80
    assert shown.isprintable() or any(unicodedata.category(c)[0] == "Z" for c in shown)


def test_every_purpose_and_state_can_be_said() -> None:
    """A new kind of probe needs words; a state's are the glossary's."""
    assert set(PURPOSES) == set(get_args(FollowUp))
    glossary = GLOSSARY.read_text(encoding="utf-8")
    for state, meaning in STATE_MEANINGS.items():
        assert f"| `{state}` | {meaning} |" in glossary
