"""Two warnings that are between ibis and the libraries below it, not about our code."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
THEIRS = (
    "ignore:fetch_arrow_table:DeprecationWarning",
    "ignore:The 'future.infer_string' option:DeprecationWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let these two pass in this room; every other warning stays an error."""
    for item in items:
        if item.path.is_relative_to(HERE):
            for warning in THEIRS:
                item.add_marker(pytest.mark.filterwarnings(warning))
