"""What would identify this host is found without sending anything."""

import socket
from pathlib import Path

import pytest

from probe.net import own
from probe.net.own import identifying_strings, resolve_once


def test_host_name_and_own_address() -> None:
    """The own address is the one from which the given one would be reached."""
    found = identifying_strings(["127.0.0.1"])
    assert socket.gethostname() in found
    assert "127.0.0.1" in found


def test_resolvers_and_domains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolver addresses and named domains identify; one-label domains are anybody's."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("# x\nnameserver 192.0.2.53\nsearch lan home.example.org\nnameserver\n\xe9\n")
    monkeypatch.setattr(own, "_RESOLV_CONF", conf)
    found = identifying_strings([])
    assert {"192.0.2.53", "home.example.org"} <= set(found)
    assert "lan" not in found


def test_without_a_resolver_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems have none."""
    monkeypatch.setattr(own, "_RESOLV_CONF", tmp_path / "absent")
    assert identifying_strings([]) == [socket.gethostname()]


@pytest.mark.parametrize("hostname", ["x" * 64 + ".example", "a..b"])
def test_a_host_that_is_none(hostname: str) -> None:
    """No name, no address, no exception."""
    assert resolve_once(hostname) is None
