"""Partial blocks of Telegram's own data centres come out as n of N, with the right ones named.

Each in a namespace that has the real addresses of those that answer; the others are silent.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import netns

pytestmark = pytest.mark.netns

POOL, MEDIA = "telegram/dc_pool", "telegram/media"
LIMIT_S = 120.0
WORLD = Path(__file__).with_name("partial_world.py")

BLOCKS: dict[str, tuple[dict[str, list[Any]], list[list[str]]]] = {
    "two of five": ({"members": [f"{POOL}/dc1", f"{POOL}/dc3"]}, [[]]),
    "one port": ({"ports": [443]}, [[]]),
    "IPv4": ({"families": [4]}, [[], ["-4"]]),
    "media": ({"targets": [MEDIA]}, [[]]),
}
"""What is silent, and the options of each run in that world."""

Document = dict[str, Any]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Document]]:
    """The documents of every world's runs; they run at once, for all of them mostly wait."""
    if shutil.which("nft") is None:
        pytest.skip("needs nft(8) from nftables")
    started = {}
    for name, arranged in BLOCKS.items():
        words = [sys.executable, str(WORLD), *map(json.dumps, arranged)]
        started[name] = subprocess.Popen(
            netns.words(*words, setup=netns.SILENT_WORLD),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path_factory.mktemp("world"),
            env=netns.ENVIRONMENT,
        )
    documents = {}
    for name, process in started.items():
        out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, err
        documents[name] = json.loads(out)
    return documents


def verdict(document: Document, target: str) -> Document:
    (one,) = (
        each
        for each in document["verdicts"]
        if (each["target_id"], each["tactic"]) == (target, "none")
    )
    assert one["control_state"] == "ok"
    return dict(one)


def counted(one: Document) -> tuple[int, int, list[str]]:
    return one["n_ok"], one["n_total"], one["failed_members"]


def test_two_data_centres_of_five(found: dict[str, list[Document]]) -> None:
    (document,) = found["two of five"]
    pool = verdict(document, POOL)

    assert counted(pool) == (3, 5, ["dc1", "dc3"])
    assert (pool["state"], pool["mechanism"]) == ("impaired", "ip_drop")
    assert counted(verdict(document, MEDIA)) == (2, 2, [])
    assert verdict(document, MEDIA)["state"] == "ok"


def test_one_port_of_all(found: dict[str, list[Document]]) -> None:
    """Every data centre can be reached, by another port; what the verdict points to is the one."""
    (document,) = found["one port"]
    rows = {row["observation_id"]: row for row in document["observations"]}
    for target, n_total in ((POOL, 5), (MEDIA, 2)):
        one = verdict(document, target)

        assert counted(one) == (n_total, n_total, [])
        assert (one["mechanism"], one["rule_id"]) == ("port_block", "tcp.port_everywhere")
        ends = {(rows[each]["port"], rows[each]["failure"] is None) for each in one["reasons"]}
        assert ends == {(443, False), (5222, True)}


def test_one_family(found: dict[str, list[Document]]) -> None:
    """Each is reached by IPv6; asked for IPv4 alone, none is, and all are named."""
    both, four = found["IPv4"]
    passed = {
        (row["ip_version"], row["failure"] is None)
        for row in both["observations"]
        if row["target_id"] == POOL and row["step"] == "tcp" and row["role"] == "test"
    }

    assert passed == {(4, False), (6, True)}
    assert counted(verdict(both, POOL)) == (5, 5, [])
    assert counted(verdict(four, POOL)) == (0, 5, ["dc1", "dc2", "dc3", "dc4", "dc5"])
    assert verdict(four, POOL)["mechanism"] == "ip_drop"
    assert verdict(four, POOL)["state"] in {"blocked", "likely_blocked"}


def test_media_alone(found: dict[str, list[Document]]) -> None:
    (document,) = found["media"]
    media = verdict(document, MEDIA)

    assert counted(verdict(document, POOL)) == (5, 5, [])
    assert verdict(document, POOL)["state"] == "ok"
    assert counted(media) == (0, 2, ["dc2_media", "dc4_media"])
    assert media["mechanism"] == "ip_drop"
    assert media["state"] != "ok"
