"""reachwatch's prober: measure reachability, store facts, judge them separately.

Rooms, from the bottom: ``model`` (nouns) < ``wire`` (bytes) < ``net`` (sockets)
< ``tactics`` < ``plan | steps | verdict | store`` < ``run`` < ``cli``. A room
imports below itself only; ``pyproject.toml`` holds the contract.
"""

__version__ = "0.1.0"
