"""What a run stores, says and raises never holds a proxy's place or secret, or a fresh address."""

import base64
import io
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fakes
from probe.model.target import Endpoint, Targets
from probe.model.vantage import Vantage
from probe.net.api import ProxyAddress
from probe.run.events import Observed
from probe.run.session import Settings, run_check
from probe.steps.special_config import FreshEndpoint
from probe.wire.proxy_links import ProxyLink
from run.world import Wire, World, options, world_targets

PLACES = st.ip_addresses(v=4, network="100.64.0.0/10").map(str)
DOMAINS = st.from_regex(r"[a-z]{8,20}\.example", fullmatch=True)
KINDS = st.sampled_from(["socks5", "http_connect", "mtproxy", "mtproxy_dd", "mtproxy_ee", "web"])
LINKS = st.builds(
    ProxyLink,
    kind=KINDS,
    host=PLACES,
    port=st.sampled_from([443, 1080]),
    username=st.from_regex(r"user[a-z]{6,12}", fullmatch=True),
    password=st.from_regex(r"pass[a-z]{6,12}", fullmatch=True),
    secret=st.binary(min_size=16, max_size=16),
    domain=DOMAINS,
)
PROXIES = st.builds(ProxyAddress, LINKS, PLACES)


def targets() -> Targets:
    return world_targets(
        Endpoint(address="web.example", port=443, probes=("dns", "tcp", "tls", "http")),
        Endpoint(address="198.51.100.1", port=443, probes=("tcp", "mtproto"), group="dc2"),
    )


def kind_in_plan(proxy: ProxyAddress) -> str:
    kind = proxy.link.kind
    return kind if kind in {"socks5", "http_connect"} else "mtproxy"


def forms(proxy: ProxyAddress) -> set[bytes]:
    """Every way in which a proxy's place and secret could be written."""
    link = proxy.link
    words = {proxy.address, link.host, link.domain, link.username or "", link.password or ""}
    key = link.secret
    written = {key.hex(), base64.b64encode(key).decode().rstrip("=")}
    written.add(base64.urlsafe_b64encode(key).decode().rstrip("="))
    return {word.encode() for word in words | written} | {key, repr(key)[2:-1].encode()}


@settings(max_examples=25, deadline=None)
@given(
    proxies=st.lists(PROXIES, min_size=1, max_size=2),
    state=st.sampled_from(["ok", "silent", "refused"]),
)
def test_nothing_of_a_proxy_is_stored_or_said(
    proxies: list[ProxyAddress], state: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Searched byte by byte: files, progress, both streams."""
    folder = tmp_path_factory.mktemp("run")
    world = World(wires={proxy.address: Wire(state) for proxy in proxies})
    wanted = Settings(
        targets=targets(),
        targets_sha256="ab" * 32,
        vantage=Vantage(),
        results=folder,
        options=options(proxies=tuple(map(kind_in_plan, proxies)), ways=True),
        proxies=proxies,
    )
    events: list[object] = []
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        fakes.play(lambda: run_check(wanted, world, events.append))

    shown = [repr(e.columns) for e in events if isinstance(e, Observed)]
    everything = read_all(folder) + said.getvalue().encode() + "".join(shown).encode()
    assert any(proxy.address in {p for p, _ in world.touched} for proxy in proxies)
    for secret in set().union(*map(forms, proxies)):
        assert secret not in everything


def read_all(folder: Path) -> bytes:
    return b"".join(
        path.name.encode() + path.read_bytes() for path in folder.rglob("*") if path.is_file()
    )


@given(proxy=PROXIES, fresh=st.builds(FreshEndpoint, st.just(2), PLACES, st.just(443)))
def test_an_exception_that_shows_them_shows_nothing(
    proxy: ProxyAddress, fresh: FreshEndpoint
) -> None:
    """A traceback may be pasted anywhere."""
    text = "".join(traceback.format_exception(ValueError(proxy, fresh)))

    assert proxy.address not in text
    assert fresh.address not in text
    assert not any(form in text.encode() for form in forms(proxy))
