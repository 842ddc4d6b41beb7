"""HTTP/3: a whole QUIC handshake, verified, and one GET."""

from probe.model.observation import Observation
from probe.model.step import Http3Request
from probe.steps.context import Context


async def http3_request(
    context: Context, spec: Http3Request, address: str, port: int
) -> Observation:
    """Placeholder."""
    raise NotImplementedError
