"""Shared by every test: async tests run on trio through the anyio plugin."""

import os

import pytest

# Whoever starts the tests agrees that they measure: loopback, and namespaces made here.
os.environ["REACHWATCH_CONSENT"] = "measure"
# Tests compare English words, whoever runs them.
os.environ["REACHWATCH_LANG"] = "en"


@pytest.fixture
def anyio_backend() -> str:
    """The prober is trio only."""
    return "trio"
