"""The question is asked in the person's language, and answered by the same keys in all."""

import os
import pty
import sys
from pathlib import Path

import pytest

from probe.cli.consent import MAX_LINES, require_measure
from probe.cli.errors import CommandError
from probe.locale import NAMES, Language


@pytest.mark.parametrize("code", NAMES)
def test_eight_lines_that_one_can_read(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal: what it does, who sees it, how many hosts, and the default is no."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("REACHWATCH_CONSENT", raising=False)
    say = Language(code)
    ours, theirs = pty.openpty()
    os.write(ours, b"l\n\n")
    with (
        os.fdopen(theirs, encoding="utf-8", closefd=False) as typed,
        os.fdopen(theirs, "w", encoding="utf-8") as shown,
        monkeypatch.context() as patch,
    ):
        patch.setattr(sys, "stdin", typed)
        patch.setattr(sys, "stderr", shown)
        with pytest.raises(CommandError) as refused:
            require_measure(is_given=False, hosts=lambda: ["example.org"] * 21, say=say)
        text = os.read(ours, 65536).decode()
    os.close(ours)

    before = text[text.index("reachwatch") : text.index("[y/N/l]")]
    assert len(before.splitlines()) <= MAX_LINES
    assert "21" in before
    assert "example.org" in text
    assert refused.value.lines == (say("nothing was measured"),)
    assert ("from this network" in before) is (code == "en")
