"""Run on the client's side by test_split_and_censors: one handshake for each form of hello.

Reads JSON with ``authority`` (PEM), ``address``, ``name`` and ``forms`` ([profile, split]);
writes the failure of each and the bytes of its first flight.
"""

import json
import sys
from typing import Any

import trio

from fakes import context_of
from probe.model.step import TlsHandshake
from probe.net.tls import TrustStores
from probe.net.trio_network import TrioNetwork
from probe.steps.tls_handshake import tls_handshake


async def main() -> None:
    wanted: dict[str, Any] = json.load(sys.stdin)
    network = TrioNetwork()
    context = context_of(
        network,
        address=wanted["address"],
        port=443,
        trust=TrustStores({"ours": [wanted["authority"]]}),
    )
    found = []
    for profile, split in wanted["forms"]:
        connection = network.open_tcp(wanted["address"], 443)
        try:
            await connection.connect()
            spec = TlsHandshake(
                server_name=wanted["name"],
                alpn=(),
                trust="ours",
                timeout_s=5.0,
                profile=profile,
                split=split,
            )
            row, _ = await tls_handshake(context, spec, connection)
        finally:
            connection.close()
        found.append([row.failure, row.first_flight_bytes])
    print(json.dumps(found))


if __name__ == "__main__":
    trio.run(main)
