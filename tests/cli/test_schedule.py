"""Timers: read back by the programs and formats they are written for."""

import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.cli.machine_options import KINDS
from probe.cli.main import main
from probe.cli.timers import MARK, Job, timer

WORDS = ("/opt/x y/python", "-m", "probe.cli.main", "check", 'a "b" 100% $HOME', "it's", "\\")
HOME, FOLDER = Path("/home/ä b"), Path("/srv/100% of it")


def job(minutes: int = 360, salt: str = "s") -> Job:
    return Job(WORDS, minutes, HOME, FOLDER, salt)


@pytest.fixture
def crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A crontab program that keeps its file here, holding somebody else's line."""
    table = tmp_path / "table"
    table.write_text("5 4 * * * somebody else's\n")
    program = tmp_path / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nif [ "$1" = -l ]; then cat {table}; else cat > {table}; fi\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return table


def agree(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grant in a folder of settings of this test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    assert main(["consent", "grant", "measure"]) == 0


def test_install_keeps_other_lines_and_remove_leaves_them(
    crontab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice installed is once installed; what was shown is what is written."""
    before = crontab.read_text()
    agree(crontab.parent, monkeypatch)
    for _ in range(2):
        assert main(["schedule", "install", "--kind", "cron", "--yes", "--", "signal", "-4"]) == 0
    lines = crontab.read_text().splitlines()

    assert lines[:1] == before.splitlines()
    assert len(lines) == 2
    assert lines[1].endswith(MARK)
    assert "check --quiet signal -4" in lines[1]
    assert lines[1] in capsys.readouterr().out
    assert main(["schedule", "remove", "--kind", "cron"]) == 0
    assert crontab.read_text() == before


def test_nothing_is_installed_without_consent_or_an_answer(
    crontab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timer measures when nobody can be asked, so agreement comes first; a variable of the
    shell that installs it is not there when it runs."""
    before = crontab.read_text()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("REACHWATCH_CONSENT", "measure")
    assert main(["schedule", "install", "--kind", "cron", "--yes"]) == 4
    agree(tmp_path, monkeypatch)
    assert main(["schedule", "install", "--kind", "cron"]) == 4
    assert crontab.read_text() == before


def test_a_crontab_that_cannot_be_read_is_not_replaced(
    crontab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be read would be lost by writing; that there is none yet is another matter."""
    agree(crontab.parent, monkeypatch)
    install = ["schedule", "install", "--kind", "cron", "--yes"]
    before = crontab.read_text()
    program = crontab.parent / "bin" / "crontab"
    whole = program.read_text()
    for said, code in (("cannot open spool: I/O error", 3), ("no crontab for somebody", 0)):
        program.write_text(whole.replace(f"cat {crontab};", f"echo {said} >&2; exit 1;"))
        assert main(install) == code
        assert (crontab.read_text() == before) == (code == 3)
    assert "nothing is written" in capsys.readouterr().err


def test_what_a_failed_install_wrote_can_be_removed(
    crontab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no systemd runs its program fails, and files were left that nothing took away."""
    home = crontab.parent / "home"
    monkeypatch.setenv("HOME", str(home))
    agree(crontab.parent, monkeypatch)
    program = crontab.parent / "bin" / "systemctl"
    program.write_text("#!/bin/sh\necho no bus >&2; exit 1\n")
    program.chmod(0o755)
    words = ["--kind", "systemd", "--yes", "--", "--proxy", "socks5://u:secret@h:1"]
    assert main(["schedule", "install", *words]) == 3
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert main(["schedule", "remove", "--kind", "systemd"]) == 3
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_words_that_check_does_not_know_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A timer's runs complain to nobody."""
    assert main(["schedule", "show", "--kind", "cron", "--", "--fail-on", "bad"]) == 2
    assert main(["schedule", "show", "--kind", "cron", "--folder", "/no/such"]) == 3
    assert main(["schedule", "show", "--kind", "cron", "--", "a\udc80"]) == 2
    assert "not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["reachwatch", "reachwatch-0.1.0-py3.11-x86_64.pyz"])
def test_a_timer_starts_the_program_that_made_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python alone finds no module inside a one-file archive, or in the Debian package."""
    script = tmp_path / name
    script.touch()
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert main(["schedule", "show", "--kind", "cron"]) == 0
    assert f"{sys.executable} {script} check" in capsys.readouterr().out


@pytest.mark.parametrize("kind", KINDS)
def test_show_writes_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints every file, line and command."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["schedule", "show", "--kind", kind]) == 0
    assert "check" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*"))


@given(
    minutes=st.sampled_from([15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440]), salt=st.text()
)
def test_a_crontab_runs_as_often_as_asked(minutes: int, salt: str) -> None:
    """Counted over a day; another salt, another minute."""
    line = timer("cron", job(minutes, salt)).crontab_line
    assert line is not None
    minute, hour, *rest = line.split(" ")[:5]
    hours = range(24) if hour == "*" else [int(h) for h in hour.split(",")]

    assert rest == ["*", "*", "*"]
    assert len(minute.split(",")) * len(hours) == 1440 // minutes
    assert all(0 <= int(m) < 60 for m in minute.split(","))


def test_a_crontab_says_every_word_as_it_is(tmp_path: Path) -> None:
    """Cron takes a backslash before a per cent sign away, and a shell the rest."""
    folder = tmp_path / "100% of it"
    folder.mkdir()
    echo = (sys.executable, "-c", "import sys; open('said', 'w').write(repr(sys.argv[1:]))")
    line = timer("cron", Job((*echo, *WORDS), 60, HOME, folder, "")).crontab_line
    assert line is not None
    command = line.split(" ", 5)[5].removesuffix(MARK).replace(r"\%", "%")
    subprocess.run(["/bin/sh", "-c", command], check=True)

    assert (folder / "said").read_text() == repr(list(WORDS))


@pytest.mark.parametrize("minutes", [25, 45, 300, 1441])
def test_times_that_a_crontab_cannot_keep_are_said(minutes: int) -> None:
    with pytest.raises(ValueError, match="a crontab keeps"):
        timer("cron", job(minutes))


@pytest.mark.parametrize("every", ["1m", "8d", "0h", "6", "h", "-1h"])
def test_other_times_are_usage(every: str) -> None:
    assert main(["schedule", "show", "--kind", "systemd", f"--every={every}"]) == 2


def test_a_plist_and_a_task_say_every_word() -> None:
    """Read by their own parsers."""
    plist = plistlib.loads(timer("launchd", job()).files[0][1].encode())
    text = timer("windows", job()).files[0][1].replace(' encoding="UTF-16"', "")
    task = ET.fromstring(text)
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}

    assert tuple(plist["ProgramArguments"]) == WORDS
    assert plist["StartInterval"] == 360 * 60
    assert task.findtext(".//t:Command", namespaces=space) == WORDS[0]
    assert task.findtext(".//t:Interval", namespaces=space) == "PT360M"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Without a word of complaint."""
    command = (sys.executable, "-m", "probe.cli.main", "check", "100% of $it")
    found = timer("systemd", Job(command, 360, tmp_path, tmp_path, ""))
    for path, text in found.files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    paths = [str(path) for path, _ in found.files]
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", *paths],
        capture_output=True, text=True, check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "reachwatch" in line]

    assert said == []
