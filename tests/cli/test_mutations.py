"""200 malformed target lists and 200 damaged result files, through the command itself."""

import gzip
import json
import random
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from censorlab.process import LabProcess
from probe.cli.main import main

N_MUTANTS = 200


@pytest.fixture(scope="session")
def one_run(session_lab: LabProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result files of one real run against the lab."""
    folder = tmp_path_factory.mktemp("one-run")
    session_lab.apply(())
    subprocess.run(
        [sys.executable, "-m", "probe.cli.main", "check", str(session_lab.targets_path), "-q"],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    return folder / "results"


def breakages(document: Any, chance: random.Random) -> Iterator[Callable[[], None]]:
    """Yield ways to break a JSON document in place, at nodes chosen by chance."""
    nodes: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = node.keys() if isinstance(node, dict) else range(len(node))
        for key in list(keys):
            nodes.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(document)
    while True:
        node, key = chance.choice(nodes)
        wrong = chance.choice([None, -1, "\x00", [[]], {"x": 1}, 1e300, True])

        def replace(node: Any = node, key: Any = key, wrong: Any = wrong) -> None:
            node[key] = wrong

        yield replace


def test_malformed_target_lists_are_named(
    tmp_path: Path, lab: LabProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of 200 broken lists: exit 3, every line names file and JSON path, no traceback."""
    original = lab.targets_path.read_bytes()
    chance = random.Random(1)
    path = tmp_path / "targets.json"
    broken = 0
    while broken < N_MUTANTS:
        if chance.random() < 0.3:
            cut = chance.randrange(len(original))
            data = original[:cut] + chance.choice([b"", b"\xff", b"}", b"]]"])
        else:
            document = json.loads(original)
            next(breakages(document, chance))()
            data = json.dumps(document).encode()
        path.write_bytes(data)
        code = main(["targets", "validate", str(path)])
        said = capsys.readouterr()
        if code == 0:
            continue  # the mutation left a valid list, such as a cleared optional text
        broken += 1

        assert code == 3
        assert said.err
        for line in said.err.splitlines():
            assert line.startswith(f"{path}: $")
        assert main(["check", str(path), "--dry-run"]) == 3
        assert "Traceback" not in capsys.readouterr().err


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Damage a gzip file of JSON lines in one of four ways."""
    match chance.randrange(4):
        case 0:
            return data[: chance.randrange(1, len(data) - 1)]
        case 1:
            at = chance.randrange(12, len(data))
            return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
        case 2:
            lines = gzip.decompress(data).splitlines()
            at = chance.randrange(len(lines))
            document = json.loads(lines[at])
            name = chance.choice(sorted(document))
            if chance.random() < 0.5:
                del document[name]
            else:
                document[name] = {"not": "this"}
            lines[at] = json.dumps(document).encode()
            return gzip.compress(b"\n".join(lines) + b"\n")
        case _:
            return chance.randbytes(chance.randrange(0, 400))


def is_whole(data: bytes, original: bytes) -> bool:
    """A bit that pads deflate's blocks (RFC 1951, 3.2.4) may flip: the lines are the same."""
    try:
        return gzip.decompress(data) == gzip.decompress(original)
    except (EOFError, OSError, zlib.error):
        return False


def test_damaged_results_are_named(
    tmp_path: Path, one_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of 200 damaged files: exit 3, the file and line named, no traceback."""
    chance = random.Random(2)
    folder = tmp_path / "results"
    shutil.copytree(one_run, folder)
    files = sorted(folder.rglob("*.jsonl.gz"))
    originals = {path: path.read_bytes() for path in files}
    for _ in range(N_MUTANTS):
        path = chance.choice(files)
        while is_whole(data := damaged(originals[path], chance), originals[path]):
            pass
        path.write_bytes(data)

        for words in (["verify", str(folder)], ["list", str(folder)], ["show", str(path)]):
            code = main(["results", *words])
            said = capsys.readouterr()

            assert code == 3, (words, said)
            assert f"{path}:" in said.err
            assert "Traceback" not in said.err
        path.write_bytes(originals[path])
    assert main(["results", "verify", str(folder)]) == 0


def test_a_report_is_drawn_from_what_is_readable(
    tmp_path: Path, one_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Damage in the facts is named and exits 3; the page is there all the same."""
    folder = tmp_path / "results"
    shutil.copytree(one_run, folder)
    facts = next(folder.rglob("*.obs.jsonl.gz"))
    facts.write_bytes(facts.read_bytes()[:-30])
    page = tmp_path / "report.html"

    code = main(["report", str(folder), "-o", str(page)])

    assert code == 3
    assert f"{facts}:" in capsys.readouterr().err
    assert "Damaged input: 1 place" in page.read_text()
