"""OONI's measurements -> columns about the measurement, as SQL over one segment's table ``raw``.

Vectorised because a process per row of Python costs fifty times as much. Its rows about
single steps are taken apart in `ooni_steps`.
"""

from typing import Final

MAX_TEXT: Final = 255
"""Characters of a text that is kept: as long as a name can be."""


def cut(text: str, length: int = MAX_TEXT) -> str:
    """Return SQL of a text that is cut where it is too long; free where it is not."""
    return f"CASE WHEN strlen({text}) > {length} THEN left({text}, {length}) ELSE {text} END"


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
        CAST(start_time AS DATE) AS date,
        probe_cc,
        CAST(substr(probe_asn, 3) AS BIGINT) AS probe_asn,
        false AS lab,
        test_name,
        {_hash("coalesce(nullif(report_id, ''), measurement_id)", "probe_asn")} AS run_id,
        {cut("annotations.network_type", 32)} AS network_type,
        {cut("annotations.platform", 32)} AS platform,
        {cut("annotations.architecture", 32)} AS architecture,
        {cut("annotations.origin", 32)} AS origin,
        {cut("software_name", 64)} AS software_name,
        {cut("software_version", 32)} AS software_version,
        {cut("annotations.engine_name", 64)} AS engine_name,
        {cut("annotations.engine_version", 32)} AS engine_version,
        {cut("test_version", 32)} AS test_version,
        {cut("input")} AS input,
        COALESCE(TRY_CAST(substr(resolver_asn, 3) AS BIGINT), 0) AS resolver_asn,
        test_runtime AS runtime_s
    FROM raw"""  # noqa: S608 - constants

_NUMBERED: Final = """
    CREATE OR REPLACE TEMP TABLE again AS
    SELECT n FROM meta WHERE measurement_id IN
        (SELECT s.measurement_id FROM work.seen s WHERE s.month IN
            (SELECT DISTINCT date_trunc('month', date) FROM meta))
    UNION ALL
    SELECT unnest(list_sort(list(n))[2:]) FROM meta GROUP BY measurement_id HAVING count(*) > 1"""

_LESS: Final = "DELETE FROM meta WHERE n IN (SELECT n FROM again)"

_SEEN: Final = """
    INSERT INTO work.seen SELECT date_trunc('month', date), measurement_id FROM meta"""

SEEN: Final = "CREATE OR REPLACE TABLE work.seen (month DATE, measurement_id VARCHAR)"

META: Final = _META
"""From ``raw`` to ``meta``, one row a measurement. Needs ``$source_files``.

Without a report a measurement is a run of its own, whatever file it comes in, and when."""

ONCE: Final = (_NUMBERED, _LESS, _SEEN)
"""Less those that ``work.seen`` holds: the same measurement is in more than one of OONI's files.
To be run by one segment after the other, or which of two stays would be chance."""
