"""``reachwatch check`` as a user runs it, against the lab."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from censorlab.process import LabProcess
from censorlab.rules import Blackout, DnsNxdomain, IpDrop, SniRst
from censorlab.topology import DC_ADDRESSES, SERVICE_PATTERN

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_a_clear_network_ends_with_three_answers(lab: LabProcess, reachwatch: Command) -> None:
    """A run without interference finds nothing, and ends with the three answers."""
    done = reachwatch("check", str(lab.targets_path))

    assert done.returncode == 0
    assert "Is it me?    Nothing is wrong" in done.stdout
    assert "How?         No blocking seen." in done.stdout
    assert "What works?  The direct way: 2/2 targets." in done.stdout


def test_each_step_of_a_clear_run_succeeds(lab: LabProcess, reachwatch: Command) -> None:
    """Every address is an observation of its own, and DNS, TCP, TLS and HTTP all succeed."""
    done = reachwatch("check", str(lab.targets_path), "--format", "json")
    document = json.loads(done.stdout)

    steps = {(o["step"], o["failure"]) for o in document["observations"] if o["role"] == "test"}
    connected = {o["address"] for o in document["observations"] if o["step"] == "tcp"}
    protocols = {o["resolver_protocol"] for o in document["observations"] if o["step"] == "dns"}

    assert {("dns", None), ("tcp", None), ("tls", None), ("http", None)} <= steps
    assert {"127.10.21.1", "127.10.22.1", "127.10.1.1"} <= connected
    assert protocols == {"udp", "tcp", "dot", "doh"}


def test_ndjson_is_one_object_a_line(lab: LabProcess, reachwatch: Command) -> None:
    """The progress stream has no extra byte, starts with the run and ends with its summary."""
    done = reachwatch("check", str(lab.targets_path), "-f", "ndjson")

    types = [json.loads(line)["type"] for line in done.stdout.splitlines()]

    assert types[0] == "run_started"
    assert types[-1] == "run_finished"
    assert set(types[1:-1]) == {"observation"}


@pytest.mark.parametrize(
    ("rules", "fail_on", "expected"),
    [
        ((), "likely_blocked", 0),
        ((SniRst(server_name=SERVICE_PATTERN),), None, 0),
        ((SniRst(server_name=SERVICE_PATTERN),), "likely_blocked", 10),
        ((IpDrop(addresses=(DC_ADDRESSES["dc1"],)),), "likely_blocked", 0),
        ((IpDrop(addresses=(DC_ADDRESSES["dc1"],)),), "impaired", 10),
        ((Blackout(),), "likely_blocked", 5),
    ],
)
def test_exit_codes(
    lab: LabProcess,
    reachwatch: Command,
    rules: tuple[object, ...],
    fail_on: str | None,
    expected: int,
) -> None:
    """Blocked alone exits 0; --fail-on makes a state exit 10; a dead line exits 5."""
    lab.apply(rules)  # type: ignore[arg-type]
    words = ["--fail-on", fail_on] if fail_on else []

    done = reachwatch("check", str(lab.targets_path), *words, "--format", "json")

    assert json.loads(done.stdout)["type"] == "run_finished"
    assert done.returncode == expected


def test_a_denied_name_is_told_from_a_dead_one(lab: LabProcess, reachwatch: Command) -> None:
    """NXDOMAIN from the ordinary resolver alone is likely blocking, by DNS, with evidence."""
    lab.apply((DnsNxdomain(name="web.messenger.test"),))

    done = reachwatch("check", str(lab.targets_path), "--format", "json")
    web = next(v for v in json.loads(done.stdout)["verdicts"] if v["target_id"] == "messenger/web")

    assert (web["state"], web["mechanism"]) == ("likely_blocked", "dns_nxdomain")
    assert (web["n_ok"], web["n_total"]) == (1, 2)
    assert web["reasons"]


def test_a_proxy_is_measured_and_never_named(
    lab: LabProcess, reachwatch: Command, tmp_path: Path
) -> None:
    """A way around is part of the same run, and neither output nor files hold its address."""
    lab.apply((SniRst(server_name=SERVICE_PATTERN),))
    secret = lab.proxy_url.replace("socks5://", "socks5://volunteer:hunter2secret@")

    done = reachwatch("check", str(lab.targets_path), "--proxy", secret, "--format", "json")
    verdicts = {(v["target_id"], v["tactic"]): v for v in json.loads(done.stdout)["verdicts"]}
    stored = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    exported = reachwatch("results", "export").stdout
    port = lab.proxy_url.rsplit(":", 1)[1]

    # The lab's relay acknowledges what it cuts, so the hosts could have done it themselves.
    assert verdicts["messenger/web", "none"]["state"] == "likely_blocked"
    assert verdicts["messenger/web", "socks5"]["state"] == "ok"
    assert b"hunter2secret" not in stored
    for shown in (done.stdout, done.stderr, exported):
        assert "hunter2secret" not in shown
        assert f":{port}" not in shown
        assert f'"port":{port}' not in shown


def test_one_target_can_be_asked_for_by_url(reachwatch: Command) -> None:
    """A URL becomes a target with the built-in controls; the plan names its every step."""
    done = reachwatch("check", "https://example.org:8443/a?b=c", "--dry-run", "--format", "json")
    rows = json.loads(done.stdout)["chains"]
    own = [row for row in rows if row["destination"] == "example.org:8443"]

    declared = {(row["when"], row["follow_up"]) for row in own}

    assert declared == {
        ("start", None),
        ("connect_failed", "udp_twin"),
        ("hello_failed", "second_hello"),
        ("hello_failed", "other_name"),
        ("hello_varies", "small_hello"),
        ("hello_varies", "large_hello"),
        ("certificate_failed", "other_name"),
        ("http_failed", "other_name"),
        ("http_failed", "tiny_writes"),
        ("http_slow", "paired"),
    }
    assert {tuple(row["paths"]) for row in own} == {("/a?b=c",), ()}
    assert any(row["role"] == "control" for row in rows)


def test_the_plan_names_what_may_follow_elsewhere(reachwatch: Command) -> None:
    """Another port of the host and the name at a control's address, each with its cost."""
    done = reachwatch("check", "https://example.org:8443/", "--dry-run", "--format", "json")
    rows = json.loads(done.stdout)["chains"]
    beside = {row["follow_up"]: row for row in rows}

    assert "example.org:80" in {row["destination"] for row in rows}
    assert beside["name_elsewhere"]["server_name"] == "example.org"
    elsewhere = {row["when"] for row in rows if row["follow_up"] == "name_elsewhere"}
    assert elsewhere == {"hello_failed", "certificate_failed"}
    assert beside["name_elsewhere"]["destination"] in {
        row["destination"] for row in rows if row["role"] == "control"
    }
    assert all(row["bytes"] > 0 for row in rows)
    assert "asked" not in {row["when"] for row in rows}


@pytest.mark.parametrize(("also", "follow_up"), [("locate", "hop"), ("residual", "residual")])
def test_what_disturbs_is_in_the_plan_if_asked_for(
    reachwatch: Command, also: str, follow_up: str
) -> None:
    """It says so, and with what it costs."""
    words = ["check", "https://example.org/", "--dry-run", "--format", "json", "--also", also]
    rows = json.loads(reachwatch(*words).stdout)["chains"]
    asked = [row for row in rows if row["when"] == "asked"]

    assert {row["follow_up"] for row in asked} == {follow_up}
    assert all(row["bytes"] > 0 for row in asked)


@pytest.mark.parametrize(
    "words",
    [
        ["check", "no-such-id"],
        ["check", "ftp://example.org"],
        ["check", "missing.json"],
        ["check", "http://exa mple"],
        ["targets", "show", "nobody"],
        ["targets", "validate", "missing.json"],
        ["results", "list", "missing"],
        ["report", "missing", "-o", "x.html"],
    ],
)
def test_bad_names_are_errors_of_the_user(reachwatch: Command, words: list[str]) -> None:
    """What does not exist is named on stderr, with exit 3 and no traceback."""
    done = reachwatch(*words)

    assert done.returncode == 3
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["check", "--format", "json", "--no-such-option"],
        ["check", "--format=json", "--proxy", "vpn://x"],
        ["check", "-f", "json", "no-such-id"],
        ["check", "-fjson", "--probe-cc", "Russia"],
    ],
)
def test_json_is_json_in_every_outcome(reachwatch: Command, words: list[str]) -> None:
    """An error under --format json is one JSON document with the exit code."""
    done = reachwatch(*words)
    document = json.loads(done.stdout)

    assert document["type"] == "error"
    assert document["exit_code"] == done.returncode
    assert done.returncode in {2, 3}
