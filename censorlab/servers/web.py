"""Web sites on nginx."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from censorlab.servers.certificates import Leaf
from censorlab.servers.program import FOLDER, Program, executable

PAGE_BYTES: Final = 48_000
"""More than the 16 KB and 25 packets after which known censors freeze a connection."""
LARGE_BYTES: Final = 256 * 1024
LARGE_PATH: Final = "/large"

_RECORD_BYTES: Final = 16_384
"""nginx's default and TLS's maximum: a frozen record gives its reader nothing at all."""


class Site(NamedTuple):
    """A web site: its names, and the certificate it shows for them, fitting or not."""

    names: tuple[str, ...]
    leaf: Leaf
    redirect_to: str | None = None
    """Where every path is redirected (302): a captive portal, a block page."""


def nginx(
    sites: Sequence[Site],
    *,
    name: str = "nginx",
    record_bytes: int = _RECORD_BYTES,
    bytes_per_s: int | None = None,
    page_bytes: int = PAGE_BYTES,
    tls_port: int = 443,
    http_port: int = 80,
) -> Program:
    """Serve the sites with TLS and without, on every address the kernel has.

    Any path gives an HTML page of ``page_bytes``, `LARGE_PATH` gives `LARGE_BYTES`.
    The first site answers other names and clients that send none. TLS records
    hold at most ``record_bytes``; a slow server sends ``bytes_per_s`` to each.
    """
    below = f"{FOLDER}/{name}"
    pace = "" if bytes_per_s is None else f"limit_rate {bytes_per_s};"
    files: dict[str, bytes] = {f"{name}/large": bytes(LARGE_BYTES)}
    servers = []
    for number, site in enumerate(sites):
        files[f"{name}/{number}/index.html"] = page(site.names[0], page_bytes)
        files[f"{name}/{number}/certificate.pem"] = site.leaf.certificate
        files[f"{name}/{number}/key.pem"] = site.leaf.key
        default = "default_server" if number == 0 else ""
        answer = (
            f"try_files /{number}/index.html =404;"
            if site.redirect_to is None
            else f"return 302 {site.redirect_to};"
        )
        servers.append(f"""
    server {{
        listen {tls_port} ssl {default};
        listen [::]:{tls_port} ssl {default};
        listen {http_port} {default};
        listen [::]:{http_port} {default};
        server_name {" ".join(site.names)};
        ssl_certificate {below}/{number}/certificate.pem;
        ssl_certificate_key {below}/{number}/key.pem;
        location / {{ {answer} }}
        location = {LARGE_PATH} {{ try_files /large =404; }}
    }}""")
    # No master and no other user: with a single mapped one neither setuid nor chown works.
    files[f"{name}/nginx.conf"] = f"""
daemon off;
user root;
master_process off;
pid {below}/pid;
error_log stderr error;
events {{ worker_connections 1000; }}
http {{
    access_log off;
    types {{ text/html html; }}
    default_type application/octet-stream;
    root {below};
    client_body_temp_path {below}/body;
    proxy_temp_path {below}/proxy;
    fastcgi_temp_path {below}/fastcgi;
    uwsgi_temp_path {below}/uwsgi;
    scgi_temp_path {below}/scgi;
    server_names_hash_bucket_size 128;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_buffer_size {record_bytes};
    {pace}
{"".join(servers)}
}}
""".encode()
    return Program(
        name=name,
        package="nginx",
        files=files,
        words=(executable("nginx", "nginx"), "-c", f"{below}/nginx.conf", "-e", "stderr"),
        listens=(("tcp", tls_port), ("tcp", http_port)),
    )


def page(name: str, size: int) -> bytes:
    """Return an HTML page of so many bytes that names its site."""
    head = f"<!doctype html><title>{name}</title><p>".encode()
    line = b"An ordinary page of an ordinary site.\n"
    return (head + line * (size // len(line) + 1))[:size]
