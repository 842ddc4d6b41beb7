"""What a connection's own counters say of one step."""

from dataclasses import dataclass
from typing import Any

from probe.net.api import Clock, TcpConnection


@dataclass(frozen=True)
class Counters:
    """Where a connection's counters stood when the step began. Call `start`."""

    connection: TcpConnection
    sent_at: float
    sent_bytes: int
    received_bytes: int

    @classmethod
    def start(cls, connection: TcpConnection, clock: Clock) -> "Counters":
        """Begin to count, and forget when bytes first arrived before."""
        connection.first_arrival = None
        return cls(connection, clock.now(), connection.sent_bytes, connection.received_bytes)

    def moved(self) -> dict[str, Any]:
        """Return the columns of the bytes that we handed over and read since."""
        return {
            "sent_bytes": self.connection.sent_bytes - self.sent_bytes,
            "received_bytes": self.connection.received_bytes - self.received_bytes,
        }

    def first_byte_s(self) -> float | None:
        """Return the time to the first byte of the answer, if one came.

        The end of the stream sets `first_arrival` too, but is no byte.
        """
        arrival = self.connection.first_arrival
        if arrival is None or self.connection.received_bytes == self.received_bytes:
            return None
        return round(max(0.0, arrival - self.sent_at), 6)

    def of_first_answer(self) -> dict[str, Any]:
        """Return the columns of a step that awaits the first answer on a connection.

        ``tcp_retransmits`` are those of what is unacknowledged now. TCP_INFO's columns
        are null where the platform has none.
        """
        info = self.connection.tcp_info()
        return {
            "first_byte_s": self.first_byte_s(),
            "tcp_rtt_s": round(info.rtt_s, 6) if info else None,
            "tcp_retransmits": info.retransmits if info else None,
            "tcp_unacked": info.unacked if info else None,
            "bytes_acked": info.bytes_acked if info else None,
            "bytes_received": info.bytes_received if info else None,
            **self.moved(),
        }
