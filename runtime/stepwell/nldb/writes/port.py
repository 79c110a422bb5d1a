"""What a change needs of the world: a datasource as one principal sees it."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from msgspec import Struct

from stepwell.nldb.limits import Limits
from stepwell.nldb.model import Access, Catalog
from stepwell.nldb.writes.job import Job, Outcome
from stepwell.tools.port import CallContext


class Writer(Protocol):
    """Runs changes in one database, whatever its engine."""

    async def change(self, job: Job, limits: Limits) -> Outcome:
        """Makes a change in a transaction of its own, or previews it and rolls it back.

        Raises:
            ToolFailed: QUERY_REFUSED, QUERY_FAILED, PREVIEW_STALE or TOOL_TIMEOUT. Nothing was
                written then, unless the end of the transaction itself was lost: `look` tells.
        """
        ...

    async def look(
        self, schema: str, key: str, preview: str, limits: Limits, *, settles: bool = False
    ) -> Outcome:
        """Whether a preview is applied, by the call with this key or another.

        With `settles` it waits for a transaction that is applying it right now.

        Raises:
            ToolFailed: QUERY_FAILED or TOOL_TIMEOUT.
        """
        ...


class Ground(Struct, frozen=True):
    """A datasource as one principal sees it, and the stamp of its schema."""

    writer: Writer
    stamp: str
    catalog: Catalog
    access: Access
    place: str = ""
    """Names the database, whatever the datasource is called."""


GroundOf: TypeAlias = Callable[[CallContext, str], Awaitable[Ground]]
"""The datasource of this name for whoever calls, as it is now.

Raises:
    NotFound: DATASOURCE_NOT_FOUND.
    ToolFailed: QUERY_FAILED, it cannot be read.
"""
