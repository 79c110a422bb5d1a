"""Whether what a model proposes may run, and what is wrong with it, in words that it may be told."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec

from stepwell.errors import Code
from stepwell.nldb.ask.asker import Asked
from stepwell.nldb.ask.coverage import assumed, misplaced, uncovered
from stepwell.nldb.ask.known import Known
from stepwell.nldb.ask.meant import MODEL, Meant, assuming, meant_by
from stepwell.nldb.ask.outcomes import Explained, Statement
from stepwell.nldb.ask.prompt import LONGEST_MEANING, clean
from stepwell.nldb.ask.proposals import MOST_READINGS, Proposal, Proposed, Sql
from stepwell.nldb.databases import Databases
from stepwell.nldb.guard import Refused, check_read, check_write
from stepwell.nldb.keyless.units import told
from stepwell.nldb.limits import Limits
from stepwell.nldb.model import Access, Catalog, TableAccess, open_access
from stepwell.nldb.plan.filled import plan_of
from stepwell.nldb.plan.form import Form
from stepwell.nldb.plan.model import InvalidPlan, Select
from stepwell.nldb.plan.parts import parts_of
from stepwell.tools.port import CallContext, ToolFailed

_NOT_THERE: Final = frozenset({"sql.table", "sql.column"})
"""Whether a name is hidden or does not exist is not to be told, by how often it is tried either."""
_TRIAL: Final = timedelta(seconds=10)


class Problem(Exception):
    """What is wrong with a proposal; `is_final` when no other one would help.

    `words` are those of the question that nothing was said of.
    """

    def __init__(
        self, rule: str, message: str, *, is_final: bool = False, words: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.is_final = is_final
        self.words = words


class Trial:
    """Tries the proposals for one question."""

    def __init__(
        self, databases: Databases, asked: Asked, context: CallContext, known: Known
    ) -> None:
        self._databases = databases
        self._asked = asked
        self._context = context
        self._known = known

    async def meant_by(self, proposal: Proposal) -> tuple[Meant, ...]:
        """What the readings of a proposal mean, each once.

        Raises:
            Problem: one of them may not run.
            ToolFailed: the database cannot be asked now.
        """
        if len(proposal.readings) > MOST_READINGS:
            raise Problem("proposal", f"there are more than {MOST_READINGS} readings")
        found: dict[str, Meant] = {}
        for number, proposed in enumerate(proposal.readings, 1):
            try:
                meant = await self._meant(proposed)
            except Problem as error:
                if len(proposal.readings) > 1:
                    error.message = f"reading {number}: {error.message}"
                raise
            found.setdefault(msgspec.json.encode(meant.statement).decode(), meant)
        readings = tuple(found.values())
        if len({one.reading for one in readings}) < len(readings):
            raise Problem("proposal", "two readings have the same `meaning`; tell them apart")
        return readings

    async def _meant(self, proposed: Proposed) -> Meant:
        meant = await asyncio.to_thread(self._read, proposed)
        if not meant.is_change:
            await self._try(meant.statement)
        return meant

    def _read(self, proposed: Proposed) -> Meant:
        """What a reading means, if the guard lets it run and it leaves no word out."""
        match proposed:
            case Proposed(plan=Form() as form, sql=None):
                meant = self._planned(form, proposed)
            case Proposed(plan=None, sql=Sql() as sql):
                meant = _written(sql, proposed)
            case _:
                raise Problem("proposal", "a reading has either a plan or SQL, and not both")
        self._check(meant)
        if missing := uncovered(self._asked.question, proposed.coverage):
            message = f"coverage says nothing of these words: {', '.join(missing)}"
            raise Problem("coverage", message, words=missing)
        return meant

    def _planned(self, form: Form, proposed: Proposed) -> Meant:
        """What a plan means. All that is told of it comes from the plan, by code."""
        catalog = self._known.world.catalog
        try:
            plan = plan_of(form, catalog)
            meant = meant_by(told(plan) if isinstance(plan, Select) else plan, catalog, by=MODEL)
        except InvalidPlan as error:
            raise Problem("plan", str(error)) from error
        parts = parts_of(plan)
        if nowhere := misplaced(proposed.coverage, parts):
            said = ", ".join(word[:60] for word in nowhere[:8])
            message = f"coverage names no part of the plan for these words: {said}"
            raise Problem("coverage", message, words=nowhere)
        meaning = clean(meant.meaning, LONGEST_MEANING)
        taken = assumed(self._asked.question, proposed.coverage, parts)
        return _named(assuming(meant, *taken), meaning)

    def _check(self, meant: Meant) -> None:
        view = self._known.view
        check = check_read if meant.reads else check_write
        statement = meant.statement
        params = statement.parameters or None
        try:
            check(statement.written, view.catalog, view.access, params=params)
        except Refused as error:
            is_final = error.rule not in _NOT_THERE and _is_allowed_to_others(
                check, meant, view.catalog, view.access
            )
            message = f"{error} (rule {error.rule})"
            raise Problem(error.rule, message, is_final=is_final) from error

    async def _try(self, statement: Statement) -> None:
        """Whether the database can run it. Its rows are dropped: the model is told of none."""
        limits = Limits(timeout=_TRIAL, rows=1)
        try:
            await self._databases.read(
                self._context,
                self._asked.datasource,
                statement.written,
                limits=limits,
                parameters=statement.parameters or None,
            )
        except ToolFailed as error:
            if error.code not in (Code.QUERY_FAILED, Code.QUERY_REFUSED, Code.TOOL_TIMEOUT):
                raise
            raise Problem(str(error.code), error.message) from error


def _written(sql: Sql, proposed: Proposed) -> Meant:
    if not sql.text.strip():
        raise Problem("sql.one_statement", "there is no SQL")
    is_change = sql.kind == "change"
    summary = "A change that a model wrote as SQL; look at its rows" if is_change else ""
    meant = Meant(
        by=MODEL,
        statement=Statement(written=sql.text.strip(), parameters=sql.values),
        explained=Explained(summary=summary),
        assumptions=sql.assumptions,
        is_change=is_change,
    )
    return _named(meant, clean(proposed.meaning or sql.text, LONGEST_MEANING))


def _named(meant: Meant, meaning: str) -> Meant:
    """With a meaning that is its name too: it tells a model that is asked again what was chosen."""
    return msgspec.structs.replace(meant, meaning=meaning, reading=meaning)


def _is_allowed_to_others(
    check: Callable[..., object], meant: Meant, catalog: Catalog, access: Access
) -> bool:
    """Whether only the data policy is in the way: another statement would be no better."""
    may_change = TableAccess(insert=True, update=True, delete=True)
    everything = (
        Access(tables=dict.fromkeys(catalog.tables, may_change), functions=access.functions)
        if meant.is_change
        else open_access(catalog)
    )
    statement = meant.statement
    try:
        check(statement.written, catalog, everything, params=statement.parameters or None)
    except Refused:
        return False
    return True
