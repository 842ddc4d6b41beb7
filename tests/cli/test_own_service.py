"""A service with an authority of its own: which certificates are its own, and which are not."""

import datetime as dt
import json
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

import pytest
import trustme

from local_services import certified, minting, serving, surroundings

NAME = "chat.example"
IN_2020 = {
    "not_before": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    "not_after": dt.datetime(2020, 12, 31, tzinfo=dt.UTC),
}

Verdicts = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """One run over services that differ in who signed for their servers."""
    folder = tmp_path_factory.mktemp("own")
    own, other = trustme.CA(), trustme.CA()
    with ExitStack() as stack:
        around, public = stack.enter_context(surroundings({}))
        shown = {
            "right": certified(own, NAME),
            "public": certified(public, NAME),
            "other": certified(other, NAME),
            "minted": minting(other),
            "expired": certified(own, NAME, **IN_2020),
            "stranger": certified(own, NAME),
        }
        places = {
            name: stack.enter_context(serving(f"127.0.45.{i}", context))
            for i, (name, context) in enumerate(shown.items(), 1)
        }
        # The stranger is another service, which has no authority of its own.
        anchors = {name: [own.cert_pem.bytes().decode()] for name in shown if name != "stranger"}
        document = {
            "schema_version": "1.0",
            "name": "own authorities",
            "updated": "2026-11-25",
            "services": [
                {
                    "id": name,
                    "name": name,
                    "category_code": "COMT",
                    "trust_anchors": anchors.get(name, []),
                }
                for name in shown
            ],
            "targets": [
                {
                    "id": name,
                    "service": name,
                    "combination_rule": "all_of",
                    "endpoints": [
                        {
                            "address": place.address,
                            "port": place.port,
                            "probes": ["tcp", "tls"],
                            "server_name": NAME,
                        }
                    ],
                }
                for name, place in places.items()
            ],
            **around,
        }
        (folder / "own.json").write_text(json.dumps(document))
        done = subprocess.run(
            [sys.executable, "-m", "probe.cli.main", "check", "own.json", "--format", "json"],
            capture_output=True,
            text=True,
            cwd=folder,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return {v["target_id"]: v for v in json.loads(done.stdout)["verdicts"]}


def test_its_own_authority_vouches_for_it(verdicts: Verdicts) -> None:
    """What its authority signed is its own."""
    assert verdicts["right"]["state"] == "ok"


@pytest.mark.parametrize("shown", ["public", "other"])
def test_nobody_else_vouches_for_it(verdicts: Verdicts, shown: str) -> None:
    """Neither an authority of the public web nor another private one: that looks intercepted."""
    verdict = verdicts[shown]
    assert (verdict["state"], verdict["mechanism"]) == ("impaired", "tls_mitm")
    assert verdict["rule_id"] == "tls.unknown_issuer"


def test_who_signs_for_strangers_too_intercepts(verdicts: Verdicts) -> None:
    """No server has a certificate for a harmless name ready, by the same unknown authority."""
    verdict = verdicts["minted"]
    assert (verdict["state"], verdict["mechanism"]) == ("blocked", "tls_mitm")


def test_a_certificate_that_ran_out_is_no_block(verdicts: Verdicts) -> None:
    """It is the service's own mistake more often than anybody's doing."""
    verdict = verdicts["expired"]
    assert (verdict["state"], verdict["mechanism"]) == ("impaired", None)
    assert verdict["rule_id"] == "tls.certificate"


def test_its_authority_vouches_for_nobody_else(verdicts: Verdicts) -> None:
    """Another service of the same list does not trust it."""
    verdict = verdicts["stranger"]
    assert (verdict["state"], verdict["rule_id"]) == ("impaired", "tls.unknown_issuer")
