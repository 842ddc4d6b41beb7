"""The page on adding a service: its files and commands are run, and print what it shows."""

import datetime as dt
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from local_services import certified, serving, surroundings, telegram_like
from probe.model.validate import BadTargetsError, load_targets

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "how-to-add-a-service.md").read_text(encoding="utf-8")

CHAT, API = "chat.example.org", "api.chat.example.org"
PLACES = {API: "127.0.46.13", CHAT: "127.0.46.14"}
HELSINKI = "nobody listens in Helsinki"


class Block(NamedTuple):
    """A fenced block, what the page says just before it, and where it ends."""

    language: str
    text: str
    before: str


BLOCKS = [
    Block(found[2], found[3], found[1])
    for found in re.finditer(r"(.*?)^```(\w*)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
]
DOCUMENTS = {
    name[1]: block.text
    for block in BLOCKS
    if block.language == "json" and (name := re.search(r"\n`([\w-]+\.json)`:\s*\Z", block.before))
}
ROWS = re.findall(
    r"^\| (`.*`|[\w' ]+) \| `(.*)` \|$", GUIDE.partition("## Mistakes")[2], re.MULTILINE
)


class Stage(NamedTuple):
    """The page's world on loopback: its folder, its ports, its authority."""

    folder: Path
    ports: dict[str, str]
    authority: trustme.CA
    key: bytes
    around: dict[str, Any]
    helsinki: ExitStack

    def placed(self, text: str) -> str:
        """Put loopback in place of the page's addresses, and certificates in place of dots."""
        text = text.replace("192.0.2.", "127.0.46.")
        for shown, real in self.ports.items():
            text = re.sub(rf'("port": |\.\d+:){shown}\b', rf"\g<1>{real}", text)
        return text

    def shown(self, text: str) -> str:
        """Put the page's addresses in place of loopback."""
        text = text.replace("127.0.46.", "192.0.2.")
        for shown, real in self.ports.items():
            text = text.replace(f":{real} ", f":{shown} ")
        return text

    def document(self, name: str) -> dict[str, Any]:
        """The page's file with this world's addresses, ports, certificate and key."""
        document: dict[str, Any] = json.loads(self.placed(DOCUMENTS[name]))
        for service in document["services"]:
            if "trust_anchors" in service:
                service["trust_anchors"] = [self.authority.cert_pem.bytes().decode()]
            if "mtproto_keys" in service:
                service["mtproto_keys"] = [(self.folder / "server-public.pem").read_text()]
        return document

    def run(self, script: str) -> str:
        """Run commands of the page as a reader would, and return all that they print."""
        command = f'reachwatch() {{ "{sys.executable}" -m probe.cli.main "$@"; }}\n{script}'
        done = subprocess.run(
            ["bash", "-c", self.placed(command)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return self.shown(done.stdout)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    if not (shutil.which("openssl") and shutil.which("bash")):
        pytest.skip("needs openssl and bash")
    folder = tmp_path_factory.mktemp("page")
    own = trustme.CA(organization_name="Example", organization_unit_name="Example Chat Authority")
    chat = certified(own, CHAT)
    with ExitStack() as stack:
        helsinki = stack.enter_context(ExitStack())
        around, public = stack.enter_context(surroundings(PLACES))
        ports = {}
        for shown in ("443", "5223"):
            place = stack.enter_context(serving("127.0.46.11", chat))
            ports[shown] = str(place.port)
            helsinki.enter_context(serving("127.0.46.12", chat, place.port))
        stack.enter_context(serving(PLACES[API], certified(own, API), int(ports["443"])))
        stack.enter_context(serving(PLACES[CHAT], certified(public, CHAT), int(ports["443"])))
        key = rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        stack.enter_context(telegram_like("127.0.46.21", int(ports["443"]), key))
        yield Stage(folder, ports, own, key, around, helsinki)


def plain(text: str) -> list[str]:
    """Lines without what differs from run to run: times, ids, counts of facts, widths."""
    text = re.sub(r"\d{4}-\d\d-\d\d/run-\w+-[0-9a-f]{16}", "DATE/run-ID", text)
    text = re.sub(r"\b[0-9a-f]{16}\b", "ID", re.sub(r"\(\d+ facts\)", "(N facts)", text))
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_every_command_prints_what_the_page_shows(stage: Stage) -> None:
    """The files are written, the commands run in order, and each output compared."""
    write_sources(stage)
    printed = ""
    for block in BLOCKS:
        if HELSINKI in block.before:
            stage.helsinki.close()
        match block.language:
            case "json":
                write_documents(stage)
            case "sh":
                printed = stage.run(block.text)
                if "s_client" in block.text:
                    assert "Verification: OK" in printed
            case _:
                shown, real = plain(block.text), plain(printed)
                # The plan's order is drawn anew each time.
                in_order = not shown[0].startswith("start ")
                assert (real if in_order else sorted(real)) == shown, block.before[-200:]


def write_sources(stage: Stage) -> None:
    """What the operator has: an authority's certificate in DER, a private key."""
    stage.authority.cert_pem.write_to_path(str(stage.folder / "ca.pem"))
    words = ["openssl", "x509", "-in", "ca.pem", "-outform", "DER", "-out", "authority.cer"]
    subprocess.run(words, cwd=stage.folder, check=True)
    (stage.folder / "server.key").write_bytes(stage.key)


def write_documents(stage: Stage) -> None:
    """Write the page's files; where the world's rest is left out, loopback's is added."""
    for name in DOCUMENTS:
        if name == "mtproto.json" and not (stage.folder / "server-public.pem").exists():
            continue
        document = {**stage.document(name), **stage.around}
        (stage.folder / name).write_text(json.dumps(document))


def test_the_authority_as_a_json_string(stage: Stage) -> None:
    """The command on the page gives what a list takes as it stands."""
    stage.authority.cert_pem.write_to_path(str(stage.folder / "authority.pem"))
    (command,) = (b.text for b in BLOCKS if "json.dumps" in b.text)
    assert json.loads(stage.run(command)) == stage.authority.cert_pem.bytes().decode()


def test_controls_of_ones_own_are_valid(stage: Stage) -> None:
    """Added to the example as the page says; they need nothing of the built-in list."""
    (added,) = (json.loads(b.text) for b in BLOCKS if '"controls"' in b.text)
    added["trust_anchors"] = stage.around["trust_anchors"]
    targets = load_targets(json.dumps({**stage.document("own.json"), **added}).encode())
    assert {c.kind for c in targets.controls} == {"known_good", "innocuous_name"}


def ran_out(end: dt.datetime) -> str:
    """Return the certificate of an authority that ended then."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(end - dt.timedelta(days=3650)).not_valid_after(end)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def problems(document: dict[str, Any]) -> list[str]:
    with pytest.raises(BadTargetsError) as caught:
        load_targets(json.dumps(document).encode())
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(("written", "printed"), [row for row in ROWS if row[0][0] == "`"])
def test_mistakes(stage: Stage, written: str, printed: str) -> None:
    """Each mistake of the table, made in the example, is named in the table's words."""
    document = json.loads(DOCUMENTS["own.json"])
    for service in document["services"]:
        service.pop("trust_anchors", None)
    place = document["services"][0]
    if printed.startswith("$.targets"):
        place = document["targets"][0]
    if printed.startswith("$.targets[0].endpoints"):
        place = place["endpoints"][0]
    place.update(json.loads(f"{{{written[1:-1]}}}"))
    assert printed in problems(document)


@pytest.mark.parametrize(("given", "printed"), [row for row in ROWS if row[0][0] != "`"])
def test_mistaken_certificates(stage: Stage, given: str, printed: str) -> None:
    """What is not the authority's certificate is told apart from it, in the table's words."""
    own = stage.authority.cert_pem.bytes().decode()
    mistaken = {
        "the server's own certificate": stage.authority.issue_cert(CHAT)
        .cert_chain_pems[0]
        .bytes()
        .decode(),
        "an authority that ran out": ran_out(dt.datetime(2023, 3, 23, tzinfo=dt.UTC)),
        "half a certificate": "\n".join([*own.splitlines()[:4], own.splitlines()[-1]]),
    }
    document = stage.document("own.json")
    document["services"][0]["trust_anchors"] = [mistaken[given]]
    assert problems(document) == [f"$.services[0].trust_anchors[0]: {printed}"]


def test_the_page_has_what_these_tests_look_for() -> None:
    """A table or file that is spelled otherwise would not be tested at all."""
    assert set(DOCUMENTS) == {"own.json", "mtproto.json"}
    assert len(ROWS) == 16
    assert {b.language for b in BLOCKS} == {"json", "sh", ""}
