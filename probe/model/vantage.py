"""Where a measurement was made from, as coarse as it may be known."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

NetworkType = Literal["unknown", "home", "mobile", "work", "vpn", "lab"]


class Vantage(Struct, frozen=True, kw_only=True):
    """A vantage: country and network, never an address.

    ``probe_cc`` is an ISO 3166 code, ``ZZ`` where withheld or unknown;
    ``probe_asn`` is an AS number, 0 where withheld or unknown.
    """

    probe_cc: Annotated[str, Meta(pattern=r"^[A-Z]{2}$", max_length=2)] = "ZZ"
    probe_asn: Annotated[int, Meta(ge=0, le=4294967295)] = 0
    network_type: NetworkType = "unknown"
    platform: Annotated[str, Meta(max_length=32)] = "unknown"
    software_version: Annotated[str, Meta(max_length=32)] = "0"


class RunColumns(Vantage, frozen=True, kw_only=True):
    """What every stored line repeats about its run, so that a line stands alone.

    ``measurement_start_time`` is RFC 3339 UTC rounded down to the minute: the
    second would help to link a line to a subscriber's traffic and helps nobody
    else. ``targets_sha256`` names the list; ``lab`` marks simulated networks.
    """

    schema_version: Literal["1.0", "1.1", "1.2"] = "1.2"
    run_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$", max_length=16)]
    measurement_start_time: Annotated[
        str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:00Z$", max_length=20)
    ]
    targets_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", max_length=64)]
    lab: bool = False
