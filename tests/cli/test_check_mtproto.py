"""Data centres that misbehave, as a user's run sees them: each in its own way, none as working."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from censorlab.process import LabProcess
from censorlab.servers.data_centre import CentreKey
from probe.model.target import Endpoint, Service, Target, Targets

Command = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="each peer has an address of 127.0.0.0/8 of its own"
)

PROGRAM = Path(__file__).with_name("faulty_data_centres.py")
SERVICE, TARGET = "other", "other/dc_pool"
DC = 2

FAULTS = {
    "wrong_nonce": ("mtproto", "mtproto_wrong_nonce", None),
    "wrong_fingerprint": ("mtproto", "mtproto_unknown_keys", None),
    "404": ("mtproto", "mtproto_error_404", None),
    "429": ("mtproto", "mtproto_error_429", None),
    "another_centre": ("mtproto", "mtproto_error_444", None),
    "http": ("mtproto", "not_mtproto", "http"),
    "tls": ("mtproto", "not_mtproto", "tls"),
    # Offers Telegram's keys, and holds none of them.
    "impostor": ("mtproto_key", "mtproto_error_404", None),
}
"""Where each ends, and with which words of our own."""


SECRET = "00112233445566778899aabbccddeeff"
WRONG = "ffeeddccbbaa99887766554433221100"
SHOWN = b"www.alpha.test".hex()

PROXIES = [
    ("proxy", f"dd{SECRET}", ("mtproto", None)),
    ("proxy", f"ee{SECRET}{SHOWN}", ("mtproto", None)),
    ("proxy_with_a_site", f"ee{WRONG}{SHOWN}", ("proxy", "unknown_failure: faketls_masked")),
    ("proxy_to_others", f"ee{SECRET}{SHOWN}", ("mtproto", "eof_error")),
]
"""Which, the secret that is used there, and the step at which that ends, and how."""


@contextmanager
def centres(
    folder: Path, lab: LabProcess, key: CentreKey, faults: list[str]
) -> Iterator[dict[str, tuple[str, int]]]:
    site = next(one for one in lab.targets.controls if one.kind == "known_good")
    (folder / "key.pem").write_bytes(key.private_pem)
    words = [sys.executable, str(PROGRAM), str(folder / "key.pem")]
    words += [site.address, str(site.port), *faults]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        yield {
            fault: tuple(place) for fault, place in json.loads(process.stdout.readline()).items()
        }
        process.communicate()


def listed(lab: LabProcess, key: CentreKey, places: dict[str, tuple[str, int]]) -> Targets:
    """Return the lab's controls beside one target, of which each place is a member."""
    endpoints = tuple(
        Endpoint(address=address, port=port, probes=("tcp", "mtproto"), group=fault, dc_id=DC)
        for fault, (address, port) in places.items()
    )
    return msgspec.structs.replace(
        lab.targets,
        services=(
            Service(
                id=SERVICE,
                name="Another messenger",
                category_code="COMT",
                address_ranges=("127.61.0.0/16",),
                mtproto_keys=(key.public_pem,),
            ),
        ),
        targets=(
            Target(id=TARGET, service=SERVICE, combination_rule="any_of", endpoints=endpoints),
        ),
    )


@pytest.fixture(scope="module")
def key() -> CentreKey:
    return CentreKey.generate()


def run(
    reachwatch: Command, tmp_path: Path, targets: Targets, *words: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the target's verdict of the direct way, and what was observed of it on any."""
    (tmp_path / "targets.json").write_bytes(msgspec.json.encode(targets))
    done = reachwatch("check", "targets.json", *words, "-f", "json", "-q")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (verdict,) = (v for v in document["verdicts"] if v["tactic"] == "none")
    return verdict, [o for o in document["observations"] if o["target_id"] == TARGET]


def test_each_fault_has_its_outcome_and_none_counts_as_working(
    lab: LabProcess, reachwatch: Command, tmp_path: Path, key: CentreKey
) -> None:
    with centres(tmp_path, lab, key, ["good", *FAULTS]) as places:
        targets = listed(lab, key, places)
        verdict, rows = run(reachwatch, tmp_path, targets, "--also", "key")
    ends: dict[str, set[tuple[str, str | None, str | None]]] = {}
    for row in rows:
        own = row["role"] == "test" and row["follow_up"] is None
        if own and (row["failure"] or row["step"] == "mtproto_key"):
            end = (row["step"], row["failure"], row["failure_detail"])
            ends.setdefault(row["member"], set()).add(end)

    assert ends.pop("good") == {("mtproto_key", None, None)}
    expected = {
        fault: {(step, f"unknown_failure: {word}", detail)}
        for fault, (step, word, detail) in FAULTS.items()
    }
    assert ends == expected
    assert len({end for each in ends.values() for end in each}) == len(FAULTS)
    assert (verdict["n_ok"], verdict["n_total"]) == (1, 1 + len(FAULTS))
    assert sorted(verdict["failed_members"]) == sorted(FAULTS)
    (proved,) = {row["mtproto_key"] for row in rows if row["step"] == "mtproto_key"} - {None}
    assert proved == f"{key.fingerprint:016x}"


def test_proxies_with_the_wrong_secret_or_centre_do_not_count_as_ways(
    lab: LabProcess, reachwatch: Command, tmp_path: Path, key: CentreKey
) -> None:
    """Beside them, a data centre that repeats an answer to somebody else's question."""
    kinds = dict.fromkeys(kind for kind, _, _ in PROXIES)
    with centres(tmp_path, lab, key, ["good", "replay", *kinds]) as places:
        words: list[str] = []
        for kind, secret, _ in PROXIES:
            host, port = places[kind]
            words += ["--proxy", f"tg://proxy?server={host}&port={port}&secret={secret}"]
        shown = {name: places[name] for name in ("good", "replay")}
        verdict, rows = run(reachwatch, tmp_path, listed(lab, key, shown), *words)
    ends: dict[str | None, set[tuple[str, str | None]]] = {}
    for row in rows:
        if row["role"] == "test" and (row["step"] != "tcp" or row["failure"]):
            name = row["proxy_id"] or row["member"]
            ends.setdefault(name, set()).add((row["step"], row["failure"]))

    assert ends.pop("good") == {("mtproto", None)}
    assert ends.pop("replay") == {("mtproto", "unknown_failure: mtproto_wrong_nonce")}
    assert (verdict["n_ok"], verdict["failed_members"]) == (1, ["replay"])
    assert ends == {f"proxy-{n}": {end} for n, (_, _, end) in enumerate(PROXIES, 1)}
