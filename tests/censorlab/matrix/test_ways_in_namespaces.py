"""This prober in a few scenarios with ways around: it says of each what is true by construction.

All of them are in ``lab matrix --ways``. These have, together, every way at least once
where it works and once where it does not, but for those of a person and those that
silence alone tells, which take long.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from censorlab.authority import new_authority
from censorlab.matrix.outcome import Cell, Outcome
from censorlab.matrix.run import Prober, run_cell
from censorlab.matrix.sweep import QUICK_RTT_S
from censorlab.matrix.ways import wrong
from censorlab.scenarios.cast import Authorities
from censorlab.scenarios.model import named
from censorlab.servers.program import MissingProgramError
from censorlab.world.system import UnsupportedSystemError

pytestmark = pytest.mark.netns

NAMES = (
    "dns_hijack",
    "sni_rst_first_segment",
    "sni_rst_first_record",
    "sni_rst_and_one_on_quic",
    "version_drop",
    "mtproto_drop",
)


def words(targets: str, results: str, seed: int) -> Sequence[str]:
    return [
        *(sys.executable, "-m", "probe.cli.main", "check", targets, "--results", results),
        *("--format", "json", "--quiet", "--network-type", "lab", "--seed", str(seed), "--ways"),
    ]


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[str, Future[list[Outcome]]]]:
    """Measure all side by side: they mostly wait."""
    now = datetime.fromtimestamp(time.time(), tz=UTC)
    authorities = Authorities(new_authority("Lab"), new_authority("Forger"), now)
    prober = Prober(words, "test")
    with ThreadPoolExecutor(len(NAMES)) as pool:
        yield {
            scenario.name: pool.submit(
                run_cell,
                scenario,
                Cell(scenario.name, "middlebox", 0.0, QUICK_RTT_S, 1),
                prober,
                authorities,
            )
            for scenario in named(NAMES)
        }


@pytest.mark.parametrize("name", NAMES)
def test_what_gets_around(name: str, runs: dict[str, Future[list[Outcome]]]) -> None:
    pytest.importorskip("utls")
    pytest.importorskip("aioquic")
    try:
        outcomes = runs[name].result()
    except (UnsupportedSystemError, MissingProgramError) as error:
        pytest.skip(str(error))
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    assert any(outcome.ways for outcome in outcomes)
    assert wrong(outcomes) == []
