"""``targets import`` as a person uses it: what is written, what is said, how it ends."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from probe.cli.errors import EXIT_BAD_INPUT, EXIT_OK, EXIT_USAGE, CommandError
from probe.cli.targets import targets_command
from probe.cli.targets_import_options import add_targets_import_parser
from probe.wire.lists.read import FORMATS

HOW_TO = Path(__file__).parent.parent.parent / "docs" / "how-to-import-a-list.md"

LIST = """url,category_code,category_description,date_added,source,notes
https://a.example/,HUMR,Human Rights Issues,2014-04-15,me,blocked since 2012
http://b.example/x,NEWS,News Media,2015-01-01,me,
https://a.example/,HUMR,Human Rights Issues,2016-01-01,me,again
http://192.168.0.1/,MISC,Misc,2016-01-01,me,a router
"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    add_targets_import_parser(made.add_subparsers(dest="action"))
    return made


def run(*words: str) -> int:
    return targets_command(parser().parse_args(["import", *words]))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(LIST)
    return path


def check(action: str, path: Path) -> int:
    return targets_command(argparse.Namespace(action=action, file=str(path)))


def test_a_file_is_written_that_validate_and_list_accept(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = source.with_name("out.json")

    assert run(str(source), "-o", str(output)) == EXIT_OK
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "line 5: not mapped: not a public address: kept out",
        "line 4: merged: the same as line 2",
        "citizenlab: 2 imported as 2 targets, 1 merged, 1 not mapped",
    ]
    assert check("validate", output) == check("list", output) == EXIT_OK
    assert "a.example/https" in capsys.readouterr().out


def test_nothing_is_lost(source: Path) -> None:
    """Each entry stands beside the list: what became of it, and what had no place."""
    run(str(source), "-o", str(source.with_name("out.json")))

    first, *lines = map(json.loads, source.with_name("out.import.jsonl").read_text().splitlines())
    assert first["license"] == "CC-BY-NC-SA-4.0"
    assert [line["outcome"] for line in lines] == ["imported", "imported", "merged", "not_mapped"]
    assert lines[0]["target_ids"] == lines[2]["target_ids"] == ["a.example/https"]
    assert [line["kept"].get("notes") for line in lines] == [
        "blocked since 2012",
        None,
        "again",
        "a router",
    ]


def test_importing_again_gives_the_same_bytes(source: Path) -> None:
    files = [source.with_name(name) for name in ("one.json", "two.json")]
    for file in files:
        run(str(source), "-o", str(file))

    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(p.name for p in source.parent.iterdir()) == [
        "list.csv",
        "one.import.jsonl",
        "one.json",
        "two.import.jsonl",
        "two.json",
    ]


def test_without_a_file_standard_output_is_the_list_and_nothing_else(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(source)) == EXIT_OK
    assert json.loads(capsys.readouterr().out)["updated"] == "2016-01-01"


def test_local_places_come_in_on_request(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(source), "--private") == EXIT_OK
    assert "192.168.0.1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("proxies.txt", "socks5://u:hunter2@p.example:1080\n", "reachwatch proxies"),
        ("bad.csv", "url,notes\nhttps://a.example,\xe9\n", "line 2: byte 0xe9 is not UTF-8"),
        ("list.json", '{"schema_version": "1.0", "targets": []}', "target list already"),
        ("what.txt", "some words of no known form\n", "--from"),
        ("list.json", '{"nettests": [', "not JSON: line 1"),
    ],
)
def test_what_cannot_be_imported_ends_with_3_and_writes_nothing(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    source = tmp_path / name
    source.write_bytes(content.encode("latin-1"))
    with pytest.raises(CommandError) as error:
        run(str(source), "-o", str(tmp_path / "out.json"))

    assert error.value.exit_code == EXIT_BAD_INPUT
    assert words in str(error.value)
    assert "hunter2" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_places_that_cannot_be_read_or_written_end_with_3(source: Path) -> None:
    for words in (["nowhere.csv"], [str(source), "-o", str(source / "x" / "out.json")]):
        with pytest.raises(CommandError) as error:
            run(*words)
        assert error.value.exit_code == EXIT_BAD_INPUT


def test_the_source_is_not_written_over(source: Path) -> None:
    with pytest.raises(CommandError) as error:
        run(str(source), "-o", str(source))

    assert error.value.exit_code == EXIT_USAGE
    assert source.read_text() == LIST


def test_a_machine_without_pyyaml_is_told_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    source = tmp_path / "gatus.yaml"
    source.write_text("endpoints:\n  - {name: a, url: 'https://a.example'}\n")
    with pytest.raises(CommandError) as error:
        run(str(source))

    assert error.value.exit_code == EXIT_BAD_INPUT
    assert "reachwatch[yaml]" in str(error.value)


def test_the_formats_offered_are_those_that_are_read() -> None:
    for form in FORMATS:
        assert parser().parse_args(["import", "x", "--from", form]).form == form


def test_the_how_to_runs_as_printed(tmp_path: Path) -> None:
    """Every block, one after the other, in an empty folder; the output shown is what comes."""
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    command = tmp_path / "bin" / "reachwatch"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m probe.cli.main "$@"\n')
    command.chmod(0o755)
    text = HOW_TO.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    done = [
        subprocess.run(
            ["sh", "-ec", block],
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for block in blocks
    ]

    assert [(each.returncode, each.stderr) for each in done if each.returncode] == []
    assert done[0].stderr in text
