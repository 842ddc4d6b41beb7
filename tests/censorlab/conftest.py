"""One lab for the whole session, cleared after each test."""

import ssl
from collections.abc import Iterator

import pytest

from censorlab.process import LabProcess


@pytest.fixture(scope="session")
def lab_process() -> Iterator[LabProcess]:
    with LabProcess() as lab:
        yield lab


@pytest.fixture
def lab(lab_process: LabProcess) -> Iterator[LabProcess]:
    yield lab_process
    lab_process.apply(())


@pytest.fixture(scope="session")
def trusting(lab_process: LabProcess) -> ssl.SSLContext:
    """A client context that trusts the lab's own authority only, strictly."""
    context = ssl.create_default_context(cadata=lab_process.targets.trust_anchors[0])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context
