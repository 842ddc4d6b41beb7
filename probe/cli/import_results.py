"""``reachwatch results import``: measurements of others, judged by our rules."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from probe.cli.errors import EXIT_BAD_INPUT, EXIT_OK, CommandError
from probe.model.layout import OBSERVATIONS, PART, VERDICTS, run_path
from probe.model.observation import Observation
from probe.model.vantage import RunColumns
from probe.model.verdict import Verdict
from probe.store.from_ooni.convert import Imported, convert
from probe.store.from_ooni.measurement import BadRecordError, SkippedTestError, parse
from probe.store.from_ooni.read import Record, Unreadable, read_records
from probe.store.redact import Redactor
from probe.store.writer import RecordWriter, StoreError
from probe.verdict.judge import judge


def import_command(args: argparse.Namespace) -> int:
    """Import file after file; exit 3 if any record was bad, the others are kept."""
    tally = _Tally(Path(args.results))
    for name in args.files:
        for record in read_records(Path(name)):
            tally.take(f"{name}:{record.number}", record)
    _say(tally.closing())
    return EXIT_BAD_INPUT if tally.bad else EXIT_OK


class _Tally:
    """Imports records and counts what became of them."""

    def __init__(self, root: Path) -> None:
        self.bad = 0
        self._root = root
        self._imported = 0
        self._skipped: Counter[str] = Counter()

    def take(self, place: str, record: Record | Unreadable) -> None:
        """Import one record, or say why not.

        Raises:
            CommandError: the results cannot be written.
        """
        if isinstance(record, Unreadable):
            self._refuse(place, record.reason)
            return
        try:
            imported = convert(parse(record.data))
        except SkippedTestError as error:
            self._skipped[str(error)] += 1
        except BadRecordError as error:
            self._refuse(place, str(error))
        else:
            if not imported.rows:
                self._refuse(place, "$.test_keys: nothing was measured")
                return
            verdicts = judge(imported.rows)
            _write(self._root, imported, OBSERVATIONS, imported.rows)
            _write(self._root, imported, VERDICTS, verdicts)
            self._imported += 1
            _say(_line(imported.run, verdicts))

    def closing(self) -> str:
        """Return the closing count; tests that are not imported are named."""
        names = ", ".join(f"{name} ({n})" for name, n in sorted(self._skipped.items()))
        skipped = f"{self._skipped.total()} skipped" + (f": {names}" if names else "")
        return f"{self._imported} imported, {self.bad} bad, {skipped}"

    def _refuse(self, place: str, reason: str) -> None:
        self.bad += 1
        print(f"{place}: {reason}", file=sys.stderr)  # noqa: T201 - the room that prints


def _write(
    root: Path, imported: Imported, kind: str, values: Sequence[Observation] | Sequence[Verdict]
) -> None:
    """Write one file of a run over that of an earlier import."""
    path = run_path(root, imported.run, kind)
    try:
        # What an import that was killed left behind; its source is still there.
        path.with_name(path.name + PART).unlink(missing_ok=True)
        with RecordWriter(root, imported.run, kind, Redactor(imported.secrets)) as writer:
            for value in values:
                writer.write(value)
            writer.finish()
    except OSError as error:
        raise CommandError(EXIT_BAD_INPUT, [f"cannot write {path}: {error.strerror}"]) from None
    except StoreError as error:
        raise CommandError(EXIT_BAD_INPUT, [str(error)]) from None


def _line(run: RunColumns, verdicts: Sequence[Verdict]) -> str:
    judged = " | ".join(f"{v.target_id}={v.state}: {v.summary}" for v in verdicts)
    where = f"{run.measurement_start_time}  {run.probe_cc}  AS{run.probe_asn}"
    return f"{where}  {run.run_id}  {judged}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
