"""A datasource whose every change leaves a line in a journal, and that can be held at a moment.

Each change has a number, and rows of its own: by number one of three is an UPDATE, the next an INSERT,
the third a DELETE. The lines are written by triggers, so what is made twice stands there twice.
"""

import sqlite3
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import psycopg
from tests.e2e.daemon import until

APPLIED: Final = "_stepwell_applied"
TABLES: Final = ("counters", "things", "marks")
KINDS: Final = ("update", "insert", "delete")

_SQLITE: Final = """
CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, note TEXT);
CREATE TABLE things (id INTEGER PRIMARY KEY, tag TEXT);
CREATE TABLE marks (id INTEGER PRIMARY KEY, change INTEGER, data BLOB);
CREATE TABLE journal (id INTEGER PRIMARY KEY, what TEXT);
CREATE TRIGGER a AFTER UPDATE ON counters BEGIN
    INSERT INTO journal (what) VALUES ('update ' || new.id); END;
CREATE TRIGGER b AFTER INSERT ON things BEGIN
    INSERT INTO journal (what) VALUES ('insert ' || new.tag); END;
CREATE TRIGGER c AFTER DELETE ON things BEGIN
    INSERT INTO journal (what) VALUES ('delete ' || old.tag); END;
CREATE TRIGGER d AFTER DELETE ON marks BEGIN
    INSERT INTO journal (what) VALUES ('delete ' || old.id); END;
CREATE TRIGGER e AFTER INSERT ON marks BEGIN
    INSERT INTO journal (what) VALUES ('insert ' || new.id); END;
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1999)
INSERT INTO counters SELECT n, n % 7, 'note ' || n FROM numbers;
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1999)
INSERT INTO marks SELECT n, n / 2, x'00ff' FROM numbers;
DELETE FROM journal;
"""
_POSTGRES: Final = """
CREATE TABLE counters (id integer PRIMARY KEY, n integer NOT NULL, note text);
CREATE TABLE things (id serial PRIMARY KEY, tag text);
CREATE TABLE marks (id integer PRIMARY KEY, change integer, data bytea);
CREATE TABLE journal (id bigserial PRIMARY KEY, what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE met jsonb := to_jsonb(coalesce(NEW, OLD)); BEGIN
    INSERT INTO public.journal (what)
    VALUES (lower(TG_OP) || ' ' || coalesce(met->>'tag', met->>'id')); RETURN NULL;
END $$;
INSERT INTO counters SELECT n, n % 7, 'note ' || n FROM generate_series(0, 1999) n;
INSERT INTO marks SELECT n, n / 2, '\\x00ff' FROM generate_series(0, 1999) n;
CREATE TRIGGER a AFTER UPDATE ON counters FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER b AFTER INSERT OR DELETE ON things FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER c AFTER INSERT OR DELETE ON marks FOR EACH ROW EXECUTE FUNCTION note();
"""


class Shop(ABC):
    """The database of a datasource, as a test sees it from outside."""

    url: str
    points: Sequence[str]
    """Where a daemon may be killed: see `test_changes`."""

    @abstractmethod
    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of it."""

    @abstractmethod
    def held(self, *tables: str) -> Any:
        """Lets nobody write into these tables, from the moment that somebody waits for it."""

    def digest(self) -> list[tuple[Any, ...]]:
        """All rows of the tables that change."""
        return [row for name in TABLES for row in self.rows(f"SELECT * FROM {name} ORDER BY id")]

    def journal(self) -> Counter[str]:
        """How often each row was written."""
        return Counter(what for (what,) in self.rows("SELECT what FROM journal"))

    def applied(self) -> Counter[str]:
        """How often each preview was applied."""
        return Counter(name for (name,) in self.rows(f"SELECT preview FROM {APPLIED}"))

    def has_applied(self) -> bool:
        """Whether anything was applied."""
        return bool(self.rows(self._tables_named(APPLIED)))

    @abstractmethod
    def _tables_named(self, name: str) -> str:
        """Asks whether there is a table."""


class SqliteShop(Shop):
    """A file."""

    points = ("anywhere", "held", "released")

    def __init__(self, path: Path) -> None:
        self._path = path
        self.url = f"sqlite:///{path}"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(_SQLITE)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of it."""
        with closing(sqlite3.connect(self._path, timeout=30)) as connection:
            return connection.execute(sql).fetchall()

    @asynccontextmanager
    async def held(self, *tables: str) -> AsyncIterator[None]:
        """Nobody may write. Who waits cannot be seen from outside."""
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")

    def _tables_named(self, name: str) -> str:
        return f"SELECT 1 FROM sqlite_master WHERE name = '{name}'"


class PostgresShop(Shop):
    """A database of a server."""

    points = ("anywhere", "held", "released", "keeping", "kept")

    def __init__(self, url: str) -> None:
        self.url = url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_POSTGRES.encode())

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of it."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(sql.encode()).fetchall()

    @asynccontextmanager
    async def held(self, *tables: str) -> AsyncIterator[None]:
        """Nobody may write into these tables, and somebody waits for it."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("BEGIN")
            connection.execute(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE".encode())
            await until(lambda: self._is_awaited(connection), "somebody to wait for the lock")
            yield
            connection.execute("ROLLBACK")

    def _is_awaited(self, connection: "psycopg.Connection[Any]") -> bool:
        waiting = (
            "SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            "WHERE NOT l.granted AND l.locktype = 'relation' AND d.datname = current_database()"
        )
        return bool(connection.execute(waiting).fetchall())

    def _tables_named(self, name: str) -> str:
        return f"SELECT 1 FROM pg_class WHERE relname = '{name}'"
