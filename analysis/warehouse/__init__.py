"""Results, OONI measurements and daily counts -> typed Parquet tables that grow.

It knows files, their damage and the stored form of tables. It must never judge: what
OONI concluded from its facts is not read, and our verdicts are copied as they are.
"""

from analysis.warehouse.builder import Built, build
from analysis.warehouse.read import open_tables

__all__ = ["Built", "build", "open_tables"]
