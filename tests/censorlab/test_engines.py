"""Each engine says what it cannot express, and no rule is beyond both."""

import socket
from typing import get_args

import msgspec
import pytest

from censorlab.engines import NeedsPacketsError, NeedsStreamError, check_chunks, check_packets
from censorlab.process import LabFailedError, LabProcess
from censorlab.rules import (
    Blackout,
    Divert,
    DropAfterPackets,
    EncryptedDnsDrop,
    ForgedCertificate,
    FreezePackets,
    IcmpReject,
    LineCut,
    NatRebinding,
    Police,
    QuicSniDrop,
    RandomLoss,
    Rule,
    SynAckRst,
    TcpRefuse,
    UdpDrop,
)
from censorlab.topology import DC_ADDRESSES

from .test_rules import REQUIRED

NEEDS_PACKETS = {
    Divert,
    DropAfterPackets,
    FreezePackets,
    IcmpReject,
    LineCut,
    NatRebinding,
    Police,
    QuicSniDrop,
    RandomLoss,
    SynAckRst,
}
NEEDS_STREAM = {EncryptedDnsDrop, ForgedCertificate}


@pytest.mark.parametrize("kind", get_args(Rule), ids=lambda kind: kind.__name__)
def test_a_rule_is_expressed_or_refused(kind: type[Rule]) -> None:
    """With its name and the reason, whatever rules come before it."""
    fields = msgspec.structs.fields(kind)
    rule = kind(**{field.name: REQUIRED[field.name] for field in fields if field.required})
    tag = rule.__struct_config__.tag
    for refused, check, error in (
        (NEEDS_PACKETS, check_chunks, NeedsPacketsError),
        (NEEDS_STREAM, check_packets, NeedsStreamError),
    ):
        if kind not in refused:
            check((Blackout(), rule))
            continue
        with pytest.raises(error, match=rf"^{tag} needs .*: \w+"):
            check((Blackout(), rule))
    assert not NEEDS_PACKETS & NEEDS_STREAM


def test_the_only_udp_of_loopback_is_dns() -> None:
    """As port 53, whatever the resolver's real one."""
    check_chunks((UdpDrop(), UdpDrop(port=53)))
    with pytest.raises(NeedsPacketsError, match=r"udp_drop .*DNS"):
        check_chunks((UdpDrop(port=443),))


def test_the_lab_refuses_and_changes_nothing(lab: LabProcess) -> None:
    """A rule beyond loopback is an error with its reason, and the former rules still hold."""
    address = DC_ADDRESSES["dc1"]
    lab.apply([TcpRefuse(addresses=(address,))])
    with pytest.raises(LabFailedError, match="icmp_reject needs packets: an ICMP error"):
        lab.apply([Blackout(), IcmpReject()])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, lab.ready.ports["dc1"]), 5)
