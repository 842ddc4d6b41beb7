"""Fetch a special config and verify its signature."""

import secrets
import string
from dataclasses import dataclass
from typing import Final

import trio

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import SpecialConfig
from probe.net.api import ByteStream, TcpConnection
from probe.steps.context import Context
from probe.steps.counters import Counters
from probe.steps.http_talk import Talk, talk
from probe.wire.http1 import HttpExchange
from probe.wire.special_config import (
    TELEGRAM_KEY,
    ConfigSimple,
    SpecialConfigError,
    decode,
    load_key,
    read_text,
)

MAX_BODY_BYTES: Final = 32_000
"""An answer has about 600; a block page in its place need not be read to its end."""

PADDING_CHARS: Final = (13, 128)
"""Shortest and longest padding that the clients send, so that the length of what is
encrypted does not tell which name was asked for."""

_LETTERS: Final = string.ascii_letters + string.digits


@dataclass(frozen=True, repr=False)
class FreshEndpoint:
    """A data centre's address out of a verified special config; never stored, never shown."""

    dc_id: int
    address: str
    port: int
    secret: bytes = b""

    def __repr__(self) -> str:
        return f"FreshEndpoint(dc {self.dc_id})"


async def special_config(
    context: Context, spec: SpecialConfig, stream: ByteStream, connection: TcpConnection
) -> tuple[Observation, tuple[FreshEndpoint, ...]]:
    """GET a signed text over ``stream``, which runs over ``connection``, and verify it.

    Endpoints are returned of a config that is signed and holds now; there are 14 at most
    (`ConfigSimple.endpoints`). They are the signed ones as they are, loopback and private
    addresses too: only a key's owner can sign them, and a lab that does has no others.
    ``config_endpoints`` and ``config_expires`` are recorded of any signed config, out of
    date or not. A status other than 200 decides nothing: the signature does.
    ``clock_offset_s`` is as in `http_request`; the clients judge a config's dates by the
    sender's clock, this step by ours, which nobody on the path can set.
    Failures of our own words are `probe.wire.special_config.Fault`.

    Raises:
        ValueError: if one of ``spec.public_keys`` is no RSA key with 2048 bits.
    """
    network = context.run.network
    keys = tuple(map(load_key, (TELEGRAM_KEY, *spec.public_keys)))
    t0 = context.now()
    exchange = HttpExchange(
        spec.host,
        _padded(spec),
        max_body_bytes=MAX_BODY_BYTES,
        # In place of what is accepted otherwise, not beside it: resolvers that answer in
        # two forms go by the first they find.
        headers=(("Accept", "application/dns-json"),) if spec.form == "dns_json" else (),
    )
    outcome = Talk()
    config: ConfigSimple | None = None
    counters = Counters.start(connection, network)
    with trio.move_on_after(spec.timeout_s):
        await talk(stream, exchange, network, outcome)
    if outcome.failure is None:
        try:
            text = read_text(exchange.body, spec.form)
            config = decode(text, keys, network.wall_clock())
        except SpecialConfigError as error:
            outcome.failure = f"{failures.UNKNOWN_PREFIX}{error.fault}"
            outcome.detail = error.detail or None
            config = error.config
    endpoints = () if config is None else config.endpoints()
    info = connection.tcp_info()
    row = context.observe(
        "special_config",
        t0,
        outcome.failure,
        failure_detail=outcome.detail,
        status_code=exchange.status_code,
        clock_offset_s=outcome.clock_offset_s,
        config_endpoints=None if config is None else len(endpoints),
        config_expires=None if config is None else config.expires.date().isoformat(),
        bytes_acked=info.bytes_acked if info else None,
        bytes_received=info.bytes_received if info else None,
        tcp_unacked=info.unacked if info else None,
        tcp_retransmits=info.total_retransmits if info else None,
        **counters.moved(),
    )
    if outcome.failure is not None:
        return row, ()
    return row, tuple(
        FreshEndpoint(dc_id, each.address, each.port, each.secret) for dc_id, each in endpoints
    )


def _padded(spec: SpecialConfig) -> str:
    if spec.form != "dns_json":
        return spec.path
    shortest, longest = PADDING_CHARS
    size = shortest + secrets.randbelow(longest - shortest + 1)
    padding = "".join(secrets.choice(_LETTERS) for _ in range(size))
    return f"{spec.path}{'&' if '?' in spec.path else '?'}random_padding={padding}"
