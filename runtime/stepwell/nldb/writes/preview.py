"""A preview: what a change would do, row by row. It is the output of its call, and stays there.

What a person sees is made from it, `db_apply` compares with it, and an undo takes the old rows from
it. It holds nothing that whoever asked for it may not read.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.nldb.model import Change

APPLY: Final = "db_apply"
PREVIEW: Final = "db_preview_write"
UNDO: Final = "db_undo"
PREVIEWS: Final = frozenset({PREVIEW, UNDO, "db_ask"})
"""The tools whose answer is a preview, or has one in it."""

DIGITS: Final = 32
"""How much of the digest stands in a name."""


class Asked(Struct, frozen=True, kw_only=True):
    """A statement as it was written, and the values of each time that it runs."""

    sql: str
    runs: tuple[Json, ...] = (None,)


class RowChange(Struct, frozen=True, kw_only=True):
    """One row by its primary key, before and after; null where it is not there."""

    key: dict[str, Json]
    old: dict[str, Json] | None
    new: dict[str, Json] | None


class ByItself(Struct, frozen=True, kw_only=True):
    """What the database does besides."""

    kind: Literal["trigger", "rule", "cascade"]
    name: str
    table: str
    what: str
    rows: int | None = None


class Undo(Struct, frozen=True, kw_only=True):
    """Whether it could be taken back."""

    possible: bool
    why: str = ""


class Preview(Struct, frozen=True, kw_only=True):
    """What `db_preview_write` and `db_undo` answer."""

    preview: str
    """Its name: the key of its call, `#`, and the beginning of `digest`."""
    datasource: str
    kind: Change
    table: str
    sql: str
    """As it will run."""
    parameters: list[list[Json]]
    asked: Asked
    rows: int
    columns: list[str]
    changes: list[RowChange]
    filled: list[str]
    """Columns that the database fills in when the change is made."""
    effects: list[ByItself]
    undo: Undo
    notes: list[str]
    digest: str
    result: str
    schema: str
    """The fingerprint of the catalog that it was checked against."""
    policy: str
    """Names what its asker might do."""
    place: str = ""
    """Names the database that it was tried in."""
    undoes: str = ""
    """The preview that it takes back."""


class ApplyAnswer(Struct, frozen=True, kw_only=True):
    """What `db_apply` answers."""

    preview: str
    datasource: str
    kind: str
    table: str
    rows: int
    keys: list[dict[str, Json]]
    """Of the rows that it has left, or deleted."""
    at: str
    repeated: bool
    """Whether it had been made before, so that nothing was done now."""
    undo: dict[str, Json]


def name_of(key: str, digest: str) -> str:
    """The name of a preview, by the key of its call: it says what it is of."""
    return f"{key}#{digest[:DIGITS]}"


def key_of(name: str) -> tuple[str, str]:
    """The key and the digits that a name says."""
    key, _, digits = name.partition("#")
    return (key if "/" in key else f"{key}/call"), digits


def found_in(told: Json, name: str) -> Preview | None:
    """The preview of this name in what a call has answered; an answer of `db_ask` has one in it."""
    key, digits = key_of(name)
    inner = told.get("preview") if isinstance(told, Mapping) else None
    if inner is None:
        return None
    try:
        preview = msgspec.convert(inner if isinstance(inner, Mapping) else told, Preview)
    except msgspec.ValidationError:  # of a version that made them otherwise
        return None
    # A name with fewer digits would be the same whatever it is of, and so would its approval.
    return preview if preview.preview == f"{key}#{digits}" else None


def to_json(preview: Preview) -> dict[str, Any]:
    """As the tool answers it."""
    told: dict[str, Any] = msgspec.to_builtins(preview)
    return told
