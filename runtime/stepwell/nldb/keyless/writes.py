"""Changes in plain words: delete rows, set a column of rows, join rows of two tables.

What a change is made to is found as a question is, so that every word of it is accounted for; the
rows that it means are shown before anything happens, by whoever previews the plan.
"""

from collections.abc import Iterator

import msgspec

from stepwell.nldb.keyless.changes.columns import (
    DELETE,
    LESS,
    MORE,
    SET,
    assigned,
    emptied,
    renamed,
    scaled,
)
from stepwell.nldb.keyless.changes.junctions import PUT, TAKE, put_on, taken_off
from stepwell.nldb.keyless.changes.rows import created
from stepwell.nldb.keyless.finish import rows_of
from stepwell.nldb.keyless.frame import Frame
from stepwell.nldb.keyless.grammar import frames
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.plan.check import check
from stepwell.nldb.plan.model import Condition, Delete, InvalidPlan, Write

VERBS = (
    *(*DELETE, *TAKE, *PUT, *SET, *MORE, *LESS),
    *("rename", "insert", "create", "replace", "move", "clear", "assign", "double", "halve"),
    *(
        "reset",
        "mark",
        "close",
        "cancel",
        "activate",
        "deactivate",
        "give all",
        "give every",
        "make",
    ),
)
_LEADS = frozenset(
    "please can could would will you we i want need to like d kindly let us now".split()  # noqa: SIM905
)


def written(reader: Reader) -> list[Write] | None:
    """The changes that the words may mean; None when they ask for no change."""
    at = reader.skip(0, _LEADS)
    if (
        not reader.says(at, *VERBS)
        or reader.says(at, "take me", "take us")
        or (at and reader.word(0) in ("what", "which", "who"))
    ):
        return None
    made: dict[bytes, Write] = {}
    for rule in (_deleted, emptied, taken_off, put_on, assigned, renamed, scaled, created):
        for write in rule(reader, at):
            try:
                check(write, reader.world.catalog)
            except InvalidPlan:
                continue
            made.setdefault(msgspec.json.encode(write), write)
    return list(made.values())


def _deleted(reader: Reader, at: int) -> Iterator[Write]:
    """`delete the playlists that have no tracks`."""
    if not (end := reader.says(at, *DELETE)) or _names_several(reader, end):
        return
    for table, where in _rows_meant(reader, end):
        if where:
            yield Delete(table=table, where=where)


def _names_several(reader: Reader, at: int) -> bool:
    """Whether rows of two tables are meant, `X and its tracks`: that is more than one change."""
    ands = (i for i in range(at, len(reader)) if reader.word(i) in ("and", "&", "plus"))
    return any(reader.tables(reader.skip(i + 1)) for i in ands)


def _rows_meant(
    reader: Reader, begin: int, end: int | None = None
) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    """The tables and conditions that a stretch of the words means."""
    part = Reader(reader.tokens[begin:end], reader.world)
    for frame in frames(part, Frame(ask="list"))[0]:
        if frame.outputs or frame.sortings or frame.limit or frame.distinct:
            continue
        yield from rows_of(frame, reader.world)
