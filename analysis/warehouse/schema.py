"""The tables and their columns, defined once: Parquet, views and docs/tables.md follow.

Types are those that every reader of Parquet has. A column that does not apply to a row
is null, as in the stored lines (probe/model/observation.py).
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import pyarrow as pa

ColumnType = Literal["VARCHAR", "BIGINT", "INTEGER", "DOUBLE", "BOOLEAN", "TIMESTAMP", "DATE"]

LAYERS: Final = ("dns", "tcp", "tls", "http", "mtproto")
"""Steps that are summed up by measurement, in the order in which a connection takes them."""

VERDICT_LAYERS: Final = ("dns", "tcp", "proxy", "tls", "http", "mtproto")
"""Steps that verdicts count members at. The direct way has no proxy, ways around have."""


class Column(NamedTuple):
    """A column: its name, DuckDB's word for its type, and what it holds."""

    name: str
    type: ColumnType
    about: str


class Table(NamedTuple):
    """A table: one folder of files. ``partitions`` are columns held in folder names."""

    name: str
    about: str
    columns: tuple[Column, ...]
    partitions: tuple[Column, ...]

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """Columns within the files, then those in folder names."""
        return self.columns + self.partitions


_BY_MONTH: Final = (
    Column("source", "VARCHAR", "`reachwatch` or `ooni`"),
    Column("month", "VARCHAR", "of `date`, as in `2024-03`"),
)
"""Months, not days: a file costs every writer and reader the same however little is in it, and
years of days are thousands. Late data add a file to their months and rewrite none."""

_WHO: Final = (
    Column("measurement_id", "VARCHAR", "our run id; of OONI's measurements a hash, 16 digits"),
    Column("source_file", "VARCHAR", "first 16 digits of the SHA-256 of the file it came in"),
    Column("start_time", "TIMESTAMP", "UTC, rounded down to the minute"),
    Column("date", "DATE", "UTC day of `start_time`"),
    Column("probe_cc", "VARCHAR", "ISO 3166 code, `ZZ` where unknown"),
    Column("probe_asn", "BIGINT", "AS number, 0 where unknown"),
    Column("lab", "BOOLEAN", "a simulated network"),
    Column("test_name", "VARCHAR", "OONI's test; `reachwatch` for ours"),
    Column("service_id", "VARCHAR", "what people use"),
    Column("target_id", "VARCHAR", "what one question is about; see how-to-import-ooni.md"),
)

OBSERVATIONS: Final = Table(
    "observations",
    "One row a step against one address, or a lookup.",
    (
        *_WHO,
        Column("step", "VARCHAR", "`dns`, `tcp`, `tls`, `http`, …"),
        Column("role", "VARCHAR", "`test`, `control`, `contrast` or `resolver`"),
        Column("follow_up", "VARCHAR", "the separating probe it belongs to"),
        Column("member", "VARCHAR", "what n of N counts"),
        Column("tactic", "VARCHAR", "the way around; `none` is the direct way"),
        Column("proxy_id", "VARCHAR", "the proxy it went through"),
        Column("chain_id", "VARCHAR", "joins the steps of one connection"),
        Column("attempt", "INTEGER", "counts from 1"),
        Column("position", "INTEGER", "of OONI's rows of a step, counts from 1"),
        Column("t0", "DOUBLE", "seconds since the start of the run"),
        Column("t", "DOUBLE", "the same, at the end of the step"),
        Column("failure", "VARCHAR", "null exactly if the step succeeded"),
        Column("failure_class", "VARCHAR", "see below"),
        Column(
            "hostname", "VARCHAR", "the name; of OONI's connects, whose lookup gave the address"
        ),
        Column("address", "VARCHAR", "the address"),
        Column("port", "INTEGER", "the port"),
        Column("ip_version", "INTEGER", "4 or 6"),
        Column("resolver_id", "VARCHAR", "the resolver asked; OONI: its engine"),
        Column("resolver_protocol", "VARCHAR", "how it was asked"),
        Column("query_type", "VARCHAR", "`A`, `AAAA`, …"),
        Column("rcode", "VARCHAR", "the answer's code"),
        Column("answers", "VARCHAR", "accepted addresses and names, with spaces between"),
        Column("answer_asns", "VARCHAR", "their networks, as the probe knew them; `-`: unknown"),
        Column("tcp_rtt_s", "DOUBLE", "the kernel's round trip"),
        Column("tcp_retransmits", "BIGINT", "segments sent again"),
        Column("icmp_type", "INTEGER", "of the router's word"),
        Column("icmp_code", "INTEGER", "of the router's word"),
        Column("icmp_origin", "VARCHAR", "`target`, `path` or `local`"),
        Column("server_name", "VARCHAR", "the name in the hello"),
        Column("tls_version", "VARCHAR", "as the library says"),
        Column("cipher_suite", "VARCHAR", "as the library says"),
        Column("alpn", "VARCHAR", "the protocol agreed"),
        Column("verify_code", "INTEGER", "OpenSSL's verify code"),
        Column("certificate_is_valid", "BOOLEAN", "verified, by the probe's own trust; OONI only"),
        Column("certificate_sha256", "VARCHAR", "of the leaf, as all that follow but two"),
        Column("certificate_subject", "VARCHAR", "whose it says it is (RFC 4514)"),
        Column("certificate_issuer", "VARCHAR", "who signed it"),
        Column("certificate_names", "VARCHAR", "names it is for, with spaces between"),
        Column("certificate_not_before", "TIMESTAMP", "UTC"),
        Column("certificate_not_after", "TIMESTAMP", "UTC"),
        Column("certificate_chain_length", "INTEGER", "certificates presented"),
        Column("certificate_chain_sha256", "VARCHAR", "of each, leaf first, with spaces between"),
        Column("hello_profile", "VARCHAR", "the form of the hello"),
        Column("transport", "VARCHAR", "`tcp` or `udp` beneath HTTP; OONI's word"),
        Column("method", "VARCHAR", "of the request"),
        Column("path", "VARCHAR", "of the request; OONI: of the URL"),
        Column("request_body_bytes", "BIGINT", "of the request"),
        Column("request_body_is_truncated", "BOOLEAN", "the body of the request went on"),
        Column("redirected_from", "VARCHAR", "host whose redirect the request follows; OONI only"),
        Column("status_code", "INTEGER", "of the answer"),
        Column("server", "VARCHAR", "the answer's header of that name"),
        Column("location", "VARCHAR", "host that a redirect leads to"),
        Column("title", "VARCHAR", "of the page"),
        Column("body_bytes", "BIGINT", "of the body that was kept"),
        Column("body_sha1", "VARCHAR", "of the body that was kept; OONI only"),
        Column("body_is_truncated", "BOOLEAN", "the body went on"),
        Column("body_duration_s", "DOUBLE", "from its first byte to its last"),
        Column("first_byte_s", "DOUBLE", "from the first byte sent to the first received"),
        Column("sent_bytes", "BIGINT", "in this step"),
        Column("received_bytes", "BIGINT", "in this step"),
        Column("mtproto_transport", "VARCHAR", "framing of MTProto"),
        Column("loop_lag_s", "DOUBLE", "the largest delay of our own event loop"),
    ),
    _BY_MONTH,
)

_LAYER_WORDS: Final[tuple[tuple[str, ColumnType, str], ...]] = (
    ("ok", "INTEGER", "rows of step `{0}` that passed"),
    ("total", "INTEGER", "rows of step `{0}`; 0: no data"),
    ("failure", "VARCHAR", "how they failed; `mixed` if not all alike"),
)

MEASUREMENTS: Final = Table(
    "measurements",
    "One row a measurement and target: the direct way summed up, without a judgement.",
    (
        *_WHO,
        Column("run_id", "VARCHAR", "our run; of OONI a hash of the report, 16 digits"),
        Column("network_type", "VARCHAR", "`home`, `mobile`, …; OONI's own words"),
        Column("platform", "VARCHAR", "operating system"),
        Column("software_name", "VARCHAR", "what measured"),
        Column("software_version", "VARCHAR", "its version"),
        Column("architecture", "VARCHAR", "of the processor; OONI only"),
        Column("origin", "VARCHAR", "`autorun` or a person's doing; OONI only"),
        Column("engine_name", "VARCHAR", "OONI's engine"),
        Column("engine_version", "VARCHAR", "of OONI's engine"),
        Column("test_version", "VARCHAR", "of OONI's test"),
        Column("input", "VARCHAR", "OONI's input"),
        Column("resolver_asn", "BIGINT", "network of the resolver, 0 where unknown"),
        Column("runtime_s", "DOUBLE", "of the test"),
        Column("n_ok", "INTEGER", "members that passed every step tried, at least once each"),
        Column("n_total", "INTEGER", "members with data"),
        Column(
            "outcome",
            "VARCHAR",
            "`ok`, `partial` (some members, or OONI's at times only), `failed`, or `no_data`",
        ),
        Column("failed_step", "VARCHAR", "the first step at which a member fails"),
        Column("failure", "VARCHAR", "how members fail; `mixed` if not all alike"),
        Column("failure_class", "VARCHAR", "of `failure`; `mixed` if not all alike"),
        *(
            Column(f"{layer}_{word}", kind, about.format(layer))
            for layer in LAYERS
            for word, kind, about in _LAYER_WORDS
        ),
    ),
    _BY_MONTH,
)

VERDICTS: Final = Table(
    "verdicts",
    "One row a run, target and tactic: what the rules made of it.",
    (
        *(column for column in _WHO if column.name != "test_name"),
        Column("network_type", "VARCHAR", "`home`, `mobile`, …"),
        Column("software_version", "VARCHAR", "of the prober"),
        Column("targets_sha256", "VARCHAR", "of the target list"),
        Column("combination_rule", "VARCHAR", "`any_of` or `all_of` members"),
        Column("tactic", "VARCHAR", "the way around; `none` is the direct way"),
        Column("proxy_id", "VARCHAR", "the proxy it went through"),
        Column("state", "VARCHAR", "see glossary.md"),
        Column("mechanism", "VARCHAR", "see glossary.md"),
        Column("benign_cause", "VARCHAR", "see glossary.md"),
        Column("stage", "VARCHAR", "the step at which it fails"),
        Column("rule_id", "VARCHAR", "the rule that decided"),
        Column("rules_version", "INTEGER", "of the table of rules"),
        Column("n_ok", "INTEGER", "members that work"),
        Column("n_total", "INTEGER", "members"),
        Column("attempts", "INTEGER", "tries"),
        Column("control_state", "VARCHAR", "`ok`, `degraded` or `failed`"),
        Column("controls_ok", "INTEGER", "controls that answered"),
        Column("controls_total", "INTEGER", "controls"),
        Column("failed_members", "VARCHAR", "members that do not work, with spaces between"),
        Column("failed_ports", "VARCHAR", "ports that fail where others reach all"),
        Column("failed_families", "VARCHAR", "`4` or `6`: the IP version that fails so"),
        Column("with_encrypted_dns", "BOOLEAN", "the way began at addresses of encrypted lookups"),
        Column("within_hops", "INTEGER", "the interference is no more routers away"),
        Column("reasons", "VARCHAR", "ids of the observations that count, with spaces between"),
        Column("open_rivals", "VARCHAR", "explanations that stand, with spaces between"),
        Column("evidence_failed", "INTEGER", "tries that failed as the rule says"),
        Column("evidence_tried", "INTEGER", "of so many"),
        Column("contrast_ok", "INTEGER", "tries of the contrast, or controls, that passed"),
        Column("contrast_tried", "INTEGER", "of so many"),
        Column("summary", "VARCHAR", "the verdict in words"),
        *(
            Column(f"{layer}_{word}", "INTEGER", f"members {about} step `{layer}`")
            for layer in VERDICT_LAYERS
            for word, about in (("ok", "that passed"), ("total", "tried at"))
        ),
    ),
    _BY_MONTH,
)

DAILY: Final = Table(
    "daily",
    "One row a day, country and metric of somebody else's daily counts.",
    (
        Column("source_file", "VARCHAR", "first 16 digits of the SHA-256 of the file"),
        Column("date", "DATE", "the day"),
        Column("probe_cc", "VARCHAR", "ISO 3166 code"),
        Column("metric", "VARCHAR", "the column it stood in: `ok`, `dns`, `users`, …"),
        Column("value", "DOUBLE", "what stood there"),
    ),
    (Column("source", "VARCHAR", "`ooni_counts` or `tor_users`"),),
)

_ARROW: Final = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
    "DATE": pa.date32(),
}

TABLES: Final = {table.name: table for table in (OBSERVATIONS, MEASUREMENTS, VERDICTS, DAILY)}


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """Return the columns in Arrow's types."""
    return pa.schema([(column.name, _ARROW[column.type]) for column in columns])


def empty_select(table: Table) -> str:
    """Return SQL of a relation with the table's columns and no row."""
    columns = ", ".join(
        f'CAST(NULL AS {column.type}) AS "{column.name}"' for column in table.all_columns
    )
    return f"SELECT {columns} WHERE false"
