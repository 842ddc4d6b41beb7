"""OONI's nested rows -> our flat columns, one row a step, as SQL over a segment's ``raw``.

Whose fact a row is follows docs/how-to-import-ooni.md. What belongs to the measurement is
joined only where rows are written: a wide table costs more to keep than to write.
"""

from typing import Final

from analysis.warehouse.certificates import SCHEMA
from analysis.warehouse.failure_class import class_sql
from analysis.warehouse.ooni_sql import MAX_TEXT, cut

_DATA_CENTRES: Final = {
    "149.154.175.50": "dc1",
    "149.154.167.51": "dc2",
    "95.161.76.100": "dc2",
    "149.154.175.100": "dc3",
    "149.154.167.91": "dc4",
    "149.154.171.5": "dc5",
}
"""Addresses of OONI's telegram test (ooni/spec ts-020)."""

# Most URLs have a scheme, a host and a path, and no more: these are split, for patterns cost
# as much as all else about a row.
_HOST: Final = r"'^[a-z]+://(?:[^/@]*@)?(\[[^\]]*\]|[^/:?#]+)'"
_PORT: Final = r"'^[a-z]+://[^/]*?:([0-9]+)(?:[/?#]|$)'"

_TITLE: Final = (
    "nullif(trim(regexp_replace(regexp_extract(left(u.response.body, 65536), "
    "'(?is)<title[^>]{0,200}>([^<]{1,255})', 1), "
    r"'[0-9]+(\.[0-9]+){3}|[0-9a-f]*:[0-9a-f:]*:[0-9a-f:]*|[0-9]{5,}', '*', 'gi')), '')"
)
"""A block page may greet the person by address or by number."""


def _is_address(name: str) -> str:
    """Return SQL of whether a name is an address: no top-level domain ends with a digit."""
    return f"({name}[-1] BETWEEN '0' AND '9' OR contains({name}, ':'))"


def failure_sql(failure: str) -> str:
    """Return SQL of a failure string.

    The first version wrote false for null. What is not one word may hold an address of the
    person's, so only that it failed is kept.
    """
    return (
        f"CASE WHEN {failure} IS NULL OR {failure} = 'false' THEN NULL "
        f"WHEN regexp_full_match({failure}, '[a-z0-9_]{{1,60}}') THEN {failure} "
        "ELSE 'unknown_failure: other' END"
    )


def _small(number: str, most: int) -> str:
    return f"CASE WHEN {number} BETWEEN 0 AND {most} THEN TRY_CAST({number} AS INTEGER) END"


def _flag(text: str) -> str:
    return f"CASE {text} WHEN 'true' THEN true WHEN 'false' THEN false END"


def _host_of(url: str) -> str:
    return f"nullif({_bare_host(f'left({url}, 2000)')}, '')"


def _bare_host(url: str) -> str:
    """Return SQL of a URL's host; an address of IPv6 without its brackets, as elsewhere."""
    return f"trim(regexp_extract({url}, {_HOST}, 1), '[]')"


_ENDED: Final = {
    "queries": "u.hostname IS NOT NULL",
    "tcp_connect": "(u.status.failure IS NOT NULL OR u.status.success IS NOT NULL)",
    "tls_handshakes": "(u.server_name IS NOT NULL OR u.address IS NOT NULL)",
    "requests": "(u.failure IS NOT NULL OR u.response.code > 0)",
}
"""Rows that say how they ended, and of whom. No failure alone would pass for success."""


def _rows(name: str, also: str = "", source: str = "raw") -> str:
    rows = f"test_keys.{name}"
    columns = f"unnest({rows}) AS u, generate_subscripts({rows}, 1) AS position{also}"
    return (
        f"(SELECT * FROM (SELECT n, test_name, {columns} FROM {source}) "  # noqa: S608 - constants
        f"WHERE {_ENDED[name]})"
    )


_TYPED_NULLS: Final = {
    "hostname": "VARCHAR", "address": "VARCHAR", "port": "INTEGER", "resolver_id": "VARCHAR",
    "query_type": "VARCHAR", "answers": "VARCHAR", "answer_asns": "VARCHAR",
    "server_name": "VARCHAR", "tls_version": "VARCHAR", "cipher_suite": "VARCHAR",
    "alpn": "VARCHAR", "certificate_is_valid": "BOOLEAN", "chain": "VARCHAR[]",
    "transport": "VARCHAR", "method": "VARCHAR", "path": "VARCHAR",
    "request_body_bytes": "BIGINT", "request_body_is_truncated": "BOOLEAN",
    "redirected_from": "VARCHAR", "status_code": "INTEGER", "server": "VARCHAR",
    "location": "VARCHAR", "title": "VARCHAR", "body_bytes": "BIGINT", "body_sha1": "VARCHAR",
    "body_is_truncated": "BOOLEAN",
}  # fmt: skip
"""What some kinds of steps have and others lack."""

_ANY: Final = "n, test_name, position, u.t0 AS t0, u.t AS t, u.transaction_id AS transaction_id"


def _branch(step: str, rows: str, **columns: str) -> str:
    missing = {name: f"CAST(NULL AS {kind})" for name, kind in _TYPED_NULLS.items()}
    chosen = {"failure": "u.failure"} | missing | columns
    listed = ", ".join(f"{sql} AS {name}" for name, sql in chosen.items())
    return f"SELECT {_ANY}, '{step}' AS step, {listed} FROM {rows}"  # noqa: S608 - constants


_DNS: Final = _branch(
    "dns",
    _rows("queries"),
    hostname=cut("u.hostname"),
    resolver_id=cut("u.engine", 32),
    query_type=cut("u.query_type", 16),
    answers=(
        "array_to_string(list_transform(u.answers[:32], "
        f"lambda a: left(coalesce(a.ipv4, a.ipv6, a.hostname, ''), {MAX_TEXT})), ' ')"
    ),
    answer_asns=(
        "array_to_string(list_transform(u.answers[:32], "
        "lambda a: coalesce(left(a.asn, 10), '-')), ' ')"
    ),
)

_TCP: Final = _branch(
    "tcp",
    _rows("tcp_connect"),
    failure=(
        "CASE WHEN u.status.failure IS NULL AND NOT u.status.success "
        "THEN 'unknown_failure: other' ELSE u.status.failure END"
    ),
    address=cut("u.ip", 64),
    port=_small("u.port", 65535),
)

_TLS: Final = _branch(
    "tls",
    _rows("tls_handshakes"),
    hostname=cut("u.server_name"),
    address="regexp_extract(left(u.address, 64), '^\\[?(.*?)\\]?:([0-9]+)$', 1)",
    port=(
        "TRY_CAST(nullif(regexp_extract(left(u.address, 64), ':([0-9]{1,5})$', 1), '') AS INTEGER)"
    ),
    server_name=cut("u.server_name"),
    tls_version=f"nullif({cut('u.tls_version', 16)}, '')",
    cipher_suite=f"nullif({cut('u.cipher_suite', 64)}, '')",
    alpn=f"nullif({cut('u.negotiated_protocol', 32)}, '')",
    certificate_is_valid=(
        "CASE WHEN u.no_tls_verify = 'true' THEN NULL WHEN u.failure IS NULL THEN true "
        "WHEN u.failure IN ('ssl_invalid_certificate', 'ssl_invalid_hostname', "
        "'ssl_unknown_authority') THEN false END"
    ),
    chain=(
        "CASE WHEN len(u.peer_certificates) > 0 "
        "THEN list_transform(u.peer_certificates[:16], lambda c: c.data) END"
    ),
)

_URLS: Final = """(
    SELECT n, test_name, test_keys, list_transform(test_keys.requests, lambda r:
        CASE WHEN r.response.code BETWEEN 300 AND 399 THEN r.request.url END) AS redirects
    FROM raw)"""
"""The newest request comes first: a row's redirect is that of the row after it."""

_REQUESTS: Final = f"""(
    SELECT *,
        CASE WHEN is_plain THEN place ELSE {_bare_host("url")} END AS host,
        CASE WHEN is_plain THEN substr(url, length(place) + strpos(url, '://') + 3)
             ELSE regexp_extract(url, '^[a-z]+://[^/?#]*([^?#]*)', 1) END AS url_path
    FROM (
        SELECT *, NOT regexp_matches(url, '[^a-zA-Z0-9./_-].*[^a-zA-Z0-9./_-]')
                  AND strpos(url, '://') BETWEEN 5 AND 6 AS is_plain,
            split_part(url, '/', 3) AS place
        FROM (SELECT *, {cut("u.request.url", 2000)} AS url
              FROM {_rows("requests", ", unnest(redirects[2:]) AS redirect", _URLS)})))"""  # noqa: S608

_HTTP: Final = _branch(
    "http",
    _REQUESTS,
    hostname=cut("host"),
    port=(
        f"COALESCE(CASE WHEN NOT is_plain "
        f"THEN TRY_CAST(nullif(regexp_extract(url, {_PORT}, 1), '') AS INTEGER) END, "
        "CASE WHEN starts_with(url, 'https:') THEN 443 ELSE 80 END)"
    ),
    transport=cut("coalesce(u.network, u.request.x_transport)", 16),
    method=cut("u.request.method", 16),
    path=cut("url_path"),
    request_body_bytes="strlen(u.request.body)",
    request_body_is_truncated=_flag("u.request.body_is_truncated"),
    redirected_from=f"left({_host_of('redirect')}, {MAX_TEXT})",
    status_code=f"nullif({_small('u.response.code', 999)}, 0)",
    server=cut("u.response.headers.Server"),
    location=f"left({_host_of('u.response.headers.Location')}, {MAX_TEXT})",
    title=(
        "CASE WHEN contains(u.response.body, '<title') OR contains(u.response.body, '<TITLE') "
        f"THEN {_TITLE} END"
    ),
    body_bytes="strlen(u.response.body)",
    body_sha1="CASE WHEN u.response.body <> '' THEN sha1(u.response.body) END",
    body_is_truncated="u.response.body_is_truncated",
)

NAMES: Final = f"""
    CREATE OR REPLACE TEMP TABLE names AS
    SELECT n, address, min(hostname) AS hostname
    FROM (SELECT n, {cut("u.hostname")} AS hostname, unnest(list_transform(u.answers[:32],
              lambda a: left(coalesce(a.ipv4, a.ipv6, ''), {MAX_TEXT}))) AS address
          FROM (SELECT n, unnest(test_keys.queries) AS u FROM raw))
    WHERE address <> '' AND hostname <> '' AND NOT {_is_address("hostname")}
    GROUP BY n, address"""  # noqa: S608 - constants
"""Addresses and the names that lookups gave them for, by measurement."""

_DC_CASE: Final = " ".join(f"WHEN '{ip}' THEN '{name}'" for ip, name in _DATA_CENTRES.items())

STEPS: Final = f"""
    CREATE OR REPLACE TEMP TABLE obs AS
    WITH steps AS ({_DNS} UNION ALL {_TCP} UNION ALL {_TLS} UNION ALL {_HTTP}),
    named AS (
        SELECT s.* EXCLUDE (hostname, address, failure),
            coalesce(nullif(s.hostname, ''), k.hostname) AS hostname,
            coalesce(nullif(s.address, ''),
                CASE WHEN {_is_address("s.hostname")} THEN s.hostname END) AS address,
            {failure_sql("s.failure")} AS failure
        FROM steps s LEFT JOIN names k ON s.n = k.n AND s.address = k.address
    ), placed AS (
        SELECT *,
            hostname IS NULL OR {_is_address("hostname")} AS is_bare
        FROM named
    )
    SELECT
        * EXCLUDE (test_name, hostname, is_bare, transaction_id),
        CASE test_name
            WHEN 'telegram' THEN
                CASE WHEN is_bare THEN 'telegram/dc_pool' ELSE 'telegram/web' END
            WHEN 'signal' THEN
                CASE WHEN hostname = 'uptime.signal.org' THEN NULL ELSE 'signal/web' END
            WHEN 'whatsapp' THEN
                CASE WHEN is_bare OR regexp_full_match(hostname, 'e[0-9]{{1,2}}\\.whatsapp\\.net')
                     THEN 'whatsapp/endpoints'
                     WHEN hostname = 'v.whatsapp.net' THEN 'whatsapp/registration'
                     ELSE 'whatsapp/web' END
            WHEN 'facebook_messenger' THEN 'facebook/messenger'
            WHEN 'web_connectivity' THEN 'web/' || coalesce(hostname, address)
            ELSE test_name END AS target_id,
        CASE WHEN test_name = 'telegram' AND is_bare
             THEN CASE address {_DC_CASE} ELSE address END
             WHEN step <> 'dns' AND port = 80 THEN coalesce(hostname, address) || ':80'
             ELSE coalesce(hostname, address) END AS member,
        'c' || transaction_id AS chain_id,
        {class_sql("failure")} AS failure_class,
        CASE WHEN contains(address, ':') THEN 6 WHEN address IS NOT NULL THEN 4 END AS ip_version,
        CASE WHEN NOT is_bare THEN hostname END AS hostname
    FROM placed"""  # noqa: S608 - constants
"""From ``raw`` and ``names`` to ``obs``, one row a step: what is not the measurement's."""

SERVICE: Final = """
    CASE m.test_name
        WHEN 'facebook_messenger' THEN 'facebook'
        WHEN 'web_connectivity' THEN 'web'
        ELSE m.test_name END"""

N_NOT_FINITE: Final = "SELECT count(*) FROM obs WHERE NOT (isfinite(t) AND isfinite(t0))"
"""DuckDB's reader takes NaN for a number; JSON has none."""

CHAINS: Final = "SELECT DISTINCT chain FROM obs WHERE chain IS NOT NULL"

_CERTIFICATE: Final = ", ".join(f"c.{name}" for name in SCHEMA.names if name != "chain")


def whole_sql(*, has_chains: bool) -> str:
    """Return SQL of the rows as they are kept, over ``obs``, ``meta`` and ``certificates``."""
    columns = f", {_CERTIFICATE}" if has_chains else ""
    join = "LEFT JOIN certificates c ON o.chain = c.chain" if has_chains else ""
    return f"""
    SELECT o.* EXCLUDE (n, chain), m.source, m.measurement_id, m.source_file, m.start_time, m.date,
        m.probe_cc, m.probe_asn, m.lab, m.test_name, {SERVICE} AS service_id,
        'test' AS role, 'none' AS tactic, 1 AS attempt{columns}
    FROM obs o JOIN meta m ON o.n = m.n {join}"""  # noqa: S608 - constants
