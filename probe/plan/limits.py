"""Times and tries that the chains of a plan share."""

from typing import Final

CONNECT_TIMEOUT_S: Final = 3.3
"""Linux >= 6.5 sends SYNs at 0, 1, 2, 3 s (older: 0, 1, 3 s), so this covers
three or four and an answer at 300 ms; the second attempt doubles it. At 5 % loss
each way a live host is missed with probability under 1e-5."""

TLS_TIMEOUT_S: Final = 6.0
"""Longer than the 4.2 s in which an unacknowledged hello shows itself."""

HTTP_TIMEOUT_S: Final = 8.0
"""Carries MAX_BODY_BYTES at 130 kbit/s, the slowest documented policing."""

ATTEMPTS: Final = 2
"""Tries of a failing chain. Each is an observation of its own."""
