"""Telethon as it is, run inside a namespace: resPQ and a whole key exchange, in each framing.

Arguments: the data centre's address, its public key in PEM. Prints JSON: what Telethon says.
"""

import asyncio
import json
import logging
import sys
from typing import Any

from telethon import network
from telethon.crypto import rsa
from telethon.errors import InvalidBufferError, SecurityError
from telethon.network import authenticator

TRIES = 4
FRAMINGS = {
    "full": network.ConnectionTcpFull,
    "abridged": network.ConnectionTcpAbridged,
    "intermediate": network.ConnectionTcpIntermediate,
    "obfuscated": network.ConnectionTcpObfuscated,
}


class Loggers(dict[str, logging.Logger]):
    def __missing__(self, name: str) -> logging.Logger:
        return logging.getLogger(name)


async def agree(framing: type[Any], address: str, port: int) -> dict[str, object]:
    """Agree on a key, as the client does at its first start."""
    # As the client itself does: it drops the zeros in front of one key in 256, and fails.
    for _ in range(TRIES):
        connection = framing(address, port, 2, loggers=Loggers())
        await connection.connect(timeout=10)
        sender = network.MTProtoPlainSender(connection, loggers=Loggers())
        try:
            key, offset_s = await authenticator.do_authentication(sender)
        except SecurityError:
            continue
        except InvalidBufferError as error:
            return {"error": f"{type(error).__name__}: {error}"}
        finally:
            await connection.disconnect()
        return {"key_bytes": len(key.key), "offset_s": offset_s}
    return {"error": "no key"}


async def main(address: str, key: str) -> dict[str, object]:
    # Telegram's keys are the only ones it knows: it gets no further than resPQ.
    stranger = await agree(FRAMINGS["full"], address, 5222)
    rsa.add_key(key, old=False)
    found: dict[str, object] = {"a key it was not told": stranger}
    for name, framing in FRAMINGS.items():
        found[name] = await agree(framing, address, 443)
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
