"""``check --dry-run``: the plan, printed and not carried out."""

from typing import Any

from probe.cli.output import print_json
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
from probe.plan.cost import step_bytes


def print_plan(plan: Plan, shown: str) -> None:
    """Print every destination, server name, port and byte estimate of the run.

    ``shown`` is table, json or ndjson.
    """
    rows = plan_rows(plan)
    if shown != "table":
        document = {
            "type": "plan",
            "schema_version": "1.0",
            "sockets": plan.budget.sockets,
            "bytes": plan.budget.bytes,
            "chains": rows,
        }
        if shown == "ndjson":
            for row in rows:
                print_json({"type": "chain", "schema_version": "1.0", **row})
        else:
            print_json(document)
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


def hosts_of(plan: Plan) -> list[str]:
    """Return every destination of the run once, in order; proxies by number only."""
    rows = plan_rows(plan)
    proxies = {f"a proxy of yours ({row['via']})" for row in rows if row["via"]}
    return sorted({row["destination"] for row in rows if not row["via"]}) + sorted(proxies)


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
