"""One scene or more per rule: the facts that it needs, and what comes out."""

from collections.abc import Callable
from typing import Any, NamedTuple

from facts import Scene, certificate
from probe.model.verdict import Mechanism, State
from probe.verdict.fingerprints import answers, issuers, pages
from verdict.scenes import (
    CONNECTED,
    EARLY,
    FORGED,
    NO_RESPQ,
    NOBODY,
    OK,
    PAGE,
    PLAIN_PAGE,
    PUBLIC,
    RESET,
    RESET_HELLO,
    SILENT,
    TAKEN,
    TIMEOUT,
    UNHEARD_HELLO,
    UNKNOWN_ISSUER,
    UNSEEN,
    A,
    B,
    C,
    D,
    clean,
    twice,
)

HARMLESS = "www.example"
NXDOMAIN = "dns_nxdomain_error"
KNOWN_PAGE = next(page for page in pages() if page.kind == "text" and page.confidence == "specific")
GENERIC_PAGE = next(
    page for page in pages() if page.kind == "text" and page.confidence == "generic"
)
CENSORS_ANSWER = next(
    address
    for answer in answers()
    for address in answer.addresses
    if answer.kind == "censor" and not address.startswith(("10.", "127.")) and "/" not in address
)
LOCAL_ISSUER = next(issuer.samples[0] for issuer in issuers() if issuer.kind == "local")
STATES_ISSUER = next(
    issuer.samples[0]
    for issuer in issuers()
    if issuer.kind == "state" and not issuer.signs_services
)


class Case(NamedTuple):
    """One row."""

    rule_id: str
    state: State
    mechanism: Mechanism | None
    n_ok: int
    n_total: int
    scene: Callable[[], Scene]


def hello(failure: str, **columns: Any) -> Scene:
    """The target's hello fails twice, and the innocuous one is answered."""
    scene = twice(clean(), *CONNECTED, ("tls", failure), **columns)
    return scene.beside("other_name", *OK, address=A)


def form(failure: str, *other: tuple[str, str | None], **columns: Any) -> Scene:
    """The ordinary form of hello fails twice, another form passes; ``other`` is the contrast."""
    scene = twice(clean(), *CONNECTED, ("tls", failure), **columns)
    scene.beside("second_hello", *OK, address=A, hello_profile="tls12")
    return scene.beside("other_name", *other, address=A) if other else scene


def elsewhere(scene: Scene, *steps: tuple[str, str | None], **columns: Any) -> Scene:
    """The target's name at a control's address, on behalf of the endpoint at A."""
    where = {"address": "192.0.2.1", "member": A, "endpoint_id": f"{A}:443"}
    # Its host answers strangers' names, and gives its own page.
    scene.beside("harmless_elsewhere", *OK, **where)
    scene.control(None, *PAGE)
    return scene.beside("name_elsewhere", *steps, **where | columns)


def presented(issuer: str, scene: Scene | None = None, address: str = A) -> Scene:
    """A certificate by an issuer that nobody vouches for."""
    shown = (certificate(issuer, "a.example"),)
    return (scene or clean()).chain(*UNKNOWN_ISSUER, address=address, peer_certificates=shown)


def page(failure: str | None, received: int, *, other: int | None = None, **columns: Any) -> Scene:
    """Two answers that end in a failure; and one of ``other`` bytes under a harmless name."""
    scene = twice(clean(), *OK, ("http", failure), received_bytes=received, **columns)
    if other is not None:
        scene.beside("other_name", *PAGE, address=A, received_bytes=other)
    return scene


def bare(failure: str, **columns: Any) -> Scene:
    """Two requests over plain HTTP that end in a failure; a harmless name gets its page."""
    scene = twice(clean(), *CONNECTED, ("http", failure), **columns)
    return scene.beside("other_name", *PLAIN_PAGE, address=A, received_bytes=4000)


def plain(*, other_status: int = 200, other_rtt_s: float = 0.1, **columns: Any) -> Scene:
    """An answer over plain HTTP, and the one that a harmless name gets at the same address."""
    scene = clean().chain(*PLAIN_PAGE, address=A, **({"tcp_rtt_s": 0.1} | columns))
    return scene.beside(
        "other_name", *PLAIN_PAGE, address=A, status_code=other_status, tcp_rtt_s=other_rtt_s,
        body_sha256="b" * 64,
    )  # fmt: skip


def pairs(*rates: tuple[float, float], lag: float = 0.0) -> Scene:
    """A first slow transfer, then (target, contrast) rates in turns."""
    scene = clean().transfers([rates[0][0]], address=A)
    for own, other in rates:
        scene.transfers([other], address=A, role="contrast", follow_up="paired")
        scene.transfers([own], address=A, follow_up="paired", loop_lag_s=lag)
    return scene


def mtproto(failure: str, *, second: str | None, other: str | None, acked: int | None) -> Scene:
    """MTProto in two framings, and other bytes to the same port."""
    scene = clean().chain(*CONNECTED, ("mtproto", failure), address=A, bytes_acked=acked)
    scene.beside("second_hello", *CONNECTED, ("mtproto", second), address=A, bytes_acked=acked)
    return scene.beside(
        "other_payload", *CONNECTED, ("http", other), address=A, bytes_acked=acked and acked + 80
    )


def ways(kind: str, failure: str, other: str | None, step: str = "quic") -> Scene:
    """The ordinary way works; another fails twice, under a harmless name as ``other`` says."""
    scene = clean().chain(*OK, address=A)
    role = "test" if kind == "quic" else "contrast"
    for _ in range(2):
        scene.beside(kind, (step, failure), address=A, role=role)  # type: ignore[arg-type] # a follow-up
    return scene.beside(f"{kind}_other_name", (step, other), address=A)  # type: ignore[arg-type] # one too


def quic_nowhere(*operators: str) -> Scene:
    """QUIC is unanswered here and at these operators' hosts."""
    scene = ways("quic", TIMEOUT, TIMEOUT)
    for member in operators:
        scene.control("quic", ("quic", TIMEOUT), member=member)
    return scene


def resolver(*steps: tuple[str, str | None], **columns: Any) -> Scene:
    """The target works, the connection to an encrypted resolver fails twice."""
    scene = clean().lookup("system", None, [A]).chain(*OK, address=A, member="a.example")
    own = {"role": "resolver", "member": "dot", "endpoint_id": "dot", **NOBODY} | columns
    return twice(scene, *steps, address="9.9.9.9", **own)


def listed() -> Scene:
    """Two controls answer; hellos to three others vanish."""
    scene = clean()
    for number in (3, 4, 5):
        scene.control(None, *UNHEARD_HELLO, member=f"operator-{number}", bytes_acked=1)
    return scene


def lossy_service() -> Scene:
    """Eight members need retransmissions, eight controls do not; a ninth member is silent."""
    scene = Scene().controls(*[None] * 8)
    for number in range(8):
        scene.chain(*OK, address=f"91.108.{number}.1", tcp_retransmits=2)
    return scene.chain(*SILENT, address=A)


def one_for_many() -> Scene:
    """One forged address for two names."""
    scene = clean().lookup("system", None, FORGED).lookup("doh", None, PUBLIC)
    other = {"hostname": "b.example", "member": "b.example", "endpoint_id": "b.example:443"}
    return scene.lookup("system", None, FORGED, **other).lookup("doh", None, [D], **other)


def one_family() -> Scene:
    """IPv4 is silent at two members that IPv6 reaches."""
    scene = clean().controls(None, None, ip_version=6)
    for number, member in enumerate(("dc1", "dc2"), 1):
        twice(scene, *SILENT, address=f"149.154.167.{number}", member=member, ip_version=4)
        scene.chain(*OK, address=f"2001:67c:4e8::{number}", member=member, ip_version=6)
    return scene


def in_three_networks(*steps: tuple[str, str | None], **columns: Any) -> Scene:
    """Every address of a service, in three networks, fails alike."""
    scene = clean()
    for address in (A, B, C):
        twice(scene, *steps, address=address, **columns)
    return scene


def closed_port(*members: tuple[str, str]) -> Scene:
    """Port 443 is silent at each (address, member), port 80 connects."""
    scene = clean()
    for address, member in members:
        scene.chain(*SILENT, address=address, member=member)
        scene.chain(*CONNECTED, address=address, member=member, port=80)
    return scene


RESOLVABLE = {"role": "control", "control_id": "resolvable_name/x", **NOBODY}
ANSWERING = {"role": "control", "control_id": "no_resolver/x", "follow_up": "no_resolver", **NOBODY}
PROHIBITED: dict[str, Any] = {"icmp_type": 3, "icmp_code": 13, "icmp_origin": "path"}
RESENT: dict[str, Any] = {"tcp_unacked": 1, "tcp_retransmits": 3}
OWN_WORD: dict[str, Any] = {**PROHIBITED, "icmp_origin": "local"}
PROXIED = {"tactic": "socks5", "proxy_id": "proxy-1"}
LONG = {"first_flight_bytes": 1700}
DENIALS: tuple[tuple[str, Mechanism], ...] = (
    (NXDOMAIN, "dns_nxdomain"),
    ("dns_no_answer", "dns_nxdomain"),
    ("dns_refused_error", "dns_refused"),
    ("dns_servfail_error", "dns_servfail"),
    ("dns_temporary_failure", "dns_servfail"),
    ("dns_server_misbehaving", "dns_hijack"),
)

CASES = [
    Case(
        "controls.failed", "insufficient", None, 0, 0,
        lambda: twice(Scene().controls(TIMEOUT, TIMEOUT), *SILENT),
    ),
    Case(
        "run.allowlist", "impaired", "allowlist", 0, 1,
        lambda: twice(listed(), *UNHEARD_HELLO, bytes_acked=1),
    ),
    Case("line.lossy_to_service", "impaired", "throttling", 8, 9, lossy_service),
    Case("target.reachable", "ok", None, 1, 1, lambda: clean().chain(*OK, address=A)),
    Case(
        "target.reachable", "ok", None, 1, 1,
        lambda: clean().chain(*SILENT, address=A).chain(*OK, address=A),
    ),
    Case(
        "target.partial", "impaired", "ip_drop", 1, 2,
        lambda: twice(clean("any_of").chain(*OK, address=B), *SILENT),
    ),
    Case(
        "dns.all_fail", "down", None, 0, 1,
        lambda: clean().lookup("system", NXDOMAIN).lookup("doh", NXDOMAIN),
    ),
    Case(
        "dns.resolver_broken", "impaired", None, 0, 1,
        lambda: clean()
        .lookup("system", "dns_servfail_error")
        .lookup("doh", None, PUBLIC)
        .lookup("system", "dns_servfail_error", **RESOLVABLE),
    ),
    *(
        Case(
            "dns.failure_contrast", "likely_blocked", mechanism, 0, 1,
            lambda failure=failure: clean()  # type: ignore[misc] # binds this row's word
            .lookup("system", failure)
            .lookup("udp", failure)
            .lookup("doh", None, PUBLIC),
        )
        for failure, mechanism in DENIALS
    ),
    Case(
        "dns.servfail_alone", "impaired", "dns_servfail", 0, 1,
        lambda: clean()
        .lookup("system", "dns_servfail_error")
        .lookup("udp", None, PUBLIC)
        .lookup("doh", None, PUBLIC),
    ),
    Case(
        "dns.timeout_contrast", "impaired", "dns_timeout", 0, 1,
        lambda: clean().lookup("system", TIMEOUT).lookup("doh", None, PUBLIC),
    ),
    Case(
        "dns.bogon", "likely_blocked", "dns_bogon", 0, 1,
        lambda: clean().lookup("system", None, ["10.10.34.34"]).lookup("doh", None, PUBLIC),
    ),
    Case(
        "dns.null_answer", "impaired", "dns_bogon", 0, 1,
        lambda: clean().lookup("system", None, ["0.0.0.0"]).lookup("doh", None, PUBLIC),
    ),
    Case(
        "dns.two_answers", "likely_blocked", "dns_injection", 0, 1,
        lambda: clean().lookup("udp", None, FORGED, PUBLIC),
    ),
    Case(
        "dns.silent", "impaired", "dns_timeout", 0, 1,
        lambda: clean().lookup("system", TIMEOUT).lookup("doh", TIMEOUT),
    ),
    Case(
        "dns.intercepted", "likely_blocked", "dns_hijack", 0, 1,
        lambda: clean()
        .lookup("system", NXDOMAIN)
        .lookup("udp", NXDOMAIN)
        .lookup("doh", None, PUBLIC)
        .lookup("udp", None, PUBLIC, **ANSWERING),
    ),
    Case(
        "dns.certificate_contrast", "blocked", "dns_hijack", 0, 1,
        lambda: presented("CN=Somebody", clean(), FORGED[0])
        .lookup("system", None, FORGED, member=FORGED[0])
        .lookup("doh", None, PUBLIC, member=FORGED[0])
        .chain(*OK, address=PUBLIC[0], member=FORGED[0]),
    ),
    Case("dns.one_for_many", "likely_blocked", "dns_hijack", 0, 2, one_for_many),
    Case(
        "dns.known_answer", "likely_blocked", "dns_hijack", 0, 1,
        lambda: clean().lookup("system", None, [CENSORS_ANSWER]).lookup("doh", None, PUBLIC),
    ),
    Case(
        "dns.encrypted_contrast", "ok", "encrypted_dns_blocked", 1, 1,
        lambda: resolver(*RESET_HELLO).beside(
            "other_name", *OK, address="9.9.9.9", member="dot", endpoint_id="dot", **NOBODY
        ),
    ),
    Case(
        "dns.encrypted_contrast", "ok", "encrypted_dns_blocked", 1, 1,
        lambda: resolver(*SILENT).beside(
            "other_port", *CONNECTED,
            address="9.9.9.9", member="dot", endpoint_id="dot", port=443, **NOBODY,
        ),
    ),
    Case(
        "tcp.silent_networks", "likely_blocked", "ip_drop", 0, 3,
        lambda: in_three_networks(*SILENT),
    ),
    Case("tcp.silent", "impaired", "ip_drop", 0, 1, lambda: twice(clean(), *SILENT)),
    Case(
        "tcp.silent", "impaired", "ip_drop", 0, 2,
        lambda: twice(twice(clean(), *SILENT), *SILENT, address=B),
    ),
    Case(
        "tcp.silent_after_success", "likely_blocked", "ip_drop", 0, 1,
        lambda: clean().chain(*OK, address=A).chain(*SILENT, address=A, t0=1.0, t=11.5),
    ),
    Case(
        "tcp.refused", "impaired", "tcp_rst", 0, 1,
        lambda: twice(clean(), ("tcp", "connection_refused")),
    ),
    Case(
        "tcp.unreachable", "impaired", "ip_reject", 0, 1,
        lambda: twice(clean(), ("tcp", "host_unreachable")),
    ),
    Case(
        "tcp.own_firewall", "insufficient", "ip_reject", 0, 1,
        lambda: twice(clean(), ("tcp", "host_unreachable"), **OWN_WORD),
    ),
    Case(
        "tcp.port", "impaired", "port_block", 0, 1,
        lambda: twice(clean(), *SILENT).beside("other_port", *CONNECTED, address=A, port=80),
    ),
    Case(
        "tcp.other", "impaired", None, 0, 1,
        lambda: clean().chain(*SILENT, address=A).chain(("tcp", "connection_refused"), address=A),
    ),
    Case(
        "tcp.prohibited", "likely_blocked", "ip_reject", 0, 3,
        lambda: in_three_networks(("tcp", "host_unreachable"), **PROHIBITED),
    ),
    Case(
        "tcp.port_everywhere", "impaired", "port_block", 2, 2,
        lambda: closed_port((A, "dc1"), (B, "dc2")),
    ),
    Case("tls.rst_contrast", "blocked", "sni_rst", 0, 1, lambda: hello(RESET, **EARLY)),
    Case("tls.rst_contrast", "blocked", "sni_rst", 0, 1, lambda: hello("eof_error", **EARLY)),
    Case(
        "tls.rst_contrast", "blocked", "sni_rst", 0, 1,
        lambda: clean()
        .chain(*RESET_HELLO, address=A, **EARLY)
        .beside("second_hello", *RESET_HELLO, address=A, **EARLY)
        .beside("other_name", *OK, address=A),
    ),
    Case(
        "tls.rst_contrast", "blocked", "sni_rst", 0, 1,
        # Facts of schema version 1.0: a contrast had no follow-up's name.
        lambda: twice(clean(), *RESET_HELLO, **EARLY).chain(*OK, address=A, role="contrast"),
    ),
    Case(
        "tls.rst_contrast", "blocked", "sni_rst", 0, 1,
        # An acknowledgement may be somebody else's too; nobody is quicker than light.
        lambda: hello(RESET, **TAKEN, **EARLY),
    ),
    Case(
        "tls.rst_contrast", "blocked", "sni_rst", 0, 1,
        lambda: elsewhere(hello(RESET, **TAKEN), *RESET_HELLO, **UNSEEN),
    ),
    Case(
        "tls.silence_contrast", "blocked", "sni_drop", 0, 1, lambda: hello(TIMEOUT, **UNSEEN)
    ),
    Case(
        "tls.silence_contrast", "blocked", "sni_drop_reply", 0, 1,
        lambda: elsewhere(hello(TIMEOUT, **TAKEN), *UNHEARD_HELLO, **UNSEEN),
    ),
    Case(
        "tls.rst_one_place", "likely_blocked", "sni_rst", 0, 1, lambda: hello(RESET, **TAKEN)
    ),
    Case(
        "tls.rst_one_place", "likely_blocked", "sni_rst", 0, 1,
        # A reset may overtake the acknowledgement.
        lambda: hello(RESET, **UNSEEN),
    ),
    Case(
        "tls.rst_one_place", "likely_blocked", "sni_rst", 0, 1,
        # Without TCP_INFO nobody knows what was acknowledged, nor how far it is.
        lambda: hello("eof_error"),
    ),
    Case(
        "tls.silence_one_place", "likely_blocked", "sni_drop_reply", 0, 1,
        lambda: hello(TIMEOUT, **TAKEN),
    ),
    Case(
        "tls.silence_one_place", "likely_blocked", "sni_drop_reply", 0, 1,
        lambda: hello(TIMEOUT),
    ),
    Case(
        "tls.here_only", "impaired", "sni_rst", 0, 1,
        lambda: elsewhere(hello(RESET, **TAKEN), *OK),
    ),
    Case(
        "tls.here_only", "impaired", "sni_rst", 0, 1,
        # An alert is an answer.
        lambda: elsewhere(hello(RESET, **UNSEEN), *CONNECTED, ("tls", "ssl_failed_handshake")),
    ),
    Case(
        "tls.here_only", "impaired", "sni_drop_reply", 0, 1,
        lambda: elsewhere(hello(TIMEOUT, **TAKEN), *OK),
    ),
    Case(
        "tls.no_contrast", "impaired", "sni_rst", 0, 1,
        lambda: twice(clean(), *RESET_HELLO).beside("other_name", *RESET_HELLO, address=A),
    ),
    Case(
        "tls.no_contrast", "impaired", "sni_rst", 0, 1,
        lambda: clean().chain(*RESET_HELLO, address=A).beside("other_name", *OK, address=A),
    ),
    Case("tls.no_contrast", "impaired", None, 0, 1, lambda: hello("ssl_failed_handshake")),
    Case(
        "tls.certificate", "impaired", None, 0, 1,
        lambda: clean().chain(*CONNECTED, ("tls", "ssl_invalid_hostname"), address=A),
    ),
    Case(
        "tls.clock", "insufficient", None, 0, 1,
        lambda: clean()
        .control(None, ("http", None), clock_offset_s=3 * 86_400.0)
        .chain(*CONNECTED, ("tls", "ssl_invalid_certificate"), address=A, verify_code=10),
    ),
    Case("tls.local_issuer", "insufficient", "tls_mitm", 0, 1, lambda: presented(LOCAL_ISSUER)),
    Case("tls.unknown_issuer", "impaired", "tls_mitm", 0, 1, lambda: presented("CN=Somebody")),
    Case(
        "tls.shared_issuer", "impaired", "tls_mitm", 0, 2,
        lambda: presented("CN=Somebody", presented("CN=Somebody"), B),
    ),
    Case(
        "tls.forged_for_name", "blocked", "tls_mitm", 0, 1,
        # The control's host has nothing to do with the name.
        lambda: elsewhere(
            presented("CN=Somebody"),
            *OK,
            server_name="a.example",
            peer_certificates=(certificate("CN=Somebody", "a.example"),),
        ),
    ),
    Case(
        "tls.minted", "blocked", "tls_mitm", 0, 1,
        lambda: presented("CN=Somebody").beside(
            "other_name", *OK, address=A,
            server_name=HARMLESS, peer_certificates=(certificate("CN=Somebody", HARMLESS),),
        ),
    ),
    Case("tls.minted", "blocked", "tls_mitm", 0, 1, lambda: presented(STATES_ISSUER)),
    Case(
        "tls.form_contrast", "blocked", "tls_fingerprint", 0, 1,
        lambda: form(RESET, *OK, **EARLY),
    ),
    Case(
        "tls.form_contrast", "blocked", "tls_fingerprint", 0, 1,
        lambda: form(TIMEOUT, *OK, **UNSEEN),
    ),
    Case(
        "tls.form_vanishes", "likely_blocked", "tls_fingerprint", 0, 1,
        lambda: form(TIMEOUT, *UNHEARD_HELLO, bytes_acked=1),
    ),
    Case(
        "tls.form_refused", "impaired", "tls_fingerprint", 0, 1,
        lambda: form(RESET, *RESET_HELLO),
    ),
    Case(
        "tls.form_refused", "impaired", "tls_fingerprint", 0, 1,
        lambda: form(RESET, *OK, **TAKEN),
    ),
    Case(
        "tls.long_hello", "impaired", "tls_fingerprint", 0, 1,
        lambda: form(TIMEOUT, *OK, **LONG)
        .beside("small_hello", *OK, address=A)
        .beside("large_hello", *UNHEARD_HELLO, address=A),
    ),
    Case(
        "tls.residual", "likely_blocked", "sni_residual", 0, 1,
        lambda: twice(clean().chain(*RESET_HELLO, address=A, **EARLY), *SILENT)
        .beside("other_port", *CONNECTED, address=A, port=80),
    ),
    Case(
        "tls.then_silent", "impaired", "sni_residual", 0, 1,
        lambda: twice(clean().chain(*RESET_HELLO, address=A), *SILENT),
    ),
    Case(
        "tls.ech_contrast", "ok", "ech_block", 1, 1, lambda: ways("ech", TIMEOUT, None, step="tls")
    ),
    Case("http.interrupted", "impaired", "freeze", 0, 1, lambda: page(TIMEOUT, 16_000)),
    Case("http.interrupted", "impaired", "http_host_rst", 0, 1, lambda: page(RESET, 0)),
    Case("http.interrupted", "impaired", None, 0, 1, lambda: page("http_request_failed", 9)),
    Case(
        "http.slow_paired", "impaired", "throttling", 0, 1,
        lambda: pairs((10, 100), (11, 100), (12, 100)),
    ),
    Case(
        "http.freeze_contrast", "blocked", "freeze", 0, 1,
        lambda: elsewhere(page(TIMEOUT, 16_000, other=60_000), *OK, ("http", TIMEOUT)),
    ),
    Case(
        "http.cut_contrast", "blocked", "http_host_rst", 0, 1,
        lambda: page(RESET, 0, other=4000, **RESENT),
    ),
    Case(
        "http.cut_contrast", "blocked", "http_host_rst", 0, 1,
        lambda: elsewhere(page("eof_error", 0, other=4000), *OK, ("http", RESET), **EARLY),
    ),
    Case("http.cut_contrast", "blocked", "http_host_rst", 0, 1, lambda: bare(RESET, **EARLY)),
    Case(
        "http.vanished_contrast", "blocked", "faketls_drop", 0, 1,
        # What the server sends before it is asked is received all the same.
        lambda: page(TIMEOUT, 502, other=4000, **RESENT),
    ),
    Case(
        "http.vanished_contrast", "blocked", "faketls_drop", 0, 1,
        lambda: elsewhere(page(TIMEOUT, 0, other=4000), *OK, ("http", TIMEOUT)),
    ),
    Case(
        "http.vanished_contrast", "blocked", "http_host_rst", 0, 1,
        lambda: bare(TIMEOUT, **UNSEEN),
    ),
    Case(
        "http.known_page", "blocked", "blockpage", 0, 1,
        lambda: clean().chain(
            *PLAIN_PAGE, address=A,
            status_code=KNOWN_PAGE.statuses[0] if KNOWN_PAGE.statuses else 200,
            body_text=KNOWN_PAGE.samples[0],
        ),
    ),
    Case(
        "http.page_contrast", "likely_blocked", "blockpage", 0, 1,
        lambda: plain(status_code=403, body_text=GENERIC_PAGE.samples[0]),
    ),
    Case(
        "http.page_says_so", "impaired", "blockpage", 0, 1,
        # A page host behind a diverted address has it for every name.
        lambda: clean().chain(
            *PLAIN_PAGE, address=A, status_code=403, body_text=GENERIC_PAGE.samples[0]
        ),
    ),
    Case(
        "http.early_answer", "likely_blocked", "blockpage", 0, 1,
        lambda: plain(status_code=302, first_byte_s=0.02),
    ),
    Case(
        "mtproto.vanishes", "blocked", "mtproto_drop", 0, 1,
        lambda: mtproto(TIMEOUT, second=TIMEOUT, other="http_request_failed", acked=1),
    ),
    Case("mtproto.silent", "impaired", "mtproto_drop", 0, 1, lambda: twice(clean(), *NO_RESPQ)),
    Case(
        "mtproto.form", "impaired", "mtproto_drop", 0, 1,
        lambda: mtproto(TIMEOUT, second=None, other=None, acked=1),
    ),
    Case("target.one_family", "impaired", "ip_drop", 2, 2, one_family),
    Case(
        "mtproto.key", "impaired", None, 0, 1,
        lambda: twice(
            clean(),
            *CONNECTED,
            ("mtproto", None),
            ("mtproto_key", "unknown_failure: mtproto_wrong_key"),
        ),
    ),
    Case(
        "mtproto.other", "impaired", None, 0, 1,
        lambda: twice(clean(), *CONNECTED, ("mtproto", "unknown_failure: mtproto_error_404")),
    ),
    Case("quic.name_contrast", "ok", "quic_sni_drop", 1, 1, lambda: ways("quic", TIMEOUT, None)),
    Case("quic.nowhere", "ok", "udp_block", 1, 1, lambda: quic_nowhere("one", "two")),
    Case(
        "proxy.failed", "impaired", None, 0, 1, lambda: twice(clean(), *SILENT, **PROXIED),
    ),
    Case(
        "proxy.failed", "impaired", None, 0, 1,
        lambda: twice(
            clean(), *CONNECTED, ("proxy", "unknown_failure: proxy_refused"), **PROXIED
        ),
    ),
]  # fmt: skip
