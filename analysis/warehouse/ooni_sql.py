"""OONI's nested rows -> our flat columns, as SQL over one segment's table ``raw``.

Vectorised because a process per row of Python costs fifty times as much. Whose fact a row
is follows docs/how-to-import-ooni.md.
"""

from typing import Final

from analysis.warehouse.failure_class import class_sql

_DATA_CENTRES: Final = {
    "149.154.175.50": "dc1",
    "149.154.167.51": "dc2",
    "95.161.76.100": "dc2",
    "149.154.175.100": "dc3",
    "149.154.167.91": "dc4",
    "149.154.171.5": "dc5",
}
"""Addresses of OONI's telegram test (ooni/spec ts-020)."""

MAX_TEXT: Final = 255
"""Characters of a text that is kept: as long as a name can be."""

# Most URLs have a scheme, a host and a path, and no more: these are split, for patterns cost
# as much as all else about a row.
_HOST: Final = r"'^[a-z]+://(?:[^/@]*@)?(\[[^\]]*\]|[^/:?#]+)'"
_PORT: Final = r"'^[a-z]+://[^/]*?:([0-9]+)(?:[/?#]|$)'"


def _is_address(name: str) -> str:
    """Return SQL of whether a name is an address: no top-level domain ends with a digit."""
    return f"({name}[-1] BETWEEN '0' AND '9' OR contains({name}, ':'))"


_TITLE: Final = (
    "nullif(trim(regexp_replace(regexp_extract(left(u.response.body, 65536), "
    "'(?is)<title[^>]{0,200}>([^<]{1,255})', 1), "
    r"'[0-9]+(\.[0-9]+){3}|[0-9a-f]*:[0-9a-f:]*:[0-9a-f:]*|[0-9]{5,}', '*', 'gi')), '')"
)
"""A block page may greet the person by address or by number."""


def cut(text: str, length: int = MAX_TEXT) -> str:
    """Return SQL of a text that is cut where it is too long; free where it is not."""
    return f"CASE WHEN strlen({text}) > {length} THEN left({text}, {length}) ELSE {text} END"


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


def _hash(*parts: str) -> str:
    return f"left(md5(concat_ws(chr(10), {', '.join(parts)})), 16)"


def raw_sql(path: str, columns: str) -> str:
    """Read one file of marked lines. ``n`` numbers them."""
    return f"""
        CREATE OR REPLACE TEMP TABLE raw AS
        SELECT row_number() OVER () AS n, *
        FROM read_json('{path}', format = 'newline_delimited', columns = {columns},
                       compression = 'uncompressed')"""  # noqa: S608 - our own file's name


_META: Final = f"""
    CREATE OR REPLACE TEMP TABLE meta AS
    SELECT
        n,
        'ooni' AS source,
        {
    _hash(
        "report_id",
        "input",
        "test_name",
        "measurement_start_time",
        "probe_asn",
        "probe_cc",
        "test_runtime",
    )
} AS measurement_id,
        list_extract($source_files, rw_file + 1) AS source_file,
        date_trunc('minute', CAST(measurement_start_time AS TIMESTAMP)) AS start_time,
        probe_cc,
        CAST(substr(probe_asn, 3) AS BIGINT) AS probe_asn,
        false AS lab,
        test_name,
        {
    _hash("coalesce(nullif(report_id, ''), concat_ws(' ', rw_file, rw_line))", "probe_asn")
} AS run_id,
        {cut("annotations.network_type", 32)} AS network_type,
        {cut("annotations.platform", 32)} AS platform,
        {cut("software_name", 64)} AS software_name,
        {cut("software_version", 32)} AS software_version,
        {cut("annotations.engine_version", 32)} AS engine_version,
        {cut("test_version", 32)} AS test_version,
        {cut("input")} AS input,
        COALESCE(TRY_CAST(substr(resolver_asn, 3) AS BIGINT), 0) AS resolver_asn,
        test_runtime AS runtime_s
    FROM raw
    WHERE measurement_id NOT IN
        (SELECT s.measurement_id FROM work.seen s WHERE s.date IN
            (SELECT DISTINCT CAST(measurement_start_time AS DATE) FROM raw))
    QUALIFY row_number() OVER (PARTITION BY measurement_id ORDER BY n) = 1"""  # noqa: S608

_SEEN: Final = "INSERT INTO work.seen SELECT CAST(start_time AS DATE), measurement_id FROM meta"

STEPS: Final = f"""
    CREATE OR REPLACE TEMP TABLE steps AS
    SELECT n, 'dns' AS step, u.failure AS failure, {cut("u.hostname")} AS hostname,
        CAST(NULL AS VARCHAR) AS address, CAST(NULL AS INTEGER) AS port, u.t0 AS t0, u.t AS t,
        u.transaction_id AS chain, {cut("u.engine", 32)} AS resolver_id,
        {cut("u.query_type", 16)} AS query_type,
        array_to_string(list_transform(u.answers[:32],
            lambda a: left(coalesce(a.ipv4, a.ipv6, a.hostname, ''), {MAX_TEXT})), ' ') AS answers,
        CAST(NULL AS VARCHAR) AS server_name, CAST(NULL AS VARCHAR) AS tls_version,
        CAST(NULL AS VARCHAR) AS cipher_suite, CAST(NULL AS VARCHAR) AS alpn,
        CAST(NULL AS VARCHAR) AS certificate_sha256, CAST(NULL AS VARCHAR) AS method,
        CAST(NULL AS VARCHAR) AS path, CAST(NULL AS INTEGER) AS status_code,
        CAST(NULL AS VARCHAR) AS server, CAST(NULL AS VARCHAR) AS location,
        CAST(NULL AS VARCHAR) AS title, CAST(NULL AS BIGINT) AS body_bytes,
        CAST(NULL AS BOOLEAN) AS body_is_truncated
    FROM (SELECT n, unnest(test_keys.queries) AS u FROM raw)
    UNION ALL BY NAME
    SELECT n, 'tcp' AS step,
        CASE WHEN u.status.failure IS NULL AND NOT u.status.success
             THEN 'unknown_failure: other' ELSE u.status.failure END AS failure,
        {cut("u.ip", 64)} AS address, {_small("u.port", 65535)} AS port,
        u.t0 AS t0, u.t AS t, u.transaction_id AS chain
    FROM (SELECT n, unnest(test_keys.tcp_connect) AS u FROM raw)
    UNION ALL BY NAME
    SELECT n, 'tls' AS step, u.failure AS failure, {cut("u.server_name")} AS hostname,
        regexp_extract(left(u.address, 64), '^\\[?(.*?)\\]?:([0-9]+)$', 1) AS address,
        TRY_CAST(nullif(regexp_extract(left(u.address, 64), ':([0-9]{{1,5}})$', 1), '')
                 AS INTEGER) AS port,
        u.t0 AS t0, u.t AS t, u.transaction_id AS chain,
        {cut("u.server_name")} AS server_name,
        nullif({cut("u.tls_version", 16)}, '') AS tls_version,
        nullif({cut("u.cipher_suite", 64)}, '') AS cipher_suite,
        nullif({cut("u.negotiated_protocol", 32)}, '') AS alpn,
        CASE WHEN u.peer_certificates[1].data IS NOT NULL
             THEN TRY(sha256(from_base64(u.peer_certificates[1].data)))
             END AS certificate_sha256
    FROM (SELECT n, unnest(test_keys.tls_handshakes) AS u FROM raw)
    UNION ALL BY NAME
    SELECT n, 'http' AS step, u.failure AS failure,
        {cut(f"CASE WHEN is_plain THEN place ELSE regexp_extract(url, {_HOST}, 1) END")}
            AS hostname,
        COALESCE(CASE WHEN NOT is_plain
                      THEN TRY_CAST(nullif(regexp_extract(url, {_PORT}, 1), '') AS INTEGER) END,
                 CASE WHEN starts_with(url, 'https:') THEN 443 ELSE 80 END) AS port,
        u.t0 AS t0, u.t AS t, u.transaction_id AS chain,
        {cut("u.request.method", 16)} AS method,
        {
    cut(
        r"CASE WHEN is_plain THEN substr(url, length(place) + strpos(url, '://') + 3) "
        r"ELSE regexp_extract(url, '^[a-z]+://[^/?#]*([^?#]*)', 1) END"
    )
} AS path,
        nullif({_small("u.response.code", 999)}, 0) AS status_code,
        {cut("u.response.headers.Server")} AS server,
        nullif({cut(f"regexp_extract(left(u.response.headers.Location, 2000), {_HOST}, 1)")}, '')
            AS location,
        CASE WHEN contains(u.response.body, '<title') OR contains(u.response.body, '<TITLE')
             THEN {_TITLE} END AS title,
        strlen(u.response.body) AS body_bytes,
        u.response.body_is_truncated AS body_is_truncated
    FROM (
        SELECT *, NOT regexp_matches(url, '[^a-zA-Z0-9./_-].*[^a-zA-Z0-9./_-]')
                  AND strpos(url, '://') BETWEEN 5 AND 6 AS is_plain,
            split_part(url, '/', 3) AS place
        FROM (SELECT n, u, {cut("u.request.url", 2000)} AS url
              FROM (SELECT n, unnest(test_keys.requests) AS u FROM raw)))"""  # noqa: S608 - constants

_NAMES: Final = f"""
    CREATE OR REPLACE TEMP TABLE names AS
    SELECT n, address, min(hostname) AS hostname
    FROM (SELECT n, hostname, unnest(string_split(answers, ' ')) AS address FROM steps
          WHERE step = 'dns' AND answers <> '' AND NOT {_is_address("hostname")})
    GROUP BY n, address"""  # noqa: S608 - constants

_DC_CASE: Final = " ".join(f"WHEN '{ip}' THEN '{name}'" for ip, name in _DATA_CENTRES.items())

_OBS: Final = f"""
    CREATE OR REPLACE TEMP TABLE obs AS
    WITH named AS (
        SELECT s.* EXCLUDE (hostname, address, failure),
            coalesce(nullif(s.hostname, ''), k.hostname) AS hostname,
            coalesce(nullif(s.address, ''),
                CASE WHEN {_is_address("s.hostname")} THEN s.hostname END) AS address,
            {failure_sql("s.failure")} AS failure
        FROM steps s LEFT JOIN names k ON s.n = k.n AND s.address = k.address
    ), placed AS (
        SELECT *,
            hostname IS NULL OR {_is_address("hostname")} AS is_bare,
            CASE address {_DC_CASE} END AS data_centre
        FROM named
    )
    SELECT
        m.n, m.source, m.measurement_id, m.source_file, m.start_time, m.probe_cc, m.probe_asn,
        m.lab, m.test_name,
        CASE m.test_name
            WHEN 'facebook_messenger' THEN 'facebook'
            WHEN 'web_connectivity' THEN 'web'
            ELSE m.test_name END AS service_id,
        CASE m.test_name
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
            ELSE m.test_name END AS target_id,
        CASE WHEN m.test_name = 'telegram' AND is_bare THEN coalesce(data_centre, address)
             WHEN step IN ('tcp', 'tls', 'http') AND port = 80
             THEN coalesce(hostname, address) || ':80'
             ELSE coalesce(hostname, address) END AS member,
        'test' AS role, CAST(NULL AS VARCHAR) AS follow_up, 'none' AS tactic,
        CAST(NULL AS VARCHAR) AS proxy_id, 1 AS attempt,
        'c' || chain AS chain_id,
        {class_sql("failure")} AS failure_class,
        CASE WHEN contains(address, ':') THEN 6 WHEN address IS NOT NULL THEN 4 END AS ip_version,
        CASE WHEN is_bare THEN NULL ELSE hostname END AS hostname,
        placed.* EXCLUDE (n, hostname, chain, is_bare, data_centre)
    FROM placed JOIN meta m ON placed.n = m.n"""  # noqa: S608 - constants

META_STATEMENTS: Final = (_META, _SEEN)
"""From ``raw`` to ``meta``, one row a measurement, less those that ``work.seen`` holds: the same
measurement is in more than one of OONI's files."""

STEP_STATEMENTS: Final = (_NAMES, _OBS)
"""From ``steps`` and ``meta`` to ``obs``, one row a step."""

N_NOT_FINITE: Final = "SELECT count(*) FROM steps WHERE NOT (isfinite(t) AND isfinite(t0))"
"""DuckDB's reader takes NaN for a number; JSON has none."""

SEEN: Final = "CREATE OR REPLACE TABLE work.seen (date DATE, measurement_id VARCHAR)"
