"""How fast OONI-like measurements become tables and every chart, and at what memory.

Claims, on two cores: a million measurements of 3.9 KB, JSONL to Parquet to every chart,
within 60 s at no more than 1.5 GB; the timeline alone from Parquet within 3 s; per core at
least 20 x OONI's v5 transformer at the columns listed. ``python benchmarks/warehouse.py [N]
[FAILING]``: N measurements (default 1 000 000), a share of places failing on blocked days
(default 0.3; ``mixed`` takes the other generator).

The limit is measured in the same run: reading the same bytes, which no importer can do
without, and taking them apart as JSON with orjson, which none of Python's can. OONI's figure
(554 measurements/s a core on such a file) was measured on another machine and is only quoted:
its transformer is on no package index. Its list of columns is that of its table obs_web.
"""

import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import ooni_like
import ooni_mixed
import orjson

from analysis.chart.style import save_svg
from analysis.dataset import Dataset, load
from analysis.drawn import NoDataError
from analysis.views import KINDS, view
from analysis.warehouse import build
from analysis.warehouse.schema import MEASUREMENTS, OBSERVATIONS

OONI_PER_SECOND = 554
CORES = 2
MAX_TOTAL_S = 60.0
MAX_TIMELINE_S = 3.0
MAX_SVG_KB = 120
MAX_MEMORY_MB = 1500

SAME = {
    "measurement_uid": "measurement_id", "input": "input", "report_id": "run_id (hashed)",
    "measurement_start_time": "start_time (minute)", "software_name": "software_name",
    "software_version": "software_version", "test_name": "test_name",
    "test_version": "test_version", "bucket_date": "date", "probe_asn": "probe_asn",
    "probe_cc": "probe_cc", "network_type": "network_type", "platform": "platform",
    "engine_version": "engine_version", "resolver_asn_probe": "resolver_asn",
    "target_id": "target_id", "hostname": "hostname", "transaction_id": "chain_id",
    "ip": "address", "port": "port", "dns_query_type": "query_type", "dns_failure": "failure",
    "dns_engine": "resolver_id", "dns_answer": "answers", "dns_t": "t", "tcp_failure": "failure",
    "tcp_success": "failure is null", "tcp_t": "t", "tls_failure": "failure",
    "tls_server_name": "server_name", "tls_version": "tls_version",
    "tls_cipher_suite": "cipher_suite",
    "tls_end_entity_certificate_fingerprint": "certificate_sha256", "tls_t": "t",
    "http_request_url": "hostname, port, path", "http_alpn": "alpn", "http_failure": "failure",
    "http_request_method": "method", "http_response_body_length": "body_bytes",
    "http_response_body_is_truncated": "body_is_truncated",
    "http_response_status_code": "status_code", "http_response_header_location": "location",
    "http_response_header_server": "server", "http_t": "t", "origin": "origin",
    "engine_name": "engine_name", "architecture": "architecture",
    "observation_idx": "step, position", "dns_answer_type": "answers (by their form)",
    "dns_answer_asn": "answer_asns", "tls_is_certificate_valid": "certificate_is_valid",
    "tls_end_entity_certificate_subject": "certificate_subject",
    "tls_end_entity_certificate_subject_common_name": "certificate_subject (CN)",
    "tls_end_entity_certificate_issuer": "certificate_issuer",
    "tls_end_entity_certificate_issuer_common_name": "certificate_issuer (CN)",
    "tls_end_entity_certificate_san_list": "certificate_names",
    "tls_end_entity_certificate_not_valid_after": "certificate_not_after",
    "tls_end_entity_certificate_not_valid_before": "certificate_not_before",
    "tls_certificate_chain_length": "certificate_chain_length",
    "tls_certificate_chain_fingerprints": "certificate_chain_sha256",
    "tls_handshake_time": "t - t0", "http_network": "transport", "http_runtime": "t - t0",
    "http_request_body_length": "request_body_bytes", "http_response_body_sha1": "body_sha1",
    "http_request_redirect_from": "redirected_from (host)",
    "http_request_body_is_truncated": "request_body_is_truncated",
}  # fmt: skip
"""OONI's column -> ours that holds the same."""

_FROM_ADDRESS = "a database of addresses, which is not ours to pass on; join one on the address"
_FROM_NUMBER = "a table of AS numbers, which is not ours to pass on; join one on the number"
_RESOLVER = "a resolver's address can be the person's own, and is never kept"
_EVENTS = "counted over network_events, which are not read"

NOT_HERE = {
    "probe_as_org_name": _FROM_NUMBER, "probe_as_cc": _FROM_NUMBER, "probe_as_name": _FROM_NUMBER,
    "resolver_ip": _RESOLVER, "resolver_asn": _RESOLVER, "resolver_cc": _RESOLVER,
    "resolver_as_org_name": _RESOLVER, "resolver_as_cc": _RESOLVER,
    "resolver_is_scrubbed": _RESOLVER, "resolver_as_org_name_probe": _FROM_NUMBER,
    "created_at": "two builds of the same files give the same tables",
    "ip_asn": _FROM_ADDRESS, "ip_as_org_name": _FROM_ADDRESS, "ip_as_cc": _FROM_ADDRESS,
    "ip_cc": _FROM_ADDRESS, "ip_is_bogon": "follows from the address",
    "dns_engine_resolver_address": _RESOLVER, "dns_answer_as_org_name": _FROM_NUMBER,
    "tls_handshake_read_count": _EVENTS, "tls_handshake_write_count": _EVENTS,
    "tls_handshake_read_bytes": _EVENTS, "tls_handshake_write_bytes": _EVENTS,
    "tls_handshake_last_operation": _EVENTS,
    "probe_analysis": "OONI's own conclusions are not read",
}  # fmt: skip
"""OONI's columns that these tables do not have, and why."""

NOT_THERE = (
    "service_id", "member", "failure_class", "ip_version", "title", "runtime_s", "n_ok", "n_total",
    "outcome", "failed_step", "<layer>_ok", "<layer>_total", "<layer>_failure",
)  # fmt: skip
"""Ours that OONI's table does not have."""


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what work returns, its seconds, and its seconds of processor."""
    started, used = perf_counter(), process_time()
    result = work()
    return result, perf_counter() - started, process_time() - used


def read(paths: list[Path]) -> None:
    for path in paths:
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass


def parse(path: Path, n: int) -> None:
    with path.open("rb") as file:
        for line, _ in zip(file, range(n), strict=False):
            orjson.loads(line)


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    kind = sys.argv[2] if len(sys.argv) > 2 else "0.3"
    folder = Path(tempfile.mkdtemp(prefix="warehouse-"))
    try:
        paths = (
            ooni_mixed.write(folder / "in", n, 1)
            if kind == "mixed"
            else ooni_like.write(folder / "in", n, 1, failing=float(kind))
        )
        failed = run(folder, paths, n)
    finally:
        shutil.rmtree(folder)
    sys.exit(failed)


def run(folder: Path, paths: list[Path], n: int) -> bool:
    """Import, draw; print; return whether a claim fails."""
    size = sum(path.stat().st_size for path in paths)
    print(
        f"{n} measurements, {size / n:.0f} bytes each, {size / 1e9:.2f} GB, {os.cpu_count()} cores"
    )
    _, read_s, _ = timed(lambda: read(paths))
    n_parsed = min(n // 4, 50_000)
    _, _, parse_s = timed(lambda: parse(paths[0], n_parsed))

    built, import_s, import_cpu_s = timed(lambda: build(paths, folder / "w", threads=CORES))
    import_mb = memory_mb()
    dataset, load_s, _ = timed(lambda: load(folder / "w"))
    charts = {kind: draw(kind, dataset) for kind in KINDS}

    charts_s = load_s + sum(seconds for seconds, _ in charts.values())
    total_s, limit_s = import_s + charts_s, MAX_TOTAL_S * n / 1e6
    timeline_s = load_s + charts["timeline"][0]
    per_core = n / import_cpu_s
    parquet = sum(path.stat().st_size for path in (folder / "w").rglob("*.parquet"))
    print(f"JSONL -> Parquet  {import_s:.1f} s; {import_cpu_s:.1f} s of processor")
    print(f"  {built.n_rows} steps of {built.n_measurements} measurements, {parquet / 1e6:.0f} MB")
    print(
        f"  {n / import_s:.0f} measurements/s; {per_core:.0f} a core = "
        f"{per_core / OONI_PER_SECOND:.0f} x OONI's {OONI_PER_SECOND} (another machine)"
    )
    print(
        f"  {import_cpu_s / (parse_s * n / n_parsed):.1f} x orjson alone, "
        f"{import_s / read_s:.0f} x reading the bytes"
    )
    print(f"every chart       {charts_s:.1f} s")
    for kind, (seconds, kilobytes) in charts.items():
        said = f"{kilobytes:.0f} KB" if kilobytes else "no data"
        print(f"  {kind:<15} {seconds:.2f} s, {said}")
    print(f"together          {total_s:.1f} s = {total_s / limit_s:.2f} of the limit")
    print(f"timeline alone    {timeline_s:.2f} s = {timeline_s / MAX_TIMELINE_S:.2f} of the limit")
    print(
        f"peak memory       {import_mb:.0f} MB to import, {memory_mb():.0f} MB to draw = "
        f"{memory_mb() / MAX_MEMORY_MB:.2f} of the limit"
    )
    print_columns()
    return (
        total_s > limit_s
        or timeline_s > MAX_TIMELINE_S
        or memory_mb() > MAX_MEMORY_MB
        or any(kilobytes > MAX_SVG_KB for _, kilobytes in charts.values())
        or per_core < 20 * OONI_PER_SECOND
        or built.n_measurements != n
    )  # fmt: skip


def memory_mb() -> float:
    """Return the largest memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def draw(kind: str, dataset: Dataset) -> tuple[float, float]:
    """Return the seconds that a chart takes, and its kilobytes; 0 where nothing is to draw."""

    def work() -> float:
        try:
            drawn = view(kind, dataset)
        except NoDataError:
            return 0
        return len(save_svg(drawn.figure)) / 1000

    kilobytes, seconds, _ = timed(work)
    return seconds, kilobytes


def print_columns() -> None:
    print(
        f"\nobs_web (OONI) -> observations ({len(OBSERVATIONS.all_columns)} columns) and "
        f"measurements ({len(MEASUREMENTS.all_columns)})"
    )
    for theirs, own in SAME.items():
        print(f"  {theirs:<46} {own}")
    for theirs, reason in NOT_HERE.items():
        print(f"  {theirs:<46} - ({reason})")
    for own in NOT_THERE:
        print(f"  {'-':<46} {own}")


if __name__ == "__main__":
    main()
