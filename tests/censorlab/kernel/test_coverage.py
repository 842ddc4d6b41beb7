"""Which scenarios stock tools express: a loss of one must not pass unnoticed."""

import pytest

from censorlab.kernel.stage import expressible
from censorlab.scenarios.model import all_scenarios

REASONS = {scenario.name: expressible(scenario) for scenario in all_scenarios()}

NAMES = """
    clean loss_5 loss_20 dead_host closed_port broken_ipv6 captive_portal no_network
    full_shutdown network_lost clock_skew bad_certificate geo_dns cdn_partly_dead rate_limiter
    local_interceptor slow_server resolver_down name_gone dead_data_centre plain_http_in_tls
    dns_timeout dns_hijack doh_sni_rst dot_port_drop syn_drop null_route some_data_centres
    syn_rst syn_ack_rst icmp_network_unreachable icmp_host_unreachable icmp_port_unreachable
    icmp_network_prohibited icmp_host_prohibited icmp_admin_prohibited one_port
    one_port_of_data_centres ipv4_only sni_rst sni_rst_client sni_rst_server
    sni_rst_first_segment sni_drop sni_drop_reply drop_after_8 residual forged_certificate
    version_drop ech_drop parallel_policing allowlist freeze_25_packets freeze_packets_any_name
    freeze_16k policing_150k shaping_150k random_loss_by_subnet http_host_rst udp_443_drop
"""
EXPRESSIBLE = NAMES.split()

NEEDS_ENGINE = {
    "slow_256k": "delay",
    "slow_64k": "delay",
    "jitter": "delay",
    "high_rtt": "delay",
    "loss_and_distance": "delay",
    "nat_rebinding": "NAT",
    "dns_bogon": "DNS answer",
    "dns_injection": "DNS answer",
    "dns_nxdomain_udp": "DNS answer",
    "dns_servfail": "DNS answer",
    "dns_refused": "DNS answer",
    "dns_block_page_host": "DNS answer",
    "sni_rst_reassembling": "put together",
    "sni_rst_first_record": "put together",
    "fingerprint_drop": "fingerprint",
    "fake_tls_second_record": "TLS records",
    "http_blockpage": "HTTP response",
    "http_redirect": "HTTP response",
    "http_truncated": "stream",
    "quic_sni_drop": "encrypted",
    "mtproto_drop": "random bytes",
}


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_stock_tools_express_it(name: str) -> None:
    assert REASONS[name] is None


@pytest.mark.parametrize("name", NEEDS_ENGINE)
def test_what_they_cannot_has_a_reason(name: str) -> None:
    assert NEEDS_ENGINE[name] in str(REASONS[name])


def test_at_least_half_of_the_scenarios_have_an_independent_form() -> None:
    assert sum(reason is None for reason in REASONS.values()) * 2 >= len(REASONS)
