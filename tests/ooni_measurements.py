"""Small OONI measurements, made by hand in the forms of several versions; and the real ones."""

import base64
from pathlib import Path
from typing import Any

import pytest

_REAL = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "ooni"

HOST = "www.example.org"
ADDRESS = "93.184.216.34"
OTHER_ADDRESS = "151.101.1.140"


def real(name: str) -> Path:
    """Return a real measurement, which is not ours to distribute; skips where it is absent."""
    path = _REAL / name
    if not path.is_file():
        pytest.skip(f"the real measurement {name} is not beside this checkout")
    return path


def all_real() -> list[Path]:
    """Return every real measurement; skips where there is none."""
    found = sorted(_REAL.glob("*.json"))
    if not found:
        pytest.skip("no real measurements beside this checkout")
    return found


def measurement(test_name: str, **test_keys: Any) -> dict[str, Any]:
    """Return a measurement of one test; ``envelope`` replaces keys around the facts."""
    envelope = test_keys.pop("envelope", {})
    return {
        "annotations": {"platform": "linux", "network_type": "wifi"},
        "data_format_version": "0.2.0",
        "input": None,
        "measurement_start_time": "2024-02-12 20:33:47",
        "probe_asn": "AS64500",
        "probe_cc": "IT",
        "probe_ip": "127.0.0.1",
        "report_id": "20240212T203347Z_test",
        "resolver_ip": "198.18.0.53",
        "software_name": "ooniprobe",
        "software_version": "3.21.0",
        "test_keys": test_keys,
        "test_name": test_name,
        "test_version": "0.5.28",
    } | envelope


def query(hostname: str, *addresses: str, **columns: Any) -> dict[str, Any]:
    """Return a lookup by getaddrinfo; networks are numbered by the first octet."""
    answers = [
        {"answer_type": "AAAA", "ipv6": a, "asn": 6, "ttl": None}
        if ":" in a
        else {"answer_type": "A", "ipv4": a, "asn": int(a.split(".")[0]), "ttl": None}
        for a in addresses
    ]
    return {
        "answers": answers or None,
        "engine": "getaddrinfo",
        "failure": None,
        "hostname": hostname,
        "query_type": "ANY",
        "resolver_address": "",
        "t": 0.1,
    } | columns


def tcp(ip: str, port: int, failure: str | None = None, **columns: Any) -> dict[str, Any]:
    status = {"failure": failure, "success": failure is None}
    return {"ip": ip, "port": port, "status": status, "t": 0.2} | columns


def tls(address: str, name: str, failure: str | None = None, **columns: Any) -> dict[str, Any]:
    return {
        "address": address,
        "cipher_suite": "TLS_AES_128_GCM_SHA256",
        "failure": failure,
        "negotiated_protocol": "h2",
        "no_tls_verify": False,
        "peer_certificates": [
            {"data": base64.b64encode(b"no certificate").decode(), "format": "base64"}
        ],
        "server_name": name,
        "t": 0.3,
        "tls_version": "TLSv1.3",
    } | columns


def http(url: str, code: int = 200, failure: str | None = None, **columns: Any) -> dict[str, Any]:
    body = columns.pop("body", "<title>Hello</title> you are 203.0.113.9")
    response = {
        "body": body,
        "body_is_truncated": False,
        "code": code,
        "headers": {"Server": "nginx", "Set-Cookie": "secret", "Via": "1.1 203.0.113.9"},
    }
    return {
        "failure": failure,
        "request": {"url": url, "method": "GET"},
        "response": response if failure is None else {"body": "", "code": 0, "headers": None},
        "t": 0.15,
    } | columns


def page(failing: str | None = None, failure: str = "connection_reset") -> dict[str, Any]:
    """Return web_connectivity 0.5 of an https page; ``failing`` is the step that does."""
    end = f"{ADDRESS}:443"
    number = {"transaction_id": 4, "t0": 0.2}
    fetching = {"tags": ["depth=0", "fetch_body=true"]}
    keys: dict[str, Any] = {
        "queries": [query(HOST, ADDRESS, transaction_id=1)],
        "tcp_connect": [],
        "tls_handshakes": [],
        "requests": [],
        "control": {"dns": {"failure": None, "addrs": [ADDRESS]}},
        "control_failure": None,
    }
    if failing == "dns":
        keys["queries"] = [query(HOST, failure=failure)]
    else:
        own = failure if failing == "tcp" else None
        keys["tcp_connect"] = [tcp(ADDRESS, 443, own, **number, **fetching)]
    if failing not in {"dns", "tcp"}:
        keys["tls_handshakes"] = [tls(end, HOST, failure if failing == "tls" else None, **number)]
    if failing in {None, "http"}:
        own = failure if failing == "http" else None
        keys["requests"] = [http(f"https://{HOST}/", failure=own, **number)]
    envelope = {
        "input": f"https://{HOST}/",
        "test_helpers": {"backend": {"type": "https", "address": "https://0.th.ooni.org/"}},
    }
    return measurement("web_connectivity", envelope=envelope, **keys)


DATA_CENTRES = {
    "149.154.175.50": "dc1",
    "149.154.167.51": "dc2",
    "95.161.76.100": "dc2",
    "149.154.175.100": "dc3",
    "149.154.167.91": "dc4",
    "149.154.171.5": "dc5",
}


def telegram(
    silent: frozenset[str] = frozenset(), web_failure: str | None = None
) -> dict[str, Any]:
    """Return telegram in its old form: no numbers, requests by the time they begin."""
    name, web = "web.telegram.org", "149.154.167.99"
    connects, requests = [], []
    for i, address in enumerate(DATA_CENTRES):
        for port, suffix in ((80, ""), (443, ":443")):
            began = 0.1 * i + port / 10_000
            own = "generic_timeout_error" if address in silent else None
            connects.append(tcp(address, port, own, t=began + 0.05))
            requests.append(http(f"http://{address}{suffix}/", 404, own, t=began))
    connects.append(tcp(web, 443, t=2.1))
    requests.append(http(f"https://{name}/", failure=web_failure, t=2.0))
    return measurement(
        "telegram",
        queries=[query(name, web, engine="system", query_type="A", t=2.05)],
        tcp_connect=connects,
        tls_handshakes=[tls(f"{web}:443", name, web_failure, t=2.2)],
        requests=requests[::-1],
    )


def signal() -> dict[str, Any]:
    """Return signal: two hosts that work, one that is denied, and the status lookup."""
    hosts = {"chat.signal.org": "76.223.92.165", "storage.signal.org": "142.250.78.211"}
    return measurement(
        "signal",
        queries=[
            *(query(name, address) for name, address in hosts.items()),
            query("cdsi.signal.org", failure="dns_nxdomain_error"),
            query("uptime.signal.org", "127.0.0.1"),
        ],
        tcp_connect=[tcp(address, 443) for address in hosts.values()],
        tls_handshakes=[tls(f"{address}:443", name) for name, address in hosts.items()],
        requests=[
            *(http(f"https://{name}/", 404) for name in hosts),
            http("https://cdsi.signal.org/", failure="dns_nxdomain_error"),
        ],
    )


def whatsapp() -> dict[str, Any]:
    """Return whatsapp: two chat hosts behind one address, one port of one refused."""
    chat = "34.194.71.217"
    return measurement(
        "whatsapp",
        queries=[
            query("e1.whatsapp.net", chat, t=0.1),
            query("e2.whatsapp.net", chat, t=0.11),
            query("web.whatsapp.com", "157.240.3.60", t=0.1),
            query("v.whatsapp.net", "157.240.3.54", t=0.1),
        ],
        tcp_connect=[
            tcp(chat, 443, t=0.2),
            tcp(chat, 443, t=0.21),
            tcp(chat, 5222, "connection_refused", t=0.22),
            tcp("157.240.3.60", 443),
            tcp("157.240.3.60", 80),
            tcp("157.240.3.54", 443),
        ],
        tls_handshakes=[
            tls("157.240.3.60:443", "web.whatsapp.com"),
            tls("157.240.3.54:443", "v.whatsapp.net"),
        ],
        requests=[
            http("https://web.whatsapp.com/"),
            http("http://web.whatsapp.com/", 302),
            http("https://v.whatsapp.net/v2/register", 400),
        ],
    )


def messenger() -> dict[str, Any]:
    """Return facebook_messenger as its first version wrote it: no times, false for null."""
    both = "31.13.86.37"
    bare = {"failure": False, "query_type": "A", "t": None, "engine": None}
    return measurement(
        "facebook_messenger",
        queries=[
            query("stun.fbsbx.com", "69.171.239.36", **bare),
            query("b-graph.facebook.com", both, **bare),
            query("b-api.facebook.com", both, **bare),
        ],
        tcp_connect=[
            {"ip": both, "port": 443, "status": {"failure": False, "success": True}},
            {"ip": both, "port": 443, "status": {"failure": False, "success": True}},
        ],
    )


def one_of_each() -> list[dict[str, Any]]:
    """Return one measurement per test that is imported."""
    return [page(), telegram(), signal(), whatsapp(), messenger()]
