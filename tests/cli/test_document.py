"""docs/commands.md is what the parsers say."""

from pathlib import Path

from probe.cli.document import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"


def test_the_page_of_commands_is_up_to_date() -> None:
    """`python -m probe.cli.document > docs/commands.md` writes it."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_command_has_its_heading_and_every_row_two_cells() -> None:
    """A bar within a cell would begin another."""
    lines = page().splitlines()
    headings = [line for line in lines if line.startswith("## ")]
    rows = [line for line in lines if line.startswith("|")]

    for command in (
        "check",
        "watch",
        "schedule install",
        "consent grant",
        "targets import",
        "lab up",
    ):
        assert f"## `reachwatch {command}`" in headings
    assert len(headings) == len(set(headings))
    assert {row.replace(r"\|", "").count("|") for row in rows} == {3}
