"""The process in the middle of a world: makes the sides, then stands between them.

Started by ``World`` as the first process of its namespaces; ends when its
standard input closes, and everything in the namespaces ends with it.
"""

import signal
import sys
from pathlib import Path
from typing import NoReturn

import msgspec

from censorlab.packet.middlebox import ROUTER_ADDRESSES
from censorlab.world.engine import Engine, be_on_time, say
from censorlab.world.messages import Layout, Ready
from censorlab.world.namespaces import allowed_link, make_folder, make_router, make_sides
from censorlab.world.router import obey_orders
from censorlab.world.system import UnsupportedSystemError


def main() -> int:
    """Furnish the namespaces, say where they are, carry packets."""
    # Ctrl-C is for the starter, which ends this process by closing its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    layout = msgspec.json.decode(sys.stdin.buffer.readline(), type=Layout)
    link = "veth" if layout.middle == "router" else allowed_link(layout.link)
    try:
        make_folder(layout.nameservers)
        if layout.middle == "router":
            sides = make_router(layout.sides, ROUTER_ADDRESSES)
        else:
            sides = make_sides(layout.sides, link)
    except UnsupportedSystemError as error:
        say(Ready(error=str(error)))
        return 1
    # First process of its namespace: nobody else reaps orphaned clients.
    if layout.middle == "middlebox":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        be_on_time()
    # /proc is the host's, so this link shows the process id that it knows.
    pid = int(Path("/proc/self").readlink().name)
    descriptors = {name: side.namespace for name, side in sides.items()}
    say(Ready(pid=pid, descriptors=descriptors, link=link))
    if layout.middle == "router":
        obey_orders()
    else:
        Engine(sides, layout.sides).run()
    return 0


def _end(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
