"""A connection that can only read: what SQLite itself is told to refuse.

The statement is never looked at as text. SQLite asks the authorizer for every action that it
compiles, whatever the spelling, and everything that is not on a list here is refused. The
progress handler ends what runs too long; one long call of a function inside SQLite cannot be
ended so, therefore all of it runs in a child that the daemon kills.
"""

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from stepwell.nldb.limits import Limits, refused
from stepwell.quoting import quoted

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
SHADOWS = frozenset(
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
"""How the tables end in which virtual tables keep their rows: `docs_content` is of `docs`."""

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
HASH = "stepwell_hash"
"""The function of the mask `hash`, which the guard writes and only we define."""


class Denial(Struct, frozen=True):
    """What was refused, and by which rule (`sql.write`, `sql.function`, ...)."""

    rule: str
    what: str

    def refuse(self) -> NoReturn:
        """Raises it.

        Raises:
            ToolFailed: QUERY_REFUSED, with `detail["rule"]`.
        """
        hint = "only reading is possible" if self.rule in _CHANGES else ""
        raise refused(f"sql.{self.rule}", self.what, hint)


_SCHEMA_CHANGE = Denial("schema", "changing the schema")
_TABLE_FUNCTION = Denial(
    "table",
    "changing the catalog, or a table function other than json_each and json_tree; "
    "db_schema shows tables and columns",
)


class Authorizer:
    """Says yes or no to each action; `denial` is the first no.

    `tables` may be read by the statement, and anything by the `views` of the database's owner.
    """

    def __init__(self, tables: frozenset[str], views: frozenset[str]) -> None:
        self._tables = tables
        self._views = views
        self.denial: Denial | None = None

    def __call__(
        self,
        action: int,
        first: str | None,
        second: str | None,
        schema: str | None,
        reader: str | None,
    ) -> int:
        """The callback of `sqlite3.Connection.set_authorizer`."""
        if action == sqlite3.SQLITE_READ and (reader or "").lower() in self._views:
            return sqlite3.SQLITE_OK
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
                known = second.lower() in FUNCTIONS or second == HASH
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
    """A sandboxed connection in a transaction, and who judges its statements.

    `stamp` names the schema that they see.
    """

    connection: sqlite3.Connection
    authorizer: Authorizer
    deadline: float
    stamp: str

    @property
    def is_late(self) -> bool:
        """Whether the time of the query is over."""
        return time.monotonic() >= self.deadline


@contextlib.contextmanager
def open_reader(path: str, tables: Iterable[str], limits: Limits, *, salt: str) -> Iterator[Reader]:
    """A connection for one statement that reads these tables; it is closed at the end.

    `salt` is the key of the mask `hash`.

    Raises:
        sqlite3.Error: the file cannot be opened, or is no database.
    """
    with open_plain(path, limits) as connection:
        connection.execute("BEGIN")
        stamp = stamp_of(connection, path)
        authorizer = Authorizer(*_warm(connection, tables))
        connection.create_function(HASH, 1, hashing(salt), deterministic=True)
        for limit, value in _ENGINE_LIMITS.items():
            connection.setlimit(limit, value)
        deadline = time.monotonic() + limits.timeout.total_seconds()
        reader = Reader(connection, authorizer, deadline, stamp)
        connection.set_progress_handler(lambda: reader.is_late, _PROGRESS_STEPS)
        connection.set_authorizer(authorizer)
        yield reader


def hashing(salt: str) -> Callable[[object], str | None]:
    """What the mask `hash` makes of a value: the same as on PostgreSQL."""

    def hashed(value: object) -> str | None:
        if value is None:
            return None
        data = value if isinstance(value, bytes) else str(value).encode()
        return hashlib.sha256(salt.encode() + data).hexdigest()[:16]

    return hashed


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


def _warm(
    connection: sqlite3.Connection, tables: Iterable[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """What may be read, and the views; virtual tables are connected while it is still possible.

    Connecting one declares its columns, which the authorizer would see as a write.
    """
    allowed = {*_TABLE_FUNCTIONS, *(table.lower() for table in tables)}
    views: set[str] = set()
    for name, kind, sql in connection.execute(
        "SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view')"
    ).fetchall():
        if kind == "view":
            views.add(name.lower())
        if (sql or "").upper().startswith("CREATE VIRTUAL"):
            with contextlib.suppress(sqlite3.Error):  # its module is not here: nobody can read it
                connection.execute(f"SELECT 1 FROM {quoted(name)} LIMIT 0").fetchall()  # noqa: S608
            if name.lower() in allowed:  # it keeps its rows in tables of its own
                allowed |= {f"{name}_{suffix}".lower() for suffix in SHADOWS}
    for function in _TABLE_FUNCTIONS:
        connection.execute(f"SELECT 1 FROM {function}('[]')").fetchall()  # noqa: S608
    return frozenset(allowed), frozenset(views)


def stamp_of(connection: sqlite3.Connection, path: str) -> str:
    """Names the schema that the connection sees: another one has another stamp.

    The file is a part of it, as another database may have been put in its place.
    """
    (version,) = connection.execute("PRAGMA schema_version").fetchone()
    count, size = connection.execute(
        "SELECT count(*), coalesce(sum(length(sql)), 0) FROM sqlite_master"
    ).fetchone()
    status = Path(path).stat()
    return f"{status.st_dev}.{status.st_ino}.{version}.{count}.{size}"
