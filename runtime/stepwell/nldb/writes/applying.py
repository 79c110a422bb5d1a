"""The tool `db_apply`: a change that was previewed is made, once."""

from typing import Final

import msgspec

from stepwell.engine.instants import instant_text
from stepwell.engine.values import Data, Json
from stepwell.errors import Code
from stepwell.nldb.toolkit import sealed, spec
from stepwell.nldb.writes.desk import MOST_MOVES, Desk, begun, check_place, moving
from stepwell.nldb.writes.digests import place_of
from stepwell.nldb.writes.job import Application, Applied, Outcome
from stepwell.nldb.writes.port import Ground
from stepwell.nldb.writes.prepare import MOST_ROWS, Prepared
from stepwell.nldb.writes.preview import (
    APPLY,
    ApplyAnswer,
    Preview,
)
from stepwell.nldb.writes.refusals import stale
from stepwell.tools.port import Begin, CallContext, Foresees, SelfTimed, ToolFailed, ToolSpec

_SETTLED: Final = frozenset({Code.QUERY_REFUSED, Code.PREVIEW_STALE})
"""Failures after which nothing was written for certain."""


class ApplyTool(SelfTimed, Foresees):
    """Makes a change that was previewed, if everything is as it was then, and once."""

    def __init__(self, desk: Desk) -> None:
        self.spec: ToolSpec = msgspec.structs.replace(
            spec(
                APPLY,
                "Makes the change of a preview, once, if the rows, the schema, the policy and the "
                "SQL are still what was previewed; else it answers PREVIEW_STALE and changes "
                "nothing. A person may be asked first, and sees the rows. To call it again is "
                "safe: it answers what was done.",
                {"preview": {"type": "string", "description": "The name of the preview."}},
                desk.limits,
                required=("preview",),
                read_only=False,
                most_rows=MOST_ROWS,
            ),
            destructive=True,
            keyed=True,
        )
        self._desk = desk

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """Applies it.

        Raises:
            ToolFailed: PREVIEW_NOT_FOUND, PREVIEW_STALE, QUERY_REFUSED, QUERY_FAILED or
                TOOL_TIMEOUT.
        """
        await begun(begin)
        shown = await self._desk.preview(context, arguments["preview"])
        for _ in range(MOST_MOVES):
            ground = await self._desk.ground_of(context, shown.datasource)
            check_place(shown, ground)
            found = await self._look(context, ground, shown)
            if found is not None:
                return _answer(shown, found, is_repeated=True)
            _check_fresh(shown, ground)
            ready = await self._ready(context, ground, shown)
            outcome = await self._change(context, ground, shown, ready)
            if outcome.applied is not None:
                return _answer(shown, outcome.applied, is_repeated=outcome.done is None)
        raise moving()

    async def foresee(self, arguments: dict[str, Json], context: CallContext) -> None:
        """Looks whether there is such a preview, and whether it is still one of what is there.

        Raises:
            ToolFailed: PREVIEW_NOT_FOUND, PREVIEW_STALE, or the datasource is not there.
        """
        shown = await self._desk.preview(context, arguments["preview"])
        ground = await self._desk.ground_of(context, shown.datasource)
        check_place(shown, ground)
        if await self._look(context, ground, shown) is None:
            _check_fresh(shown, ground)

    async def _ready(self, context: CallContext, ground: Ground, shown: Preview) -> Prepared:
        wanted = Application(
            key=context.key,
            preview=shown.preview,
            digest=shown.digest,
            result=shown.result,
            at=instant_text(self._desk.clock.now()),
        )
        ready = await self._desk.ready(shown.asked, ground, application=wanted)
        if ready.checked.told != shown.sql:
            raise stale("the SQL that would run has changed")
        return ready

    async def _change(
        self, context: CallContext, ground: Ground, shown: Preview, ready: Prepared
    ) -> Outcome:
        """Makes it. What was lost at its very end is found out."""
        try:
            return await ground.writer.change(ready.job, self._desk.limits)
        except ToolFailed as error:
            if error.code in _SETTLED:
                raise
            try:
                found = await self._look(context, ground, shown, settles=True)
            except ToolFailed as lost:
                raise ToolFailed(
                    "the datasource was lost while the change was made, and does not answer: call "
                    "db_apply with the same preview again once it is back; it makes the change at "
                    "most once, and answers what was done",
                    code=Code.QUERY_FAILED,
                    retryable=True,
                ) from lost
            if found is None:
                raise
            return Outcome(applied=found)

    async def _look(
        self, context: CallContext, ground: Ground, shown: Preview, *, settles: bool = False
    ) -> Applied | None:
        outcome = await ground.writer.look(
            ground.catalog.default_schema,
            context.key,
            shown.preview,
            self._desk.limits,
            settles=settles,
        )
        return outcome.applied


def _check_fresh(shown: Preview, ground: Ground) -> None:
    if ground.catalog.fingerprint != shown.schema:
        raise stale("the schema of the datasource has changed")
    if not ground.access.digest.startswith(shown.policy):
        raise stale("what you may do in the datasource has changed")


def _answer(shown: Preview, applied: Applied, *, is_repeated: bool) -> Data:
    names = list(shown.changes[0].key) if shown.changes else []
    keys = sorted(applied.keys, key=place_of)
    told = ApplyAnswer(
        preview=shown.preview,
        datasource=shown.datasource,
        kind=shown.kind,
        table=shown.table,
        rows=shown.rows,
        keys=[dict(zip(names, key, strict=True)) for key in keys],
        at=applied.at,
        repeated=is_repeated,
        undo=msgspec.to_builtins(shown.undo),
    )
    return sealed(shown.datasource, msgspec.to_builtins(told))
