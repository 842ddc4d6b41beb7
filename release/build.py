"""Builds what is given to people: ``make release`` writes all of it into ``dist/``.

wheel and sdist; one file that runs where Python is and pip is not (``.pyz``); a Debian
package; a bill of materials (CycloneDX) of the core; checksums. The ``.pyz`` and the Debian
package hold compiled parts and so are for the system and the Python that built them.
"""

import argparse
import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
CONSTRAINTS: Final = ROOT / ".ci" / "constraints.txt"
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}
"""Debian's names of machines."""


def run(*words: str | Path) -> None:
    subprocess.run([str(word) for word in words], check=True, cwd=ROOT)


def build_wheel(output: Path) -> Path:
    run(sys.executable, "-m", "build", "--outdir", output)
    return next(output.glob("*.whl"))


def install_core(wheel: Path, place: Path) -> None:
    """Install the wheel and what it depends on into a folder of its own."""
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-compile",
        "--constraint", CONSTRAINTS, "--target", place, wheel,
    )  # fmt: skip
    shutil.rmtree(place / "bin", ignore_errors=True)
    # Where the wheel lay when it was installed is nobody's business, and never the same.
    for path in place.glob("*.dist-info/direct_url.json"):
        path.unlink()


def build_archive(core: Path, version: str, output: Path) -> Path:
    """One file that unpacks itself into the person's cache at its first start."""
    version_of_python = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"reachwatch-{version}-py{version_of_python}-{platform.machine()}.pyz"
    run(
        sys.executable, "-m", "shiv", "--site-packages", core, "--console-script", "reachwatch",
        "--python", "/usr/bin/env python3", "--reproducible", "--no-modify",
        "--output-file", output / name,
    )  # fmt: skip
    return output / name


CONTROL: Final = """\
Package: reachwatch
Version: {version}
Architecture: {architecture}
Maintainer: The reachwatch authors
Depends: python3 (>= {least}), python3 (<< {below})
Section: net
Priority: optional
Installed-Size: {size}
Description: tells censorship from local faults
 Answers three questions from your own network: is it me or is it censorship,
 how is it done, what gets around it. Charts are not part of this package.
"""

LAUNCHER: Final = """\
#!/usr/bin/python3 -sP
import sys

sys.path.insert(0, "/usr/lib/reachwatch")
from probe.cli.main import main

sys.exit(main())
"""


def build_debian(core: Path, version: str, output: Path) -> Path:
    """A package with all of the core in /usr/lib/reachwatch, apart from the system's Python."""
    machine = platform.machine()
    architecture = ARCHITECTURES.get(machine, machine)
    major, minor = sys.version_info[:2]
    path = output / f"reachwatch_{version}_{architecture}.deb"
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        shutil.copytree(core, tree / "usr/lib/reachwatch")
        launcher = tree / "usr/bin/reachwatch"
        launcher.parent.mkdir(parents=True)
        launcher.write_text(LAUNCHER)
        launcher.chmod(0o755)
        notice = tree / "usr/share/doc/reachwatch/copyright"
        notice.parent.mkdir(parents=True)
        shutil.copy(ROOT / "LICENSE", notice)
        size = sum(file.stat().st_size for file in tree.rglob("*") if file.is_file())
        control = tree / "DEBIAN/control"
        control.parent.mkdir()
        control.write_text(
            CONTROL.format(
                version=version, architecture=architecture, size=size // 1024,
                least=f"{major}.{minor}", below=f"{major}.{minor + 1}",
            )
        )  # fmt: skip
        run("dpkg-deb", "--root-owner-group", "--build", tree, path)
    return path


def build_bill(core: Path, version: str, output: Path) -> Path:
    """List every part of the core with its version and licence."""
    path = output / f"reachwatch-{version}.cdx.json"
    with tempfile.TemporaryDirectory() as folder:
        # The tool asks an interpreter what it has: one that sees the core and nothing else.
        run(sys.executable, "-m", "venv", "--without-pip", folder)
        site = next(Path(folder).glob("lib/python*/site-packages"))
        shutil.copytree(core, site, dirs_exist_ok=True)
        run(
            sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible",
            "--pyproject", ROOT / "pyproject.toml", "--output-file", path,
            Path(folder) / "bin" / "python",
        )  # fmt: skip
    return path


def files_of(output: Path) -> Iterator[Path]:
    yield from sorted(p for p in output.iterdir() if p.is_file() and p.name != "SHA256SUMS")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist")
    args = parser.parse_args()
    output: Path = args.output.resolve()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    wheel = build_wheel(output)
    version = wheel.name.split("-")[1]
    with tempfile.TemporaryDirectory() as folder:
        core = Path(folder) / "core"
        install_core(wheel, core)
        build_archive(core, version, output)
        if shutil.which("dpkg-deb"):
            build_debian(core, version, output)
        build_bill(core, version, output)
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in files_of(output)]
    (output / "SHA256SUMS").write_text("".join(lines))
    for path in files_of(output):
        print(f"{path.stat().st_size / 1e6:8.2f} MB  {path.name}")


if __name__ == "__main__":
    main()
