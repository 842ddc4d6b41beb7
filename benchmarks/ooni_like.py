"""Generates measurements in OONI's form: seeded, 3.9 KB each, some of them failing.

A Telegram measurement of ten rows: five data centres by TCP, one lookup, one handshake,
three pages. What fails, fails by country and day, so that a chart has something to show.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

BYTES = 3900
COUNTRIES = {"RU": 12, "IR": 10, "US": 8, "MM": 6, "TR": 6, "BR": 8, "DE": 4, "IN": 6}
_DATA_CENTRES = (
    "149.154.175.50", "149.154.167.51", "149.154.175.100", "149.154.167.91", "149.154.171.5",
)  # fmt: skip
_WEB = "149.154.167.99"
_START = datetime(2024, 1, 1, tzinfo=UTC)


def measurement(number: int, rng: random.Random, n_days: int, failing: float) -> dict[str, Any]:
    """Return one measurement; ``failing`` is the share of places that fail on blocked days."""
    cc = rng.choice(tuple(COUNTRIES))
    asn = 64512 + 100 * tuple(COUNTRIES).index(cc) + rng.randrange(COUNTRIES[cc])
    start = _START + timedelta(seconds=rng.randrange(n_days * 86400))
    is_blocked = (start - _START).days % 30 >= 15 and cc in {"RU", "IR", "MM"}
    share = failing if is_blocked else failing / 20

    def fails(what: str) -> str | None:
        return what if rng.random() < share else None

    tcp = [
        {
            "ip": ip,
            "port": 443,
            "status": {"failure": (failure := fails("generic_timeout_error")),
                       "success": failure is None},
            "t": round(rng.uniform(0.02, 0.4), 6),
        }
        for ip in _DATA_CENTRES
    ]  # fmt: skip
    requests = [
        _request(f"http://{row['ip']}/", 501 if row["status"]["success"] else 0, rng,
                 row["status"]["failure"])
        for row in tcp[:2]
    ]  # fmt: skip
    reset = fails("connection_reset")
    requests.append(_request("https://web.telegram.org/", 0 if reset else 200, rng, reset))
    found = {
        "annotations": {
            "architecture": "arm64", "engine_name": "ooniprobe-engine",
            "engine_version": "3.21.0", "network_type": "wifi", "origin": "autorun",
            "platform": "android",
        },
        "data_format_version": "0.2.0",
        "input": None,
        "measurement_start_time": f"{start:%Y-%m-%d %H:%M:%S}",
        "probe_asn": f"AS{asn}",
        "probe_cc": cc,
        "probe_ip": "127.0.0.1",
        "probe_network_name": f"Network {asn}",
        "report_id": f"{start:%Y%m%dT%H%M%SZ}_telegram_{cc}_{asn}_n1_{number // 3:x}",
        "resolver_asn": f"AS{asn}",
        "resolver_ip": "198.18.0.53",
        "software_name": "ooniprobe-android",
        "software_version": "3.8.5",
        "test_keys": {
            "queries": [
                {
                    "answers": [{"asn": 62041, "answer_type": "A", "ipv4": _WEB, "ttl": None}],
                    "engine": "system", "failure": None, "hostname": "web.telegram.org",
                    "query_type": "A", "resolver_address": "", "t": 0.021,
                }
            ],
            "tcp_connect": tcp,
            "tls_handshakes": [
                {
                    "address": f"{_WEB}:443", "cipher_suite": "TLS_AES_128_GCM_SHA256",
                    "failure": reset, "negotiated_protocol": "h2", "no_tls_verify": False,
                    "peer_certificates": None, "server_name": "web.telegram.org",
                    "t": round(rng.uniform(0.1, 0.9), 6), "tls_version": "TLSv1.3",
                }
            ],
            "requests": requests,
            "telegram_http_blocking": False,
            "telegram_tcp_blocking": False,
            "telegram_web_status": "blocked" if reset else "ok",
        },
        "test_name": "telegram",
        "test_runtime": round(rng.uniform(1, 30), 9),
        "test_start_time": f"{start:%Y-%m-%d %H:%M:%S}",
        "test_version": "0.3.1",
    }  # fmt: skip
    missing = BYTES - 1 - len(orjson.dumps(found))
    page = found["test_keys"]["requests"][-1]["response"]
    page["body"] = "x" * max(missing, 0)
    return found


def _request(url: str, code: int, rng: random.Random, failure: str | None) -> dict[str, Any]:
    return {
        "failure": failure,
        "request": {"method": "GET", "url": url, "x_transport": "tcp",
                    "headers": {"Accept": "*/*", "User-Agent": "Mozilla/5.0"}},
        "response": {"body": "", "body_is_truncated": False, "code": code,
                     "headers": {"Server": "nginx", "Content-Type": "text/html"}},
        "t": round(rng.uniform(0.2, 2), 6),
    }  # fmt: skip


def lines(n: int, seed: int, *, n_days: int = 60, failing: float = 0.3) -> Iterator[bytes]:
    """Yield so many measurements as lines, in no order of time."""
    rng = random.Random(seed)
    for number in range(n):
        yield orjson.dumps(measurement(number, rng, n_days, failing)) + b"\n"


def write(folder: Path, n: int, seed: int, *, n_files: int = 4, **rest: Any) -> list[Path]:
    """Write measurements into files; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(n_files):
        path = folder / f"measurements-{seed}-{number}.jsonl"
        with path.open("wb") as file:
            file.writelines(lines(n // n_files, seed * 1000 + number, **rest))
        paths.append(path)
    return paths
