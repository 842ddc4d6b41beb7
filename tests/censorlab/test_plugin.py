"""The pytest plugin in somebody else's project: a pytest run of its own, as installed."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from censorlab.rulebook import RULE_NAMES, parameters_of

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "how-to-test-with-a-censor.md").read_text(encoding="utf-8")

ENTRY_POINTS = {"censorlab.plugin": "censorlab.plugin"}
"""The name is the module's, so that ``-p censorlab.plugin`` does not load it twice."""

HAS_PYTEST_ASYNCIO = find_spec("pytest_asyncio") is not None

NOTE_PIDS = """
import os
from pathlib import Path

def note_pids(censor):
    pid = censor._lab.pid
    children = [f.read_text() for f in Path(f"/proc/{pid}/task").glob("*/children")]
    pids = " ".join([str(pid), *children])
    assert len(pids.split()) == 2
    return pids
"""


class Project:
    """A directory with somebody's files, and an interpreter that has the plugin installed."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        # What an installer leaves in site-packages: it makes pytest load the plugin.
        installed = folder / "installed" / "reachwatch-0.dist-info"
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: reachwatch\nVersion: 0\n")
        lines = [f"{name} = {module}" for name, module in ENTRY_POINTS.items()]
        (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
        self.folder = folder / "project"
        self.folder.mkdir()
        settings = ["[pytest]", "filterwarnings = error"]
        if HAS_PYTEST_ASYNCIO:
            settings.append("asyncio_default_fixture_loop_scope = function")
        for name, text in {"pytest.ini": "\n".join(settings), **files}.items():
            (self.folder / name).write_text(text, encoding="utf-8")
        self._path = os.pathsep.join((str(installed.parent), str(ROOT)))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": self._path, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """Everything that a whole run says."""
        with self.start(*arguments) as process:
            said, _ = process.communicate(timeout=60)
        return said


def summary(said: str) -> str:
    """The last line, without the time taken."""
    return said.rstrip().rpartition("\n")[2].partition(" in ")[0]


def guide_files() -> dict[str, str]:
    """Each block of the guide that is named as a file."""
    return dict(re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```", GUIDE, re.DOTALL))


def test_the_package_declares_the_plugin() -> None:
    """What these tests install is what the package installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == ENTRY_POINTS


def test_the_guides_example(tmp_path: Path) -> None:
    """The worked example of the guide passes as it is printed there."""
    files = guide_files()
    assert list(files) == ["mirrors.py", "test_mirrors.py", "test_with_asyncio.py"]
    said = Project(tmp_path, files).run("test_mirrors.py")
    assert summary(said) == "8 passed", said


@pytest.mark.skipif(not HAS_PYTEST_ASYNCIO, reason="needs pytest-asyncio")
def test_beside_pytest_asyncio(tmp_path: Path) -> None:
    """The guide's async test passes under pytest-asyncio."""
    said = Project(tmp_path, guide_files()).run("test_with_asyncio.py", "-p", "no:trio")
    assert summary(said) == "1 passed", said


def test_beside_anyio(tmp_path: Path) -> None:
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
    said = Project(tmp_path, {"test_anyio.py": test}).run()
    assert summary(said) == "2 passed", said


def test_the_guide_lists_every_rule() -> None:
    """The guide's table has each rule once, with its parameters, optional ones in brackets."""
    wanted = [
        f"{name}({', '.join(p if must else f'[{p}]' for p, must in parameters_of(name).items())})"
        for name in RULE_NAMES
    ]
    rules = GUIDE.partition("## The rules")[2]
    assert re.findall(r"^\| `(.*?)` \|", rules, re.MULTILINE) == wanted


def test_tests_do_not_see_each_other(tmp_path: Path) -> None:
    """Each test starts without rules and names, even after one that failed, on one lab."""
    test = """
import pytest, socket

PIDS = set()

@pytest.mark.parametrize("fails", [False, True, False])
def test_alone(censor, fails):
    PIDS.add(censor._lab.pid)
    server = censor.serve("web.telegram.org")
    assert server.address == "127.40.1.1"
    with socket.create_connection((server.address, server.port), 5) as raw:
        censor.ssl_context().wrap_socket(raw, server_hostname="web.telegram.org").close()
    censor.add("blackout")
    assert not fails

def test_one_lab():
    assert len(PIDS) == 1
"""
    said = Project(tmp_path, {"test_alone.py": test}).run()
    assert summary(said) == "1 failed, 3 passed", said


def test_it_costs_nothing_unused(tmp_path: Path) -> None:
    """Without a test that asks for the fixture nothing is imported and nothing is started."""
    test = """
import sys

def test_unused():
    ours = {name for name in sys.modules if name.startswith(("censorlab", "probe"))}
    assert ours == {"censorlab", "censorlab.plugin"}
"""
    project = Project(tmp_path, {"test_unused.py": test})
    said = project.run()
    assert summary(said) == "1 passed", said
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


def test_files_of_the_project_are_not_ours(tmp_path: Path) -> None:
    """A project may have a module that is named like one the lab imports."""
    files = {
        "dns.py": "raise SystemExit('not yours')",
        "test_served.py": "def test_served(censor):\n    assert censor.serve('a.test').port",
    }
    said = Project(tmp_path, files).run()
    assert summary(said) == "1 passed", said


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    """Without the extra only tests that ask for the fixture fail, and say what to install."""
    files = {
        "conftest.py": "import sys\nsys.modules['aiohttp'] = None\n",
        "test_x.py": "def test_a(censor): ...\ndef test_b(): ...\n",
    }
    said = Project(tmp_path, files).run()
    assert summary(said) == "1 passed, 1 error", said
    assert "needs aiohttp: pip install 'reachwatch[lab]'" in said


def test_the_run_leaves_no_process(tmp_path: Path) -> None:
    """When pytest has ended, after failures too, both processes of the lab have."""
    test = f"""{NOTE_PIDS}
def test_pids(censor):
    censor.serve("web.telegram.org")
    censor.add("blackout")
    Path("pids").write_text(note_pids(censor))
    assert not "this test fails"
"""
    project = Project(tmp_path, {"test_pids.py": test})
    said = project.run()
    assert summary(said) == "1 failed", said
    assert not alive((project.folder / "pids").read_text())


def test_interruption_leaves_no_process(tmp_path: Path) -> None:
    """Neither does Ctrl-C in the middle of a test leave any."""
    test = f"""{NOTE_PIDS}
import threading

def test_waits(censor):
    print("PIDS", note_pids(censor), flush=True)
    threading.Event().wait(60)
"""
    project = Project(tmp_path, {"test_waits.py": test})
    with project.start("-s") as process:
        assert process.stdout is not None
        pids = next(line for line in process.stdout if line.startswith("PIDS")).removeprefix("PIDS")
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    assert "KeyboardInterrupt" in said
    assert not alive(pids)


def alive(pids: str) -> list[str]:
    """Which of these processes still run."""
    assert len(pids.split()) == 2
    return [pid for pid in pids.split() if Path("/proc", pid).exists()]
