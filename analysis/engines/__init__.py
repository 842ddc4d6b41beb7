"""A warehouse on other engines: the tables of `open_tables`, on Spark and ClickHouse.

Each module needs an extra (``spark``, ``clickhouse``) and imports it itself; the embedded engine,
DuckDB, needs none. The queries (`analysis.query`) are the same, and so are their answers.
"""
