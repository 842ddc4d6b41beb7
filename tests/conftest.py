"""Shared by every test: async tests run on trio through the anyio plugin."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The prober is trio only."""
    return "trio"
