"""Reads YAML or JSON strictly, and remembers where everything stands.

YAML as its version 1.2 means it and JSON can say it: `true`, `false`, `null`, numbers and
strings; `on`, `yes` and `no` are strings. One document, keys without duplicates, no anchors,
aliases and tags, bounded in size, depth and number of values. Bad input becomes problems,
never an exception.
"""

from msgspec import UNSET, Struct

from stepwell.definitions.json_text import json_events
from stepwell.definitions.problems import START, Path, Place, Problem, Report
from stepwell.definitions.tree import Tree, Unreadable, line_starts, place_at
from stepwell.definitions.yaml_text import yaml_events
from stepwell.engine.values import Json

MAX_BYTES = 1024 * 1024


class Document(Struct, frozen=True, kw_only=True):
    """What was read. A value that could not be read is UNSET; `problems` says why.

    `values` has the place of every value by its path, `keys` that of every key.
    """

    value: Json
    values: dict[Path, Place]
    keys: dict[Path, Place]
    problems: tuple[Problem, ...] = ()


def load(source: bytes) -> Document:
    """Reads one document. It never raises: what is wrong is in `problems`."""
    report = Report()
    tree = Tree(report)
    try:
        text = _decode(source)
        for event in json_events(text) or yaml_events(text, report):
            tree.take(event)
    except Unreadable as error:
        report.add(error.place, error.path, error.message, error.hint)
        tree.value = UNSET
    return Document(
        value=tree.value, values=tree.values, keys=tree.keys, problems=report.problems()
    )


def _decode(source: bytes) -> str:
    if len(source) > MAX_BYTES:
        raise Unreadable(
            START,
            f"the document has {len(source)} bytes, the limit is {MAX_BYTES}",
            "keep data out of the definition and hand it to the run as its input",
        )
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = source[: error.start].decode("utf-8-sig", errors="replace")
        raise Unreadable(
            place_at(line_starts(before), len(before)),
            f"the document is not UTF-8: byte {error.start} is 0x{source[error.start]:02x}",
            "save the file as UTF-8",
        ) from error
    if not text.strip():
        raise Unreadable(START, "the document is empty", "begin with `workflow: my-name`")
    return text
