"""The lab's resolvers give signed texts as those do that Telegram's clients ask."""

import json
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest

from censorlab.authority import AuthorityKeys
from censorlab.servers.certificates import leaf
from censorlab.servers.program import FOLDER
from censorlab.servers.special_config import (
    CLOUDFLARE_PATH,
    GOOGLE_PATH,
    NAME,
    Place,
    SigningKey,
    discovery,
    new_signing_key,
    signed_text,
)
from probe.wire.special_config import decode, load_key, read_text

pytestmark = pytest.mark.netns
V4, V6 = "198.51.100.7", "2001:db8::7"
DNS_JSON = "application/dns-json"
CLIENT = """
import json, ssl, sys, urllib.error, urllib.request
authority, url, accept = sys.argv[1:]
context = ssl.create_default_context(cadata=authority)
context.verify_flags &= ~ssl.VERIFY_X509_STRICT
request = urllib.request.Request(url, headers={"Accept": accept})
try:
    response = urllib.request.urlopen(request, context=context, timeout=5)
except urllib.error.HTTPError as error:
    response = error
print(json.dumps([response.status, response.headers["Content-Type"], response.read().decode()]))
"""


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key()


@pytest.fixture(scope="module")
def text(key: SigningKey, now: datetime) -> str:
    return signed_text(
        key, [Place(2, V4, 443)], date=now - timedelta(days=1), expires=now + timedelta(days=1)
    )


@pytest.fixture(scope="module")
def served(inside: Any, authority: AuthorityKeys, now: datetime, text: str) -> Any:
    inside.start(lambda: discovery(leaf(authority, V4, V6, now=now), {NAME: text}))
    return inside


def get(
    served: Any, authority: AuthorityKeys, url: str, accept: str = DNS_JSON
) -> tuple[int, str, str]:
    words = [sys.executable, "-c", CLIENT, authority.certificate, url, accept]
    done = served.run(words=words)
    assert done["code"] == 0, done["err"]
    status, media_type, body = json.loads(done["out"])
    return status, media_type.partition(";")[0], body


@pytest.mark.parametrize(
    ("path", "kind", "lengths"),
    [(GOOGLE_PATH, "16", [94, 250]), (CLOUDFLARE_PATH, "TXT", [252, 96])],
    ids=["google", "cloudflare"],
)
def test_the_text_in_pieces(
    served: Any,
    authority: AuthorityKeys,
    now: datetime,
    key: SigningKey,
    *,
    path: str,
    kind: str,
    lengths: list[int],
) -> None:
    """Over both families; the prober puts them together and verifies them."""
    for host in (V4, f"[{V6}]"):
        url = f"https://{host}{path}?name={NAME}&type={kind}&random_padding=abcdefghijklm"
        status, media_type, body = get(served, authority, url)
        assert (status, media_type) == (200, DNS_JSON)
        answer = json.loads(body)
        assert (answer["Status"], answer["Question"]) == (0, [{"name": f"{NAME}.", "type": 16}])
        assert [record["type"] for record in answer["Answer"]] == [16, 16]
        assert [len(record["data"]) for record in answer["Answer"]] == lengths
        config = decode(read_text(body.encode(), "dns_json"), [load_key(key.public)], now)
        assert [(dc_id, place.address) for dc_id, place in config.endpoints()] == [(2, V4)]


@pytest.mark.parametrize(
    ("query", "accept", "status", "code"),
    [
        (f"{GOOGLE_PATH}?name=other.test&type=TXT", "*/*", 200, 3),
        (f"{GOOGLE_PATH}?name={NAME}&type=A", "*/*", 200, 0),
        (f"{GOOGLE_PATH}?type=TXT", "*/*", 400, None),
        (f"{CLOUDFLARE_PATH}?name={NAME}&type=TXT", "*/*", 400, None),
        ("/other", "*/*", 404, None),
    ],
    ids=["other name", "other type", "no name", "other form", "other page"],
)
def test_without_the_text(
    served: Any,
    authority: AuthorityKeys,
    *,
    query: str,
    accept: str,
    status: int,
    code: int | None,
) -> None:
    found, _, body = get(served, authority, f"https://{V4}{query}", accept)
    assert found == status
    if code is not None:
        answer = json.loads(body)
        assert answer["Status"] == code
        assert "Answer" not in answer


def test_its_files_are_its_own(authority: AuthorityKeys, now: datetime) -> None:
    program = discovery(leaf(authority, V4, now=now), {}, name="one", port=8443)
    assert all(file.startswith("one/") for file in program.files)
    assert all(FOLDER not in word or f"{FOLDER}/one" in word for word in program.words)
    assert program.listens == (("tcp", 8443),)
