"""A connection that can only read: what SQLite itself is told to refuse.

The statement is never looked at as text. SQLite asks the authorizer for every action that it
compiles, whatever the spelling, and everything that is not on a list here is refused. The
progress handler ends what runs too long; one long call of a function inside SQLite cannot be
ended so, therefore all of it runs in a child that the daemon kills.
"""

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from stepwell.nldb.limits import Limits, failed
from stepwell.nldb.sqlite.authorizer import Authorizer
from stepwell.nldb.sqlite.connection import bounded, connected, ends_in_time
from stepwell.nldb.sqlite.functions import HASH, hashing
from stepwell.quoting import quoted

_LIMITS = {sqlite3.SQLITE_LIMIT_LENGTH: 1_000_000, sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1}
"""Besides those of every connection."""

_TABLE_FUNCTIONS = ("json_each", "json_tree")
SHADOWS = frozenset(
    {
        *("content", "docsize", "config", "data", "idx", "segments", "segdir", "stat"),
        *("node", "parent", "rowid"),
    }
)
"""How the tables end in which virtual tables keep their rows: `docs_content` is of `docs`."""

OWN_TABLE = "stepwell_schema"
"""The table that every database of Stepwell's own has."""


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
        bounded(connection, _LIMITS)
        reader = Reader(connection, authorizer, ends_in_time(connection, limits), stamp)
        connection.set_authorizer(authorizer)
        yield reader


@contextlib.contextmanager
def open_plain(path: str, limits: Limits) -> Iterator[sqlite3.Connection]:
    """A connection for statements of our own, which cannot write either.

    Raises:
        sqlite3.Error: the file cannot be opened.
    """
    with connected(path, "ro", limits) as connection:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute("PRAGMA query_only=1")
        connection.execute("PRAGMA temp_store=MEMORY")
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

    Raises:
        ToolFailed: QUERY_FAILED, it is a database in which Stepwell itself keeps its data.
    """
    refuse_own(connection)
    (version,) = connection.execute("PRAGMA schema_version").fetchone()
    count, size = connection.execute(
        "SELECT count(*), coalesce(sum(length(sql)), 0) FROM sqlite_master"
    ).fetchone()
    status = Path(path).stat()
    return f"{status.st_dev}.{status.st_ino}.{version}.{count}.{size}"


def refuse_own(connection: sqlite3.Connection) -> None:
    """Refuses what Stepwell itself keeps its data in, by what stands in it.

    Whoever may write to the folder of a datasource may put a link in its place at any time, so that
    looking at paths is not enough.

    Raises:
        ToolFailed: QUERY_FAILED.
    """
    sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    if connection.execute(sql, (OWN_TABLE,)).fetchone() is not None:
        raise failed("Stepwell itself keeps its data in that file, and nobody may query it")


def reason_of(error: BaseException) -> str:
    """What SQLite says is wrong with a database, without the names that it says it of."""
    return re.split(r" \(|: | - ", str(error))[0]
