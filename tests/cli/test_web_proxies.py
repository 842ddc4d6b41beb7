"""``reachwatch proxies`` with links to WEB proxies, which somebody else's client takes for such.

By hand, tdjson 1.8.69 took the lab's for one too: its ``pingProxy`` passes, with and without
dd and a path, if a page's part is played for it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import netns
from probe.wire.proxy_links import ProxyLink

KEY = "00112233445566778899aabbccddeeff"
PLACES = {
    "127.0.0.2": ("one.example.com", "", [("https", KEY), ("https-lanes", f"dd{KEY}")]),
    "127.0.0.3": ("two.example.com", "somewhere", [("websocket", KEY)]),
    "127.0.0.4": (
        "three.example.com",
        "",
        [("websocket-lanes", f"dd{KEY}"), ("websocket", KEY)],
    ),
}
HOSTS = {address: host for address, (host, _, _) in PLACES.items()}
U = "unknown_failure: "


def link(address: str, secret: str, host: str = "") -> str:
    host, path = host or PLACES[address][0], PLACES[address][1]
    given = bytes.fromhex(secret)
    return ProxyLink("web", host, 443, secret=given, domain=host, path=path).url()


LINKS: list[tuple[str, tuple[str | None, str | None]]] = [
    *(
        (link(address, secret), (None, None))
        for address, (_, _, profiles) in PLACES.items()
        for _, secret in profiles
    ),
    (link("127.0.0.2", KEY[::-1]), ("secret", f"{U}web_no_bridge")),
    (link("127.0.0.3", f"dd{KEY}"), ("secret", f"{U}web_no_bridge")),
    (link("127.0.0.2", KEY, "other.example.com"), ("tls", "ssl_invalid_hostname")),
    (link("127.0.0.2", KEY, "closed.example.com"), ("tcp", "connection_refused")),
]

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("web")
    names = {**HOSTS, "127.0.0.1": "localhost", "127.0.0.9": "closed.example.com"}
    lines = [*(f"{address} {name}" for address, name in names.items())]
    (folder / "hosts").write_text("\n".join([*lines, "127.0.0.2 other.example.com", ""]))
    setup = f"set -e\nip link set lo up\nmount --bind '{folder}/hosts' /etc/hosts"
    script = str(Path(__file__).with_name("web_proxies_inside.py"))
    given = json.dumps(["\n".join(text for text, _ in LINKS), KEY, PLACES])
    words = netns.words(sys.executable, script, str(folder), given, setup=setup)
    done = subprocess.run(
        [*words[:1], "--mount", "--pid", "--fork", "--kill-child", *words[1:]],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=netns.ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_telethons_client_passes(said: dict[str, Any]) -> None:
    """telethon-webproxy 0.1.6: what is measured here is a WEB proxy by others' judgement."""
    assert said["telethon"] == ["https: resPQ", "websocket-lanes: resPQ", "websocket: resPQ"]


@pytest.mark.parametrize("number", range(len(LINKS)))
def test_each_ends_where_it_should(said: dict[str, Any], number: int) -> None:
    document = json.loads(said["trusted"]["out"])
    (row,) = [each for each in document["proxies"] if each["position"] == f"line {number + 1}"]
    assert (row["phase"], row["failure"]) == LINKS[number][1]
    assert row["kind"] == "web"
    assert row["loss"] == (0.0 if LINKS[number][1][0] is None else 1.0)


def test_a_certificate_of_nobody_public_ends_all(said: dict[str, Any]) -> None:
    document = json.loads(said["public"]["out"])
    failures = {row["failure"] for row in document["proxies"]}
    assert document["proxies_working"] == 0
    assert failures == {"ssl_unknown_authority", "connection_refused"}


def test_no_secret_and_no_name_is_in_any_output(said: dict[str, Any]) -> None:
    for run in (said["trusted"], said["public"]):
        assert run["code"] == 0
        for word in (KEY, KEY[::-1], "example.com", "somewhere"):
            assert word not in run["out"] + run["err"]
