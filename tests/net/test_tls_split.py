"""A split hello as it leaves: packets and records of a real kernel, to a real server."""

import json
import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest

import netns

pytestmark = pytest.mark.netns

NAME: Final = "web.messenger.test"
PROGRAM: Final = Path(__file__).parent / "hello_on_the_wire.py"
P384: Final = "secp384r1"
"""No profile sends a share of it, so the server asks for a second hello."""

SPLITS: Final = (None, "segments", "records")
CASES: Final = (
    *product(("default", "tls12"), SPLITS, (NAME,), ("TLSv1_3", "TLSv1_2"), (None,)),
    *product(("default",), SPLITS, (NAME,), ("TLSv1_3",), (P384,)),
    *product(("default",), SPLITS, ("localhost", "127.0.0.1"), ("TLSv1_3",), (None,)),
)
BROWSERS: Final = tuple(
    product(("chrome", "firefox", "safari"), SPLITS, (NAME,), ("TLSv1_3", "TLSv1_2"), (None, P384))
)

Case = tuple[str, str | None, str, str, str | None]


@cache
def played(cases: tuple[Case, ...]) -> dict[Case, dict[str, Any]]:
    done = subprocess.run(
        netns.words(sys.executable, str(PROGRAM)),
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(cases, json.loads(done.stdout), strict=True))


def records_of(stream: bytes) -> list[bytes]:
    """Return a stream's TLS records, headers included."""
    found, at = [], 0
    while at < len(stream):
        end = at + 5 + int.from_bytes(stream[at + 3 : at + 5], "big")
        found.append(stream[at:end])
        at = end
    return found


def check(case: Case, seen: dict[str, Any]) -> None:
    profile, split, name, highest, group = case
    packets = [bytes.fromhex(data) for data in seen["packets"]]
    stream = b"".join(packets)
    records = records_of(stream)
    wanted = name.encode()
    is_old = profile == "tls12" or highest == "TLSv1_2"
    assert seen["version"] == ("TLSv1.2" if is_old else "TLSv1.3")
    assert seen["echoed"] == "x"
    n_hellos = 2 if group and highest == "TLSv1_3" else 1
    if name == "127.0.0.1":
        assert wanted not in stream
    elif split is None:
        assert stream.count(wanted) == n_hellos
        assert sum(wanted in record for record in records) == n_hellos
    else:
        assert not any(wanted in packet for packet in packets if split == "segments")
        assert not any(wanted in record for record in records if split == "records")
    assert any(
        sum(map(len, packets[:n])) == seen["first_flight_bytes"] for n in range(1, len(packets) + 1)
    )
    if split == "records":
        assert [record[0] for record in records[:2]] == [22, 22]
        assert all(len(record) > 5 for record in records)
    if profile == "tls12" and split != "segments":
        assert len(packets[0]) == seen["first_flight_bytes"]  # one write, one packet
    if split == "segments":
        assert len(packets[0]) < seen["first_flight_bytes"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_piece_holds_the_name(case: Case) -> None:
    """Without a split one does; with one the server still completes, and is verified."""
    check(case, played(CASES)[case])


@pytest.mark.parametrize("case", BROWSERS, ids=str)
def test_browsers_hellos_are_split_alike(case: Case) -> None:
    """Wherever in the hello the name is: Chrome varies that, and the hello is long."""
    pytest.importorskip("utls")
    check(case, played(BROWSERS)[case])
