"""Rule by rule, both IP versions: client and server see the same in both forms."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from censorlab.world.system import UnsupportedSystemError

from .cases import CASES
from .twins import Sight, engine, independent

pytestmark = pytest.mark.netns

AT_ONCE = 6


@pytest.fixture(scope="module")
def sights(request: pytest.FixtureRequest) -> Iterator[dict[str, list[Future[Sight]]]]:
    names = [
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            name: [pool.submit(form, CASES[name]) for form in (independent, engine)]
            for name in names
        }


@pytest.mark.parametrize("name", CASES)
def test_both_forms_look_alike(name: str, sights: dict[str, list[Future[Sight]]]) -> None:
    try:
        one, other = (future.result() for future in sights[name])
    except UnsupportedSystemError as error:
        pytest.skip(str(error))
    assert one.client == other.client
    assert one.server == other.server
