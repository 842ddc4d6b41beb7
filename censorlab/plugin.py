"""The pytest plugin: ``def test_x(censor)`` runs against a simulated censor.

Loaded into every pytest run of whoever has installed the package, so nothing but
pytest is imported until a test asks for the fixture.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from censorlab.censor import Censor


_ONE_ADDRESS = "censor_one_address"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the plugin's one setting."""
    parser.addini(
        _ONE_ADDRESS,
        "put every server of the censor fixture at 127.0.0.1, as on systems other than Linux",
        type="bool",
        default=False,
    )


@pytest.fixture(scope="session")
def _censored_internet(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Censor]":
    """One lab process for the whole run (for each worker of pytest-xdist)."""
    if missing := [name for name in ("aiohttp", "trustme") if find_spec(name) is None]:
        pytest.fail(
            f"the censor fixture needs {' and '.join(missing)}: pip install 'reachwatch[lab]'",
            pytrace=False,
        )
    from censorlab.censor import Censor  # noqa: PLC0415 -- see the module's docstring
    from censorlab.process import LabProcess  # noqa: PLC0415

    with LabProcess(one_address=pytestconfig.getini(_ONE_ADDRESS)) as lab:
        yield Censor(lab, tmp_path_factory.mktemp("censor") / "ca.pem")


@pytest.fixture
def censor(_censored_internet: "Censor") -> "Iterator[Censor]":
    """A censor on loopback, with no rules and no servers yet; both end with the test.

    ``censor.serve(name)`` starts a TLS server behind it, ``censor.add(rule, ...)``
    censors: see docs/how-to-test-with-a-censor.md.
    """
    yield _censored_internet
    _censored_internet.reset()
