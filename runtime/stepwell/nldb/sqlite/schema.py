"""What there is in a SQLite database: tables, columns, keys."""

import contextlib
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb.limits import Limits
from stepwell.nldb.sqlite.sandbox import open_plain, quoted
from stepwell.tools.port import ToolFailed

MAX_COUNT = 10_000
"""A table with more rows is not counted: SQLite would have to read all of it."""

MAX_SIZE = 256 * 1024
"""Bytes of JSON; the tables beyond are named only."""

_COUNTING = 0.5
_SHADOWS = frozenset(
    [
        "content",
        "docsize",
        "config",
        "data",
        "idx",
        "segments",
        "segdir",
        "stat",
        "node",
        "parent",
        "rowid",
    ]
)


def schema(path: str, tables: Sequence[str], limits: Json) -> Json:
    """The tables and views, or those of them that are named, as `{dialect, tables, ...}`.

    `rows` is there for tables of at most 10,000 rows. `truncated` tells that some tables have
    their name only; ask for them by name.

    Raises:
        ToolFailed: QUERY_FAILED, the file cannot be read, or there is no table of a name.
    """
    try:
        with open_plain(path, msgspec.convert(limits, Limits)) as connection:
            return _described(connection, tables)
    except sqlite3.Error as error:
        raise ToolFailed(
            f"the datasource cannot be read: {error}; was the file moved or replaced?",
            code=Code.QUERY_FAILED,
            retryable=getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY,
        ) from error


def _described(connection: sqlite3.Connection, wanted: Sequence[str]) -> Json:
    kinds = _kinds(connection)
    _check_names(wanted, kinds)
    counting_ends = time.monotonic() + _COUNTING
    left = MAX_SIZE
    described: list[Json] = []
    for name in wanted or kinds:
        table: dict[str, Json] = {"name": name, "kind": kinds[name]}
        if left > 0:
            table |= _columns(connection, name)
            if kinds[name] == "table" and time.monotonic() < counting_ends:
                table |= _count(connection, name)
            left -= len(msgspec.json.encode(table))
        described.append(table)
    notes = [] if left > 0 else ["some tables have their name only; ask for them with `tables`"]
    return {"dialect": "sqlite", "tables": described, "truncated": bool(notes), "notes": notes}


def _kinds(connection: sqlite3.Connection) -> dict[str, str]:
    """What there is, by name; without what SQLite and its indexes keep for themselves."""
    rows = connection.execute(
        "SELECT name, type, coalesce(sql, '') FROM sqlite_master "
        "WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite^_%' ESCAPE '^' ORDER BY name"
    ).fetchall()
    virtual = {name for name, _, sql in rows if sql.upper().startswith("CREATE VIRTUAL")}
    return {
        name: "virtual table" if name in virtual else kind
        for name, kind, _ in rows
        if not _is_shadow(name, virtual)
    }


def _is_shadow(name: str, virtual: set[str]) -> bool:
    owner, _, suffix = name.rpartition("_")
    return owner in virtual and suffix in _SHADOWS


def _check_names(wanted: Sequence[str], kinds: dict[str, str]) -> None:
    unknown = [name for name in wanted if name not in kinds]
    if unknown:
        raise ToolFailed(
            f"there is no table {', '.join(unknown)}; there are {', '.join(list(kinds)[:200])}",
            code=Code.QUERY_FAILED,
            retryable=False,
        )


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, Any]:
    try:
        rows = connection.execute(
            'SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (table,)
        ).fetchall()
    except sqlite3.Error as error:  # a view of something that is gone
        return {"columns": [], "problem": str(error)}
    columns = [
        {"name": name, "type": kind, "nullable": not (required or key)}
        for name, kind, required, key in rows
    ]
    described: dict[str, Any] = {"columns": columns}
    if key := _primary_key(rows):
        described["primary_key"] = key
    if foreign := _foreign_keys(connection, table):
        described["foreign_keys"] = foreign
    return described


def _primary_key(rows: Sequence[tuple[str, str, int, int]]) -> list[str]:
    return [name for _, name in sorted((place, name) for name, _, _, place in rows if place)]


def _foreign_keys(connection: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    keys: dict[int, dict[str, Any]] = {}
    for number, target, column, referenced in connection.execute(
        'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq',
        (table,),
    ).fetchall():
        key = keys.setdefault(number, {"columns": [], "table": target, "references": []})
        key["columns"].append(column)
        if referenced is not None:
            key["references"].append(referenced)
    for key in keys.values():
        if not key["references"]:  # the primary key is meant
            rows = connection.execute(
                'SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (key["table"],)
            ).fetchall()
            key["references"] = _primary_key(rows)
    return list(keys.values())


def _count(connection: sqlite3.Connection, table: str) -> dict[str, int]:
    with contextlib.suppress(sqlite3.Error):
        (count,) = connection.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM {quoted(table)} LIMIT {MAX_COUNT + 1})"  # noqa: S608
        ).fetchone()
        if count <= MAX_COUNT:
            return {"rows": count}
    return {}


def probe(path: str, limits: Json) -> int:
    """The number of tables and views; proves that the file is a database that can be read.

    Raises:
        ToolFailed: QUERY_FAILED, it is none, or cannot be read.
    """
    try:
        with open_plain(path, msgspec.convert(limits, Limits)) as connection:
            return len(_kinds(connection))
    except sqlite3.Error as error:
        raise ToolFailed(str(error), code=Code.QUERY_FAILED, retryable=False) from error
