"""What there is in a SQLite database. It runs in the child: the file may be slow, or broken."""

import contextlib
import sqlite3
import time
from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb.catalog.tables import columns_of, foreign_keys_of, key_of, unique_of
from stepwell.nldb.limits import Limits
from stepwell.nldb.model import APPLIED, Column, Table, catalog
from stepwell.nldb.sqlite.sandbox import SHADOWS, open_plain, reason_of, stamp_of
from stepwell.quoting import quoted
from stepwell.tools.port import ToolFailed

MAX_COUNT = 10_000
"""A table with more rows is not counted: SQLite would have to read all of it."""

_COUNTING = 0.5
SCHEMA = "main"


def read(path: str, limits: Json) -> Json:
    """The stamp of the schema, and the catalog.

    Raises:
        ToolFailed: QUERY_FAILED, the file cannot be read.
    """
    try:
        with open_plain(path, msgspec.convert(limits, Limits)) as connection:
            connection.execute("BEGIN")
            found = catalog(
                dialect="sqlite",
                version=sqlite3.sqlite_version,
                default_schema=SCHEMA,
                tables={table.name: table for table in _tables(connection)},
            )
            return [stamp_of(connection, path), msgspec.to_builtins(found)]
    except (sqlite3.Error, SQLAlchemyError) as error:
        cause = error.__cause__ or error
        raise ToolFailed(
            f"the datasource cannot be read: {reason_of(cause)}; was the file moved or replaced?",
            code=Code.QUERY_FAILED,
            retryable=getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY,
        ) from error


def stamp(path: str, limits: Json) -> Json:
    """The stamp of the schema.

    Raises:
        ToolFailed: QUERY_FAILED, the file cannot be read.
    """
    try:
        with open_plain(path, msgspec.convert(limits, Limits)) as connection:
            connection.execute("BEGIN")
            return stamp_of(connection, path)
    except sqlite3.Error as error:
        raise ToolFailed(
            f"the datasource cannot be read: {reason_of(error)}; was the file moved or replaced?",
            code=Code.QUERY_FAILED,
            retryable=getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY,
        ) from error


def _tables(connection: sqlite3.Connection) -> Iterable[Table]:
    triggers = _triggers(connection)
    counting_ends = time.monotonic() + _COUNTING
    engine = sa.create_engine(
        "sqlite://", creator=lambda: connection, poolclass=StaticPool, isolation_level="AUTOCOMMIT"
    )
    inspector = sa.inspect(engine)
    for name, is_view in _names(connection).items():
        with contextlib.suppress(SQLAlchemyError, sqlite3.Error):  # a view of what is gone
            is_counted = not is_view and time.monotonic() < counting_ends
            columns = columns_of(inspector.get_columns(name), engine.dialect)
            key = () if is_view else key_of(inspector.get_pk_constraint(name))
            yield Table(
                name=name,
                schema=SCHEMA,
                columns=_with_row_id(columns, key),
                primary_key=key,
                foreign_keys=()
                if is_view
                else foreign_keys_of(_foreign_keys(inspector, name), lambda _, table: table),
                unique=()
                if is_view
                else unique_of(inspector.get_unique_constraints(name), inspector.get_indexes(name)),
                rows=_count(connection, name) if is_counted else None,
                is_view=is_view,
                triggers=triggers.get(name, ()),
            )


def _with_row_id(columns: tuple[Column, ...], key: tuple[str, ...]) -> tuple[Column, ...]:
    """A key that is an INTEGER, and all of it, is the number of the row: it fills itself in."""
    return tuple(
        msgspec.structs.replace(column, default=True)
        if (column.name,) == key and column.type == "INTEGER"
        else column
        for column in columns
    )


def _foreign_keys(inspector: sa.Inspector, table: str) -> Iterable[dict[str, Any]]:
    """With the columns that a key refers to, also where it names none: the primary key then."""
    for told in inspector.get_foreign_keys(table):
        referred = told["referred_columns"]
        if not referred or None in referred:
            key = inspector.get_pk_constraint(told["referred_table"])
            referred = key.get("constrained_columns", [])
        yield {**told, "referred_columns": referred}


def _names(connection: sqlite3.Connection) -> dict[str, bool]:
    """What there is, and whether it is a view; without what SQLite and its indexes keep."""
    rows = connection.execute(
        "SELECT name, type, coalesce(sql, '') FROM sqlite_master "
        "WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite^_%' ESCAPE '^' ORDER BY name"
    ).fetchall()
    virtual = {name for name, _, sql in rows if sql.upper().startswith("CREATE VIRTUAL")}
    return {
        name: kind == "view"
        for name, kind, _ in rows
        if not _is_shadow(name, virtual) and name != APPLIED
    }


def _is_shadow(name: str, virtual: set[str]) -> bool:
    owner, _, suffix = name.rpartition("_")
    return owner in virtual and suffix in SHADOWS


def _triggers(connection: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for table, name in connection.execute(
        "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
    ).fetchall():
        found[table] = (*found.get(table, ()), name)
    return found


def _count(connection: sqlite3.Connection, table: str) -> int | None:
    with contextlib.suppress(sqlite3.Error):
        (count,) = connection.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM {quoted(table)} LIMIT {MAX_COUNT + 1})"  # noqa: S608
        ).fetchone()
        return int(count) if count <= MAX_COUNT else None
    return None
