"""``reachwatch proxies`` against proxies that others wrote, and against what people type."""

import base64
import json
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import segno

import netns
from probe.cli.proxies_words import qr_lines

Command = Callable[..., subprocess.CompletedProcess[str]]

SECRET = "00112233445566778899aabbccddeeff"
WRONG = "ffeeddccbbaa99887766554433221100"
DOMAIN = "www.example.org"
HOST = "127.93.94.95"
"""Of loopback, and in no other output by chance."""
USER, PASSWORD = "somebody-known", "pass-word-known"

TELEGRAM_HERE = """
set -e
ip link set lo up
ip addr add 149.154.167.51/32 dev lo
ip addr add 149.154.175.50/32 dev lo
"""


def mtproxy(port: int, secret: str) -> str:
    return f"tg://proxy?server={HOST}&port={port}&secret={secret}"


def ee(secret: str) -> str:
    return f"ee{secret}{DOMAIN.encode().hex()}"


U = "unknown_failure: "
LINKS: list[tuple[str, tuple[str | None, str | None, str | None]]] = [
    # By servers of others, in front of the data centre that is PyPI's mtproto.
    (f"socks5://{HOST}:1080", (None, None, None)),
    (f"socks5://{USER}:{PASSWORD}@{HOST}:1080", (None, None, None)),
    (f"socks4://{USER}@{HOST}:1081", (None, None, None)),
    (f"http://{HOST}:8888", (None, None, None)),
    (mtproxy(9555, SECRET), (None, None, None)),
    (mtproxy(9555, f"dd{SECRET}"), (None, None, None)),
    (mtproxy(9555, ee(SECRET)), (None, None, "old")),
    # By the lab's own, which tdjson 1.8.69 takes for one.
    (mtproxy(9443, ee(SECRET)), (None, None, "current")),
    # And what does not work, each in its own way.
    (mtproxy(9555, f"dd{WRONG}"), ("secret", "generic_timeout_error", None)),
    (mtproxy(9556, ee(WRONG)), ("secret", f"{U}faketls_masked", "current")),
    (mtproxy(9443, ee(WRONG)), ("fake_tls", "generic_timeout_error", "current")),
    (mtproxy(443, f"dd{SECRET}"), ("secret", "eof_error", None)),
    (mtproxy(9445, ee(SECRET)), ("fake_tls", f"{U}faketls_not_tls", "current")),
    (mtproxy(9445, f"dd{SECRET}"), ("secret", f"{U}not_mtproto", None)),
    (f"socks5://{HOST}:9445", ("proxy", f"{U}proxy_refused", None)),
    (f"http://{HOST}:1080", ("proxy", f"{U}proxy_refused", None)),
    (f"tg://socks?server={HOST}&port=2", ("tcp", "connection_refused", None)),
]
BAD = f"tg://proxy?server={HOST}&port=443&secret={SECRET}0"
GIVEN = "# mine\n" + "\n".join(link for link, _ in LINKS) + f"\n\n{BAD}\n"

SECRETS = [
    *(SECRET, WRONG, bytes.fromhex(SECRET).decode("latin-1"), USER, PASSWORD),
    *(base64.b64encode(bytes.fromhex(text)).decode()[:21] for text in (SECRET, WRONG)),
    *(base64.urlsafe_b64encode(bytes.fromhex(f"dd{SECRET}")).decode()[:21], DOMAIN),
    DOMAIN.encode().hex(),
]

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the command says of all of them, in each of its forms."""
    forms = {
        "json": ["-f", "json"],
        "ndjson": ["-f", "ndjson"],
        "table": [],
        "shown": ["--show", "-f", "json"],
        "codes": ["--qr", "2", "--ascii"],
        "other centre": ["--dc", "1", "-f", "json"],
    }
    folder = tmp_path_factory.mktemp("proxies")
    # Nothing is in the way here: what is silent for so long stays silent.
    common = ["-", "--timeout", "4", "--tries", "2"]
    asked = json.dumps([[[*common, *form], GIVEN] for form in forms.values()])
    script = Path(__file__).with_name("proxies_inside.py")
    words = netns.words(sys.executable, str(script), str(folder), asked, setup=TELEGRAM_HERE)
    inside = [*words[:1], "--pid", "--fork", "--kill-child", *words[1:]]
    done = subprocess.run(
        inside,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=netns.ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if "missing" in found:
        pytest.skip(f"{found['missing']} (make peers)")
    return dict(zip(forms, found, strict=True))


@pytest.mark.parametrize("number", range(len(LINKS)), ids=lambda number: str(number + 2))
def test_each_kind_against_a_peer_of_others(runs: dict[str, Any], number: int) -> None:
    """Verified answers, or the failing phase; none that fails counts as working."""
    document = json.loads(runs["json"]["out"])
    (row,) = [each for each in document["proxies"] if each["position"] == f"line {number + 2}"]
    phase, failure, hello = LINKS[number][1]

    assert (row["phase"], row["failure"], row["hello"]) == (phase, failure, hello)
    assert row["loss"] == (0.0 if phase is None else 1.0)
    assert (row["rank"] is None) == (phase is not None)
    assert (row["median_s"] is None) == (phase is not None)


def test_the_ranking(runs: dict[str, Any]) -> None:
    document = json.loads(runs["json"]["out"])
    rows = document["proxies"]
    working = [row for row in rows if row["successes"]]

    assert document["type"] == "proxies"
    assert document["schema_version"] == "1.0"
    assert (document["proxies_total"], document["proxies_working"]) == (len(LINKS), 8)
    assert rows[:8] == working
    assert [row["rank"] for row in working] == list(range(1, 9))
    # Applications of today do not say hello that way.
    assert working[-1]["hello"] == "old"
    medians = [row["median_s"] for row in working[:-1]]
    assert medians == sorted(medians)
    (bad,) = document["bad_links"]
    assert bad["position"] == f"line {len(LINKS) + 3}"
    assert "secret" in bad["reason"]


def test_the_data_centre_that_was_asked_for(runs: dict[str, Any]) -> None:
    """The namespace has the addresses of two: SOCKS is told where, an MTProxy which."""
    document = json.loads(runs["other centre"]["out"])
    assert (document["dc"], document["proxies_working"]) == (1, 8)


def test_lines_end_with_the_ranking(runs: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in runs["ndjson"]["out"].splitlines()]
    kinds = [line["type"] for line in lines]

    assert kinds == ["bad_link", "run_started", *["proxy"] * len(LINKS), "run_finished"]
    assert {line["schema_version"] for line in lines} == {"1.0"}
    works = {line["id"] for line in lines[2:-1] if line["successes"]}
    assert set(lines[-1]["ranking"]) == works
    assert len(works) == 8


def test_the_table_says_where_each_ended(runs: dict[str, Any]) -> None:
    lines = runs["table"]["out"].splitlines()

    assert len(lines) == 1 + len(LINKS) + 2
    assert sum("● works" in line for line in lines) == 8
    assert "for applications of before 2025" in lines[8]
    for number, text in (
        (10, "secret: connected, and no answer: the secret is wrong"),
        (11, "secret: TLS of somebody who does not know the secret"),
        (17, "proxy: refuses"),
        (18, "TCP: nobody listens there"),
    ):
        (line,) = [line for line in lines if f" line {number} " in line]
        assert text in line
    assert lines[-1] == f"8 of {len(LINKS)} proxies work. Nothing is stored."


@pytest.mark.parametrize("form", ["json", "ndjson", "table", "shown", "codes", "other centre"])
def test_no_secret_is_in_any_output_or_file(runs: dict[str, Any], form: str) -> None:
    """Searched for in every spelling; and nothing is left behind."""
    run = runs[form]
    everything = run["out"] + run["err"]

    assert run["code"] == 3  # one link is bad
    assert run["files"] == []
    for secret in SECRETS:
        assert secret not in everything
    assert (HOST in everything) == (form == "shown")
    assert f"line {len(LINKS) + 3}: the secret is neither" in run["err"]


def test_places_are_shown_on_demand(runs: dict[str, Any]) -> None:
    rows = json.loads(runs["shown"]["out"])["proxies"]
    assert {row["place"] for row in rows} >= {f"{HOST}:1080", f"{HOST}:9443"}
    assert "place" not in json.loads(runs["json"]["out"])["proxies"][0]


def test_codes_are_the_best_links(runs: dict[str, Any]) -> None:
    """The first two of the ranking, and it says what they hold."""
    out = runs["codes"]["out"]
    working = [as_telegram(link) for link, outcome in LINKS if outcome[0] is None]
    pictures = ["\n".join(qr_lines(matrix_of(link), ascii_only=True)) for link in working]

    assert out.count("the whole link, secret included") == 2
    assert sum(picture in out for picture in pictures) == 2
    assert out.isascii()


def as_telegram(link: str) -> str:
    """Return the link as the command writes it."""
    from probe.wire.proxy_links import parse_link

    return parse_link(link).url()


def matrix_of(link: str) -> list[list[int]]:
    return [list(row) for row in segno.make_qr(link, error="l").matrix_iter(border=4)]


def test_a_code_in_half_blocks_is_the_same_code() -> None:
    """Read back from the picture: light is drawn, for dark screens."""
    matrix = matrix_of("tg://proxy?server=a.example&port=443&secret=00")
    read: list[list[int]] = []
    for line in qr_lines(matrix, ascii_only=False):
        read.append([int(block in "▄ ") for block in line])
        read.append([int(block in "▀ ") for block in line])
    assert read[: len(matrix)] == matrix
    assert len(read) == len(matrix) + len(matrix) % 2


def test_ten_thousand_malformed_links_give_clear_errors(reachwatch: Command) -> None:
    """One line each, that says where and why and repeats nothing."""
    draw = random.Random(7)
    shapes = (
        "tg://proxy?server=h0st-{}.example&port=443&secret={}zz",
        "socks5://us3r-{}:{}@h0st.example",
        "vless://{}@h0st.example:443?x={}",
        "t.me/proxy?port=443&secret={}{}",
        "h0st-{}.example:{}",
    )
    lines = [
        draw.choice(shapes).format(draw.randbytes(4).hex(), draw.randbytes(16).hex())
        for _ in range(10_000)
    ]
    done = reachwatch("proxies", "-f", "json", input="\n".join(lines))
    said = done.stderr.splitlines()

    assert done.returncode == 3
    assert json.loads(done.stdout)["type"] == "error"
    assert len(said) == 10_001
    assert all(line.startswith(f"line {n}: ") for n, line in enumerate(said[:-1], 1))
    assert said[-1] == "no link to a proxy among 10000"
    for part in ("h0st", "us3r", lines[0][-34:-2]):
        assert part not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["tg://proxy?server=h0st&port=1"], 3, "argument 1: no secret"),
        (["h0st-file.txt"], 3, "argument 1: not a link to a proxy"),
        (["--tries", "tg://h0st", "-"], 2, "expected a whole number from 1 to 20"),
        (["--dc", "203", "-"], 2, "expected a whole number from 1 to 5"),
        (["--qr", "1", "-f", "json", "-"], 2, "--qr: only with --format table"),
        (["-"], 3, "no links were given"),
    ],
)
def test_what_cannot_be_tried(
    reachwatch: Command, arguments: list[str], code: int, text: str
) -> None:
    done = reachwatch("proxies", *arguments, input="# nothing\n\n")

    assert done.returncode == code
    assert text in done.stderr
    assert "h0st" not in done.stderr + done.stdout


def test_files_name_their_lines(reachwatch: Command, tmp_path: Path) -> None:
    """A byte order mark, and endings of Windows, are no part of a link."""
    (tmp_path / "one.txt").write_bytes(b"\xef\xbb\xbfsocks5://127.0.0.1:1\r\n\xff\xfe\r\n")
    (tmp_path / "two").write_text("\nhttp://127.0.0.1\n")
    done = reachwatch("proxies", "one.txt", "two", "socks5://127.0.0.1:1", "-f", "json")
    document = json.loads(done.stdout)

    assert done.returncode == 3
    assert [row["position"] for row in document["proxies"]] == ["one.txt, line 1"]
    positions = [link["position"] for link in document["bad_links"]]
    assert positions == ["one.txt, line 2", "two, line 2"]


def test_lines_are_an_editors(reachwatch: Command, tmp_path: Path) -> None:
    """Tabs of old printers and the like end none."""
    text = b"#\x0b\x0c\xc2\x85\xe2\x80\xa8 mine\rnone\r\n\x0bnor this\x1c\nsocks5://127.0.0.1:1"
    (tmp_path / "one.txt").write_bytes(text)
    document = json.loads(reachwatch("proxies", "one.txt", "-f", "json").stdout)

    assert [row["position"] for row in document["proxies"]] == ["line 4"]
    assert [link["position"] for link in document["bad_links"]] == ["line 2", "line 3"]


def test_too_much_input_is_refused(reachwatch: Command) -> None:
    done = reachwatch("proxies", input="x" * (9 << 20))
    assert (done.returncode, done.stderr.strip()) == (3, "more than 8 MiB of links")


def test_without_a_network_nothing_is_said_of_proxies(tmp_path: Path) -> None:
    done = subprocess.run(
        netns.command("proxies", "socks5://192.0.2.1:1080", "socks5://proxy.example:1"),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=netns.ENVIRONMENT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 5
    assert "not enough data" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """While it waits for a proxy that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = f"tg://proxy?server=127.0.0.1&port={listener.getsockname()[1]}&secret={SECRET}"
        with subprocess.Popen(
            [sys.executable, "-m", "probe.cli.main", "proxies", "-f", "json", link],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        ) as process:
            client, _ = listener.accept()
            with client:
                process.send_signal(number)
                out, err = process.communicate(timeout=30)

    assert (process.returncode, err) == (code, "stopped; nothing is stored\n")
    document = json.loads(out)
    assert (document["type"], document["exit_code"]) == ("error", code)
    assert list(tmp_path.iterdir()) == []
