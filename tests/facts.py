"""Observations and target lists built from what a test cares about alone."""

import itertools
from collections.abc import Sequence
from typing import Any, Literal

from probe.model import failure as failures
from probe.model.observation import Certificate, DnsAnswer, DnsResponse, FollowUp, Observation
from probe.model.target import (
    CombinationRule,
    Control,
    Endpoint,
    ResolverProtocol,
    Service,
    Target,
    Targets,
)
from probe.model.vantage import RunColumns

RUN = RunColumns(
    run_id="0123456789abcdef",
    measurement_start_time="2026-11-24T12:00:00Z",
    targets_sha256="ab" * 32,
)


def targets_of(*endpoints: Endpoint, controls: Sequence[Control] = (), **rest: Any) -> Targets:
    """Return a list of one service with one target."""
    return Targets(
        schema_version="1.0",
        name="test",
        updated="2026-11-24",
        services=(Service(id="a", name="A", category_code="COMT"),),
        targets=(Target(id="a/web", service="a", combination_rule="all_of", endpoints=endpoints),),
        controls=tuple(controls),
        **rest,
    )


def certificate(issuer: str, *names: str, subject: str = "CN=a.example") -> Certificate:
    """Return a leaf certificate by an issuer, for some names."""
    return Certificate(
        sha256="0" * 64,
        subject=subject,
        issuer=issuer,
        not_before="2026-01-01T00:00:00Z",
        not_after="2027-01-01T00:00:00Z",
        subject_alt_names=names,
    )


class Scene:
    """Collects the rows of one run; each row comes a tenth of a second after the last."""

    def __init__(self, rule: CombinationRule = "all_of") -> None:
        self.rows: list[Observation] = []
        self.rule: CombinationRule = rule
        self._ids = itertools.count(1)
        self._chains = itertools.count(1)

    def add(self, **columns: Any) -> Observation:
        """Add one row; what is not given is as in a direct test of ``a/web``."""
        number = next(self._ids)
        row: dict[str, Any] = {
            "observation_id": f"o{number:05d}",
            "chain_id": f"c{next(self._chains):05d}",
            "role": "test",
            "service_id": "a",
            "target_id": "a/web",
            "combination_rule": self.rule,
            "control_id": None,
            "endpoint_id": "a.example:443",
            "member": "a.example",
            "t0": number / 10,
            "t": number / 10 + 0.05,
            "failure": None,
        }
        observation = Observation(**(row | columns))
        self.rows.append(observation)
        return observation

    def controls(
        self, *outcomes: str | None, attempt: int = 1, ip_version: Literal[4, 6] = 4, **columns: Any
    ) -> "Scene":
        """Add one known-good host of its own operator per outcome of its handshake.

        A failure in `failures.TIMEOUTS` is one of the connect.
        """
        for number, failure in enumerate(outcomes, 1):
            chain_id = f"c{next(self._chains):05d}"
            host = {
                "role": "control",
                "service_id": None,
                "target_id": None,
                "combination_rule": None,
                "control_id": f"known_good/{number}",
                "member": f"operator-{number}",
                "endpoint_id": f"192.0.2.{number}:443",
                "address": f"192.0.2.{number}" if ip_version == 4 else f"2001:db8:{number}::1",
                "ip_version": ip_version,
                "chain_id": chain_id,
                "attempt": attempt,
            } | columns
            is_silent = failure in failures.TIMEOUTS
            self.add(step="tcp", failure=failure if is_silent else None, **host)
            if not is_silent:
                self.add(step="tls", failure=failure, **host)
        return self

    def control(
        self, follow_up: FollowUp | None, *outcomes: tuple[str, str | None], **columns: Any
    ) -> "Scene":
        """Add one connection to a control, such as a beat or a portal's page."""
        host = {
            "role": "control",
            "service_id": None,
            "target_id": None,
            "combination_rule": None,
            "control_id": f"{follow_up or 'known_good'}/1",
            "endpoint_id": "192.0.2.1:443",
            "member": "operator-1",
        } | columns
        return self.chain(*outcomes, address="192.0.2.1", follow_up=follow_up, **host)

    def beside(
        self,
        follow_up: FollowUp,
        *outcomes: tuple[str, str | None],
        address: str,
        **columns: Any,
    ) -> "Scene":
        """Add one try of a separating probe, on behalf of the endpoint at port 443."""
        where = {"role": "contrast", "endpoint_id": f"{address}:443"} | columns
        return self.chain(*outcomes, address=address, follow_up=follow_up, **where)

    def chain(self, *outcomes: tuple[str, str | None], address: str, **columns: Any) -> "Scene":
        """Add one attempt: (step, failure) pairs over one connection."""
        chain_id = f"c{next(self._chains):05d}"
        where = {
            "chain_id": chain_id,
            "address": address,
            "ip_version": 6 if ":" in address else 4,
            "port": 443,
            "member": address,
            "endpoint_id": f"{address}:{columns.get('port', 443)}",
        } | columns
        for step, failure in outcomes:
            self.add(step=step, failure=failure, **where)
        return self

    def lookup(
        self,
        resolver: ResolverProtocol,
        failure: str | None,
        *answers: Sequence[str],
        **columns: Any,
    ) -> "Scene":
        """Add one lookup; each of ``answers`` is one valid response's addresses."""
        query_type = columns.get("query_type", "A")
        responses = tuple(
            DnsResponse(
                t=0.01 * number,
                rcode="NOERROR",
                is_valid=True,
                answers=tuple(
                    DnsAnswer(
                        type=query_type,
                        value=value,
                        ttl_s=60,
                        is_bogon=value.startswith(("10.", "127.", "0.")) or value == "::",
                        is_expected=None,
                    )
                    for value in addresses
                ),
                size_bytes=60,
                ip_ttl=60,
            )
            for number, addresses in enumerate(answers, 1)
        )
        question = {
            "hostname": "a.example",
            "resolver_id": resolver,
            "resolver_protocol": resolver,
            "query_type": query_type,
        } | columns
        self.add(step="dns", failure=failure, responses=responses, **question)
        return self

    def transfers(
        self, rates: Sequence[float], *, address: str, role: str = "test", **columns: Any
    ) -> "Scene":
        """Add one completed attempt per rate (bytes per second) of a 60 kB page."""
        for rate in rates:
            chain_id = f"c{next(self._chains):05d}"
            where = {
                "address": address,
                "ip_version": 4,
                "port": 443,
                "role": role,
                "chain_id": chain_id,
                "member": address,
                "endpoint_id": f"{address}:443",
            } | columns
            self.add(step="tcp", **where)
            self.add(step="tls", **where)
            self.add(step="http", received_bytes=60_000, body_duration_s=60_000 / rate, **where)
        return self
