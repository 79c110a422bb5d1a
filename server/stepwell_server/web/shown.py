"""What a call would do, as a person looks at it: changes of texts, SQL, and the exact arguments."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from stepwell.engine.values import Data, Json
from stepwell.nldb.writes.preview import Preview
from stepwell_server import changes
from stepwell_server.visible import pretty
from stepwell_server.web.diffs import Row, compared
from stepwell_server.web.sql_text import formatted

MOST_SHOWN: Final = 200_000
"""Characters of the exact arguments on the page; the rest is a download."""
MOST_PARTS: Final = 50

PAIRS: Final = (
    ("old_text", "new_text"),
    ("oldText", "newText"),
    ("old_string", "new_string"),
    ("oldString", "newString"),
    ("old_str", "new_str"),
    ("old", "new"),
    ("before", "after"),
    ("search", "replace"),
)
WHOLE: Final = ("content", "contents", "new_content", "file_text", "text", "body")
PATHS: Final = ("path", "file_path", "filePath", "file", "filename", "uri")
STATEMENTS: Final = ("sql", "query", "statement")
_SQL: Final = frozenset(
    [
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "WITH",
        "CREATE",
        "ALTER",
        "DROP",
        "TRUNCATE",
        "MERGE",
        "REPLACE",
        "GRANT",
        "REVOKE",
    ]
)


class Part(Struct, frozen=True, kw_only=True):
    """One thing to look at: `rows` of a comparison, or a `text`. `path` is the file, where there is one."""

    heading: str
    path: str = ""
    rows: tuple[Row, ...] = ()
    text: str = ""
    is_sql: bool = False


class Shown(Struct, frozen=True, kw_only=True):
    """All of it. `exact` is the JSON of the arguments, `left_out` how many characters of it are not there."""

    parts: tuple[Part, ...] = ()
    exact: str = ""
    left_out: int = 0
    is_missing: bool = False


def shown(arguments: Data | None, preview: Preview | None = None) -> Shown:
    """What the arguments of a call mean to a person, and what a change that they name would do.

    Takes a while where they are long.
    """
    if preview is not None:
        exact = pretty(arguments.value) if arguments is not None else ""
        return Shown(parts=tuple(_of_change(preview)), exact=exact)
    if arguments is None or arguments.value is msgspec.UNSET:
        return Shown(is_missing=arguments is not None)
    exact = pretty(arguments.value)
    parts = tuple(_first(_parts(arguments.value))) if isinstance(arguments.value, dict) else ()
    return Shown(parts=parts, exact=exact[:MOST_SHOWN], left_out=max(len(exact) - MOST_SHOWN, 0))


def _of_change(preview: Preview) -> Iterator[Part]:
    yield Part(heading=changes.headline(preview), text=formatted(preview.sql), is_sql=True)
    if values := changes.values(preview):
        yield Part(heading="values of its parameters", text=values)
    yield Part(heading="rows, before and after", rows=_rows_of(preview))
    yield Part(heading="besides", text=changes.besides(preview))


def _rows_of(preview: Preview) -> tuple[Row, ...]:
    return tuple(
        Row(
            kind=line.kind,
            left=line.left,
            right=line.right,
            left_number=0 if line.kind == "added" else line.number,
            right_number=0 if line.kind == "removed" else line.number,
        )
        for line in changes.side_by_side(preview)
    )


def _first(parts: Iterator[Part]) -> Iterator[Part]:
    for _, part in zip(range(MOST_PARTS), parts, strict=False):
        yield part


def _parts(arguments: Mapping[str, Json]) -> Iterator[Part]:
    path = next(
        (text for name in PATHS if isinstance(text := arguments.get(name), str) and text), ""
    )
    yield from _changes(arguments, path)
    edits = arguments.get("edits")
    if isinstance(edits, list):
        for edit in edits:
            if isinstance(edit, dict):
                yield from _changes(edit, path)
    if path:
        for name in WHOLE:
            text = arguments.get(name)
            if isinstance(text, str) and text:
                yield Part(heading=name, path=path, text=text[:MOST_SHOWN])
    for name in STATEMENTS:
        text = arguments.get(name)
        if isinstance(text, str) and text.strip().partition(" ")[0].split("\n")[0].upper() in _SQL:
            yield Part(heading=name, text=formatted(text), is_sql=True)


def _changes(arguments: Mapping[str, Json], path: str) -> Iterator[Part]:
    for old_name, new_name in PAIRS:
        old, new = arguments.get(old_name), arguments.get(new_name)
        if not isinstance(old, str) or not isinstance(new, str):
            continue
        rows = compared(old, new)
        heading = f"{old_name} → {new_name}"
        if rows is not None:
            yield Part(heading=heading, path=path, rows=rows)
