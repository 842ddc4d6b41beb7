"""The pytest plugin in somebody else's project: whole pytest runs, with the plugin installed."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

from censorlab.rulebook import LOOPBACK_RULES, parameters_of

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "how-to-test-with-a-censor.md").read_text(encoding="utf-8")
GONE_LIMIT_S = 10.0

LEAN = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
"""Half a second less for each of the runs here."""

needs_asyncio = pytest.mark.skipif(not find_spec("pytest_asyncio"), reason="needs pytest-asyncio")
needs_xdist = pytest.mark.skipif(not find_spec("xdist"), reason="needs pytest-xdist")


class Project:
    """A directory with somebody's files and a temporary directory of its own."""

    def __init__(self, pytester: pytest.Pytester, temporary: Path) -> None:
        self.folder = pytester.path
        self.temporary = temporary
        self._pytester = pytester
        settings = ["[pytest]", "filterwarnings = error", "addopts = --strict-config"]
        if find_spec("pytest_asyncio"):
            settings.append("asyncio_default_fixture_loop_scope = function")
        self.write({"pytest.ini": "\n".join(settings)})

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, *arguments: str, **outcomes: int) -> pytest.RunResult:
        """A whole run, which must end so."""
        result = self._pytester.runpytest_subprocess(*LEAN, *arguments)
        result.assert_outcomes(**outcomes)
        assert self.left() == []
        return result

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return self._pytester.popen(
            [sys.executable, "-m", "pytest", *LEAN, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def left(self) -> list[str]:
        """What is in the temporary directory, besides pytest's own."""
        return [one.name for one in self.temporary.iterdir() if "pytest-of" not in one.name]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Project(pytester, Path(folder))


def guide_files() -> dict[str, str]:
    """Each block of the guide that is named as a file."""
    return dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", GUIDE, re.DOTALL))


def test_installing_the_package_installs_the_plugin() -> None:
    """These tests run what an installation declares, under the name that `-p no:` takes."""
    (plugin,) = [one for one in entry_points(group="pytest11") if "censorlab" in one.value]
    assert (plugin.name, plugin.value) == ("censorlab", "censorlab.plugin")


def test_the_guides_example(project: Project) -> None:
    """The worked example passes as it is printed, where SYNs cannot be dropped too."""
    project.write(guide_files())
    project.run("test_mirrors.py", passed=8)
    # The rules that only wait for a time limit are not waited for again.
    quick = ("-k", "not sni_drop and not throttle and not freeze")
    project.run("test_mirrors.py", "-o", "censor_one_address=true", *quick, passed=5, deselected=3)


@needs_asyncio
@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_beside_pytest_asyncio(project: Project, mode: str) -> None:
    """The guide's async test passes in both modes of pytest-asyncio, in auto also unmarked."""
    test = guide_files()["test_with_asyncio.py"]
    project.write({"test_with_asyncio.py": test})
    if mode == "auto":
        project.write({"test_unmarked.py": test.replace("@pytest.mark.asyncio\n", "")})
    project.run("--asyncio-mode", mode, passed=2 if mode == "auto" else 1)


def test_beside_anyio(project: Project) -> None:
    """An async test of the anyio plugin sees the censor's work on asyncio and on trio."""
    test = """
import anyio, pytest

pytestmark = pytest.mark.anyio

@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_reset(censor, anyio_backend):
    server = censor.serve("web.telegram.org")
    options = {"tls_hostname": "web.telegram.org", "ssl_context": censor.ssl_context()}
    async with await anyio.connect_tcp(server.address, server.port, **options):
        pass
    censor.add("sni_rst", server_name="*.telegram.org")
    with pytest.raises(anyio.BrokenResourceError):
        await anyio.connect_tcp(server.address, server.port, **options)
"""
    project.write({"test_anyio.py": test})
    project.run(passed=2)


CLIENT = """
import socket

def outcome(censor, server, limit_s=5):
    name = server.names[0]
    try:
        with (
            socket.create_connection((server.address, server.port), limit_s) as raw,
            censor.ssl_context().wrap_socket(raw, server_hostname=name) as tls,
        ):
            tls.sendall(f"GET / HTTP/1.0\\r\\nHost: {name}\\r\\n\\r\\n".encode())
            return len(b"".join(iter(lambda: tls.recv(65536), b"")).partition(b"\\r\\n\\r\\n")[2])
    except OSError as error:
        return type(error).__name__
"""
"""What a plain client meets: the number of bytes of the page, or an error's name."""


def test_threads(project: Project) -> None:
    """Each of eight threads serves, censors and connects, and meets its own rule only."""
    test = f"""{CLIENT}
from concurrent.futures import ThreadPoolExecutor

RULES = {{
    "sni_rst": "ConnectionResetError",
    "sni_drop": "TimeoutError",
    "forged_certificate": "SSLCertVerificationError",
    None: 48_000,
}}

def test_threads(censor):
    def one(number):
        server = censor.serve(f"a{{number}}.test")
        rule = list(RULES)[number % 4]
        if rule:
            censor.add(rule, server_name=server.names[0])
        return outcome(censor, server, 0.5 if rule == "sni_drop" else 5)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(8))) == [*RULES.values()] * 2
"""
    project.write({"test_threads.py": test})
    project.run(passed=1)


@needs_xdist
def test_beside_xdist(project: Project) -> None:
    """Workers have a censor each: both serve and block one name at the same time."""
    test = f"""{CLIENT}
import pytest

@pytest.mark.parametrize("blocks", [True, False])
def test_worker(censor, blocks, tmp_path):
    server = censor.serve("web.telegram.org")
    if blocks:
        censor.add("sni_rst", server_name="web.telegram.org")
    assert outcome(censor, server) == ("ConnectionResetError" if blocks else 48_000)
"""
    project.write({"test_xdist.py": test})
    project.run("-n", "2", "--dist", "each", passed=4)


def test_a_program_of_another_process(project: Project) -> None:
    """One that heeds SSL_CERT_FILE trusts the censor's servers; so does the guide's curl."""
    program = """
import socket, ssl, sys
address, port, name = sys.argv[1:]
with socket.create_connection((address, int(port)), 5) as raw:
    ssl.create_default_context().wrap_socket(raw, server_hostname=name).close()
"""
    test = """
import os, subprocess, sys

def test_program(censor):
    def run():
        line = [sys.executable, "program.py", server.address, str(server.port), server.names[0]]
        environment = {**os.environ, "SSL_CERT_FILE": str(censor.ca_file)}
        return subprocess.run(line, env=environment, stderr=subprocess.PIPE, text=True)

    server = censor.serve("web.telegram.org")
    assert run().returncode == 0
    censor.add("sni_rst", server_name="*.telegram.org")
    assert "ConnectionResetError" in run().stderr
"""
    project.write({"program.py": program, "test_python.py": test})
    with_curl = shutil.which("curl") is not None
    if with_curl:
        project.write({"test_program.py": guide_files()["test_program.py"]})
    project.run(passed=1 + with_curl)


def test_rules_before_servers_and_many(project: Project) -> None:
    """A rule may come before the server, several hold at once, and clearing lifts all.

    A wrong rule says what is wrong, one that needs more than one address too.
    """
    test = f"""{CLIENT}
import pytest

def test_x(censor):
    censor.add("sni_rst", server_name="*.telegram.org")
    censor.add("forged_certificate", server_name="t.me")
    one, two = censor.serve("web.telegram.org"), censor.serve("t.me")
    assert outcome(censor, one) == "ConnectionResetError"
    assert outcome(censor, two) == "SSLCertVerificationError"
    censor.clear()
    assert outcome(censor, one) == outcome(censor, two) == 48_000

@pytest.mark.parametrize(("rule", "parameters", "fault"), [
    ("sni_block", {{}}, "no rule 'sni_block'; there are: .*sni_rst"),
    ("sni_rst", {{"name": "t.me"}}, r"sni_rst\\(server_name\\): .*unknown field `name`"),
    ("icmp_reject", {{"addresses": ["127.0.0.1"]}}, "icmp_reject needs packets: an ICMP error"),
])
def test_wrong(censor, rule, parameters, fault):
    with pytest.raises(ValueError, match=fault):
        censor.add(rule, **parameters)

def test_drop_at_one_address(censor):
    assert censor.one_address
    assert censor.serve("a.test").address == censor.serve("b.test").address == "127.0.0.1"
    with pytest.raises(ValueError, match="blackout drops SYNs, .* on Linux only"):
        censor.add("blackout")
"""
    project.write({"test_x.py": test})
    project.run("-o", "censor_one_address=true", passed=5)


def test_twenty_runs_are_alike(project: Project) -> None:
    """A parametrised file gives the same outcomes, to the byte and the error, 20 times."""
    test = f"""{CLIENT}
import pytest

@pytest.mark.parametrize("turn", range(20))
@pytest.mark.parametrize(("rule", "parameters", "wanted"), [
    ("sni_rst", {{}}, "ConnectionResetError"),
    ("sni_drop", {{}}, "TimeoutError"),
    ("forged_certificate", {{}}, "SSLCertVerificationError"),
    ("tcp_refuse", {{"addresses": ["127.40.1.1"]}}, "ConnectionRefusedError"),
    ("freeze", {{"after_bytes": 16_384}}, "TimeoutError"),
    ("throttle", {{"rate_bytes_per_s": 1_000_000}}, 48_000),
])
def test_rule(censor, rule, parameters, wanted, turn):
    server = censor.serve("web.telegram.org")
    if "addresses" not in parameters:
        parameters = {{**parameters, "server_name": "*.telegram.org"}}
    censor.add(rule, **parameters)
    assert outcome(censor, server, 0.05 if wanted == "TimeoutError" else 5) == wanted
"""
    project.write({"test_rule.py": test})
    project.run(passed=120)


def test_the_guide_lists_every_rule() -> None:
    """The guide's table has each rule of loopback once, optional parameters in brackets."""
    wanted = [
        f"{name}({', '.join(p if must else f'[{p}]' for p, must in parameters_of(name).items())})"
        for name in LOOPBACK_RULES
    ]
    rules = GUIDE.partition("## The rules")[2]
    assert re.findall(r"^\| `(.*?)` \|", rules, re.MULTILINE) == wanted


def test_it_costs_nothing_unused(project: Project) -> None:
    """Without a test that asks for the fixture nothing is imported and nothing is started.

    The plugin can be left out by its name, too.
    """
    test = """
import os, sys
from pathlib import Path

def test_unused():
    ours = {name for name in sys.modules if name.startswith(("censorlab", "probe", "trio"))}
    assert ours == {"censorlab", "censorlab.plugin"}
    lists = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    assert "".join(one.read_text() for one in lists) == ""
"""
    project.write({"test_unused.py": test})
    project.run("-p", "no:anyio", passed=1)
    project.write({"test_unused.py": test.replace('{"censorlab", "censorlab.plugin"}', "set()")})
    project.run("-p", "no:anyio", "-p", "no:censorlab", passed=1)
    code = """
import sys, pytest, importlib.util
before = set(sys.modules)
import censorlab.plugin
print(sorted(set(sys.modules) - before))
"""
    line = [sys.executable, "-c", code]
    assert subprocess.check_output(line, cwd=ROOT, text=True).strip() == (
        "['censorlab', 'censorlab.plugin']"
    )


def test_files_of_the_project_are_not_ours(project: Project) -> None:
    """A project may have a module that is named like one the lab imports."""
    project.write(
        {
            "dns.py": "raise SystemExit('not yours')",
            "test_served.py": "def test_served(censor):\n    assert censor.serve('a.test').port",
        }
    )
    project.run(passed=1)


def test_a_missing_extra_is_named(project: Project) -> None:
    """Without the extra only tests that ask for the fixture fail, and say what to install."""
    project.write(
        {
            "conftest.py": "import sys\nsys.modules['aiohttp'] = None\n",
            "test_x.py": "def test_a(censor): ...\ndef test_b(): ...\n",
        }
    )
    result = project.run(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*needs aiohttp: pip install 'reachwatch[[]lab]'*"])


NOTE_PIDS = """
import os
import threading
from pathlib import Path

def note_pids(censor):
    pid = censor._lab.pid
    children = [f.read_text() for f in Path(f"/proc/{pid}/task").glob("*/children")]
    text = " ".join([str(pid), *children])
    assert len(text.split()) == 2
    Path("pids").write_text(text)
    return text
"""


def alive(pids: str) -> list[str]:
    """Which of the lab's two processes still run."""
    assert len(pids.split()) == 2
    return [pid for pid in pids.split() if Path("/proc", pid).exists()]


@pytest.mark.parametrize(
    ("arguments", "outcomes"),
    [((), {"passed": 3, "failed": 1}), (("-x",), {"passed": 1, "failed": 1})],
    ids=["to-the-end", "until-a-failure"],
)
def test_tests_and_runs_leave_nothing(
    project: Project, arguments: tuple[str, ...], outcomes: dict[str, int]
) -> None:
    """Each test starts without rules and names, even after one that failed, on one lab.

    When pytest has ended, both processes of the lab have, and no file is left.
    """
    test = f"""{CLIENT}{NOTE_PIDS}
import pytest

PIDS = set()

@pytest.mark.parametrize("fails", [False, True, False])
def test_alone(censor, fails):
    PIDS.add(note_pids(censor))
    server = censor.serve("web.telegram.org")
    assert server.address == "127.40.1.1"
    assert outcome(censor, server) == 48_000
    censor.add("blackout")
    assert not fails

def test_one_lab():
    assert len(PIDS) == 1
"""
    project.write({"test_alone.py": test})
    project.run(*arguments, **outcomes)
    assert not alive((project.folder / "pids").read_text())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_nothing(project: Project, number: signal.Signals) -> None:
    """Nor does Ctrl-C, an order to end or a kill in the middle of a test leave anything."""
    test = f"""{NOTE_PIDS}
def test_waits(censor):
    censor.serve("web.telegram.org")
    note_pids(censor)
    print("WAITS", flush=True)
    threading.Event().wait(60)
"""
    project.write({"test_waits.py": test})
    with project.start("-s") as process:
        assert process.stdout is not None
        assert any(b"WAITS" in line for line in process.stdout)
        pids = (project.folder / "pids").read_text()
        handles = [os.pidfd_open(int(pid)) for pid in pids.split()]
        process.send_signal(number)
        said = process.stdout.read()
    assert (b"KeyboardInterrupt" in said) == (number == signal.SIGINT)
    for handle in handles:
        assert select.select([handle], [], [], GONE_LIMIT_S)[0]
        os.close(handle)
    assert project.left() == []
