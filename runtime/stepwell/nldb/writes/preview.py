"""A preview: what a change would do, row by row. It is the output of its call, and stays there.

What a person sees is made from it, `db_apply` compares with it, and an undo takes the old rows from
it. It holds nothing that whoever asked for it may not read.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.nldb.guard.write import Kind
from stepwell.nldb.model import Access
from stepwell.nldb.writes.job import Done, EffectKind
from stepwell.nldb.writes.prepare import Asked, Prepared, visible

APPLY: Final = "db_apply"
PREVIEW: Final = "db_preview_write"
UNDO: Final = "db_undo"
PREVIEWS: Final = frozenset({PREVIEW, UNDO, "db_ask"})
"""The tools whose answer is a preview, or has one in it."""

DIGITS: Final = 32
"""How much of the digest stands in a name."""


class RowChange(Struct, frozen=True, kw_only=True):
    """One row by its primary key, before and after; null where it is not there."""

    key: dict[str, Json]
    old: dict[str, Json] | None
    new: dict[str, Json] | None


class ByItself(Struct, frozen=True, kw_only=True):
    """What the database does besides."""

    kind: EffectKind
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
    kind: Kind
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
    undoes: str = ""
    """The preview that it takes back."""


def name_of(key: str, digest: str) -> str:
    """The name of a preview, by the key of its call: it says what it is of."""
    return f"{key}#{digest[:DIGITS]}"


def key_of(name: str) -> tuple[str, str]:
    """The key and the digits that a name says."""
    key, _, digits = name.partition("#")
    return (key if "/" in key else f"{key}/call"), digits


def found_in(told: Json, name: str) -> Preview | None:
    """The preview of this name in what a call has answered; an answer of `db_ask` has one in it."""
    _, digits = key_of(name)
    inner = told.get("preview") if isinstance(told, Mapping) else None
    if inner is None:
        return None
    try:
        preview = msgspec.convert(inner if isinstance(inner, Mapping) else told, Preview)
    except msgspec.ValidationError:  # of a version that made them otherwise
        return None
    return preview if preview.digest.startswith(digits) else None


def preview_of(
    key: str,
    datasource: str,
    asked: Asked,
    ready: Prepared,
    done: Done,
    access: Access,
    *,
    undoes: str = "",
) -> Preview:
    """The preview of a change that was tried and rolled back; `undo` is still to be found out."""
    job = ready.job
    shown = [column.name for column in visible(ready.table, access)]
    changes: list[RowChange] = []
    for one in done.changes:
        old, new = _row(job.columns, one.old), _row(job.columns, one.new)
        there = new or old
        changes.append(
            RowChange(
                key={name: there[name] for name in job.key},
                old=_picked(old, shown),
                new=_picked(new, shown),
            )
        )
    filled = [name for name in ready.filled if name in shown and _is_filled(name, changes)]
    return Preview(
        preview=name_of(key, done.digest),
        datasource=datasource,
        kind=job.kind,
        table=ready.table.name,
        sql=ready.checked.sql,
        parameters=[list(run) for run in job.batches[0].runs],
        asked=asked,
        rows=len(changes),
        columns=shown,
        changes=changes,
        filled=filled,
        effects=[
            ByItself(kind=e.kind, name=e.name, table=e.table, what=e.what, rows=e.rows)
            for e in done.effects
        ],
        undo=Undo(possible=False),
        notes=_notes(ready, changes, len(job.columns) - len(shown), filled),
        digest=done.digest,
        result=done.result,
        schema=ready.schema,
        policy=ready.policy,
        undoes=undoes,
    )


def _is_filled(name: str, changes: list[RowChange]) -> bool:
    return any(
        one.new is not None and (one.old is None or one.old[name] != one.new[name])
        for one in changes
    )


def _notes(
    ready: Prepared, changes: list[RowChange], left_out: int, filled: list[str]
) -> list[str]:
    notes: list[str] = []
    if not changes:
        notes.append("no row matches, so nothing would change")
    if left_out:
        notes.append(f"{left_out} columns are hidden or masked for you, and are not shown")
    if filled:
        notes.append(
            f"the database fills in {', '.join(filled)} when the change is made, maybe with other "
            "values than these"
        )
    if ready.job.dialect == "postgres" and ready.job.kind == "insert":
        notes.append("a preview uses up numbers of sequences, which PostgreSQL never gives back")
    return notes


def _row(columns: tuple[str, ...], row: list[Json] | None) -> dict[str, Json]:
    return {} if row is None else dict(zip(columns, row, strict=True))


def _picked(row: dict[str, Json], shown: list[str]) -> dict[str, Json] | None:
    return {name: row[name] for name in shown} if row else None


def to_json(preview: Preview) -> dict[str, Any]:
    """As the tool answers it."""
    told: dict[str, Any] = msgspec.to_builtins(preview)
    return told
