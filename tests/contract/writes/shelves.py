"""A database to change, the three tools on it, and what earlier calls have answered."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from stepwell.engine.values import Data, Json
from stepwell.nldb.database import Database
from stepwell.nldb.limits import Limits
from stepwell.nldb.model import Access, Catalog, TableAccess
from stepwell.nldb.sqlite.database import SqliteDatabase
from stepwell.nldb.writes.cells import to_json
from stepwell.nldb.writes.desk import Desk as WriteDesk
from stepwell.nldb.writes.grounds import writer_of
from stepwell.nldb.writes.port import Ground, Writer
from stepwell.nldb.writes.tools import write_tools
from stepwell.tools.invoke import invoke
from stepwell.tools.port import CallContext
from stepwell.tools.process import ProcessPool

SHOP = """
CREATE TABLE shelves (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, room TEXT);
CREATE TABLE goods (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL, stock INTEGER NOT NULL DEFAULT 0,
    shelf INTEGER REFERENCES shelves (id) ON DELETE CASCADE, picture BLOB, tenant INTEGER DEFAULT 1
);
CREATE TABLE marks (good INTEGER, word TEXT, n INTEGER, PRIMARY KEY (good, word)) WITHOUT ROWID;
CREATE TABLE loose (a TEXT, b TEXT);
CREATE TABLE journal (id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT, at TEXT DEFAULT CURRENT_TIMESTAMP);
INSERT INTO shelves VALUES (1, 'top', 'A'), (2, 'low', 'A'), (3, 'dusty', 'B');
INSERT INTO goods VALUES
    (1, 'Lamp', 30.5, 4, 1, x'00ff', 1), (2, 'Chair', 60.25, 0, 1, NULL, 1), (3, 'Mug', 5, 12, 2, NULL, 1),
    (4, 'Pan', NULL, 7, 2, x'', 1), (5, 'Secret', 1, 1, 3, NULL, 2);
INSERT INTO marks VALUES (1, 'new', 1), (1, 'red', 2), (2, 'new', 3);
"""


class Clock:
    """Always the same moment."""

    def now(self) -> int:
        """2026-01-02 03:04:05."""
        return 1_767_323_045_000_000


class Answers:
    """What calls have answered, as `Results`."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, str], tuple[str, Json]] = {}

    async def find(
        self, namespace: str, principal: str, key: str, tools: frozenset[str]
    ) -> Data | None:
        """The answer of a call of one of these tools."""
        tool, value = self.kept.get((namespace, principal, key), ("", None))
        return Data(value) if tool in tools else None


class Desk(ABC):
    """Calls tools on a database. `access` may be replaced, `writer` as well."""

    def __init__(self, database: Database, **limits: Any) -> None:
        self.answers = Answers()
        self.database = database
        self.writer: Writer = writer_of(database)
        self.access: Callable[[Catalog], Access] = all_may_be_written
        self.principal = "agent:local"
        self._calls = 0
        desk = WriteDesk(self.ground, self.answers, clock=Clock(), limits=Limits(**limits))
        self.tools = {tool.spec.name: tool for tool in write_tools(desk)}

    async def ground(self, context: CallContext, name: str) -> Ground:
        """The datasource as it is now."""
        stamp, found = await self.database.catalog()
        return Ground(self.writer, stamp, found, self.access(found))

    @abstractmethod
    def rows(self, sql: str) -> list[Any]:
        """Rows of the database, read by another connection."""

    @abstractmethod
    def run(self, script: str) -> None:
        """Somebody else changes the database."""

    @abstractmethod
    def trigger(self, name: str, when: str, body: str) -> None:
        """Makes a trigger of `goods`."""

    @abstractmethod
    def cells(self, table: str, columns: list[str]) -> list[dict[str, Json]]:
        """All rows of a table, as a preview writes them."""

    @abstractmethod
    def dump(self) -> list[str]:
        """All of the database but our own table."""

    async def call(self, tool: str, *, key: str = "", **arguments: Any) -> Any:
        """Calls a tool as a run of its own, or with the key of an earlier call."""
        self._calls += 1
        key = key or f"run{self._calls}/call"
        context = CallContext(
            namespace="default",
            principal=self.principal,
            run=key.partition("/")[0],
            step="call",
            attempt=1,
            key=key,
        )
        result = await invoke(self.tools[tool], arguments, context)
        assert result.sealed == "datasource:shop"
        told = msgspec.json.decode(msgspec.json.encode(result.value))
        self.answers.kept["default", self.principal, key] = (tool, told)
        return told

    async def preview(self, sql: str, **more: Any) -> Any:
        """Previews a statement."""
        return await self.call("db_preview_write", datasource="shop", sql=sql, **more)

    async def apply(self, preview: Any, *, key: str = "") -> Any:
        """Applies a preview."""
        return await self.call("db_apply", preview=preview["preview"], key=key)

    async def undo(self, applied: Any) -> Any:
        """Previews the inverse."""
        return await self.call("db_undo", apply=applied["preview"])


class SqliteDesk(Desk):
    """A desk of a SQLite file."""

    def __init__(self, path: Path, processes: ProcessPool, **limits: Any) -> None:
        super().__init__(SqliteDatabase(path, processes), **limits)
        self.path = path

    def rows(self, sql: str) -> list[Any]:
        """Rows of the database, read by another connection."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql).fetchall()

    def run(self, script: str) -> None:
        """Somebody else changes the database."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(script)

    def cells(self, table: str, columns: list[str]) -> list[dict[str, Json]]:
        """All rows of a table, as a preview writes them."""
        return [
            {name: to_json(cell) for name, cell in zip(columns, row, strict=True)}
            for row in self.rows(f"SELECT {', '.join(columns)} FROM {table}")
        ]

    def trigger(self, name: str, when: str, body: str) -> None:
        """Makes a trigger of `goods`."""
        self.run(
            f"DROP TRIGGER IF EXISTS {name}; CREATE TRIGGER {name} {when} ON goods BEGIN {body} END;"
        )

    def dump(self) -> list[str]:
        """All of the database but our own table."""
        with closing(sqlite3.connect(self.path)) as connection:
            return [line for line in connection.iterdump() if "_stepwell_applied" not in line]


def all_may_be_written(found: Catalog) -> Access:
    """Everything is open."""
    every = TableAccess(insert=True, update=True, delete=True)
    return Access(tables=dict.fromkeys(found.tables, every), policy="p1", salt="salt")


def tenant_one(found: Catalog) -> Access:
    """Goods of tenant 1 only; their picture is hidden, and nothing else may be written."""
    tables = dict.fromkeys(found.tables, TableAccess())
    tables["goods"] = TableAccess(
        columns=("id", "name", "price", "stock", "shelf", "tenant"),
        masks={"price": "null"},
        rows="tenant = 1",
        insert=True,
        update=True,
        delete=True,
        writable=("id", "name", "stock", "shelf", "tenant"),
    )
    return Access(tables=tables, policy="p2", salt="pepper")
