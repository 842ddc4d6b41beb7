"""What every step of a chain shares: whose fact it is, where, and when."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from probe.model.observation import FollowUp, Observation, Role, Step, Tactic
from probe.model.step import Owner
from probe.net.api import Network
from probe.net.tls import TrustStores
from probe.wire.addresses import ip_version


@dataclass(frozen=True, kw_only=True)
class Run:
    """What all chains of one run share.

    ``started`` is the network's clock at the start; ``next_id`` numbers
    observations; ``lag_since`` tells the largest event-loop delay since a time.
    ``ech_configs`` are ECHConfigLists (RFC 9849) by host name, as lookups find them;
    ``nonces`` are those of MTProto asked with, by which a repeated answer is known.
    """

    network: Network
    trust: TrustStores
    started: float
    next_id: Callable[[], str]
    lag_since: Callable[[float], float]
    ech_configs: dict[str, bytes] = field(default_factory=dict)
    nonces: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class Context:
    """One attempt of one chain: builds observations with the common columns."""

    run: Run
    chain_id: str
    role: Role
    owner: Owner
    attempt: int
    port: int | None = None
    address: str | None = None
    hostname: str | None = None
    tactic: Tactic = "none"
    proxy_id: str | None = None
    follow_up: FollowUp | None = None

    def now(self) -> float:
        """Return seconds since the start of the run."""
        return self.run.network.now() - self.run.started

    def observe(
        self,
        step: Step,
        t0: float,
        failure: str | None,
        *,
        owner: Owner | None = None,
        role: Role | None = None,
        **facts: Any,
    ) -> Observation:
        """Build the observation of a step that began at ``t0`` and ends now.

        The address of a proxy is the volunteer's secret: chains through a proxy
        are recorded without addresses.
        """
        whose = owner or self.owner
        address = self.address if self.proxy_id is None else None
        t = max(self.now(), t0)
        return Observation(
            observation_id=self.run.next_id(),
            chain_id=self.chain_id,
            step=step,
            role=role or self.role,
            service_id=whose.service_id,
            target_id=whose.target_id,
            combination_rule=whose.combination_rule,
            control_id=whose.control_id,
            endpoint_id=whose.endpoint_id,
            member=whose.member,
            tactic=self.tactic,
            proxy_id=self.proxy_id,
            attempt=self.attempt,
            follow_up=self.follow_up,
            t0=round(t0, 6),
            t=round(t, 6),
            failure=failure,
            loop_lag_s=round(self.run.lag_since(self.run.started + t0), 4),
            hostname=facts.pop("hostname", self.hostname),
            address=address,
            port=self.port if self.proxy_id is None else None,
            ip_version=None if address is None else (6 if ip_version(address) == 6 else 4),
            **facts,
        )
