"""Texts of the source into ``reachwatch.pot``, and from there into each language's catalogue.

``python -m probe.locale.extract``, in a checkout, writes the template, carries the languages'
``.po`` files over to it (new texts empty, gone ones dropped) and compiles them.

A text is found where it is said, ``say("…")`` and ``say.plural("…", "…", n)`` (in a page also
``language("…")``); where it is written down to be said elsewhere, ``marked("…")``; and as a
value of a table in `VOCABULARIES`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from probe.locale import NAMES
from probe.locale.catalogue import Entry, merged, mo_bytes, read_po, write_po

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = Path(__file__).parent
TEMPLATE: Final = "reachwatch.pot"

VOCABULARIES: Final = {
    "analysis/dataset.py": ("_WORDS",),
    "analysis/event_model.py": ("KINDS",),
    "analysis/views/__init__.py": ("KINDS",),
    "probe/verdict/words.py": (
        "STATE_WORDS",
        "MECHANISM_WORDS",
        "CAUSE_WORDS",
        "TACTIC_WORDS",
        "RESULT_WORDS",
    ),
}
"""Tables of words by file and name: all values of a dict, all elements of a tuple."""

PLURALS: Final = {
    "ru": "nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : "
    "n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2);",
    "fa": "nplurals=2; plural=(n > 1);",
    "zh": "nplurals=1; plural=0;",
}
"""Forms of a sentence with a count: https://www.unicode.org/cldr/charts/latest/supplemental/"""

_SAID: Final = frozenset({"say", "marked"})
_CALLED: Final = re.compile(r"\b(?:say|marked)(?:\.plural)?\(")
_IN_TEMPLATE: Final = re.compile(
    r'\b(?:say|language)(?:\.plural)?\(\s*("(?:[^"\\]|\\.)*")(?:\s*,\s*("(?:[^"\\]|\\.)*"))?'
)


class UnreadableTextError(ValueError):
    """A text is said that is not written there, so no translator would see it."""


def template_entries(root: Path = ROOT) -> list[Entry]:
    """Return the template: its header, then each text once, in order of file and line.

    Raises:
        UnreadableTextError: ``say`` of an f-string, which is never found in a catalogue.
    """
    found: dict[tuple[str, str], list[str]] = {}
    paths = [path for room in ("probe", "analysis") for path in (root / room).rglob("*.py")]
    paths += (root / "analysis" / "templates").glob("*.html")
    for path in sorted(paths):
        name = path.relative_to(root).as_posix()
        if path.parent == FOLDER:
            continue
        source = path.read_text(encoding="utf-8")
        texts = _of_template(source) if path.suffix == ".html" else _of_module(source, name)
        for text, many in texts:
            places = found.setdefault((text, many), [])
            # Without line numbers: a file that grows above a text does not change the template.
            if name not in places:
                places.append(name)
    entries = [
        Entry(text, many, ("", "") if many else ("",), tuple(places))
        for (text, many), places in found.items()
    ]
    return [Entry("", forms=(_header("", "nplurals=INTEGER; plural=EXPRESSION;"),)), *entries]


def _header(code: str, plurals: str) -> str:
    return (
        "Project-Id-Version: reachwatch\n"
        f"Language: {code}\n"
        "MIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=UTF-8\n"
        "Content-Transfer-Encoding: 8bit\n"
        f"Plural-Forms: {plurals}\n"
    )


def _of_template(source: str) -> Iterator[tuple[str, str]]:
    for match in _IN_TEMPLATE.finditer(source):
        one, many = (ast.literal_eval(text) if text else "" for text in match.groups())
        is_plural = ".plural(" in match[0]
        yield one, many if is_plural else ""


def _of_module(source: str, name: str) -> Iterator[tuple[str, str]]:
    tables = VOCABULARIES.get(name, ())
    if not (tables or _CALLED.search(source)):
        return
    tree = ast.parse(source)
    for node in tree.body:
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and node.target.id in tables
        ):
            value = node.value
            parts = value.values if isinstance(value, ast.Dict) else []
            parts = value.elts if isinstance(value, ast.Tuple) else parts
            yield from ((part.value, "") for part in parts if _is_text(part))  # type: ignore[attr-defined] # constants
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda one: (one.lineno, one.col_offset)):
        called = call.func
        if _name_of(called) in _SAID:
            if isinstance(call.args[0], ast.JoinedStr):
                raise UnreadableTextError(f"{name}:{call.lineno}: an f-string is translated")
            if _is_text(call.args[0]):
                yield call.args[0].value, ""  # type: ignore[attr-defined] # a constant
        elif (
            isinstance(called, ast.Attribute)
            and called.attr == "plural"
            and _name_of(called.value) == "say"
        ):
            if not all(map(_is_text, call.args[:2])):
                raise UnreadableTextError(f"{name}:{call.lineno}: both forms are to be texts")
            one, many = call.args[:2]
            yield one.value, many.value  # type: ignore[attr-defined] # constants


def _name_of(node: ast.expr) -> str:
    """Return ``say`` of both ``say`` and ``style.say``."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def n_forms(code: str) -> int:
    """Count the plural forms of a language."""
    found = re.match(r"nplurals=(\d+)", PLURALS[code])
    assert found is not None
    return int(found[1])


def main(root: Path = ROOT, folder: Path = FOLDER) -> None:
    """Write the template and every language's catalogue."""
    template = template_entries(root)
    (folder / TEMPLATE).write_text(write_po(template), encoding="utf-8")
    for code in NAMES:
        if code == "en":
            continue
        path = folder / f"{code}.po"
        given = read_po(path.read_text(encoding="utf-8")) if path.exists() else []
        kept = [Entry("", forms=(_header(code, PLURALS[code]),)), *given[1:]]
        entries = merged(template, kept, n_forms(code))
        path.write_text(write_po(entries), encoding="utf-8")
        (folder / f"{code}.mo").write_bytes(mo_bytes(entries))


if __name__ == "__main__":
    main()
