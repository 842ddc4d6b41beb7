"""What the table of verdicts keeps is what the rules said, and what a file leaves out counts."""

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.warehouse import build, open_tables
from analysis.warehouse.manifest import read_manifest
from analysis.warehouse.schema import VERDICT_LAYERS
from analysis.warehouse.verdict_rows import verdicts_of
from facts import RUN
from probe.model.codec import encode_line
from probe.model.observation import STEPS, TACTICS, Observation
from probe.model.verdict import (
    STATES,
    BenignCause,
    ControlState,
    Evidence,
    LayerCount,
    Mechanism,
    Verdict,
)
from probe.verdict.words import three_answers

COUNTS = st.integers(0, 2000)
WORDS = st.lists(st.text("abc0_.:-", min_size=1, max_size=9), max_size=3).map(tuple)
LAYERS = st.lists(st.sampled_from(VERDICT_LAYERS), unique=True).flatmap(
    lambda steps: st.tuples(
        *(
            st.builds(LayerCount, step=st.just(step), n_ok=COUNTS, n_total=COUNTS)
            for step in VERDICT_LAYERS
            if step in steps
        )
    )
)
VERDICTS = st.builds(
    Verdict,
    target_id=st.just("a/web"),
    service_id=st.just("a"),
    combination_rule=st.sampled_from(["any_of", "all_of"]),
    tactic=st.sampled_from(TACTICS),
    proxy_id=st.none() | st.just("proxy-1"),
    state=st.sampled_from(STATES),
    mechanism=st.none() | st.sampled_from(get_args(Mechanism)),
    benign_cause=st.none() | st.sampled_from(get_args(BenignCause)),
    stage=st.none() | st.sampled_from(STEPS),
    rule_id=st.just("tls.rst_contrast"),
    rules_version=st.integers(1, 99),
    n_ok=COUNTS,
    n_total=COUNTS,
    attempts=COUNTS,
    control_state=st.sampled_from(get_args(ControlState)),
    controls_ok=COUNTS,
    controls_total=COUNTS,
    layers=LAYERS,
    failed_members=WORDS,
    reasons=WORDS,
    open_rivals=WORDS,
    evidence=st.none()
    | st.builds(
        Evidence, n_failed=COUNTS, n_tried=COUNTS, contrast_ok=COUNTS, contrast_tried=COUNTS
    ),
    with_encrypted_dns=st.booleans(),
    failed_ports=st.lists(st.integers(1, 65535), max_size=3).map(tuple),
    failed_families=st.sampled_from([(), (4,), (6,), (4, 6)]),
    within_hops=st.none() | st.integers(1, 255),
    summary=st.text(max_size=20),
)


def stored(folder: Path, *facts: Verdict, lab: bool) -> Path:
    run = msgspec.structs.replace(RUN, lab=lab, run_id=f"{int(lab):016}")
    path = folder / f"run-{int(lab)}.verdict.jsonl"
    path.write_bytes(b"".join(encode_line(run, fact) for fact in facts))
    return path


@settings(max_examples=12, deadline=None)
@given(verdicts=st.lists(VERDICTS, min_size=1, max_size=12))
def test_a_verdict_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, verdicts: list[Verdict]
) -> None:
    """Also what is said of them in words."""
    folder = tmp_path_factory.mktemp("verdicts")
    build([stored(folder, *verdicts, lab=True)], folder / "w", with_ways=True, threads=1)
    rows = open_tables(folder / "w")["verdicts"].to_pyarrow().to_pylist()
    back = verdicts_of(rows)

    assert [verdict for _, verdict in back] == verdicts
    assert {(run.run_id, run.probe_cc, run.lab) for run, _ in back} == {
        ("0" * 15 + "1", RUN.probe_cc, True)
    }
    assert three_answers([verdict for _, verdict in back]) == three_answers(verdicts)


def verdict(**columns: Any) -> Verdict:
    base: dict[str, Any] = {
        "target_id": "a/web", "service_id": "a", "combination_rule": "all_of", "state": "ok",
        "rule_id": "way.works", "rules_version": 1, "n_ok": 1, "n_total": 1, "attempts": 1,
        "control_state": "ok", "controls_ok": 2, "controls_total": 2,
    }  # fmt: skip
    return Verdict(**(base | columns))


def test_rows_left_out_are_counted_with_their_file(tmp_path: Path) -> None:
    """Of real networks only: how the lab's censors are passed is nobody's danger."""
    ways = [verdict(), verdict(tactic="ech"), verdict(tactic="tls12")]
    for lab in (False, True):
        stored(tmp_path, *ways, lab=lab)
    built = build([tmp_path], tmp_path / "w", threads=1)
    manifest = read_manifest(tmp_path / "w")

    assert manifest is not None
    by_name = {entry.name: entry.n_withheld for entry in manifest.files.values()}
    assert by_name["run-0.verdict.jsonl"] == built.n_withheld > 0
    assert by_name["run-1.verdict.jsonl"] == 0
    assert not build([tmp_path], tmp_path / "all", with_ways=True, threads=1).n_withheld


TCP = Observation(
    observation_id="o00001", chain_id="c00001", step="tcp", role="test", service_id="a",
    target_id="a/web", combination_rule="all_of", control_id=None, endpoint_id="192.0.2.1:443",
    member="m", t0=0.0, t=0.1, failure=None, address="192.0.2.1", port=443, ip_version=4,
)  # fmt: skip


def test_a_number_larger_than_its_column_costs_its_line(tmp_path: Path) -> None:
    """JSON's numbers have no bound. File and line are named, and the others are read."""
    facts = [verdict(), verdict(target_id="a/pool", attempts=2**31), verdict(target_id="a/x")]
    path = stored(tmp_path, *facts, lab=True)
    observed = path.with_name("run-1.obs.jsonl")
    sizes = (5, 2**63)
    observed.write_bytes(
        b"".join(encode_line(RUN, msgspec.structs.replace(TCP, sent_bytes=n)) for n in sizes)
    )
    built = build([tmp_path], tmp_path / "w", threads=1)
    tables = open_tables(tmp_path / "w")

    assert {(fault.path, fault.number) for fault in built.faults} == {(path, 2), (observed, 2)}
    assert tables["verdicts"].count().execute() == 2
    assert tables["observations"].count().execute() == 1
