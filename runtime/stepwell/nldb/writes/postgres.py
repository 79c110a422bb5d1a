"""Changes a PostgreSQL database: one transaction for each preview and each change.

It sees one state of the database from its beginning to its end (REPEATABLE READ), so the rows that
are shown are those that the statement meets. Who changes one of them meanwhile makes it fail, and
it is tried again.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeAlias

import psycopg

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb import applied_table
from stepwell.nldb.catalog.postgres_stamp import stamp_of
from stepwell.nldb.limits import Limits, timed_out
from stepwell.nldb.model import APPLIED
from stepwell.nldb.postgres.connections import Connection
from stepwell.nldb.postgres.errors import UNSENDABLE
from stepwell.nldb.postgres.transaction import begin_write
from stepwell.nldb.writes import applied
from stepwell.nldb.writes import change as changes
from stepwell.nldb.writes.ask import Ask, Asking
from stepwell.nldb.writes.cells import from_json
from stepwell.nldb.writes.job import Applied, Job, Outcome, Row
from stepwell.tools.port import ToolFailed

Lend: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]
"""Lends a connection in autocommit mode; what is not idle when it comes back is ended."""
TRIES: Final = 3
"""How often it is tried to change rows that somebody else is changing."""

_RACED: Final = frozenset({"40001", "40P01"})
_INTEGERS: Final = frozenset(psycopg.adapters.types[name].oid for name in ("int2", "int4", "int8"))
_BOOLEAN: Final = psycopg.adapters.types["bool"].oid


class PostgresWriter:
    """Changes one database, by connections that are lent."""

    def __init__(self, lend: Lend) -> None:
        self._lend = lend

    async def change(self, job: Job, limits: Limits) -> Outcome:
        """As `Writer.change`."""
        for left in reversed(range(TRIES)):
            try:
                async with self._lend() as connection, asyncio.timeout(_seconds(limits)):
                    return await self._change(connection, job, limits)
            except psycopg.Error as error:
                if left and (error.sqlstate in _RACED or _has_made_a_table(error)):
                    continue
                raise told(error, limits) from error
            except TimeoutError as error:
                raise timed_out(limits) from error
        raise AssertionError("the last try returns or raises")

    async def look(
        self, schema: str, key: str, preview: str, limits: Limits, *, settles: bool = False
    ) -> Outcome:
        """As `Writer.look`."""
        try:
            async with self._lend() as connection, asyncio.timeout(_seconds(limits)):
                found = await _found(connection, schema, key, preview, limits)
                if settles and found.applied is None:
                    return await _settled(connection, schema, key, preview, limits)
                return found
        except psycopg.Error as error:
            raise told(error, limits) from error
        except TimeoutError as error:
            raise timed_out(limits) from error

    async def _change(self, connection: Connection, job: Job, limits: Limits) -> Outcome:
        await begin_write(connection, limits, schema=job.default_schema)
        if await stamp_of(connection) != job.stamp:
            await connection.execute("ROLLBACK")
            return Outcome(moved=True)
        outcome = await _run(connection, changes.change(job))
        keeps = job.application is not None and outcome.done is not None
        await connection.execute("COMMIT" if keeps else "ROLLBACK")
        return outcome


async def _settled(
    connection: Connection, schema: str, key: str, preview: str, limits: Limits
) -> Outcome:
    """As `_found`, once a transaction has ended that is applying the preview right now.

    Its connection may be lost, but to write its row has to wait for how it ends.
    """
    await begin_write(connection, limits, schema=schema)
    mine = Applied(key=key, preview=preview, at="", keys=[], state="")
    try:
        return await _run(connection, _claiming(schema, mine))
    except (psycopg.errors.UniqueViolation, *_MADE) as error:
        await connection.execute("ROLLBACK")
        again = _settled if _has_made_a_table(error) else _found
        return await again(connection, schema, key, preview, limits)
    except ToolFailed:  # the login may not use the table, so it has applied nothing
        return Outcome()
    finally:
        await connection.execute("ROLLBACK")


def _claiming(schema: str, mine: Applied) -> Asking[Outcome]:
    """Writes the row as an application would."""
    if not (yield applied.exists("postgres", schema)):
        yield Ask(applied_table.create_sql(schema))
    yield applied.put("postgres", schema, mine)
    return Outcome()


async def _found(
    connection: Connection, schema: str, key: str, preview: str, limits: Limits
) -> Outcome:
    await begin_write(connection, limits, schema=schema)
    outcome = await _run(connection, changes.look("postgres", schema, key, preview))
    await connection.execute("ROLLBACK")
    return outcome


async def _run(connection: Connection, asking: Asking[Outcome]) -> Outcome:
    rows: list[Row] | None = None
    while True:
        try:
            ask = next(asking) if rows is None else asking.send(rows)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        try:
            rows = await _rows(connection, ask.sql, ask.parameters)
        except psycopg.errors.InsufficientPrivilege as error:
            if APPLIED in ask.sql:
                raise _no_table(error, ask.sql) from error
            raise


async def _rows(connection: Connection, statement: str, parameters: Sequence[Any]) -> list[Row]:
    async with psycopg.AsyncRawCursor(connection) as cursor:
        values = tuple(from_json(value) for value in parameters)
        await cursor.execute(statement.encode(), values or None)
        result = cursor.pgresult
        if result is None or cursor.description is None:
            return []
        types = [column.type_code for column in cursor.description]
        return [
            [_cell(result.get_value(row, at), type) for at, type in enumerate(types)]
            for row in range(result.ntuples)
        ]


def _cell(data: bytes | None, type: int) -> Json:
    """A value as the server writes it, which it reads again as well; numbers and truth as such."""
    if data is None:
        return None
    text = data.decode()
    if type in _INTEGERS:
        return int(text)
    return text == "t" if type == _BOOLEAN else text


def _has_made_a_table(error: psycopg.Error) -> bool:
    """Whether somebody else has made our own table at the same moment: it is there now."""
    return isinstance(error, _MADE) or error.diag.schema_name == "pg_catalog"


def _seconds(limits: Limits) -> float:
    return limits.timeout.total_seconds() + 0.5


_MADE: Final = (psycopg.errors.DuplicateTable, psycopg.errors.DuplicateObject)
"""Of the table, or of the type of its rows, which is made with it."""

_BY_STATE: Final = {
    "23505": "a value has to be unique, and another row has it",
    "23503": "a row would refer to one that is not there, or another row refers to it",
    "23502": "a column that needs a value would have none",
    "23514": "a CHECK of the table or of a type is not kept",
    "23P01": "an exclusion of the table is not kept",
    "22012": "a division by zero; divide by nullif(x, 0)",
    "22003": "a number is out of the range of its type",
    "22P02": "a text cannot be read as a value of its column's type",
    "22007": "a text cannot be read as a date or time",
    "22008": "a date or time is out of range",
    "22001": "a text is too long for its column",
    "428C9": "a generated column, or an identity that is always generated, cannot be written",
    "25006": "the server takes no writes: it is a standby, or read-only",
    "42501": "the datasource's login may not do that in the database; `stepwell datasource emit-sql` "
    "prints the grants",
    "P0001": "a trigger or a function of the database refuses it",
}


def told(error: psycopg.Error, limits: Limits) -> ToolFailed:
    """What a change failed of, without a value."""
    state = error.sqlstate or ""
    if state in ("57014", "25P04"):
        return timed_out(limits)
    if state in ("55P03", *_RACED):
        return _failed("somebody else is changing the same rows", retryable=True)
    if not state and isinstance(error, psycopg.DataError | psycopg.ProgrammingError):
        return _failed(UNSENDABLE)
    if not state or state[:2] in ("08", "57", "53"):
        return _failed("the database was lost, or is starting, stopping or full", retryable=True)
    what = _BY_STATE.get(state, "PostgreSQL cannot run it")
    return _failed(f"{what} (SQLSTATE {state})")


def _no_table(error: psycopg.Error, statement: str) -> ToolFailed:
    if statement.startswith("CREATE"):
        return _failed(
            f"the datasource's login may not make the table {APPLIED}, in which a change says "
            f"that it is made; have the owner of the database run: {statement}, and grant SELECT "
            "and INSERT on it to the login"
        )
    return _failed(
        f"the datasource's login may not use the table {APPLIED}; have the owner of the "
        "database grant SELECT and INSERT on it to the login"
    )


def _failed(what: str, *, retryable: bool = False) -> ToolFailed:
    return ToolFailed(f"the change failed: {what}", code=Code.QUERY_FAILED, retryable=retryable)
