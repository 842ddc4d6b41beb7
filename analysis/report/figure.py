"""A matplotlib figure as SVG inside a page: only drawing, no style sheet, no foreign id.

What comes out is built from a list of what may come out, so that nothing a chart could hold
becomes anything but lines, areas and letters' outlines. Styles become attributes, since a
policy that allows style attributes allows them to everybody; numbers lose digits that no eye
sees, and comments go: a third to a half of the bytes.
"""

import re
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from markupsafe import Markup, escape

from analysis.chart.style import save_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG: Final = "{http://www.w3.org/2000/svg}"
_XLINK: Final = "{http://www.w3.org/1999/xlink}"

_ELEMENTS: Final = frozenset(
    {"g", "path", "defs", "use", "clipPath", "rect", "pattern", "circle", "linearGradient", "stop"}
)
_ATTRIBUTES: Final = frozenset(
    {
        "clip-path", "clip-rule", "cx", "cy", "d", "fill", "fill-opacity", "fill-rule", "height",
        "href", "id", "offset", "opacity", "patternTransform", "patternUnits", "r", "stop-color",
        "stop-opacity", "stroke", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap",
        "stroke-linejoin", "stroke-miterlimit", "stroke-opacity", "stroke-width", "transform",
        "width", "x", "x1", "x2", "y", "y1", "y2",
    }
)  # fmt: skip
_COORDINATES: Final = frozenset({"d", "x", "y", "width", "height", "stroke-width"})
_LONG: Final = re.compile(r"-?\d+\.\d{3,}")
_AROUND_COMMANDS: Final = re.compile(r" ?([A-Za-z]) ?")
_LETTER: Final = re.compile(r"DejaVuSans(-Bold)?-([0-9a-f]+)")
_DEFAULTS: Final = frozenset({("x", "0"), ("y", "0")})
_MOVED: Final = re.compile(r"translate\(([-0-9.]+) ([-0-9.]+)\)")
"""Where a letter stands: as two attributes in half as many bytes."""
_REFERENCE: Final = re.compile(r"url\(#([^)]*)\)")


class Drawing:
    """An SVG of a page. ``width`` is in points.

    ``letters`` are outlines by their id, which the page has to hold once for all its charts.
    """

    def __init__(self, figure: "Figure", name: str, prefix: str) -> None:
        """Take a figure; ``prefix`` begins its ids. Both are unique on the page.

        The page holds ``name-title`` and ``name-alt``, which name and describe it.
        """
        # Our own renderer's output: no entity, no DOCTYPE of anybody else's.
        self._root = ET.fromstring(save_svg(figure))  # noqa: S314
        self._name = name
        # Short ones: a chart has thousands of letters, each of which names its outline.
        found = enumerate(_referred(self._root))
        self._ids = {own: _letter_id(own) or f"{prefix}{number}" for number, own in found}
        self.letters: dict[str, Markup] = {}
        body: list[str] = []
        for child in self._root:
            self._write(child, body)
        self._body = "".join(body)
        _, _, width, height = self._root.get("viewBox", "0 0 1 1").split()
        self.width, self._height = float(width), float(height)

    def markup(self, width: float) -> Markup:
        """Return the SVG on a sheet of a width in points, at least its own.

        Sheets of one width are scaled alike by the page, and so is what is drawn on them.
        """
        opening = (
            f'<svg role="img" aria-labelledby="{self._name}-title" '
            f'aria-describedby="{self._name}-alt" '
            f'viewBox="0 0 {max(width, self.width):.0f} {self._height:.0f}" '
            f'stroke-linejoin="round">'
        )
        return Markup(f"{opening}{self._body}</svg>")  # noqa: S704 - all of it is from the lists above, values escaped

    def _write(self, element: ET.Element, into: list[str]) -> None:
        tag = element.tag.removeprefix(_SVG)
        if tag not in _ELEMENTS:
            return
        inner: list[str] = []
        for child in element:
            self._write(child, inner)
        if not inner and tag in {"g", "defs"}:
            return
        attributes = self._attributes(element)
        if tag == "g" and not attributes:
            into.extend(inner)
            return
        said = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
        written = f"<{tag}{said}>{''.join(inner)}</{tag}>" if inner else f"<{tag}{said}/>"
        if tag == "path" and (letter := _letter_id(element.get("id", ""))):
            self.letters[letter] = Markup(written)  # noqa: S704 - as below
        else:
            into.append(written)

    def _attributes(self, element: ET.Element) -> dict[str, str]:
        given = {name.removeprefix(_XLINK): value for name, value in element.attrib.items()}
        for part in given.pop("style", "").split(";"):
            name, _, value = part.partition(":")
            if value:
                given[name.strip()] = value.strip()
        kept: dict[str, str] = {}
        for name, value in given.items():
            if name not in _ATTRIBUTES:
                continue
            if name == "id":
                if value in self._ids:
                    kept[name] = self._ids[value]
            elif name == "href":
                kept[name] = f"#{self._ids[value.removeprefix('#')]}"
            else:
                short = _rounded(value, 2 if name in _COORDINATES else 6)
                if name == "d":
                    short = _AROUND_COMMANDS.sub(r"\1", short)
                kept[name] = _REFERENCE.sub(lambda found: f"url(#{self._ids[found[1]]})", short)
        if element.tag == f"{_SVG}use" and (moved := _MOVED.fullmatch(kept.get("transform", ""))):
            del kept["transform"]
            kept.update({"x": _short(moved[1]), "y": _short(moved[2])})
        return {name: value for name, value in kept.items() if (name, value) not in _DEFAULTS}


def _letter_id(own: str) -> str | None:
    """Return the id of a letter's outline, the same in every drawing: a page holds it once."""
    found = _LETTER.fullmatch(own)
    return f"l{'b' if found[1] else 'r'}{found[2]}" if found else None


def _referred(root: ET.Element) -> dict[str, None]:
    """Return the ids that something in the drawing uses, in order of their first use."""
    found: dict[str, None] = {}
    for element in root.iter():
        for name, value in element.attrib.items():
            used = [value.removeprefix("#")] if name == f"{_XLINK}href" else []
            found.update(dict.fromkeys(used or _REFERENCE.findall(value)))
    return found


def _rounded(text: str, digits: int) -> str:
    rounded = _LONG.sub(lambda found: _short(found[0], digits), text)
    return " ".join(rounded.split())


def _short(number: str, digits: int = 2) -> str:
    text = f"{float(number):.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
