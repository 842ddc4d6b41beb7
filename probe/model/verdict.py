"""Verdicts: judgements over facts, recomputable, stored beside them.

States and mechanisms are the project's vocabulary; a new word goes into
docs/glossary.md first.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from probe.model.observation import Count, Step, Tactic
from probe.model.target import CombinationRule

State = Literal["ok", "blocked", "likely_blocked", "impaired", "down", "insufficient"]
STATES: tuple[State, ...] = ("ok", "blocked", "likely_blocked", "impaired", "down", "insufficient")
BLOCKED_STATES: frozenset[State] = frozenset({"blocked", "likely_blocked"})

Mechanism = Literal[
    "dns_injection",
    "dns_nxdomain",
    "dns_refused",
    "dns_servfail",
    "dns_timeout",
    "dns_hijack",
    "dns_bogon",
    "encrypted_dns_blocked",
    "ip_drop",
    "ip_reject",
    "tcp_rst",
    "port_block",
    "sni_rst",
    "sni_drop",
    "sni_drop_reply",
    "sni_residual",
    "tls_mitm",
    "tls_fingerprint",
    "ech_block",
    "http_host_rst",
    "blockpage",
    "freeze",
    "throttling",
    "quic_sni_drop",
    "udp_block",
    "mtproto_drop",
    "faketls_drop",
    "proxy_block",
    "allowlist",
    "concurrency_policing",
]

BenignCause = Literal[
    "no_network",
    "captive_portal",
    "ipv6_broken",
    "service_down",
    "slow_line",
    "lossy_line",
    "clock_skew",
    "local_interception",
    "own_load",
]

ControlState = Literal["ok", "degraded", "failed"]
"""``ok``: known-good hosts of two operators answered before and after;
``degraded``: fewer; ``failed``: none. Only ``ok`` supports a finding."""


class Rival(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rival explanation ruled out, and the observations that rule it out."""

    cause: str
    ruled_out_by: tuple[str, ...]


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a finding rests on, counted: confidence is not a number that somebody set.

    ``n_failed`` of ``n_tried`` tries of what is judged failed in the way that the
    rule names; ``contrast_ok`` of ``contrast_tried`` tries of what differs in one
    respect, or of the controls, passed.
    """

    n_failed: Count
    n_tried: Count
    contrast_ok: Count = 0
    contrast_tried: Count = 0


class LayerCount(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Members that passed a layer, of those that were tried there."""

    step: Step
    n_ok: Count
    n_total: Count


class Verdict(Struct, frozen=True, kw_only=True):
    """What the rules make of one target under one tactic in one run.

    ``n_ok`` of ``n_total`` counts members and is never rounded to all or none.
    With state ``impaired`` or ``insufficient`` a ``mechanism`` names what the
    failure looks like, not a finding. ``reasons`` point to observation ids.
    ``open_rivals`` are explanations that the facts at hand leave standing.
    ``within_hops``: the interference sits no more than so many routers away, as hellos
    show that were sent to die on their way (on request only). ``with_encrypted_dns``: a way
    around began at addresses that only encrypted resolvers gave. ``failed_ports`` and
    ``failed_families``: the part of the way that fails at every member, all of which another
    part reaches.
    """

    target_id: str
    service_id: str
    combination_rule: CombinationRule
    tactic: Tactic = "none"
    proxy_id: str | None = None
    state: State
    mechanism: Mechanism | None = None
    benign_cause: BenignCause | None = None
    stage: Step | None = None
    rule_id: Annotated[str, Meta(pattern=r"^[a-z0-9_.]+$")]
    rules_version: Annotated[int, Meta(ge=1)]
    n_ok: Count
    n_total: Count
    attempts: Count
    control_state: ControlState
    controls_ok: Count
    controls_total: Count
    layers: tuple[LayerCount, ...] = ()
    failed_members: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    rivals: tuple[Rival, ...] = ()
    open_rivals: tuple[str, ...] = ()
    evidence: Evidence | None = None
    with_encrypted_dns: bool = False
    failed_ports: tuple[Annotated[int, Meta(ge=1, le=65535)], ...] = ()
    failed_families: tuple[Literal[4, 6], ...] = ()
    within_hops: Annotated[int, Meta(ge=1, le=255)] | None = None
    summary: str = ""
