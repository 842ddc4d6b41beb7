"""Data do not depend on who measured: stored files and every format for programs are English."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from probe.cli.formats.wanted import FORMATS

FOREIGN = re.compile("[\u0400-\u04ff\u0600-\u06ff\u3000-\u9fff]")
FILES = sorted(set(FORMATS) - {"table"})
VARYING = {"run_id", "measurement_start_time", "targets_sha256", "reasons", "ruled_out_by"}
"""What differs between any two runs: times, the lab's ports, and the order of its facts."""


def measured(folder: Path, language: str) -> str:
    """Check a simulated block, its files written into a folder; return what the person reads."""
    wanted = [word for name in FILES for word in ("-f", f"{name}={name}.out")]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "probe.cli.main", "check", "--lab", "sni_rst"),
            *("--lang", language, "--seed", "1", "-q", "-f", "table", *wanted),
        ],
        capture_output=True, encoding="utf-8", cwd=folder, timeout=60, check=False,
        env={"PATH": "", "PYTHONUTF8": "1", "HOME": str(folder), "LANG": "zh_CN.UTF-8"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """The same thing measured by a person in Persian, and in English."""
    found = {}
    for language in ("en", "fa"):
        folder = tmp_path_factory.mktemp(language)
        found[language] = (folder, measured(folder, language))
    return found


def without_varying(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_varying(one) for name, one in value.items() if name not in VARYING}
    return [without_varying(one) for one in value] if isinstance(value, list) else value


def test_the_person_reads_their_language(runs: dict[str, tuple[Path, str]]) -> None:
    """Or the rest of this page would say nothing."""
    assert FOREIGN.search(runs["fa"][1])
    assert not FOREIGN.search(runs["en"][1])


@pytest.mark.parametrize("name", FILES)
def test_what_programs_read_is_english(name: str, runs: dict[str, tuple[Path, str]]) -> None:
    """In every format, in its very keys and words."""
    said = {
        language: (folder / f"{name}.out").read_text(encoding="utf-8")
        for language, (folder, _) in runs.items()
    }
    assert said["fa"].strip()
    assert not FOREIGN.search(said["fa"])
    shapes = [re.sub(r"[0-9a-f]{16,}|[\d.:TZ-]+", "#", text) for text in said.values()]
    if name not in {"json", "ndjson"}:
        # All but numbers, times and ids.
        assert shapes[0] == shapes[1]


def test_the_document_is_the_same(runs: dict[str, tuple[Path, str]]) -> None:
    """Verdicts and answers of one and of the other, but for times and ids."""
    documents = [
        without_varying(json.loads((folder / "json.out").read_bytes()))
        for folder, _ in runs.values()
    ]
    assert documents[0].keys() == documents[1].keys()
    assert documents[0]["answers"] == documents[1]["answers"]
    assert documents[0]["verdicts"] == documents[1]["verdicts"]


def test_what_is_stored_is_the_same(runs: dict[str, tuple[Path, str]]) -> None:
    """The summary of each verdict among it."""
    stored = []
    for folder, _ in runs.values():
        (path,) = folder.glob("results/**/*.verdict.jsonl.gz")
        text = gzip.decompress(path.read_bytes()).decode()
        assert not FOREIGN.search(text)
        stored.append([without_varying(json.loads(line)) for line in text.splitlines()])
    assert stored[0] == stored[1]
    assert any("likely blocked" in line.get("summary", "") for line in stored[0])
