"""A connection that can only read: what SQLite itself is told to refuse.

The statement is never looked at as text. SQLite asks the authorizer for every action that it
compiles, whatever the spelling, and everything that is not on a list here is refused. The
progress handler ends what runs too long; one long call of a function inside SQLite cannot be
ended so, therefore all of it runs in a child that the daemon kills.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from stepwell.errors import Code
from stepwell.nldb.limits import Limits
from stepwell.tools.port import ToolFailed

_PROGRESS_STEPS = 10_000
_BUSY_TIMEOUT = 2.0

_ENGINE_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 60,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}

_TABLE_FUNCTIONS = ("json_each", "json_tree")
_CATALOG = ("sqlite_master", "sqlite_schema")
_CATALOG_TABLES = ("sqlite_master", "sqlite_temp_master")

FUNCTIONS = frozenset(
    [
        "abs",
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atan2",
        "atanh",
        "avg",
        "bm25",
        "ceil",
        "ceiling",
        "char",
        "coalesce",
        "concat",
        "concat_ws",
        "cos",
        "cosh",
        "count",
        "cume_dist",
        "current_date",
        "current_time",
        "current_timestamp",
        "date",
        "datetime",
        "degrees",
        "dense_rank",
        "exp",
        "first_value",
        "floor",
        "format",
        "glob",
        "group_concat",
        "hex",
        "highlight",
        "if",
        "ifnull",
        "iif",
        "instr",
        "json",
        "json_array",
        "json_array_length",
        "json_error_position",
        "json_extract",
        "json_group_array",
        "json_group_object",
        "json_insert",
        "json_object",
        "json_patch",
        "json_pretty",
        "json_quote",
        "json_remove",
        "json_replace",
        "json_set",
        "json_type",
        "json_valid",
        "julianday",
        "lag",
        "last_value",
        "lead",
        "length",
        "like",
        "likelihood",
        "likely",
        "ln",
        "log",
        "log10",
        "log2",
        "lower",
        "ltrim",
        "match",
        "max",
        "median",
        "min",
        "mod",
        "nth_value",
        "ntile",
        "nullif",
        "octet_length",
        "percent_rank",
        "percentile",
        "percentile_cont",
        "percentile_disc",
        "pi",
        "pow",
        "power",
        "printf",
        "quote",
        "radians",
        "random",
        "rank",
        "replace",
        "round",
        "row_number",
        "rtrim",
        "sign",
        "sin",
        "sinh",
        "snippet",
        "soundex",
        "sqrt",
        "strftime",
        "string_agg",
        "substr",
        "substring",
        "sum",
        "tan",
        "tanh",
        "time",
        "timediff",
        "total",
        "trim",
        "trunc",
        "typeof",
        "unhex",
        "unicode",
        "unistr",
        "unixepoch",
        "unlikely",
        "upper",
        "->",
        "->>",
    ]
)
"""What a query may call: everything that only computes, and not much from nothing."""

_WRITES = {
    sqlite3.SQLITE_INSERT: "INSERT into",
    sqlite3.SQLITE_UPDATE: "UPDATE of",
    sqlite3.SQLITE_DELETE: "DELETE from",
}
_OTHERS = {
    sqlite3.SQLITE_PRAGMA: ("pragma", "PRAGMA {}; use db_schema to see tables and columns"),
    sqlite3.SQLITE_ATTACH: ("attach", "ATTACH, and what needs it, such as VACUUM"),
    sqlite3.SQLITE_DETACH: ("attach", "DETACH"),
    sqlite3.SQLITE_TRANSACTION: ("transaction", "{}; every query is a transaction of its own"),
    sqlite3.SQLITE_SAVEPOINT: ("transaction", "SAVEPOINT; every query is a transaction of its own"),
    sqlite3.SQLITE_ANALYZE: ("schema", "ANALYZE"),
    sqlite3.SQLITE_REINDEX: ("schema", "REINDEX"),
}


_CHANGES = frozenset({"write", "schema", "attach", "transaction"})


class Denial(Struct, frozen=True):
    """What was refused, and by which rule (`sql.write`, `sql.function`, ...)."""

    rule: str
    what: str

    def refuse(self) -> NoReturn:
        """Raises it.

        Raises:
            ToolFailed: QUERY_REFUSED, with `detail["rule"]`.
        """
        hint = "; only reading is possible" if self.rule in _CHANGES else ""
        raise ToolFailed(
            f"the query is refused: {self.what} (rule sql.{self.rule}){hint}",
            code=Code.QUERY_REFUSED,
            retryable=False,
            detail={"rule": f"sql.{self.rule}"},
        )


_SCHEMA_CHANGE = Denial("schema", "changing the schema")
_TABLE_FUNCTION = Denial(
    "table",
    "changing the catalog, or a table function other than json_each and json_tree; "
    "db_schema shows tables and columns",
)


class Authorizer:
    """Says yes or no to each action; `denial` is the first no."""

    def __init__(self, tables: frozenset[str]) -> None:
        self._tables = tables
        self.denial: Denial | None = None

    def __call__(
        self, action: int, first: str | None, second: str | None, schema: str | None, _: str | None
    ) -> int:
        """The callback of `sqlite3.Connection.set_authorizer`."""
        denial = self._judge(action, first or "", second or "")
        if denial is None:
            return sqlite3.SQLITE_OK
        self.denial = self.denial or denial
        return sqlite3.SQLITE_DENY

    def _judge(self, action: int, first: str, second: str) -> Denial | None:
        match action:
            case sqlite3.SQLITE_SELECT | sqlite3.SQLITE_RECURSIVE:
                return None
            case sqlite3.SQLITE_READ:
                # Without a column it is only counted, and may be the name of a CTE.
                known = not second or first.lower() in self._tables
                return None if known else Denial("table", f"reading {first}")
            case sqlite3.SQLITE_FUNCTION:
                known = second.lower() in FUNCTIONS
                return None if known else Denial("function", f"the function {second}()")
            case sqlite3.SQLITE_PRAGMA if first == "data_version" and not second:
                return None  # asked by FTS5 whenever it reads
        if action in _WRITES and first in _CATALOG_TABLES:
            # A table function declares its columns by what looks like an update of the catalog.
            return _TABLE_FUNCTION if action == sqlite3.SQLITE_UPDATE else _SCHEMA_CHANGE
        if action in _WRITES:
            return Denial("write", f"{_WRITES[action]} {first}")
        rule, what = _OTHERS.get(action, ("schema", "changing the schema ({})"))
        return Denial(rule, what.format(first))


class Reader(Struct, frozen=True):
    """A sandboxed connection and who judges its statements."""

    connection: sqlite3.Connection
    authorizer: Authorizer
    deadline: float

    @property
    def is_late(self) -> bool:
        """Whether the time of the query is over."""
        return time.monotonic() >= self.deadline


@contextlib.contextmanager
def open_reader(path: str, limits: Limits) -> Iterator[Reader]:
    """A connection for one untrusted statement; it is closed at the end.

    Raises:
        sqlite3.Error: the file cannot be opened, or is no database.
    """
    with open_plain(path, limits) as connection:
        tables = _warm(connection)
        for limit, value in _ENGINE_LIMITS.items():
            connection.setlimit(limit, value)
        reader = Reader(
            connection, Authorizer(tables), time.monotonic() + limits.timeout.total_seconds()
        )
        connection.set_progress_handler(lambda: reader.is_late, _PROGRESS_STEPS)
        connection.set_authorizer(reader.authorizer)
        yield reader


@contextlib.contextmanager
def open_plain(path: str, limits: Limits) -> Iterator[sqlite3.Connection]:
    """A connection for statements of our own, which cannot write either.

    Raises:
        sqlite3.Error: the file cannot be opened.
    """
    connection = sqlite3.connect(
        f"{Path(path).as_uri()}?mode=ro",
        uri=True,
        timeout=_BUSY_TIMEOUT,
        isolation_level=None,
        cached_statements=0,
    )
    with contextlib.closing(connection):
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute("PRAGMA query_only=1")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute(f"PRAGMA hard_heap_limit={limits.memory:d}")
        yield connection


def _warm(connection: sqlite3.Connection) -> frozenset[str]:
    """The names that may be read; virtual tables are connected while it is still possible.

    Connecting one declares its columns, which the authorizer would see as a write.
    """
    names = {*_CATALOG, *_TABLE_FUNCTIONS}
    for name, sql in connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view')"
    ).fetchall():
        names.add(name.lower())
        if (sql or "").upper().startswith("CREATE VIRTUAL"):
            with contextlib.suppress(sqlite3.Error):  # its module is not here: nobody can read it
                connection.execute(f"SELECT 1 FROM {quoted(name)} LIMIT 0").fetchall()  # noqa: S608
    for function in _TABLE_FUNCTIONS:
        connection.execute(f"SELECT 1 FROM {function}('[]')").fetchall()  # noqa: S608
    return frozenset(names)


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
