"""What the tools that change databases have in common: earlier previews, and how one is made."""

import asyncio
from typing import Final

import msgspec

from stepwell.clock import Clock
from stepwell.engine.values import Data, Json
from stepwell.errors import Code, KeyDestroyed
from stepwell.nldb.guard import Refused
from stepwell.nldb.limits import Limits
from stepwell.nldb.results import Results
from stepwell.nldb.toolkit import sealed
from stepwell.nldb.writes.job import Application
from stepwell.nldb.writes.port import Ground, GroundOf
from stepwell.nldb.writes.prepare import Prepared, prepared
from stepwell.nldb.writes.preview import (
    APPLY,
    PREVIEWS,
    ApplyAnswer,
    Asked,
    Preview,
    found_in,
    key_of,
    to_json,
)
from stepwell.nldb.writes.refusals import gone, refused, stale
from stepwell.nldb.writes.shown import preview_of
from stepwell.nldb.writes.undo import outlook
from stepwell.tools.port import Begin, CallContext, NotBegun, ToolFailed

MOST_MOVES: Final = 3
"""How often a change is checked again because the schema has changed under it."""


class Desk:
    """What the three have in common."""

    def __init__(
        self,
        ground_of: GroundOf,
        results: Results,
        *,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        self.ground_of = ground_of
        self.clock = clock
        self.limits = limits or Limits()
        self._results = results

    async def preview(self, context: CallContext, name: str) -> Preview:
        """An earlier preview of the same principal.

        Raises:
            ToolFailed: PREVIEW_NOT_FOUND.
        """
        key, _ = key_of(name)
        preview = found_in(await self._find(context, key, PREVIEWS), name)
        if preview is None:
            raise gone("preview", name)
        return preview

    async def applied(self, context: CallContext, name: str) -> Preview:
        """The preview that a call of `db_apply` has made, by the name of either.

        Raises:
            ToolFailed: PREVIEW_NOT_FOUND.
        """
        key, _ = key_of(name)
        told = await self._find(context, key, frozenset({APPLY}))
        if told is None:
            return await self.preview(context, name)
        return await self.preview(context, msgspec.convert(told, ApplyAnswer).preview)

    async def __call__(
        self, context: CallContext, datasource: str, sql: str, parameters: dict[str, Json]
    ) -> Json:
        """The preview of a statement as the answer of another tool, which has the same name then.

        Raises:
            ToolFailed: it cannot be shown.
        """
        asked = Asked(sql=sql, runs=(parameters or None,))
        return (await self.show(context, datasource, asked)).value

    async def show(
        self,
        context: CallContext,
        datasource: str,
        asked: Asked,
        *,
        expects: str = "",
        undoes: str = "",
    ) -> Data:
        """The preview of a change, as a result."""
        for _ in range(MOST_MOVES):
            ground = await self.ground_of(context, datasource)
            ready = await self.ready(asked, ground, expects=expects)
            outcome = await ground.writer.change(ready.job, self.limits)
            if outcome.done is None:
                continue
            shown = preview_of(
                context.key, datasource, asked, ready, outcome.done, ground, undoes=undoes
            )
            undo = await asyncio.to_thread(outlook, shown, ground.catalog, ground.access)
            return sealed(datasource, to_json(msgspec.structs.replace(shown, undo=undo)))
        raise moving()

    async def ready(
        self,
        asked: Asked,
        ground: Ground,
        *,
        expects: str = "",
        application: Application | None = None,
    ) -> Prepared:
        """A change that the guard lets pass. Off the loop: a long statement takes its time.

        Raises:
            ToolFailed: QUERY_REFUSED.
        """
        try:
            return await asyncio.to_thread(
                prepared,
                asked,
                ground.catalog,
                ground.access,
                stamp=ground.stamp,
                place=ground.place,
                expects=expects,
                application=application,
            )
        except Refused as error:
            raise refused(error.rule, error.message, error.hint) from error

    async def _find(self, context: CallContext, key: str, tools: frozenset[str]) -> Json:
        try:
            told = await self._results.find(context.namespace, context.principal, key, tools)
        except KeyDestroyed:
            return None
        return told.value if told is not None else None


async def begun(begin: Begin | None) -> None:
    """Begins the call, before anything happens.

    Raises:
        NotBegun: it may not begin any more.
    """
    if begin is not None and not await begin():
        raise NotBegun


def moving() -> ToolFailed:
    """The schema is never the one that the statement was checked against."""
    return ToolFailed(
        "the schema of the datasource keeps changing; nothing was written",
        code=Code.QUERY_FAILED,
        retryable=True,
    )


def check_place(shown: Preview, ground: Ground) -> None:
    """Else a change that was seen in one database would be made in another one.

    Raises:
        ToolFailed: PREVIEW_STALE.
    """
    if ground.place != shown.place:
        raise stale(f"{shown.datasource} has come to be another database")
