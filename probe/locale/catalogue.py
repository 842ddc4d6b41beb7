"""Catalogues as text (.po), as translators edit them, and as gettext reads them (.mo).

Formats: https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html and
https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html. Of the first only what our
own files use is read; anything else in one is an error, so nothing is passed over in silence.
"""

import ast
import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_MO_MAGIC: Final = 0x950412DE
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})


class CatalogueError(ValueError):
    """A line of a catalogue cannot be read; the message names it."""


class Entry(NamedTuple):
    """One text. ``many`` is empty where it has one form; ``forms`` are its translations."""

    text: str
    many: str = ""
    forms: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def read_po(text: str) -> list[Entry]:
    """Return the entries of a .po or .pot file; the first, with an empty text, is its header.

    Raises:
        CatalogueError: a line that is none of ours (obsolete entries, contexts, foreign comments).
    """
    entries: list[Entry] = []
    for number, block in _blocks(text):
        found: dict[str, str] = {}
        places: list[str] = []
        flags: list[str] = []
        keyword = ""
        for offset, line in enumerate(block):
            where = f"line {number + offset}"
            if line.startswith("#: "):
                places.append(line[3:])
            elif line.startswith("#, "):
                flags += [flag.strip() for flag in line[3:].split(",")]
            elif line.startswith('"') and keyword:
                found[keyword] += _unquoted(line, where)
            else:
                keyword, _, quoted = line.partition(" ")
                if keyword in found or not _is_keyword(keyword):
                    raise CatalogueError(f"{where}: cannot be read: {line[:60]!r}")
                found[keyword] = _unquoted(quoted, where)
        if "msgid" not in found:
            raise CatalogueError(f"line {number}: an entry without msgid")
        forms = tuple(value for name, value in found.items() if name.startswith("msgstr"))
        entries.append(
            Entry(found["msgid"], found.get("msgid_plural", ""), forms, tuple(places), tuple(flags))
        )
    return entries


def _blocks(text: str) -> Iterable[tuple[int, list[str]]]:
    block: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.strip():
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _is_keyword(word: str) -> bool:
    return word in {"msgid", "msgid_plural", "msgstr"} or word.startswith("msgstr[")


def _unquoted(quoted: str, where: str) -> str:
    try:
        value = ast.literal_eval(quoted)
    except (SyntaxError, ValueError):
        value = None
    if not isinstance(value, str):
        raise CatalogueError(f"{where}: expected a text in quotes: {quoted[:60]!r}")
    return value


def write_po(entries: Sequence[Entry]) -> str:
    """Return the text of a .po or .pot file."""
    blocks = []
    for entry in entries:
        lines = [f"#: {place}" for place in entry.places]
        lines += [f"#, {', '.join(entry.flags)}"] if entry.flags else []
        lines.append(f"msgid {_quoted(entry.text)}")
        if entry.many:
            lines.append(f"msgid_plural {_quoted(entry.many)}")
            lines += [f"msgstr[{n}] {_quoted(form)}" for n, form in enumerate(entry.forms)]
        else:
            lines.append(f"msgstr {_quoted(entry.forms[0])}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _quoted(text: str) -> str:
    lines = text.split("\n")
    parts = [f"{line}\n" for line in lines[:-1]] + [lines[-1]] * bool(lines[-1] or len(lines) == 1)
    escaped = [part.translate(_ESCAPES) for part in parts]
    quoted = [f'"{part}"' for part in escaped]
    return quoted[0] if len(quoted) == 1 else "\n".join(['""', *quoted])


def merged(template: Sequence[Entry], translated: Sequence[Entry], n_forms: int) -> list[Entry]:
    """Return a language's entries for a new template: known ones kept, new ones empty, rest gone.

    Nothing is guessed from a text that is alike: a translator who sees nothing writes it anew.
    """
    known = {(entry.text, entry.many): entry.forms for entry in translated}
    found = [entry for entry in translated if not entry.text]
    for entry in template:
        if entry.text:
            empty = ("",) * (n_forms if entry.many else 1)
            found.append(entry._replace(forms=known.get((entry.text, entry.many), empty)))
    return found


def mo_bytes(entries: Sequence[Entry]) -> bytes:
    """Compile entries; what is not translated is left out, and gettext says it in English."""
    pairs = sorted(
        (
            "\0".join([entry.text, *([entry.many] if entry.many else [])]).encode(),
            "\0".join(entry.forms).encode(),
        )
        for entry in entries
        if all(entry.forms)
    )
    n = len(pairs)
    keys_at, values_at, text_at = 28, 28 + 8 * n, 28 + 16 * n
    keys, values, data = b"", b"", b""
    for place in (0, 1):
        for pair in pairs:
            index = struct.pack("<2I", len(pair[place]), text_at + len(data))
            keys, values = (keys + index, values) if place == 0 else (keys, values + index)
            data += pair[place] + b"\0"
    head = struct.pack("<7I", _MO_MAGIC, 0, n, keys_at, values_at, 0, text_at)
    return head + keys + values + data
