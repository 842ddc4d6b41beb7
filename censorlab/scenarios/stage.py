"""A scenario made real: the peers, the censor between them, a place for a client."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

import msgspec
import orjson

from censorlab.commands import run_command
from censorlab.packet.line import Line
from censorlab.scenarios import town
from censorlab.scenarios.cast import Authorities, Cast, cast_of
from censorlab.scenarios.model import Scenario
from censorlab.world.world import RouterWorld, World, WorldFailedError, environment_of_programs

TARGETS: Final = "targets.json"
RESULTS: Final = "results"
TARGET_IDS: Final = (town.WEB, town.DC_POOL, town.SITE)


class Stage(NamedTuple):
    """Where a client can be run.

    ``targets`` and ``results`` are paths for its programs, ``words`` makes the
    command that runs a command there.
    """

    targets: str
    results: str
    target_ids: tuple[str, ...]
    words: Callable[[Sequence[str]], list[str]]

    def run_client(
        self, words: Sequence[str], *, timeout_s: float, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the client.

        Raises:
            subprocess.TimeoutExpired: if it has not ended in time; it is killed.
        """
        return run_command(
            self.words(words),
            timeout_s=timeout_s,
            given=given,
            environment=environment_of_programs(),
        )


@contextmanager
def middlebox_stage(
    scenario: Scenario, line: Line, seed: int, authorities: Authorities
) -> Iterator[Stage]:
    """Arrange a scenario with the packet engine as its line and its censor.

    Raises:
        UnsupportedSystemError: if this machine or user cannot have namespaces.
        MissingProgramError: if a peer is not installed.
        WorldFailedError: if a peer does not start.
    """
    cast = cast_of(scenario.arrangements, authorities, scenario.ways)
    with World(cast.sides, nameservers=(town.ISP_RESOLVER,)) as world:
        ready = furnish(world, cast)
        world.apply(scenario.rules, line, seed)
        yield ready


def furnish(world: World | RouterWorld, cast: Cast) -> Stage:
    """Start the cast in a world and put the targets list there.

    Raises:
        WorldFailedError: if a peer does not start.
    """
    for _, program in cast.parts:
        for name, content in program.files.items():
            world.write(name, content)
    started = [world.start(side, program.words) for side, program in cast.parts]
    for one, (_, program) in zip(started, cast.parts, strict=True):
        world.await_listening(one, program.listens)
    for words in cast.furnishing:
        done = world.run("client", words, timeout_s=10)
        if done.returncode:
            raise WorldFailedError(f"{' '.join(words)}: {done.stderr.strip()}")
    targets = msgspec.to_builtins(cast.targets)
    path = world.write(TARGETS, orjson.dumps(targets))
    return Stage(
        targets=path,
        results=path.replace(TARGETS, RESULTS),
        target_ids=TARGET_IDS,
        words=lambda words: world.words("client", cast.client_words(words)),
    )
