"""Runs one query in the sandbox, and says what went wrong so that a model can repair it."""

import contextlib
import re
import sqlite3
from typing import NoReturn

import msgspec

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb.limits import Limits, timed_out
from stepwell.nldb.rows import shaped
from stepwell.nldb.sqlite.sandbox import Denial, Reader, open_reader
from stepwell.tools.port import ToolFailed


def query(path: str, sql: str, limits: Json) -> Json:
    """The result of one statement that reads, as `stepwell.nldb.rows.shaped` makes it.

    Raises:
        ToolFailed: QUERY_REFUSED, the sandbox denies it; QUERY_FAILED, SQLite does;
            TOOL_TIMEOUT.
    """
    bounds = msgspec.convert(limits, Limits)
    if len(sql) > bounds.text:
        Denial("length", f"it has {len(sql)} characters, the limit is {bounds.text}").refuse()
    try:
        with open_reader(path, bounds) as reader:
            return _run(reader, sql, bounds)
    except sqlite3.Error as error:
        raise ToolFailed(
            f"the datasource cannot be read: {error}; was the file moved or replaced?",
            code=Code.QUERY_FAILED,
            retryable=_is_busy(error),
        ) from error


def _run(reader: Reader, sql: str, limits: Limits) -> Json:
    try:
        cursor = reader.connection.execute(sql)
        if cursor.description is None:
            raise _failed("it holds no statement; write one SELECT")
        return shaped([column[0] for column in cursor.description], cursor, limits)
    except MemoryError:
        what = f"it needs more than {limits.memory // 2**20} MiB of memory"
        Denial("memory", f"{what}; read less, or aggregate first").refuse()
    except sqlite3.Warning as error:  # Python 3.11; it is a ProgrammingError later
        _refuse_second(error)
    except (sqlite3.Error, ValueError) as error:
        _explain(reader, sql, error, limits)


def _explain(reader: Reader, sql: str, error: Exception, limits: Limits) -> NoReturn:
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_INTERRUPT:
        raise timed_out(limits) from error
    if reader.authorizer.denial is not None:
        reader.authorizer.denial.refuse()
    if code == sqlite3.SQLITE_READONLY:
        Denial("write", "writing").refuse()
    if code == sqlite3.SQLITE_TOOBIG:
        Denial("size", "it makes a value of more than 1,000,000 bytes").refuse()
    text = str(error)
    if code is None and "one statement" in text:
        _refuse_second(error)
    if code is None and "binding" in text:
        raise _failed("it has parameters (? or :name); write the values into the SQL") from error
    message = text if _is_about_text(reader, sql, text) else scrubbed(text)
    raise _failed(message, retryable=_is_busy(error)) from error


def _refuse_second(error: Exception) -> NoReturn:
    try:
        Denial("one_statement", "it has more than one statement").refuse()
    except ToolFailed as refusal:
        raise refusal from error


def _is_about_text(reader: Reader, sql: str, message: str) -> bool:
    """Whether the error comes from compiling: then its words are the asker's own."""
    try:
        with contextlib.closing(reader.connection.execute(f"EXPLAIN {sql}")):
            return False
    except (sqlite3.Error, sqlite3.Warning, ValueError, MemoryError) as error:
        return str(error) == message


def scrubbed(message: str) -> str:
    """An error that came up while rows were read, without any value it may quote.

    What a query fails with is written to the log, and the log holds no row.
    """
    return re.sub(r"""(['"`]).*\1""", "'…'", message, flags=re.DOTALL)


def _failed(message: str, *, retryable: bool = False) -> ToolFailed:
    return ToolFailed(f"the query failed: {message}", code=Code.QUERY_FAILED, retryable=retryable)


def _is_busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", None) in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )
