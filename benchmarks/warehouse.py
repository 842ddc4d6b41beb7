"""How fast OONI-like measurements become tables and a timeline, and at what memory.

Claims, on two cores: a million measurements of 3.9 KB, JSONL to Parquet, within 35 s at no
more than 1.5 GB; the timeline's query over them within 3 s; per core at least 20 x OONI's v5
transformer at the columns listed. ``python benchmarks/warehouse.py [N] [FAILING]``: N
measurements (default 1 000 000), a share of places failing on blocked days (default 0.3).

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
import orjson

from analysis.query_grid import dense, outcome_counts, span
from analysis.warehouse import build, open_tables
from analysis.warehouse.schema import MEASUREMENTS, OBSERVATIONS

OONI_PER_SECOND = 554
CORES = 2
MAX_IMPORT_S = 35.0
MAX_QUERY_S = 3.0
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
    "http_response_header_server": "server", "http_t": "t",
}  # fmt: skip
"""OONI's column -> ours that holds the same."""

NOT_HERE = (
    "probe_as_org_name", "probe_as_cc", "probe_as_name", "origin", "engine_name", "architecture",
    "resolver_ip", "resolver_asn", "resolver_cc", "resolver_as_org_name", "resolver_as_cc",
    "resolver_is_scrubbed", "resolver_as_org_name_probe", "observation_idx", "created_at",
    "ip_asn", "ip_as_org_name", "ip_as_cc", "ip_cc", "ip_is_bogon",
    "dns_engine_resolver_address", "dns_answer_type", "dns_answer_asn",
    "dns_answer_as_org_name", "tls_is_certificate_valid",
    "tls_end_entity_certificate_subject", "tls_end_entity_certificate_subject_common_name",
    "tls_end_entity_certificate_issuer", "tls_end_entity_certificate_issuer_common_name",
    "tls_end_entity_certificate_san_list", "tls_end_entity_certificate_not_valid_after",
    "tls_end_entity_certificate_not_valid_before", "tls_certificate_chain_length",
    "tls_certificate_chain_fingerprints", "tls_handshake_read_count",
    "tls_handshake_write_count", "tls_handshake_read_bytes", "tls_handshake_write_bytes",
    "tls_handshake_last_operation", "tls_handshake_time", "http_network",
    "http_request_body_length", "http_runtime", "http_response_body_sha1",
    "http_request_redirect_from", "http_request_body_is_truncated", "probe_analysis",
)  # fmt: skip
"""OONI's columns that these tables do not have."""

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
    failing = float(sys.argv[2]) if len(sys.argv) > 2 else 0.3
    folder = Path(tempfile.mkdtemp(prefix="warehouse-"))
    try:
        failed = run(folder, n, failing)
    finally:
        shutil.rmtree(folder)
    sys.exit(failed)


def run(folder: Path, n: int, failing: float) -> bool:
    """Generate, import, ask; print; return whether a claim fails."""
    paths = ooni_like.write(folder / "in", n, 1, failing=failing)
    size = sum(path.stat().st_size for path in paths)
    print(
        f"{n} measurements, {size / n:.0f} bytes each, {size / 1e9:.2f} GB, {os.cpu_count()} cores"
    )
    _, read_s, _ = timed(lambda: read(paths))
    n_parsed = min(n // 4, 50_000)
    _, parse_s, _ = timed(lambda: parse(paths[0], n_parsed))

    built, import_s, import_cpu_s = timed(lambda: build(paths, folder / "w", threads=CORES))
    measurements = open_tables(folder / "w", threads=CORES)["measurements"]

    def ask() -> int:
        bounds = span(measurements)
        assert bounds is not None
        return dense(outcome_counts(measurements), *bounds).to_pyarrow().num_rows

    n_cells, query_s, _ = timed(ask)
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    per_core = n / import_cpu_s
    limit_s = MAX_IMPORT_S * n / 1e6
    parquet = sum(path.stat().st_size for path in (folder / "w").rglob("*.parquet"))
    print(
        f"JSONL -> Parquet  {import_s:.1f} s = {import_s / limit_s:.2f} of the limit; "
        f"{import_cpu_s:.1f} s of processor"
    )
    print(f"  {built.n_rows} steps of {built.n_measurements} measurements, {parquet / 1e6:.0f} MB")
    print(
        f"  {n / import_s:.0f} measurements/s; {per_core:.0f} a core = "
        f"{per_core / OONI_PER_SECOND:.0f} x OONI's {OONI_PER_SECOND} (another machine)"
    )
    print(
        f"  {import_cpu_s / (parse_s * n / n_parsed):.1f} x orjson alone, "
        f"{import_s / read_s:.0f} x reading the bytes"
    )
    print(
        f"timeline's query  {query_s:.2f} s = {query_s / MAX_QUERY_S:.2f} of the limit, "
        f"{n_cells} cells"
    )
    print(f"peak memory       {memory_mb:.0f} MB = {memory_mb / MAX_MEMORY_MB:.2f} of the limit")
    print_columns()
    return (
        import_s > limit_s
        or query_s > MAX_QUERY_S
        or memory_mb > MAX_MEMORY_MB
        or per_core < 20 * OONI_PER_SECOND
        or built.n_measurements != n
    )  # fmt: skip


def print_columns() -> None:
    print(
        f"\nobs_web (OONI) -> observations ({len(OBSERVATIONS.all_columns)} columns) and "
        f"measurements ({len(MEASUREMENTS.all_columns)})"
    )
    for theirs, own in SAME.items():
        print(f"  {theirs:<44} {own}")
    for theirs in NOT_HERE:
        print(f"  {theirs:<44} -")
    for own in NOT_THERE:
        print(f"  {'-':<44} {own}")


if __name__ == "__main__":
    main()
