"""Clients that others wrote take the lab's data centre for one, each by its own word.

They run as they are, as programs of their own, in a namespace that has Telegram's addresses.
"""

import importlib.util
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from censorlab.authority import AuthorityKeys
from censorlab.servers.certificates import leaf
from censorlab.servers.data_centre import CentreKey, data_centre
from censorlab.servers.program import FOLDER, Program

pytestmark = pytest.mark.netns

CENTRE = "149.154.167.51"
"""The second data centre in every client's own list."""
CENTRES = {
    CENTRE: 2,
    "149.154.175.50": 1,
    "149.154.175.53": 1,
    "149.154.175.100": 3,
    "149.154.167.91": 4,
    "149.154.171.5": 5,
    "95.161.76.100": 2,
}
"""Those that TDLib may begin with."""
SECRET = "00112233445566778899aabbccddeeff"
PROXY_PORT = 9443
HERE = Path(__file__).parent
NOT_FOUND = {"@type": "error", "code": 400, "message": "MTProto error: -404"}
WRONG_CENTRE = {"@type": "error", "code": 400, "message": "MTProto error: -444"}


def prepare(inside: Any, *programs: Program) -> None:
    """Give the namespace Telegram's addresses, and start these beside the lab's MTProxy."""
    for address in CENTRES:
        inside.run(words=["ip", "addr", "add", f"{address}/32", "dev", "lo"])
    words = (sys.executable, "-m", "censorlab.peers.mtproxy")
    given = (str(PROXY_PORT), SECRET, CENTRE, "443")
    proxy = Program("mtproxy", "", {}, (*words, *given), (("tcp", PROXY_PORT),))
    for program in (*programs, proxy):
        inside.start(lambda program=program: program)


@pytest.fixture(scope="module")
def keys() -> CentreKey:
    return CentreKey.generate()


@pytest.fixture(scope="module")
def centre(shared: Any, keys: CentreKey, authority: AuthorityKeys, now: datetime) -> Any:
    """A namespace in which one data centre with a key of its own is at all the addresses."""
    certificate = leaf(authority, "pluto.web.telegram.org", now=now)
    prepare(shared, data_centre(key=keys, leaf=certificate))
    return shared


def report(inside: Any, client: str, *arguments: str) -> dict[str, Any]:
    """Run a client inside, and return what it says."""
    done = inside.run(words=[sys.executable, str(HERE / f"client_{client}.py"), *arguments])
    assert done["code"] == 0, done["err"]
    found: dict[str, Any] = json.loads(done["out"].splitlines()[-1])
    return found


def needs(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"PyPI's {package} is not installed (dependency group dev)")


def test_telethon_agrees_on_a_key_in_each_framing(centre: Any, keys: CentreKey) -> None:
    """Full, abridged, intermediate and obfuscated; and not if it was not told the key."""
    needs("telethon")
    found = report(centre, "telethon", CENTRE, keys.public_pem)

    stranger = found.pop("a key it was not told")
    assert stranger == {"error": "InvalidBufferError: Invalid response buffer (HTTP code 404)"}
    assert set(found) == {"full", "abridged", "intermediate", "obfuscated"}
    for framing, said in found.items():
        assert said == {"key_bytes": 256, "offset_s": pytest.approx(0, abs=2)}, framing


def test_pyrogram_reads_res_pq_in_each_framing_and_agrees_on_a_key(
    centre: Any, keys: CentreKey
) -> None:
    needs("pyrogram")
    found = report(centre, "pyrogram", CENTRE, keys.public_pem)

    assert found.pop("key_bytes") == 256
    assert len(found) == 5
    for framing, said in found.items():
        assert said == {"answer": "ResPQ", "echoed": True}, framing


def test_clients_of_the_web_are_served(
    centre: Any, keys: CentreKey, authority: AuthorityKeys
) -> None:
    """HTTP that is kept alive, and a key agreed on in a WebSocket, plain and over TLS."""
    needs("telethon", "websockets")
    found = report(centre, "web", CENTRE, keys.public_pem, authority.certificate)

    posted = {"status": 200, "answer": "ResPQ", "echoed": True, "is_kept": True}
    agreed = {"key_bytes": 256, "offset_s": pytest.approx(0, abs=2), "subprotocol": "binary"}
    refused = "InvalidStatus: server rejected WebSocket connection: HTTP"
    assert found == {
        "/api": posted | {"origin": None},
        "/apiw1": posted | {"origin": "*"},
        "preflight": {"status": 200, "methods": "POST, OPTIONS"},
        "nonsense": {"status": 404, "body": (-404).to_bytes(4, "little", signed=True).hex()},
        "ws": agreed,
        "wss": agreed,
        "ws without a subprotocol": f"{refused} 400",
        "ws elsewhere": f"{refused} 404",
    }


def test_tdlib_takes_the_answer_and_goes_on(fresh: Any, keys: CentreKey) -> None:
    """Telegram's own library pings, and then wants a key by the one of Telegram's it knows.

    Nobody here has that one, so this is where it ends, started by itself or by testProxy.
    The numbers of data centres that it names in the obfuscation are those of its own list.
    """
    needs("tdjson")
    prepare(fresh, data_centre(key=keys, numbers=CENTRES))
    found = report(fresh, "tdlib", FOLDER, str(PROXY_PORT), SECRET)

    assert found["started"] == {"@type": "ok"}
    assert found["ping"] == {"@type": "seconds"}
    # It asks for the first, and the proxy leads everybody to the second.
    assert found["ping through the proxy"] == WRONG_CENTRE
    assert found["test of the proxy"] == NOT_FOUND
    assert "Clear handshake [error:[Error : -404 : MTProto error: -404]]" in found["log"]


def test_tdlib_is_told_that_it_asks_for_another(fresh: Any) -> None:
    """At addresses that are those of other data centres than it takes them for."""
    needs("tdjson")
    prepare(fresh, data_centre(numbers=dict.fromkeys(CENTRES, 77)))
    found = report(fresh, "tdlib", FOLDER, str(PROXY_PORT), SECRET)

    assert found["ping"] == WRONG_CENTRE
    assert found["ping through the proxy"] == WRONG_CENTRE
    assert found["test of the proxy"] == WRONG_CENTRE
