"""Changes a SQLite file, in a child: `change` and `look` are called there and nowhere else.

The statement was rebuilt by the guard; the authorizer here is the second lock. What triggers and
foreign keys of the database do besides is the database's own, and was named before.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final, NoReturn

import msgspec

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb.limits import Limits, timed_out
from stepwell.nldb.sqlite.connection import bounded, connected, ends_in_time
from stepwell.nldb.sqlite.database import SqliteDatabase
from stepwell.nldb.sqlite.functions import FUNCTIONS, HASH, hashing
from stepwell.nldb.sqlite.sandbox import stamp_of
from stepwell.nldb.writes import change as changes
from stepwell.nldb.writes.ask import Asking
from stepwell.nldb.writes.cells import from_json, to_json
from stepwell.nldb.writes.job import Job, Outcome, Row
from stepwell.tools.port import ToolFailed

MODULE: Final = "stepwell.nldb.writes.sqlite"
_TRIGGER_DEPTH: Final = 32
_READS: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_READ})
_WRITES: Final = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})


class SqliteWriter:
    """Changes one file."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def change(self, job: Job, limits: Limits) -> Outcome:
        """As `Writer.change`."""
        arguments: dict[str, Json] = {"job": msgspec.to_builtins(job)}
        told = await self._database.call(MODULE, "change", arguments, limits)
        return msgspec.convert(told, Outcome)

    async def look(
        self, schema: str, key: str, preview: str, limits: Limits, *, settles: bool = False
    ) -> Outcome:
        """As `Writer.look`. A child that was killed holds nothing any more."""
        arguments: dict[str, Json] = {"schema": schema, "key": key, "preview": preview}
        told = await self._database.call(MODULE, "look", arguments, limits)
        return msgspec.convert(told, Outcome)


def change(path: str, job: Json, limits: Json) -> Json:
    """Makes a change, or previews it. It runs in the child.

    Raises:
        ToolFailed: QUERY_REFUSED, QUERY_FAILED, PREVIEW_STALE or TOOL_TIMEOUT.
    """
    wanted = msgspec.convert(job, Job)
    bounds = msgspec.convert(limits, Limits)
    with _told(bounds), _writing(path, bounds) as connection:
        _begin(connection)
        if stamp_of(connection, path) != wanted.stamp:
            return msgspec.to_builtins(Outcome(moved=True))
        guard = Authorizer(wanted)
        connection.create_function(HASH, 1, hashing(wanted.salt), deterministic=True)
        outcome = _run(connection, changes.change(wanted), guard)
        if wanted.application is not None and outcome.done is not None:
            connection.execute("COMMIT")
        return msgspec.to_builtins(outcome)


def look(path: str, schema: str, key: str, preview: str, limits: Json) -> Json:
    """Whether a preview is applied already. It runs in the child.

    Raises:
        ToolFailed: QUERY_FAILED, or TOOL_TIMEOUT.
    """
    bounds = msgspec.convert(limits, Limits)
    with _told(bounds), _writing(path, bounds) as connection:
        asking = changes.look("sqlite", schema, key, preview)
        return msgspec.to_builtins(_run(connection, asking, None))


class Authorizer:
    """What a checked statement may do: change its one table, and read.

    Triggers and the actions of foreign keys do more; those are the database's own.
    """

    def __init__(self, job: Job) -> None:
        self._table = job.bare.lower()
        self._verb = {
            "insert": sqlite3.SQLITE_INSERT,
            "update": sqlite3.SQLITE_UPDATE,
            "delete": sqlite3.SQLITE_DELETE,
        }[job.kind]
        self._assigned = {name.lower() for name in job.assigned}
        self.acting: frozenset[str] = frozenset()
        self.denied = ""

    def __call__(
        self, action: int, first: str | None, second: str | None, _: str | None, by: str | None
    ) -> int:
        """The callback of `sqlite3.Connection.set_authorizer`."""
        if by is not None or action in _READS or self._may(action, first or "", second or ""):
            return sqlite3.SQLITE_OK
        self.denied = self.denied or f"{first} {second}"
        return sqlite3.SQLITE_DENY

    def _may(self, action: int, first: str, second: str) -> bool:
        if action == sqlite3.SQLITE_FUNCTION:
            return second.lower() in FUNCTIONS or second == HASH
        if action not in _WRITES:
            return False
        if first.lower() == self._table and action == self._verb:
            return action != sqlite3.SQLITE_UPDATE or second.lower() in self._assigned
        return first.lower() in self.acting


@contextlib.contextmanager
def _writing(path: str, limits: Limits) -> Iterator[sqlite3.Connection]:
    with connected(path, "rw", limits) as connection:
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        connection.execute("PRAGMA foreign_keys=ON")
        bounded(connection, {sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: _TRIGGER_DEPTH})
        ends_in_time(connection, limits)
        yield connection


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")


def _run(
    connection: sqlite3.Connection,
    asking: Asking[Outcome],
    guard: Authorizer | None,
) -> Outcome:
    rows: list[Row] | None = None
    while True:
        try:
            ask = next(asking) if rows is None else asking.send(rows)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        if guard is not None:
            guard.acting = ask.acting
            connection.set_authorizer(guard if ask.checked else None)
        try:
            rows = _rows(connection, ask.sql, ask.parameters)
        finally:
            connection.set_authorizer(None)


def _rows(connection: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> list[Row]:
    cursor = connection.execute(sql, tuple(from_json(value) for value in parameters))
    return [[to_json(cell) for cell in row] for row in cursor.fetchall()]


@contextlib.contextmanager
def _told(limits: Limits) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        _explain(error, limits)
    except (MemoryError, OverflowError) as error:
        raise _failed("a value is too large") from error
    except UnicodeError as error:
        raise _failed(
            "a text in those rows is not UTF-8, so it could not be shown as it is; mend it with a tool "
            "of the database first"
        ) from error


def _explain(error: sqlite3.Error, limits: Limits) -> NoReturn:
    code = getattr(error, "sqlite_errorcode", 0) or 0
    name = getattr(error, "sqlite_errorname", "") or ""
    match code & 0xFF:
        case sqlite3.SQLITE_INTERRUPT:
            raise timed_out(limits) from error
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            raise _failed(
                "another program holds the database; nothing was changed", retryable=True
            ) from error
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            raise _failed(
                "the file cannot be opened for writing; the user of the daemon needs to write to "
                "it and to its folder"
            ) from error
        case sqlite3.SQLITE_CONSTRAINT:
            raise _failed(
                _CONSTRAINTS.get(name, "a constraint of the table is not kept")
            ) from error
        case sqlite3.SQLITE_FULL:
            raise _failed("the disk is full; nothing was changed", retryable=True) from error
        case sqlite3.SQLITE_AUTH:
            raise _failed("the sandbox does not allow it") from error
        case _:
            what = "the database could not run it"
            raise _failed(f"{what} ({name or type(error).__name__})") from error


_CONSTRAINTS: Final = {
    "SQLITE_CONSTRAINT_PRIMARYKEY": "there is a row with this primary key already",
    "SQLITE_CONSTRAINT_UNIQUE": "a value has to be unique, and another row has it",
    "SQLITE_CONSTRAINT_ROWID": "there is a row with this primary key already",
    "SQLITE_CONSTRAINT_NOTNULL": "a column that needs a value would have none",
    "SQLITE_CONSTRAINT_FOREIGNKEY": "a row would refer to one that is not there",
    "SQLITE_CONSTRAINT_CHECK": "a CHECK of the table is not kept",
    "SQLITE_CONSTRAINT_TRIGGER": "a trigger of the table refuses it",
    "SQLITE_CONSTRAINT_DATATYPE": "a value is not of the type of its column",
}


def _failed(what: str, *, retryable: bool = False) -> ToolFailed:
    return ToolFailed(f"the change failed: {what}", code=Code.QUERY_FAILED, retryable=retryable)
