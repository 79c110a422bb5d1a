"""The tools `db_preview_write`, `db_apply` and `db_undo`: a change is shown, approved, made once."""

import asyncio

from stepwell.engine.values import Data, Json
from stepwell.nldb.guard import Refused
from stepwell.nldb.toolkit import DATASOURCE, PARAMETERS, spec
from stepwell.nldb.writes.applying import ApplyTool
from stepwell.nldb.writes.desk import Desk, begun, check_place
from stepwell.nldb.writes.prepare import MOST_ROWS
from stepwell.nldb.writes.preview import PREVIEW, UNDO, Asked
from stepwell.nldb.writes.refusals import refused
from stepwell.nldb.writes.undo import inverse
from stepwell.tools.port import Begin, CallContext, SelfTimed, Tool, ToolSpec


def write_tools(desk: Desk) -> tuple[Tool, ...]:
    """All three."""
    return PreviewTool(desk), ApplyTool(desk), UndoTool(desk)


class PreviewTool(SelfTimed):
    """Shows what a change would do."""

    def __init__(self, desk: Desk) -> None:
        self.spec: ToolSpec = spec(
            PREVIEW,
            "Shows what one INSERT, UPDATE or DELETE of one table would do, row by row, without "
            f"doing it: the SQL as it would run, old and new rows (at most {MOST_ROWS}), triggers "
            "and cascades, and whether it could be undone. Name the columns, and say which rows "
            "with WHERE. db_apply makes it, by the name in `preview`.",
            {
                "datasource": DATASOURCE,
                "sql": {"type": "string", "description": "One INSERT, UPDATE or DELETE."},
                "parameters": PARAMETERS,
            },
            desk.limits,
            required=("datasource", "sql"),
            most_rows=MOST_ROWS,
        )
        self._desk = desk

    async def call(
        self, arguments: dict[str, Json], context: CallContext, *, begin: Begin | None = None
    ) -> Data:
        """Previews it.

        Raises:
            ToolFailed: DATASOURCE_NOT_FOUND, QUERY_REFUSED, QUERY_FAILED or TOOL_TIMEOUT.
        """
        await begun(begin)
        asked = Asked(sql=arguments["sql"], runs=(arguments.get("parameters"),))
        return await self._desk.show(context, arguments["datasource"], asked)


class UndoTool(SelfTimed):
    """Shows what taking a change back would do; `db_apply` makes that."""

    def __init__(self, desk: Desk) -> None:
        self.spec: ToolSpec = spec(
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
            desk.limits,
            required=("apply",),
            most_rows=MOST_ROWS,
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
        await begun(begin)
        desk = self._desk
        shown = await desk.applied(context, arguments["apply"])
        ground = await desk.ground_of(context, shown.datasource)
        check_place(shown, ground)
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
