"""Runs what a question means: a query for its rows, a change for its preview.

Every statement, whoever wrote it, passes the guard with the access of whoever asks.
"""

import time
from datetime import timedelta
from typing import Final, Protocol

import msgspec
from msgspec import UNSET, Struct, UnsetType

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb.ask.meant import Meant
from stepwell.nldb.ask.outcomes import Answer, CannotAnswer, Change, Explained, Statement
from stepwell.nldb.ask.telling import Log
from stepwell.nldb.databases import Databases, View
from stepwell.nldb.guard import Checked, Refused, check_write
from stepwell.nldb.limits import Limits
from stepwell.nldb.link.values import ValueIndex
from stepwell.nldb.link.words import words_of
from stepwell.nldb.rows import Rows
from stepwell.tools.port import CallContext, ToolFailed

SHOW: Final = "db_preview_write with this SQL shows the rows, and db_apply makes the change"
APPLY: Final = "db_apply with this preview makes the change"


class Preview(Protocol):
    """Shows what a change would do, and does nothing."""

    async def __call__(
        self, context: CallContext, datasource: str, sql: str, parameters: dict[str, Json]
    ) -> Json:
        """The old and the new rows.

        Raises:
            ToolFailed: it cannot be shown.
        """
        ...


class Ran(Struct, frozen=True):
    """A query with its rows."""

    meant: Meant
    checked: Checked
    rows: Rows


class Running:
    """Runs the statements of one question on its datasource."""

    def __init__(
        self,
        databases: Databases,
        limits: Limits,
        preview: Preview | None,
        *,
        datasource: str,
        context: CallContext,
        log: Log,
    ) -> None:
        """Without `preview` a change is answered with its SQL only."""
        self._databases = databases
        self._limits = limits
        self._preview = preview
        self._datasource = datasource
        self._context = context
        self._log = log

    async def read(self, meant: Meant) -> Ran | CannotAnswer:
        """The rows of a query, or which rule of the guard refuses it.

        Raises:
            ToolFailed: QUERY_FAILED or TOOL_TIMEOUT.
        """
        begun = time.monotonic()
        try:
            checked, rows = await self._databases.read(
                self._context,
                self._datasource,
                meant.statement.written,
                limits=self._limits,
                parameters=meant.statement.parameters or None,
            )
        except ToolFailed as error:
            if error.code is not Code.QUERY_REFUSED:
                raise
            rule = error.detail.get("rule", "")
            self._log.say("checked", verdict="refused", rule=rule)
            return _refused(rule, error.message)
        self._log.say(
            "executed",
            sql=checked.shape,
            fingerprint=checked.fingerprint,
            tables=list(checked.tables),
            parameters=len(checked.parameters),
            rows=len(rows.rows),
            truncated=rows.truncated,
            ms=round((time.monotonic() - begun) / timedelta(milliseconds=1).total_seconds()),
        )
        return Ran(meant, checked, rows)

    async def change(self, meant: Meant, view: View) -> Change | CannotAnswer:
        """What a change would do, if the access opens it.

        Raises:
            ToolFailed: it cannot be shown now.
        """
        statement = meant.statement
        try:
            checked = check_write(
                statement.written, view.catalog, view.access, params=statement.parameters or None
            )
        except Refused as error:
            self._log.say("checked", verdict="refused", rule=error.rule)
            return _refused(error.rule, str(error))
        self._log.say("checked", verdict="allowed", tables=[checked.table])
        preview = await self._previewed(statement, checked.table)
        if isinstance(preview, CannotAnswer):
            return preview
        return Change(
            by=meant.by,
            sql=msgspec.structs.replace(statement, executed=checked.told),
            explanation=meant.explained,
            assumptions=meant.assumptions,
            preview=preview,
            next=SHOW if preview is UNSET else APPLY,
        )

    async def _previewed(self, statement: Statement, table: str) -> Json | UnsetType | CannotAnswer:
        if self._preview is None:
            return UNSET
        try:
            preview = await self._preview(
                self._context, self._datasource, statement.written, statement.parameters
            )
        except ToolFailed as error:
            if error.retryable or error.code not in (Code.QUERY_REFUSED, Code.QUERY_FAILED):
                raise
            return _refused(error.detail.get("rule", ""), error.message)
        self._log.say("previewed", table=table)
        return preview


def answer_of(ran: Ran, *, most: int, result_id: str, notes: tuple[str, ...] = ()) -> Answer:
    """The answer that rows are, at most so many of them."""
    meant, checked, rows = ran.meant, ran.checked, _first(ran.rows, most)
    return Answer(
        by=meant.by,
        sql=msgspec.structs.replace(meant.statement, executed=checked.told),
        explanation=_explained(meant.explained, checked),
        assumptions=meant.assumptions,
        columns=rows.columns,
        rows=rows.rows,
        returned=len(rows.rows),
        total=rows.total,
        truncated=rows.truncated,
        notes=(*rows.notes, *notes),
        result_id=result_id,
        sight=rows.sight,
        masked=checked.masked,
        row_filtered=checked.row_filtered,
    )


def values_not_there(statement: Statement, values: ValueIndex) -> tuple[str, ...]:
    """Of a statement without rows: which of its values are not there, and which are like them."""
    notes: list[str] = []
    for value in statement.parameters.values():
        if isinstance(value, str) and not values.find(words_of(value)):
            near = values.nearest(words_of(value))
            if near:
                notes.append(f"there is no {value!r}; did you mean {' or '.join(map(repr, near))}?")
    return tuple(notes)


def _explained(explained: Explained, checked: Checked) -> Explained:
    columns = ", ".join(checked.columns)
    return Explained(
        summary=explained.summary or f"Runs SQL of a model that reads {columns or 'no column'}",
        tables=explained.tables or checked.tables,
        filters=explained.filters,
    )


def _first(rows: Rows, most: int) -> Rows:
    """The first rows, which says so."""
    if len(rows.rows) <= most:
        return rows
    note = f"only the first {most} rows are here, there are more"
    notes = (note, *(one for one in rows.notes if not one.startswith("only the first")))
    return msgspec.structs.replace(rows, rows=rows.rows[:most], truncated=True, notes=notes)


def _refused(rule: str, message: str) -> CannotAnswer:
    said = f" (rule {rule})" if rule and rule not in message else ""
    return CannotAnswer(reason=f"the question was understood, but {message}{said}")
