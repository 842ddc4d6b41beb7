"""The kernel's own forwarding between the sides, with stock netfilter and tc in it.

This is the independent form of the censor: no line of our packet engine runs.
"""

import os
from typing import Final

import msgspec

from censorlab.world.engine import say
from censorlab.world.messages import Done, Orders
from censorlab.world.system import UnsupportedSystemError, run

_INPUT: Final = 0


def obey_orders() -> None:
    """Carry out orders from standard input until it closes."""
    received = b""
    while piece := os.read(_INPUT, 65_536):
        *lines, received = (received + piece).split(b"\n")
        for line in lines:
            orders = msgspec.json.decode(line, type=Orders).orders
            try:
                for order in orders:
                    run(list(order.words), order.given)
            except UnsupportedSystemError as error:
                say(Done(error=str(error)))
            else:
                say(Done())
