"""The tools `db_preview_write`, `db_apply` and `db_undo`: a change is shown, approved, made once."""

import asyncio
from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from stepwell.clock import Clock
from stepwell.engine.instants import instant_text
from stepwell.engine.values import Data, Json
from stepwell.errors import Code, KeyDestroyed
from stepwell.nldb.guard import Refused
from stepwell.nldb.limits import Limits
from stepwell.nldb.results import Results
from stepwell.nldb.writes.job import Application, Applied, Outcome
from stepwell.nldb.writes.port import Ground, GroundOf
from stepwell.nldb.writes.prepare import MOST_ROWS, Prepared, prepared
from stepwell.nldb.writes.preview import (
    APPLY,
    PREVIEW,
    PREVIEWS,
    UNDO,
    Asked,
    Preview,
    found_in,
    key_of,
    to_json,
)
from stepwell.nldb.writes.refusals import gone, refused, stale
from stepwell.nldb.writes.shown import preview_of
from stepwell.nldb.writes.undo import inverse, outlook
from stepwell.tools.port import Begin, CallContext, NotBegun, SelfTimed, Tool, ToolFailed, ToolSpec

MOST_MOVES: Final = 3
_SETTLED: Final = frozenset({Code.QUERY_REFUSED, Code.PREVIEW_STALE})
"""Failures after which nothing was written for certain."""

_SCALAR: Final = {"type": ["string", "number", "boolean", "null"]}
_PARAMETERS: Final = {
    "description": "The values of its parameters: a list for $1, $2, an object for :name.",
    "anyOf": [
        {"type": "array", "items": _SCALAR},
        {"type": "object", "additionalProperties": _SCALAR},
    ],
}


class ApplyAnswer(Struct, frozen=True, kw_only=True):
    """What `db_apply` answers."""

    preview: str
    datasource: str
    kind: str
    table: str
    rows: int
    keys: list[dict[str, Json]]
    """Of the rows that it has left, or deleted."""
    at: str
    repeated: bool
    """Whether it had been made before, so that nothing was done now."""
    undo: dict[str, Json]


def write_tools(desk: "Desk") -> tuple[Tool, ...]:
    """All three."""
    return PreviewTool(desk), ApplyTool(desk), UndoTool(desk)


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
                context.key, datasource, asked, ready, outcome.done, ground.access, undoes=undoes
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


class PreviewTool(SelfTimed):
    """Shows what a change would do."""

    def __init__(self, desk: Desk) -> None:
        self.spec: ToolSpec = _spec(
            PREVIEW,
            "Shows what one INSERT, UPDATE or DELETE of one table would do, row by row, without "
            f"doing it: the SQL as it would run, old and new rows (at most {MOST_ROWS}), triggers "
            "and cascades, and whether it could be undone. Name the columns, and say which rows "
            "with WHERE. db_apply makes it, by the name in `preview`.",
            {
                "datasource": {"type": "string", "description": "The name of the datasource."},
                "sql": {"type": "string", "description": "One INSERT, UPDATE or DELETE."},
                "parameters": _PARAMETERS,
            },
            ["datasource", "sql"],
            desk.limits,
            read_only=True,
        )
        self._desk = desk

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """Previews it.

        Raises:
            ToolFailed: DATASOURCE_NOT_FOUND, QUERY_REFUSED, QUERY_FAILED or TOOL_TIMEOUT.
        """
        await _begin(begin)
        asked = Asked(sql=arguments["sql"], runs=(arguments.get("parameters"),))
        return await self._desk.show(context, arguments["datasource"], asked)


class ApplyTool(SelfTimed):
    """Makes a change that was previewed, if everything is as it was then, and once."""

    def __init__(self, desk: Desk) -> None:
        self.spec: ToolSpec = msgspec.structs.replace(
            _spec(
                APPLY,
                "Makes the change of a preview, once, if the rows, the schema, the policy and the "
                "SQL are still what was previewed; else it answers PREVIEW_STALE and changes "
                "nothing. A person may be asked first, and sees the rows. To call it again is "
                "safe: it answers what was done.",
                {"preview": {"type": "string", "description": "The name of the preview."}},
                ["preview"],
                desk.limits,
                read_only=False,
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
        await _begin(begin)
        shown = await self._desk.preview(context, arguments["preview"])
        for _ in range(MOST_MOVES):
            ground = await self._desk.ground_of(context, shown.datasource)
            found = await self._look(context, ground, shown)
            if found is not None:
                return _answer(shown, found, is_repeated=True)
            _check_fresh(shown, ground)
            ready = await self._ready(context, ground, shown)
            outcome = await self._change(context, ground, shown, ready)
            if outcome.applied is not None:
                return _answer(shown, outcome.applied, is_repeated=True)
            if outcome.done is not None:
                made = await self._look(context, ground, shown)
                assert made is not None, "it is written in the same transaction"
                return _answer(shown, made, is_repeated=False)
        raise moving()

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


class UndoTool(SelfTimed):
    """Shows what taking a change back would do; `db_apply` makes that."""

    def __init__(self, desk: Desk) -> None:
        self.spec: ToolSpec = _spec(
            UNDO,
            "Shows what it would take to undo a change that db_apply has made, as a preview: "
            "nothing is undone until db_apply is called with the name in `preview`. It is refused "
            "when the rows have changed since.",
            {
                "apply": {
                    "type": "string",
                    "description": "The preview that was applied, or the run that applied it.",
                }
            },
            ["apply"],
            desk.limits,
            read_only=True,
        )
        self._desk = desk

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """Previews the inverse.

        Raises:
            ToolFailed: PREVIEW_NOT_FOUND, PREVIEW_STALE, QUERY_REFUSED, QUERY_FAILED or
                TOOL_TIMEOUT.
        """
        await _begin(begin)
        desk = self._desk
        shown = await desk.applied(context, arguments["apply"])
        ground = await desk.ground_of(context, shown.datasource)
        schema = ground.catalog.default_schema
        found = (await ground.writer.look(schema, "", shown.preview, desk.limits)).applied
        if found is None:
            raise refused(
                "write.undo",
                "this change was not made",
                "there is nothing to undo; db_apply makes a change",
            )
        try:
            asked = await asyncio.to_thread(
                inverse, shown, ground.catalog, ground.access, keys=found.keys
            )
        except Refused as error:
            raise refused(error.rule, error.message, error.hint) from error
        expects = "" if shown.kind == "delete" else found.state
        return await desk.show(
            context, shown.datasource, asked, expects=expects, undoes=shown.preview
        )


def sealed(datasource: str, value: Json) -> Data:
    """A result that holds rows."""
    return Data(value, sealed=f"datasource:{datasource}")


def moving() -> ToolFailed:
    """The schema is never the one that the statement was checked against."""
    return ToolFailed(
        "the schema of the datasource keeps changing; nothing was written",
        code=Code.QUERY_FAILED,
        retryable=True,
    )


def _check_fresh(shown: Preview, ground: Ground) -> None:
    if ground.catalog.fingerprint != shown.schema:
        raise stale("the schema of the datasource has changed")
    if not ground.access.digest.startswith(shown.policy):
        raise stale("what you may do in the datasource has changed")


def _answer(shown: Preview, applied: Applied, *, is_repeated: bool) -> Data:
    names = list(shown.changes[0].key) if shown.changes else []
    told = ApplyAnswer(
        preview=shown.preview,
        datasource=shown.datasource,
        kind=shown.kind,
        table=shown.table,
        rows=shown.rows,
        keys=[dict(zip(names, key, strict=True)) for key in applied.keys],
        at=applied.at,
        repeated=is_repeated,
        undo=msgspec.to_builtins(shown.undo),
    )
    return sealed(shown.datasource, msgspec.to_builtins(told))


async def _begin(begin: Begin | None) -> None:
    if begin is not None and not await begin():
        raise NotBegun


def _spec(
    name: str,
    description: str,
    properties: dict[str, Any],
    required: list[str],
    limits: Limits,
    *,
    read_only: bool,
) -> ToolSpec:
    return ToolSpec(
        name=name,
        description=description,
        input_schema={
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
        output_schema={"type": "object"},
        read_only=read_only,
        idempotent=read_only,
        timeout=limits.timeout // timedelta(microseconds=1),
        kind="sql",
        most_rows=MOST_ROWS,
    )
