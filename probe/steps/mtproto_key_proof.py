"""Prove that a data centre holds an RSA key: from resPQ to server_DH_params."""

from probe.model.observation import Observation
from probe.model.step import MtprotoKeyProof
from probe.net.api import TcpConnection
from probe.steps.context import Context
from probe.steps.mtproto_handshake import MtprotoSession


async def mtproto_key_proof(
    context: Context, spec: MtprotoKeyProof, session: MtprotoSession, connection: TcpConnection
) -> Observation:
    """Placeholder."""
    raise NotImplementedError
