"""Prometheus ``file_sd``: groups of targets with labels.

Format: prometheus.io/docs/prometheus/latest/configuration, ``file_sd_config``. A target is
``host:port``, or a whole URL where it is meant for the blackbox exporter.
"""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlencode

from probe.wire.lists.places import BadPlaceError, read_place
from probe.wire.lists.row import BadListError, ReadList, Row, bounded
from probe.wire.lists.words import kept_value, short_name

SOURCE: Final = "Prometheus file_sd"

_PARAMETER: Final = "__param_"


def read_file_sd(document: Any, *, private: bool) -> ReadList:
    """Read groups.

    Raises:
        BadListError: not a list of groups.
    """
    if not isinstance(document, list):
        raise BadListError("$: no list of groups with targets")
    rows = (
        row
        for number, group in enumerate(document)
        for row in _group(f"$[{number}]", group, private=private)
    )
    return ReadList(rows=bounded(rows), source=SOURCE)


def _group(at: str, group: Any, *, private: bool) -> Iterator[Row]:
    targets = group.get("targets") if isinstance(group, dict) else None
    if not isinstance(targets, list):
        yield Row(at=at, reason="no list of targets", kept=kept_value({"group": group}))
        return
    given = group.get("labels")
    labels = (
        {k: v for k, v in given.items() if isinstance(v, str)} if isinstance(given, dict) else {}
    )
    kept = kept_value({"labels": labels}) if labels else {}
    name = next((short_name(labels[key]) for key in ("name", "instance") if key in labels), "")
    for number, target in enumerate(targets):
        here = f"{at}.targets[{number}]"
        if not isinstance(target, str):
            yield Row(at=here, reason="not a word", kept=kept | kept_value({"target": target}))
            continue
        try:
            endpoint, notes = read_place(_url(target, labels), private=private)
        except BadPlaceError as error:
            yield Row(at=here, reason=str(error), kept=kept | kept_value({"target": target}))
            continue
        yield Row(at=here, endpoint=endpoint, notes=notes, name=name, kept=kept)


def _url(target: str, labels: dict[str, str]) -> str:
    """Return the URL that is scraped; without a scheme only its host and port are known.

    Prometheus's default of http stands in its own configuration, which is not here.
    """
    if "://" in target:
        return target
    scheme = labels.get("__scheme__", "").lower()
    if scheme not in {"http", "https"}:
        return f"tcp://{target}"
    asked = {k.removeprefix(_PARAMETER): v for k, v in labels.items() if k.startswith(_PARAMETER)}
    path = "/" + labels.get("__metrics_path__", "/metrics").lstrip("/")
    query = f"?{urlencode(asked)}" if asked else ""
    return f"{scheme}://{target}{path}{query}"
