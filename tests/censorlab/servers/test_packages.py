"""What ``make peers`` installs is what the servers need."""

from datetime import datetime
from pathlib import Path

import pytest

from censorlab import servers
from censorlab.authority import AuthorityKeys
from censorlab.servers.certificates import leaf
from censorlab.servers.front import Backend, tcp_front
from censorlab.servers.interceptor import mitmproxy
from censorlab.servers.program import FOLDER, MissingProgramError
from censorlab.servers.proxies import dante, microsocks, tinyproxy
from censorlab.servers.resolver import unbound
from censorlab.servers.web import Site, nginx


def test_every_package_is_listed_and_every_file_is_the_programs_own(
    authority: AuthorityKeys, now: datetime
) -> None:
    listed = Path(servers.__file__).with_name("debian-packages.txt").read_text().split()
    assert listed == sorted(set(listed))
    try:
        programs = [
            nginx([Site(("a.test",), leaf(authority, "a.test", now=now))], name="one"),
            tcp_front([443], Backend("127.0.0.1", 80), name="one"),
            unbound({}, addresses=["127.0.0.1"], name="one"),
            microsocks(name="one"),
            dante("127.0.0.1", name="one"),
            tinyproxy(name="one"),
            mitmproxy(authority, authority.certificate, name="one"),
        ]
    except MissingProgramError as error:
        pytest.skip(f"{error} (make peers)")
    for program in programs:
        assert program.package in listed
        assert all(file.startswith("one/") for file in program.files)
        assert all(FOLDER not in word or f"{FOLDER}/one" in word for word in program.words)
