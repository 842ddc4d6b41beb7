"""The rules as a table: what each needs, claims and excludes.

A rule id is a public contract. The table is what `explain` and the docs show;
`findings` decides which row applies.
"""

from dataclasses import dataclass
from typing import Final

from probe.model.observation import Step
from probe.model.verdict import State


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One row. ``state`` is the most the rule may claim."""

    rule_id: str
    state: State
    stage: Step | None
    needs: str
    excludes: str
    source: str


RULES: Final[dict[str, Rule]] = {
    rule.rule_id: rule
    for rule in (
        Rule(
            rule_id="controls.failed",
            state="insufficient",
            stage=None,
            needs="no known-good host answered before, or after, the measurement",
            excludes="nothing: a local failure explains everything",
            source="OONI issue 954; design decision on honesty",
        ),
        Rule(
            rule_id="target.no_data",
            state="insufficient",
            stage=None,
            needs="no attempt was made",
            excludes="nothing",
            source="project",
        ),
        Rule(
            rule_id="target.reachable",
            state="ok",
            stage=None,
            needs="every member completed all its steps, certificates verified",
            excludes="blocking of what was measured",
            source="project",
        ),
        Rule(
            rule_id="target.partial",
            state="impaired",
            stage=None,
            needs="any_of target with some members failing and some working",
            excludes="a block of the whole service; a dead line",
            source="OONI probe issue 2466 (Brazil 2023: some data centres blocked)",
        ),
        Rule(
            rule_id="dns.all_fail",
            state="down",
            stage="dns",
            needs="two resolvers or more answered, all with the same failure",
            excludes="manipulation by one resolver",
            source="OONI dd-003",
        ),
        Rule(
            rule_id="dns.resolver_broken",
            state="impaired",
            stage="dns",
            needs="the ordinary resolver fails for the target and for every control name",
            excludes="a rule on the target's name",
            source="OONI issue 1629; project: a broken resolver is local",
        ),
        Rule(
            rule_id="dns.failure_contrast",
            state="likely_blocked",
            stage="dns",
            needs="the ordinary resolver denies the name, another resolver has addresses; the "
            "ordinary resolver knows a control name, where one was asked",
            excludes="expired name; dead line",
            source="Satellite; net4people/bbs 657",
        ),
        Rule(
            rule_id="dns.timeout_contrast",
            state="impaired",
            stage="dns",
            needs="the ordinary resolver is silent, another resolver has addresses",
            excludes="expired name",
            source="Satellite",
        ),
        Rule(
            rule_id="dns.bogon",
            state="likely_blocked",
            stage="dns",
            needs="the ordinary resolver answers with addresses that cannot be public servers, "
            "another resolver answers with public ones",
            excludes="a list that expects such addresses",
            source="RFC 6890; OONI dns_bogon_error",
        ),
        Rule(
            rule_id="dns.two_answers",
            state="likely_blocked",
            stage="dns",
            needs="one query, two valid datagrams with disjoint addresses or response codes",
            excludes="duplicated packets (same data); load balancing (one answer a query)",
            source="GFWatch (Hoang et al. 2021)",
        ),
        Rule(
            rule_id="dns.silent",
            state="impaired",
            stage="dns",
            needs="no resolver answered for the name",
            excludes="nothing but a dead line",
            source="project",
        ),
        Rule(
            rule_id="tcp.silent_networks",
            state="likely_blocked",
            stage="tcp",
            needs="repeated SYNs to every address of the target unanswered, and those of the "
            "service silent in three or more networks, while controls answer, and quickly",
            excludes="one dead host; loss (six SYNs each); a dead or slow line",
            source="Ramesh et al., NDSS 2020 (decentralised blocking); Telegram, April 2018",
        ),
        Rule(
            rule_id="tcp.silent",
            state="impaired",
            stage="tcp",
            needs="repeated SYNs unanswered in fewer than three networks, or on a slow line",
            excludes="loss; a dead line",
            source="RFC 9293",
        ),
        Rule(
            rule_id="tcp.refused",
            state="impaired",
            stage="tcp",
            needs="connection refused at every attempt",
            excludes="loss; silence",
            source="RFC 1122 4.2.3.9: errno cannot tell a closed port from a RST on the way",
        ),
        Rule(
            rule_id="tcp.unreachable",
            state="impaired",
            stage="tcp",
            needs="a router says unreachable or prohibited at every attempt",
            excludes="loss; silence",
            source="RFC 792; RFC 1122 4.2.3.9",
        ),
        Rule(
            rule_id="tcp.port",
            state="impaired",
            stage="tcp",
            needs="one port fails, another port of the same address connects",
            excludes="an address that is dropped as a whole",
            source="RFC 9293",
        ),
        Rule(
            rule_id="tcp.other",
            state="impaired",
            stage="tcp",
            needs="another connect error at every attempt",
            excludes="nothing",
            source="project",
        ),
        Rule(
            rule_id="tls.rst_contrast",
            state="blocked",
            stage="tls",
            needs="hello with the target's name cut off at every attempt, hello with an "
            "innocuous name to the same address completed",
            excludes="dead host; blocked address; dead line; loss",
            source="Xue et al., IMC 2022 (TSPU SNI-I); OONI sni_blocking",
        ),
        Rule(
            rule_id="tls.silence_contrast",
            state="blocked",
            stage="tls",
            needs="hello with the target's name unanswered at every attempt, hello with an "
            "innocuous name to the same address completed",
            excludes="dead host; blocked address; path MTU (same length of hello)",
            source="Xue et al., IMC 2022 (TSPU SNI-II, SNI-IV)",
        ),
        Rule(
            rule_id="tls.no_contrast",
            state="impaired",
            stage="tls",
            needs="no handshake under either name",
            excludes="a rule on the name alone",
            source="OONI sni_blocking: servers may reset unknown names",
        ),
        Rule(
            rule_id="tls.certificate",
            state="impaired",
            stage="tls",
            needs="a certificate that does not verify for the name",
            excludes="silence; reset",
            source="RFC 5280; cannot yet be told from the server's own bad certificate",
        ),
        Rule(
            rule_id="http.interrupted",
            state="impaired",
            stage="http",
            needs="handshake verified, response cut off or stalled at every attempt",
            excludes="a rule on the name in the hello",
            source="net4people/bbs 490 (freeze)",
        ),
        Rule(
            rule_id="http.slow_paired",
            state="impaired",
            stage="http",
            needs="three interleaved pairs, the target's name at under half the rate of an "
            "innocuous name at the same address, pairs under our own load discarded",
            excludes="slow line; slow server; our own load",
            source="Wehe; Xue et al., IMC 2021 (throttling of Twitter)",
        ),
        Rule(
            rule_id="proxy.failed",
            state="impaired",
            stage="proxy",
            needs="the proxy was not reached, or refused",
            excludes="nothing about the target",
            source="project",
        ),
    )
}
