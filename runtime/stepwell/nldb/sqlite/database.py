"""A SQLite file as a database for the tools: all that touches it runs in children."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb.database import SchemaMoved
from stepwell.nldb.guard import Checked
from stepwell.nldb.inspection import Inspection
from stepwell.nldb.limits import Limits, timed_out
from stepwell.nldb.model import Access, Catalog, Dialect
from stepwell.nldb.rows import Rows
from stepwell.tools.modules import Source
from stepwell.tools.port import Begin, ToolFailed
from stepwell.tools.process import ProcessPool

GRACE: Final = timedelta(seconds=0.5)
"""SQLite is asked to stop at the timeout; the child that does not hear is killed this later."""

_LOOKING: Final = Limits(timeout=timedelta(seconds=30))


class SqliteDatabase:
    """One file. `processes` serve SQL alone: SQLite's memory is capped in every child of them."""

    dialect: Dialect = "sqlite"

    def __init__(self, path: Path, processes: ProcessPool) -> None:
        self.path = path
        self._processes = processes

    async def stamp(self) -> str:
        """As `Database.stamp`."""
        stamp = await self.call("stepwell.nldb.catalog.sqlite", "stamp", {}, _LOOKING)
        return msgspec.convert(stamp, str)

    async def catalog(self) -> tuple[str, Catalog]:
        """As `Database.catalog`."""
        told = await self.call("stepwell.nldb.catalog.sqlite", "read", {}, _LOOKING)
        return msgspec.convert(told, tuple[str, Catalog])

    async def read(
        self,
        checked: Checked,
        access: Access,
        limits: Limits,
        *,
        stamp: str,
        begin: Begin | None = None,
    ) -> Rows:
        """As `Database.read`."""
        arguments: dict[str, Json] = {
            "sql": checked.sql,
            "parameters": list(checked.parameters),
            "scales": list(checked.scales),
            "tables": list(checked.tables),
            "stamp": stamp,
            "salt": access.salt,
        }
        told = await self.call("stepwell.nldb.sqlite.query", "query", arguments, limits, begin)
        if told is None:
            raise SchemaMoved
        return msgspec.convert(told, Rows)

    async def call(
        self,
        module: str,
        function: str,
        arguments: dict[str, Any],
        limits: Limits,
        begin: Begin | None = None,
    ) -> Json:
        """Calls a function in a child, with the path and the limits besides its arguments.

        Raises:
            ToolFailed: what the function raises; TOOL_TIMEOUT, its child was killed.
        """
        try:
            return await self._processes.call(
                Source(module),
                function,
                {"path": str(self.path), "limits": msgspec.to_builtins(limits), **arguments},
                timeout=limits.timeout + GRACE,
                begin=begin,
            )
        except ToolFailed as error:
            if error.code is Code.TOOL_TIMEOUT:
                raise timed_out(limits) from error
            raise

    async def inspect(self, writes: Sequence[str] = ()) -> Inspection:
        """As `Database.inspect`: a file has no login, and it is opened to read only."""
        _, catalog = await self.catalog()
        return Inspection(
            dialect="sqlite",
            version=catalog.version,
            login="",
            tables=tuple(catalog.tables),
            fingerprint=catalog.fingerprint,
        )

    async def close(self) -> None:
        """Nothing: the children are not its own."""
