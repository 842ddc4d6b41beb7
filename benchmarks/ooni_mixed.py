"""Measurements in OONI's form that are as unlike those of ooni_like.py as the form allows.

Four tests, sixty countries, three years, keys in another order, blanks after colons, real
certificates, headers, lookups for both families, pages with titles; one file or several,
plain, gzip or zstd. What is fast with one generator only is fast at nothing.
"""

import base64
import gzip
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

BYTES: Final = 3900
COUNTRIES: Final = [a + b for a, b in product("ABDEGIKLMNPRSTUZ", "AEIR")][:60]
_START: Final = datetime(2021, 6, 1, tzinfo=UTC)
_SITES: Final = [f"www.site{number}.example" for number in range(40)]
_HOSTS: Final = {
    "signal": ["storage.signal.org", "textsecure-service.whispersystems.org", "cdn.signal.org"],
    "whatsapp": ["web.whatsapp.com", "v.whatsapp.net", "e4.whatsapp.net"],
}
_FAILURES: Final = [
    "generic_timeout_error", "connection_reset", "connection_refused", "eof_error",
    "ssl_invalid_certificate",
]  # fmt: skip


def certificates(n: int) -> list[str]:
    """Return certificates as OONI writes them. Their bytes differ from run to run."""
    key = ec.generate_private_key(ec.SECP256R1())
    found = []
    for number in range(n):
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"site{number}.example")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(number + 1)
            .not_valid_before(_START)
            .not_valid_after(_START + timedelta(days=90))
        )
        data = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
        found.append(base64.b64encode(data).decode())
    return found


def measurement(number: int, rng: random.Random, certs: list[str], days: int) -> dict[str, Any]:
    """Return one measurement of any test."""
    cc = COUNTRIES[min(int(rng.expovariate(0.1)), len(COUNTRIES) - 1)]
    asn = 1000 + hash_of(cc) * 60 + rng.randrange(40)
    start = _START + timedelta(seconds=rng.randrange(days * 86400))
    test = rng.choices(["telegram", "web_connectivity", "signal", "whatsapp"], [5, 3, 1, 1])[0]
    fails = 0.25 if (start - _START).days % 50 > 30 and hash_of(cc) % 3 == 0 else 0.02
    site = rng.choice(_SITES)
    if test == "telegram":
        keys = _keys(["web.telegram.org"], rng, certs, fails)
        for end in ("149.154.175.50", "149.154.167.51", "149.154.175.100"):
            keys["tcp_connect"].append(_tcp(end, rng.choice([80, 443]), rng, fails))
    elif test == "web_connectivity":
        keys = _keys([site], rng, certs, fails)
    else:
        keys = _keys(_HOSTS[test][: rng.randint(1, 3)], rng, certs, fails)
    found = {
        "test_keys": keys,
        "software_version": "5.0.1",
        "measurement_start_time": f"{start:%Y-%m-%d %H:%M:%S}",
        "test_start_time": f"{start:%Y-%m-%d %H:%M:%S}",
        "probe_asn": f"AS{asn}",
        "test_name": test,
        "software_name": "miniooni",
        "annotations": {"platform": "linux", "engine_name": "ooniprobe-engine",
                        "engine_version": "3.26.0", "architecture": "amd64"},
        "data_format_version": "0.2.0",
        "test_runtime": rng.uniform(0.5, 90),
        "test_version": "0.5.29",
        "input": f"https://{site}/" if test == "web_connectivity" else None,
        "probe_ip": "127.0.0.1",
        "report_id": f"{start:%Y%m%dT%H%M%SZ}_{test}_{cc}_{asn}_n1_{number:x}",
        "resolver_asn": "AS0",
        "resolver_ip": "127.0.0.2",
        "resolver_network_name": "",
        "probe_network_name": f"Réseau {asn}",
        "probe_cc": cc,
    }  # fmt: skip
    missing = BYTES - len(json.dumps(found, ensure_ascii=False).encode()) - 1
    if missing > 0 and keys["requests"]:
        body = keys["requests"][-1]["response"]["body"]
        keys["requests"][-1]["response"]["body"] = body + "<p>é\n</p>" * (missing // 11)
    return found


def hash_of(cc: str) -> int:
    """Return a number for a country that no run changes."""
    return COUNTRIES.index(cc)


def _keys(hosts: list[str], rng: random.Random, certs: list[str], fails: float) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "agent": "redirect", "client_resolver": "127.0.0.2", "retries": None,
        "requests": [], "tcp_connect": [], "tls_handshakes": [], "queries": [],
        "x_null_null_flags": 0,
    }  # fmt: skip
    for host in hosts:
        ip = f"93.184.{hash_of_text(host) % 256}.{rng.randrange(1, 5)}"
        keys["queries"] += [_query(host, ip, rng, fails, kind) for kind in ("A", "AAAA")]
        connect = _tcp(ip, 443, rng, fails)
        keys["tcp_connect"].append(connect)
        if connect["status"]["failure"]:
            continue
        failure = rng.choice(_FAILURES) if rng.random() < fails else None
        cert = certs[hash_of_text(host) * 7 % len(certs)]
        keys["tls_handshakes"].append(
            {"network": "tcp", "address": f"{ip}:443", "cipher_suite": "TLS_AES_128_GCM_SHA256",
             "failure": failure, "negotiated_protocol": "h2", "no_tls_verify": False,
             "peer_certificates": None if failure else [{"data": cert, "format": "base64"}],
             "server_name": host, "t0": 0.2, "t": 0.2 + rng.random(), "tags": ["depth=0"],
             "tls_version": "TLSv1.3", "transaction_id": 3}
        )  # fmt: skip
        if not failure:
            keys["requests"].append(_request(host, rng))
    return keys


def hash_of_text(text: str) -> int:
    """Return a number for a text that no run changes."""
    return sum(map(ord, text))


def _tcp(ip: str, port: int, rng: random.Random, fails: float) -> dict[str, Any]:
    failure = rng.choice(_FAILURES[:3]) if rng.random() < fails else None
    return {"t": rng.random(), "t0": 0.1, "transaction_id": 3, "ip": ip, "port": port,
            "status": {"success": failure is None, "failure": failure}}  # fmt: skip


def _query(host: str, ip: str, rng: random.Random, fails: float, kind: str) -> dict[str, Any]:
    failure = "dns_nxdomain_error" if rng.random() < fails / 4 else None
    return {
        "resolver_hostname": None, "query_type": kind, "hostname": host, "engine": "getaddrinfo",
        "answers": None if failure or kind == "AAAA" else [
            {"ipv4": ip, "answer_type": "A", "asn": 15133, "as_org_name": "Edge", "ttl": None},
            {"hostname": f"cdn.{host}", "answer_type": "CNAME", "ttl": 60},
        ],
        "failure": failure or ("dns_no_answer" if kind == "AAAA" else None),
        "resolver_port": None, "resolver_address": "", "t0": 0.01, "t": rng.random(),
        "transaction_id": 1,
    }  # fmt: skip


def _request(host: str, rng: random.Random) -> dict[str, Any]:
    headers = {
        "Content-Type": "text/html; charset=utf-8", "Server": "ECS (nyb/1D2E)",
        "Etag": "3147526947",
        "Date": "Mon, 12 Feb 2024 20:33:47 GMT", "Cache-Control": "max-age=604800",
    }  # fmt: skip
    code = rng.choice([200, 200, 200, 301, 403])
    if code == 301:
        headers["Location"] = f"https://{host}/index.html?from={rng.randrange(99)}"
    return {
        "network": "tcp", "address": f"{host}:443", "alpn": "h2", "failure": None,
        "request": {"body": "", "body_is_truncated": False, "method": "GET",
                    "headers": {"Accept": "text/html", "User-Agent": "Mozilla/5.0"},
                    "tor": {"exit_ip": None, "exit_name": None, "is_tor": False},
                    "x_transport": "tcp", "url": f"https://{host}/a?q={rng.randrange(9)}"},
        "response": {"headers_list": [[k, v] for k, v in headers.items()], "headers": headers,
                     "code": code, "body_is_truncated": False,
                     "body": f"<html><head><title>Page {rng.randrange(9)}</title></head>"},
        "t0": 0.4, "t": 0.4 + rng.random(), "tags": ["depth=0"], "transaction_id": 3,
    }  # fmt: skip


def lines(n: int, seed: int, *, days: int = 1000) -> Iterator[bytes]:
    """Yield so many measurements as lines, in no order of time."""
    rng = random.Random(seed)
    certs = certificates(60)
    for number in range(n):
        found = measurement(number, rng, certs, days)
        yield json.dumps(found, ensure_ascii=False).encode() + b"\n"


def write(folder: Path, n: int, seed: int, *, packing: str = "", n_files: int = 1) -> list[Path]:
    """Write measurements into files, packed as ``""``, ``.gz`` or ``.zst``."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(n_files):
        path = folder / f"mixed-{seed}-{number}.jsonl{packing}"
        own = lines(n // n_files, seed * 1000 + number)
        if packing == ".gz":
            with gzip.open(path, "wb", 3) as file:
                file.writelines(own)
        elif packing == ".zst":
            with pa.CompressedOutputStream(str(path), "zstd") as stream:
                for line in own:
                    stream.write(line)
        else:
            with path.open("wb") as plain:
                plain.writelines(own)
        paths.append(path)
    return paths
