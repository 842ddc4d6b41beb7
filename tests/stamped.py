"""Words that a chart draws once and uses many times, and cells that share one outline."""

from collections import Counter

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from legible import axes_of


def stamped(figure: Figure) -> Counter[str]:
    """Count the places at which each word is drawn."""
    found: Counter[str] = Counter()
    for line in axes_of(figure).lines:
        label = str(line.get_label())
        if not label.startswith("_"):
            found[label] += len(line.get_xdata())
    return found


def tile_area(figure: Figure, face: str, hatch: str | None) -> float:
    """Return the area in square inches of all tiles of a look; the key's are no tiles."""
    area = 0.0
    for patch in axes_of(figure).patches:
        if not isinstance(patch, PathPatch) or to_hex(patch.get_facecolor()) != face:
            continue
        if (patch.get_hatch() or "") != (hatch or ""):
            continue
        corners = patch.get_path().vertices.reshape(-1, 5, 2)
        sides = np.ptp(corners, axis=1)
        area += float((sides[:, 0] * sides[:, 1]).sum())
    return area
