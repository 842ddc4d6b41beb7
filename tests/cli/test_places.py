"""URLs and hosts of ``check``, from the command line and from files."""

from pathlib import Path

import pytest

from probe.cli.errors import CommandError
from probe.cli.inputs import select_targets


@pytest.mark.parametrize(
    "places",
    [
        ["https://a.example/x", "https://a.example/y"],
        ["https://a.example:80/", "http://a.example/"],
        ["a_b.example", "a-b.example"],
        ["2001:db8::1", "2001:db8:1::"],
        [f"{'a' * 60}.one.example", f"{'a' * 60}.two.example"],
    ],
)
def test_places_that_differ_are_targets_that_differ(places: list[str]) -> None:
    """Ids have few letters and no paths; one target of two was lost without a word."""
    items = [f"https://[{place}]" if place.count(":") > 2 else place for place in places]
    targets = select_targets(items).targets

    assert len(targets.targets) == len(places)
    assert {target.service for target in targets.targets} == {s.id for s in targets.services}


def test_the_same_place_twice_is_one_target() -> None:
    assert (
        len(select_targets(["a.example", "https://a.example/", "A.example"]).targets.targets) == 1
    )


def test_each_host_of_a_file_is_a_service_of_its_own(tmp_path: Path) -> None:
    """Hosts of one service that are silent together are evidence; strangers are not."""
    path = tmp_path / "list.txt"
    path.write_bytes("".join(f"https://h{n}.example/\r\n" for n in range(100)).encode("utf-8-sig"))
    targets = select_targets([str(path)]).targets

    assert len({target.service for target in targets.targets}) == 100


def test_a_bad_line_is_named_by_its_number_in_the_file(tmp_path: Path) -> None:
    """Comments and empty lines count, as in an editor."""
    path = tmp_path / "list.txt"
    path.write_text("# mine\n\n  # too\nhttps://a.example\nftp://b.example\n")
    with pytest.raises(CommandError) as caught:
        select_targets([str(path)])

    assert caught.value.lines[0].startswith(f"{path}:5: ")
