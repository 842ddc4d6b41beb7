"""OONI measurements -> our facts, so that both can be judged by the same rules.

It knows OONI's data formats (ooni/spec df-000 to df-006) as far as they are read here.
It must never judge: what OONI concluded from its own facts is not even read.
"""

import hashlib
from typing import Final

MAPPING: Final = "reachwatch.from_ooni/1"
"""Counts up with every change that can alter an imported fact."""

MAPPING_SHA256: Final = hashlib.sha256(MAPPING.encode()).hexdigest()
"""Stands where a run of ours names its target list."""
