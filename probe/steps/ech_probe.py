"""Encrypted Client Hello to a key that the host publishes."""

from probe.model.observation import Observation
from probe.model.step import EchProbe
from probe.net.api import TcpConnection
from probe.steps.context import Context


async def ech_probe(context: Context, spec: EchProbe, connection: TcpConnection) -> Observation:
    """Placeholder."""
    raise NotImplementedError
