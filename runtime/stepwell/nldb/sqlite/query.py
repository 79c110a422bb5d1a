"""Runs one checked statement in the sandbox, and says what went wrong without quoting a row."""

import re
import sqlite3
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb.limits import Limits, failed, timed_out
from stepwell.nldb.rows import Rows, shaped
from stepwell.nldb.sqlite.authorizer import Denial
from stepwell.nldb.sqlite.decimals import decimals
from stepwell.nldb.sqlite.sandbox import Reader, open_reader, reason_of
from stepwell.tools.port import ToolFailed


def query(
    path: str,
    sql: str,
    parameters: Sequence[Any],
    scales: Sequence[int | None],
    tables: Sequence[str],
    stamp: str,
    salt: str,
    limits: Json,
) -> Json:
    """The rows of a statement that reads these tables; None when the schema is another one.

    Raises:
        ToolFailed: QUERY_REFUSED, the sandbox denies it; QUERY_FAILED, SQLite does;
            TOOL_TIMEOUT.
    """
    bounds = msgspec.convert(limits, Limits)
    try:
        with open_reader(path, tables, bounds, salt=salt) as reader:
            if reader.stamp != stamp:
                return None
            return msgspec.to_builtins(_run(reader, sql, parameters, scales, bounds))
    except sqlite3.Error as error:
        raise ToolFailed(
            f"the datasource cannot be read: {reason_of(error)}; was the file moved or replaced?",
            code=Code.QUERY_FAILED,
            retryable=_is_busy(error),
        ) from error


def _run(
    reader: Reader,
    sql: str,
    parameters: Sequence[Any],
    scales: Sequence[int | None],
    limits: Limits,
) -> Rows:
    try:
        cursor = reader.connection.execute(sql, tuple(parameters))
        if cursor.description is None:
            raise failed("it holds no statement; write one SELECT")
        rows = (decimals(row, scales) for row in cursor) if any(scales) else cursor
        return shaped([column[0] for column in cursor.description], rows, limits)
    except MemoryError:
        what = f"it needs more than {limits.memory // 2**20} MiB of memory"
        Denial("memory", f"{what}; read less, or aggregate first").refuse()
    except sqlite3.Warning as error:  # Python 3.11; it is a ProgrammingError later
        _refuse_second(error)
    except (sqlite3.Error, ValueError, OverflowError) as error:
        _explain(reader, error, limits)


def _explain(reader: Reader, error: Exception, limits: Limits) -> NoReturn:
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_INTERRUPT:
        raise timed_out(limits) from error
    if reader.authorizer.denial is not None:
        reader.authorizer.denial.refuse()
    if code == sqlite3.SQLITE_READONLY:
        Denial("write", "writing").refuse()
    if code == sqlite3.SQLITE_TOOBIG:
        Denial("size", "it makes a value of more than 1,000,000 bytes").refuse()
    if code is None and "one statement" in str(error):
        _refuse_second(error)
    raise failed(scrubbed(str(error)), retryable=_is_busy(error)) from error


def _refuse_second(error: Exception) -> NoReturn:
    try:
        Denial("one_statement", "it has more than one statement").refuse()
    except ToolFailed as refusal:
        raise refusal from error


def scrubbed(message: str) -> str:
    """An error without any value or name that it may quote.

    What a query fails with is written to the log, and the log holds no row. A view may fail of a table
    that is hidden from whoever asks.
    """
    message = re.sub(r"\b(no such [a-z ]+): .*", r"\1", message, flags=re.DOTALL)
    return re.sub(r"""(['"`]).*\1""", "'…'", message, flags=re.DOTALL)


def _is_busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", None) in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )
