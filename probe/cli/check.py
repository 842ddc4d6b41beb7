"""``reachwatch check``: one run, and its three answers."""

import argparse
import random
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from probe import __version__
from probe.cli.errors import (
    EXIT_BAD_INPUT,
    EXIT_FAIL_ON,
    EXIT_NO_NETWORK,
    EXIT_OK,
    EXIT_USAGE,
    CommandError,
)
from probe.cli.inputs import (
    LoadedTargets,
    is_loopback_only,
    kind_in_plan,
    parse_proxy,
    secrets_of_host,
    select_targets,
)
from probe.cli.output import ReaderGoneError
from probe.cli.render import Style, answers, header, style_of, table, ways
from probe.cli.supervise import run_supervised
from probe.model.step import (
    DnsLookup,
    EchProbe,
    HelloProbe,
    Http3Request,
    HttpRequest,
    MtprotoHandshake,
    Plan,
    QuicHandshake,
    SpecialConfig,
    TlsHandshake,
)
from probe.model.vantage import Vantage
from probe.model.verdict import State, Verdict
from probe.net.tls import TrustError
from probe.net.trio_network import TrioNetwork
from probe.plan.build import Options, build_plan
from probe.plan.cost import step_bytes
from probe.run.events import Event, Observed, RunFinished, RunStarted
from probe.run.session import RunResult, Settings, run_check
from probe.store.writer import StoreError
from probe.verdict.words import n_failing, result_of, three_answers, untested

SEVERITY: Final[tuple[State, ...]] = (
    "ok",
    "insufficient",
    "down",
    "impaired",
    "likely_blocked",
    "blocked",
)


NO_NETWORK: Final = "not enough data: the local network is unusable, nothing can be said"


def check_command(args: argparse.Namespace) -> int:
    """Run ``check``; see docs/exit-codes.md."""
    if not re.fullmatch(r"[A-Z]{2}", args.probe_cc):
        raise CommandError(EXIT_USAGE, ["--probe-cc: expected two capital letters, such as RU"])
    if not 0 <= args.probe_asn <= 4294967295:
        raise CommandError(EXIT_USAGE, ["--probe-asn: expected a number up to 4294967295"])
    loaded = select_targets(args.items)
    settings = _settings(args, loaded)
    style = style_of(ascii_only=args.ascii)
    if args.dry_run:
        _print_plan(args, settings)
        return EXIT_OK
    say = _subscriber(args, settings, style)
    try:
        result = _run(settings, say)
    except (StoreError, TrustError) as error:
        raise CommandError(EXIT_BAD_INPUT, [str(error)]) from None
    if args.format == "table":
        # Without a reader (``| head -3``) the exit code still answers.
        with suppress(ReaderGoneError):
            _print_tables(result, settings, style)
    if not result.is_usable:
        if not args.quiet or args.format == "table":
            print(NO_NETWORK, file=sys.stderr)  # noqa: T201 - the room that prints
        return EXIT_NO_NETWORK
    if args.fail_on is not None and _is_as_bad(result.verdicts, args.fail_on):
        return EXIT_FAIL_ON
    return EXIT_OK


def _settings(args: argparse.Namespace, loaded: LoadedTargets) -> Settings:
    proxies = [parse_proxy(url) for url in args.proxy]
    kinds = [kind_in_plan(proxy) for proxy in proxies]
    families: tuple[Literal[4, 6], ...] = (4, 6) if args.only is None else (args.only,)
    seed = random.SystemRandom().getrandbits(31) if args.seed is None else args.seed
    return Settings(
        targets=loaded.targets,
        targets_sha256=loaded.sha256,
        vantage=Vantage(
            probe_cc=args.probe_cc,
            probe_asn=args.probe_asn,
            network_type=args.network_type,
            platform=sys.platform,
            software_version=__version__,
        ),
        results=Path(args.results),
        options=Options(
            families=families,
            proxies=tuple(kinds),
            seed=seed,
            asked=frozenset(args.also),
            ways=args.ways,
        ),
        proxies=proxies,
        secrets=secrets_of_host(loaded.targets),
        lab=is_loopback_only(loaded.targets),
    )


def _run(settings: Settings, say: Callable[[Event], None]) -> RunResult:
    """Run; SIGINT and SIGTERM stop it and leave what is stored readable."""
    return run_supervised(
        lambda: run_check(settings, TrioNetwork(), say),
        "stopped; what was measured until then is stored",
    )


def _subscriber(
    args: argparse.Namespace, settings: Settings, style: Style
) -> Callable[[Event], None]:
    """Choose who listens to progress: NDJSON on stdout, or one line on stderr."""
    shows_line = sys.stderr.isatty() and not args.quiet
    shows_header = args.format == "table" and not args.quiet
    collected: list[dict[str, Any]] = []

    def say(event: Event) -> None:
        if args.format == "ndjson":
            _print_json(_as_document(event))
        elif args.format == "json":
            match event:
                case Observed():
                    collected.append(event.columns)
                case RunFinished():
                    with suppress(ReaderGoneError):  # as of the tables
                        _print_json({**_as_document(event), "observations": collected})
                case RunStarted():
                    pass
        if shows_header and isinstance(event, RunStarted):
            for line in header(settings.targets, event.budget, style):
                print(line, file=sys.stderr)  # noqa: T201 - the room that prints
        if shows_line:
            _progress(event)

    return say


def _as_document(event: Event) -> dict[str, Any]:
    match event:
        case RunStarted():
            kind: dict[str, Any] = {
                "type": "run_started",
                "run_id": event.run_id,
                "sockets": event.budget.sockets,
                "bytes": event.budget.bytes,
            }
        case Observed():
            kind = {"type": "observation", **event.columns}
        case RunFinished():
            kind = {
                "type": "run_finished",
                "run_id": event.run_id,
                "is_usable": event.is_usable,
                "verdicts": event.verdict_columns,
                "answers": three_answers(event.verdicts)._asdict(),
                "ways": ways_document(event.verdicts),
            }
    return {"schema_version": "1.0", **kind}


def ways_document(verdicts: tuple[Verdict, ...]) -> list[dict[str, Any]]:
    """Return the matrix target x tactic; what was not tested is in it, without a target."""
    direct = {v.target_id: n_failing(v) for v in verdicts if v.tactic == "none"}
    known = [
        {
            "target_id": verdict.target_id,
            "tactic": verdict.tactic,
            "proxy_id": verdict.proxy_id,
            "result": result_of(verdict.n_ok, verdict.n_total),
            "n_ok": verdict.n_ok,
            "n_total": verdict.n_total,
            "n_failing": direct.get(verdict.target_id, 0),
            "failed_members": verdict.failed_members,
            "with_encrypted_dns": verdict.with_encrypted_dns,
        }
        for verdict in verdicts
        if verdict.tactic != "none"
    ]
    unknown = [
        {
            "target_id": None,
            "tactic": tactic,
            "proxy_id": None,
            "result": result_of(0, 0),
            "n_ok": 0,
            "n_total": 0,
            "n_failing": 0,
            "failed_members": (),
            "with_encrypted_dns": False,
        }
        for tactic in untested(verdicts)
    ]
    return known + unknown


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(document).decode() + "\n")
    sys.stdout.flush()


def _progress(event: Event) -> None:
    """One line, redrawn; gone when the run is finished."""
    if isinstance(event, Observed):
        row = event.observation
        width = shutil.get_terminal_size((76, 24)).columns
        text = f"{event.done}/{event.total} {row.step} {row.hostname or row.endpoint_id}"
        sys.stderr.write(f"\r\x1b[K{text[: width - 1]}")
    elif isinstance(event, RunFinished):
        sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()


def _print_tables(result: RunResult, settings: Settings, style: Style) -> None:
    lines = [
        *table(result.verdicts, settings.targets, style),
        "",
        *ways(result.verdicts, style),
        *answers(result.verdicts, style),
        "",
        f"  Saved  {result.observations_path} ({len(result.observations)} facts)",
        f"  Next   reachwatch results show {result.run.run_id}",
    ]
    print("\n".join(lines))  # noqa: T201 - the room that prints


def _is_as_bad(verdicts: tuple[Verdict, ...], limit: State) -> bool:
    return any(
        SEVERITY.index(v.state) >= SEVERITY.index(limit) for v in verdicts if v.tactic == "none"
    )


def _print_plan(args: argparse.Namespace, settings: Settings) -> None:
    """Print every destination, server name, port and byte estimate of the run."""
    plan = build_plan(settings.targets, settings.options)
    rows = list(plan_rows(plan))
    if args.format != "table":
        document = {
            "type": "plan",
            "schema_version": "1.0",
            "sockets": plan.budget.sockets,
            "bytes": plan.budget.bytes,
            "chains": rows,
        }
        if args.format == "ndjson":
            for row in rows:
                _print_json({"type": "chain", "schema_version": "1.0", **row})
        else:
            _print_json(document)
        return
    for row in rows:
        what = row["follow_up"] or (row["role"] if row["tactic"] == "none" else row["tactic"])
        print(  # noqa: T201 - the room that prints
            f"{row['when']:<18} {what:<14} {row['destination']:<44} "
            f"{','.join(row['steps']):<20} {row['server_name']} x{row['attempts']} "
            f"{row['bytes']} B"
        )
    print(  # noqa: T201 - the room that prints
        f"{plan.budget.sockets} connections, about {plan.budget.bytes // 1000} kB; with what "
        f"follows failures at most about "
        f"{(plan.budget.max_bytes + plan.budget.ways_bytes) // 1000 + 200} kB"
    )


def plan_rows(plan: Plan) -> list[dict[str, Any]]:
    """Describe each chain of a plan for people; proxies appear by number only."""
    rows = []
    for chain in (*plan.controls, *plan.lookups, *plan.chains, *plan.follow_ups):
        names = [
            step.server_name
            for step in chain.steps
            if isinstance(step, TlsHandshake | HelloProbe | EchProbe | QuicHandshake | Http3Request)
        ]
        asked = [step.hostname for step in chain.steps if isinstance(step, DnsLookup)]
        pages = [
            step.path
            for step in chain.steps
            if isinstance(step, HttpRequest | Http3Request | SpecialConfig)
            or (isinstance(step, MtprotoHandshake) and step.path)
        ]
        where = f"{chain.address or chain.hostname or chain.owner.endpoint_id}:{chain.port}"
        if chain.tactic == "special_config" and chain.role == "test":
            where = "addresses of a verified special config"
        rows.append(
            {
                "when": chain.trigger,
                "role": chain.role,
                "destination": where,
                "via": chain.proxy_id,
                "steps": list(dict.fromkeys(_kind(step) for step in chain.steps)),
                "server_name": ",".join(names or asked),
                "paths": pages,
                "follow_up": chain.follow_up,
                "tactic": chain.tactic,
                "bytes": sum(map(step_bytes, chain.steps)),
                "attempts": chain.attempts,
                "max_addresses": chain.max_addresses,
            }
        )
    return rows


def _kind(step: object) -> str:
    return {
        "DnsLookup": "dns",
        "TcpConnect": "tcp",
        "ProxyConnect": "proxy",
        "TlsHandshake": "tls",
        "HelloProbe": "tls",
        "HttpRequest": "http",
        "MtprotoHandshake": "mtproto",
        "TinyWrites": "writes",
        "UdpProbe": "udp",
        "QuicHandshake": "quic",
        "EchProbe": "tls",
        "MtprotoKeyProof": "mtproto_key",
        "ProxyHandshake": "mtproto",
        "SpecialConfig": "special_config",
        "Http3Request": "quic",
    }[type(step).__name__]
