"""A database that is open for the tools, whatever its engine."""

from collections.abc import Sequence
from typing import Protocol

from stepwell.nldb.guard import Checked
from stepwell.nldb.inspection import Inspection
from stepwell.nldb.limits import Limits
from stepwell.nldb.model import Access, Catalog, Dialect
from stepwell.nldb.rows import Rows
from stepwell.tools.port import Begin


class SchemaMoved(Exception):
    """The schema is another one than the one that the statement was checked against."""


class Database(Protocol):
    """Reads one database, and never writes. `close` gives back what it holds."""

    @property
    def dialect(self) -> Dialect:
        """The dialect of its SQL."""
        ...

    async def stamp(self) -> str:
        """Names the schema as it is now: another one has another stamp.

        Raises:
            ToolFailed: QUERY_FAILED, the database cannot be read.
        """
        ...

    async def catalog(self) -> tuple[str, Catalog]:
        """The stamp, and what there is.

        Raises:
            ToolFailed: QUERY_FAILED, the database cannot be read.
        """
        ...

    async def read(
        self,
        checked: Checked,
        access: Access,
        limits: Limits,
        *,
        stamp: str,
        begin: Begin | None = None,
    ) -> Rows:
        """The rows of a checked statement. `begin` is awaited when nothing but it is missing.

        Raises:
            SchemaMoved: the schema has another stamp than this one; nothing was run.
            ToolFailed: QUERY_REFUSED, QUERY_FAILED or TOOL_TIMEOUT.
            NotBegun: `begin` answered False.
        """
        ...

    async def inspect(self, writes: Sequence[str] = ()) -> Inspection:
        """What it is, and what its login may do too much; rows of `writes` are to be changed.

        Raises:
            InvalidRequest: it is the database in which Stepwell itself keeps its data, or a table
                of `writes` is not there.
            ToolFailed: QUERY_FAILED, the database cannot be read.
        """
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...
