"""Tables -> smaller tables: Ibis expressions that every engine answers alike.

Only integers are added up here, so that DuckDB, Spark and ClickHouse agree to the last one;
intervals are the statistics' business (`analysis.stats`).
"""
