"""``check --lab SCENARIO``: a simulated censor on loopback, for the length of a check."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from probe.cli.errors import EXIT_BAD_INPUT, EXIT_USAGE, CommandError


@contextmanager
def scenario_up(name: str) -> Iterator[Path]:
    """Hold a scenario up on loopback and give its targets list.

    Raises:
        CommandError: exit 2 for an unknown scenario; exit 3 for one that loopback cannot
            express, for a lab that does not start, and naming the extra that is missing.
    """
    try:
        from censorlab.engines import NeedsPacketsError  # noqa: PLC0415 - extras may be absent
        from censorlab.process import LabFailedError, LabProcess  # noqa: PLC0415
        from censorlab.scenarios.loopback import loopback_rules  # noqa: PLC0415
        from censorlab.scenarios.model import BadScenarioError, named  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _missing(error.name or "") from None
    with ExitStack() as stack:
        try:
            (scenario,) = named([name])
            rules = loopback_rules(scenario)
            lab = stack.enter_context(LabProcess())
            lab.apply(rules)
        except BadScenarioError as error:
            raise CommandError(EXIT_USAGE, [f"--lab: {error}"]) from None
        except NeedsPacketsError as error:
            raise CommandError(
                EXIT_BAD_INPUT,
                [f"--lab {name}: loopback cannot have it: {error}", f"reachwatch lab run {name}"],
            ) from None
        except LabFailedError as error:
            if missing := re.search(r"No module named '([\w.]+)'", str(error)):
                raise _missing(missing[1]) from None
            raise CommandError(EXIT_BAD_INPUT, [f"the lab did not run: {error}"]) from None
        yield lab.targets_path


def _missing(module: str) -> CommandError:
    return CommandError(
        EXIT_BAD_INPUT,
        [
            f"--lab needs the extra 'lab' ({module} is missing)",
            "pip install 'reachwatch[lab]'",
        ],
    )
