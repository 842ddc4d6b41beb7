"""Shared by every test: async tests run on trio through the anyio plugin."""

import os

import pytest

# Whoever starts the tests agrees that they measure: loopback, and namespaces made here.
os.environ["REACHWATCH_CONSENT"] = "measure"


@pytest.fixture
def anyio_backend() -> str:
    """The prober is trio only."""
    return "trio"
