"""Telegram's own library (tdjson), run inside a namespace: it starts, pings, tests a proxy.

Arguments: a folder to write in; port and secret of an MTProxy on loopback. Prints JSON:
what TDLib answers, and what it writes into its log about the key exchange.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tdjson import tdjson_ext

LIMIT_S = 15.0


def main(folder: Path, port: str, secret: str) -> dict[str, object]:
    log = folder / "log"
    stream = {"@type": "logStreamFile", "path": str(log), "max_file_size": 10_000_000}
    execute({"@type": "setLogStream", "log_stream": stream})
    execute({"@type": "setLogVerbosityLevel", "new_verbosity_level": 2})
    client = tdjson_ext.td_create_client_id()
    parameters = {
        "database_directory": str(folder),
        "api_id": 1,
        "api_hash": "0" * 32,
        "system_language_code": "en",
        "device_model": "lab",
        "application_version": "1",
    }
    kind = {"@type": "proxyTypeMtproto", "secret": secret}
    proxy = {"@type": "proxy", "server": "127.0.0.1", "port": int(port), "type": kind}
    questions: dict[str, dict[str, Any]] = {
        "started": {"@type": "setTdlibParameters", **parameters},
        "ping": {"@type": "pingProxy"},
        "ping through the proxy": {"@type": "pingProxy", "proxy": proxy},
        "test of the proxy": {"@type": "testProxy", "proxy": proxy, "dc_id": 2, "timeout": 10.0},
    }
    for name, question in questions.items():
        tdjson_ext.td_send(client, json.dumps(question | {"@extra": name}).encode())
    found: dict[str, object] = {}
    deadline = time.monotonic() + LIMIT_S
    while len(found) < len(questions) and time.monotonic() < deadline:
        said = json.loads(tdjson_ext.td_receive(1.0) or b"{}")
        if name := said.get("@extra"):
            found[name] = {
                each: said[each] for each in ("@type", "code", "message") if each in said
            }
    # It begins to agree on a key by itself, without an account.
    logged = ""
    while "Session" not in logged and time.monotonic() < deadline:
        tdjson_ext.td_receive(0.1)
        lines = log.read_text(errors="replace").splitlines()
        logged = "\n".join(line for line in lines if "MTProto error" in line)
    return found | {"log": logged}


def execute(question: dict[str, Any]) -> None:
    tdjson_ext.td_execute(json.dumps(question).encode())


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *sys.argv[2:])), flush=True)
    # Its threads run on, and some abort while an interpreter takes itself apart.
    os._exit(0)
