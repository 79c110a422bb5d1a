"""Who says yes or no to each action that SQLite compiles, whatever the spelling."""

import sqlite3
from typing import NoReturn

from msgspec import Struct

from stepwell.nldb.limits import refused
from stepwell.nldb.sqlite.functions import FUNCTIONS, HASH

_CATALOG_TABLES = ("sqlite_master", "sqlite_temp_master")
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
