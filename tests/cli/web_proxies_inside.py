"""Runs in a throw-away namespace: the lab's WEB proxies, the command, and somebody else's client.

Arguments: a folder to work in, and JSON: links by line, the key, and `Places`. What each said
comes out as JSON. The names are in a hosts file that only this namespace sees: WEB proxies are
at port 443 of a name, and nowhere else.
"""

import asyncio
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import time
from pathlib import Path

import trustme
from proxies_inside import start, start_program
from telethon_webproxy import HTTPSCarrier, WebSocketCarrier, WebSocketLanesCarrier
from telethon_webproxy.mtproxy import MTProxyObfuscator, pack_padded_frame

from censorlab.servers.data_centre import data_centre

CENTRE, MTPROXY = 5222, 9443
Places = dict[str, tuple[str, str, list[tuple[str, str]]]]
"""Host, path, carriers and their secrets by address."""

CARRIERS = {
    "https": HTTPSCarrier,
    "websocket-lanes": WebSocketLanesCarrier,
    "websocket": WebSocketCarrier,
}
"""Telethon's; it knows no paths, and of lanes no HTTPS."""


async def through_telethons(authority: Path, places: Places) -> list[str]:
    """Ask for resPQ through each, with nothing of ours."""
    context = ssl.create_default_context(cafile=str(authority))
    said = []
    served = [
        (kind, host, secret)
        for host, path, profiles in places.values()
        for kind, secret in profiles
        if not path and kind in CARRIERS
    ]
    for kind, host, secret in served:
        carrier = CARRIERS[kind](host, secret, ssl_context=context)
        await carrier.connect()
        stream = await carrier.open_stream()
        obfuscator = MTProxyObfuscator(bytes.fromhex(secret), 2)
        nonce = os.urandom(16)
        body = bytes.fromhex("f18e7ebe") + nonce
        packet = bytes(8) + struct.pack("<qi", int(time.time()) << 32, len(body)) + body
        sent = obfuscator.header + obfuscator.encrypt(pack_padded_frame(packet))
        await carrier.send_data(stream, sent)
        answer = b""
        while len(answer) < 44:
            piece = await asyncio.wait_for(carrier.recv_data(stream), 10)
            answer += obfuscator.decrypt(piece)
        is_ours = answer[24:44] == bytes.fromhex("63241605") + nonce
        said.append(f"{carrier.carrier_mode}: {'resPQ' if is_ours else answer.hex()}")
        await carrier.disconnect()
    return said


def main(folder: Path, links: str, key: str, places: Places) -> dict[str, object]:
    authority = folder / "authority.pem"
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(authority))
    mtproxy = [sys.executable, "-m", "censorlab.peers.mtproxy", str(MTPROXY), key]
    start(folder, [*mtproxy, "127.0.0.1", str(CENTRE)])
    for address, (host, path, profiles) in places.items():
        leaf = folder / f"{host}.pem"
        ca.issue_cert(host).private_key_and_cert_chain_pem.write_to_path(str(leaf))
        words = [sys.executable, "-m", "censorlab.peers.web_proxy", address, "443"]
        words += [host, path, str(leaf)]
        words += [f"{carrier},{secret},127.0.0.1,{MTPROXY}" for carrier, secret in profiles]
        start(folder, words)
    start_program(folder, data_centre(CENTRE))
    for place in [("127.0.0.1", MTPROXY), *((address, 443) for address in places)]:
        wait_for(place)
    (folder / "links").write_text(links)
    command = [
        sys.executable,
        "-m",
        "probe.cli.main",
        "proxies",
        "links",
        "-f",
        "json",
        "--tries",
        "1",
    ]
    runs = {
        name: subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        for name, options in {"trusted": ["--anchors", str(authority)], "public": []}.items()
    }
    said: dict[str, object] = {"telethon": asyncio.run(through_telethons(authority, places))}
    for name, run in runs.items():
        out, err = run.communicate(timeout=60)
        said[name] = {"code": run.returncode, "out": out, "err": err}
    return said


def wait_for(place: tuple[str, int]) -> None:
    deadline = time.monotonic() + 20
    while True:
        with socket.socket() as client:
            if client.connect_ex(place) == 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.02)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *json.loads(sys.argv[2]))))
