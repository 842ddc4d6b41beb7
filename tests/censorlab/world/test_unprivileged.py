"""Without root: the same world from a user namespace, and an honest word where there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.netns

ROOT = Path(__file__).resolve().parents[3]
NOBODY = 65534
RIGHT = "right  messenger/web: blocked sni_rst 0/2"


def interpreter(prefix: list[str]) -> list[str]:
    """An interpreter that the user may run, with this one's packages."""
    inherited = os.pathsep.join([str(ROOT), *(path for path in sys.path if path)])
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        words = [*prefix, "env", f"PYTHONPATH={inherited}", "PYTHONDONTWRITEBYTECODE=1", candidate]
        try:
            done = subprocess.run(
                [*words, "-c", "import msgspec, trustme, cryptography"],
                capture_output=True,
                check=False,
            )
        except OSError:
            continue
        if done.returncode == 0:
            return words
    pytest.skip("no interpreter with our packages that an unprivileged user may run")


def as_nobody() -> list[str]:
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv(1)")
    return ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]


def lab(words: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*words, "-m", "probe.cli.main", "lab", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        timeout=120,
    )


@pytest.mark.parametrize("entering", [[], ["unshare", "-Urn"]], ids=["plain", "unshare -Urn"])
def test_a_scenario_as_an_unprivileged_user(entering: list[str]) -> None:
    """The censor is the packet engine; nothing about the verdict differs from root's."""
    words = interpreter([*as_nobody(), *entering])
    done = lab(words, "run", "sni_rst", "--form", "middlebox")
    if "no namespaces here" in done.stderr:
        pytest.skip(done.stderr)
    assert RIGHT in done.stdout, done.stderr
    assert done.returncode == 0


def test_without_namespaces_it_says_so_and_runs_on_loopback() -> None:
    """A user whose namespaces are used up (their number is limited to none) gets the relay."""
    if os.geteuid() != 0:
        pytest.skip("only root can forbid namespaces to a user")
    limit = 'echo 0 > /proc/sys/user/max_net_namespaces; exec "$@"'
    words = interpreter([])
    forbidding = ["unshare", "-Ur", "sh", "-c", limit, "sh"]
    done = lab([*forbidding, *words], "run", "sni_rst", "icmp_admin_prohibited")
    assert "no namespaces here" in done.stderr
    assert "running the loopback form" in done.stderr
    assert "not measured: icmp_admin_prohibited: icmp_reject needs packets" in done.stderr
    # The relay acknowledges what it cuts: the hosts could have done it themselves.
    assert RIGHT.replace("blocked", "likely_blocked") in done.stdout
    assert done.returncode == 0
    refused = lab([*forbidding, *words], "run", "sni_rst", "--form", "middlebox")
    assert refused.returncode == 3
    assert "no namespaces here" in refused.stderr
