"""From a question to what comes of it: verified queries first, then patterns, then a model.

Every statement, whoever wrote it, passes the guard with the access of whoever asks.
"""

import asyncio
import time
from datetime import timedelta
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb.ask.known import Knowledge, Known
from stepwell.nldb.ask.outcomes import (
    Answer,
    CannotAnswer,
    Change,
    Clarify,
    Explained,
    Option,
    Outcome,
    Statement,
    answered,
)
from stepwell.nldb.ask.readings import Ran, have_the_same_rows, name_of, options_of
from stepwell.nldb.ask.telling import Log, Tell, untold
from stepwell.nldb.databases import Databases
from stepwell.nldb.guard import Checked, Refused, check_write
from stepwell.nldb.keyless import matcher
from stepwell.nldb.keyless.finish import Reading
from stepwell.nldb.limits import Limits
from stepwell.nldb.link.words import words_of
from stepwell.nldb.plan.explain import explain
from stepwell.nldb.plan.model import Plan, Select, Write
from stepwell.nldb.plan.sql import compile_plan
from stepwell.nldb.rows import Rows
from stepwell.nldb.verified import Recalled, recall
from stepwell.tools.asking import ask
from stepwell.tools.port import CallContext, ToolFailed

MOST_QUESTION: Final = 4000
"""Characters of a question."""
VERIFIED, PATTERN, MODEL = "verified query", "pattern", "model"
SHOW: Final = "db_preview_write with this SQL shows the rows, and db_apply makes the change"
APPLY: Final = "db_apply with this preview makes the change"


class Asked(Struct, frozen=True, kw_only=True):
    """A question as it is asked."""

    datasource: str
    question: str
    rows: int = 50
    reading: str = ""
    ask_back: bool = False


class Proposed(Struct, frozen=True, kw_only=True):
    """What a model made of a question, after the guard has seen it."""

    statement: Statement
    assumptions: tuple[str, ...] = ()
    is_change: bool = False


class Models(Protocol):
    """Lets a model understand what nothing else did."""

    async def propose(
        self, asked: Asked, context: CallContext, log: Log
    ) -> Proposed | Clarify | CannotAnswer:
        """What the model makes of a question; it sees no row.

        Raises:
            ToolFailed: the model could not be asked.
        """
        ...


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


class Asker:
    """Answers questions."""

    def __init__(
        self,
        databases: Databases,
        knowledge: Knowledge,
        *,
        limits: Limits | None = None,
        models: Models | None = None,
        preview: Preview | None = None,
        tell: Tell = untold,
    ) -> None:
        """Without `models` only patterns and verified queries are understood."""
        self._databases = databases
        self._knowledge = knowledge
        self._limits = limits or Limits()
        self._models = models
        self._preview = preview
        self._tell = tell

    async def ask(self, asked: Asked, context: CallContext) -> Outcome:
        """What comes of a question.

        Raises:
            NotFound: DATASOURCE_NOT_FOUND.
            ToolFailed: QUERY_FAILED or TOOL_TIMEOUT; the model's own codes.
        """
        log = Log(self._tell, context)
        outcome = await _Asking(self, asked, context, log).run()
        match outcome:
            case Clarify():
                log.say("clarified", options=len(outcome.options))
            case CannotAnswer():
                log.say("not_answered", words=len(outcome.words))
            case Answer() | Change():
                pass
        await log.write()
        return outcome

    @property
    def databases(self) -> Databases:
        """Where statements run."""
        return self._databases

    @property
    def knowledge(self) -> Knowledge:
        """What is known of the datasources."""
        return self._knowledge

    @property
    def limits(self) -> Limits:
        """Of one statement."""
        return self._limits

    @property
    def models(self) -> Models | None:
        """Who understands what nothing else did."""
        return self._models

    @property
    def preview(self) -> Preview | None:
        """Who shows changes."""
        return self._preview


class _Asking:
    """One question on its way."""

    def __init__(self, asker: Asker, asked: Asked, context: CallContext, log: Log) -> None:
        self._asker = asker
        self._asked = asked
        self._context = context
        self._log = log

    async def run(self) -> Outcome:
        if len(self._asked.question) > MOST_QUESTION:
            return CannotAnswer(
                reason=f"the question has {len(self._asked.question)} characters, at most "
                f"{MOST_QUESTION} are read; ask for one thing at a time"
            )
        knowledge, asked = self._asker.knowledge, self._asked
        known = await knowledge.of(self._context, asked.datasource, asked.question)
        kept = known.taught.verified
        recalled = recall(asked.question, kept, known.world.catalog, known.values)
        if recalled is not None:
            return await self._recalled(recalled)
        outcome = await asyncio.to_thread(matcher.understand, asked.question, known.world)
        match outcome:
            case matcher.Understood():
                return await self._plan(outcome.plan, known)
            case matcher.Ambiguous():
                return await self._several(outcome, known)
            case matcher.CannotAnswer():
                return await self._not_understood(outcome, known)

    # Verified queries.

    async def _recalled(self, recalled: Recalled) -> Outcome:
        verified = recalled.verified
        self._log.say("memory_hit", slots=len(recalled.parameters))
        statement = Statement(written=verified.sql, parameters=dict(recalled.parameters))
        by = f" by {verified.by}" if verified.by else ""
        ran = await self._read(statement)
        if isinstance(ran, CannotAnswer):
            return ran
        summary = f"Runs the query that was verified{by} for: {verified.question}"
        return self._answer(
            *ran, VERIFIED, statement, Explained(summary=summary, tables=ran[0].tables), ()
        )

    # Plans.

    async def _plan(self, plan: Plan, known: Known) -> Outcome:
        if not isinstance(plan, Select):
            return await self._change(plan, known)
        statement = _statement(plan, known)
        ran = await self._read(statement)
        if isinstance(ran, CannotAnswer):
            return ran
        return self._planned(plan, *ran, statement)

    def _planned(
        self,
        plan: Select,
        checked: Checked,
        rows: Rows,
        statement: Statement,
        assumptions: tuple[str, ...] = (),
    ) -> Answer:
        told = explain(plan)
        explained = Explained(summary=told.summary, tables=told.tables, filters=told.filters)
        return self._answer(
            checked, rows, PATTERN, statement, explained, (*told.assumptions, *assumptions)
        )

    async def _several(self, outcome: matcher.Ambiguous, known: Known) -> Outcome:
        """The answer that all readings have; else that of the one that is chosen."""
        readings = outcome.readings
        if self._asked.reading:
            return await self._chosen(self._asked.reading, readings, known)
        runs: list[Ran] = []
        for reading in readings:
            ran = await self._read(_statement(reading.plan, known))
            if isinstance(ran, CannotAnswer):
                return ran
            runs.append(Ran(reading, *ran))
        if have_the_same_rows(runs):
            first = runs[0]
            said = (f"{len(runs)} ways to read the question have the same answer",)
            statement = _statement(first.reading.plan, known)
            return self._planned(first.reading.plan, first.checked, first.rows, statement, said)
        options = options_of(readings)
        if self._asked.ask_back:
            chosen = await _chosen_by_person(self._asked.question, options)
            if chosen:
                return await self._chosen(chosen, readings, known)
        return Clarify(question=outcome.question, options=options)

    async def _chosen(self, name: str, readings: tuple[Reading, ...], known: Known) -> Outcome:
        for reading in readings:
            if name_of(reading.plan) == name:
                outcome = await self._plan(reading.plan, known)
                if isinstance(outcome, Answer):
                    said = (*outcome.assumptions, f"you chose: {reading.meaning}")
                    return msgspec.structs.replace(outcome, assumptions=said)
                return outcome
        return Clarify(
            question=f"{name} is no reading of this question (any more); which one is meant?",
            options=options_of(readings),
        )

    async def _change(self, plan: Write, known: Known) -> Outcome:
        statement = _statement(plan, known)
        told = explain(plan)
        explained = Explained(summary=told.summary, tables=told.tables, filters=told.filters)
        return await self._changing(statement, explained, told.assumptions, PATTERN, known)

    async def _changing(
        self,
        statement: Statement,
        explained: Explained,
        assumptions: tuple[str, ...],
        by: str,
        known: Known,
    ) -> Outcome:
        view = known.view
        try:
            checked = check_write(
                statement.written, view.catalog, view.access, params=statement.parameters or None
            )
        except Refused as error:
            self._log.say("checked", verdict="refused", rule=error.rule)
            return _refused(error.rule, str(error))
        self._log.say("checked", verdict="allowed", tables=[checked.table])
        preview: Json | msgspec.UnsetType = msgspec.UNSET
        if self._asker.preview is not None:
            try:
                preview = await self._asker.preview(
                    self._context, self._asked.datasource, statement.written, statement.parameters
                )
            except ToolFailed as error:
                if error.retryable or error.code not in (Code.QUERY_REFUSED, Code.QUERY_FAILED):
                    raise
                return _refused(error.detail.get("rule", ""), error.message)
            self._log.say("previewed", table=checked.table)
        return Change(
            by=by,
            sql=msgspec.structs.replace(statement, executed=checked.told),
            explanation=explained,
            assumptions=assumptions,
            preview=preview,
            next=SHOW if preview is msgspec.UNSET else APPLY,
        )

    # Models.

    async def _not_understood(self, outcome: matcher.CannotAnswer, known: Known) -> Outcome:
        models = self._asker.models
        if models is None or not any(char.isalpha() for char in self._asked.question):
            return CannotAnswer(reason=outcome.reason, words=outcome.words)
        proposed = await models.propose(self._asked, self._context, self._log)
        if isinstance(proposed, Clarify) and self._asked.ask_back:
            chosen = await _chosen_by_person(self._asked.question, proposed.options)
            if chosen:
                again = msgspec.structs.replace(self._asked, reading=chosen)
                proposed = await models.propose(again, self._context, self._log)
        if not isinstance(proposed, Proposed):
            return proposed
        if proposed.is_change:
            explained = Explained(summary="A change that a model wrote; look at its rows")
            return await self._changing(
                proposed.statement, explained, proposed.assumptions, MODEL, known
            )
        ran = await self._read(proposed.statement)
        if isinstance(ran, CannotAnswer):
            return ran
        checked, rows = ran
        summary = f"Reads {', '.join(checked.columns) or 'no column'}"
        explained = Explained(summary=summary, tables=checked.tables)
        notes = () if rows.rows else _meant(proposed.statement, known)
        return self._answer(*ran, MODEL, proposed.statement, explained, proposed.assumptions, notes)

    # Running.

    async def _read(self, statement: Statement) -> tuple[Checked, Rows] | CannotAnswer:
        begun = time.monotonic()
        try:
            checked, rows = await self._asker.databases.read(
                self._context,
                self._asked.datasource,
                statement.written,
                limits=self._asker.limits,
                parameters=statement.parameters or None,
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
        return checked, rows

    def _answer(
        self,
        checked: Checked,
        rows: Rows,
        by: str,
        statement: Statement,
        explained: Explained,
        assumptions: tuple[str, ...],
        notes: tuple[str, ...] = (),
    ) -> Answer:
        return answered(
            checked,
            _first(rows, self._asked.rows),
            by=by,
            statement=statement,
            explanation=explained,
            assumptions=assumptions,
            notes=notes,
            result_id=self._context.key,
        )


def _statement(plan: Plan, known: Known) -> Statement:
    compiled = compile_plan(plan, known.world.catalog)
    return Statement(written=compiled.sql, parameters=dict(compiled.parameters))


def _first(rows: Rows, most: int) -> Rows:
    """The first rows, which says so."""
    if len(rows.rows) <= most:
        return rows
    note = f"only the first {most} rows are here, there are more"
    notes = (note, *(one for one in rows.notes if not one.startswith("only the first")))
    return msgspec.structs.replace(rows, rows=rows.rows[:most], truncated=True, notes=notes)


def _meant(statement: Statement, known: Known) -> tuple[str, ...]:
    """Of a statement without rows: which of its values are not there, and which are like them."""
    notes: list[str] = []
    for value in statement.parameters.values():
        if isinstance(value, str) and not known.values.find(words_of(value)):
            near = known.values.nearest(words_of(value))
            if near:
                notes.append(f"there is no {value!r}; did you mean {' or '.join(map(repr, near))}?")
    return tuple(notes)


def _refused(rule: str, message: str) -> CannotAnswer:
    said = f" (rule {rule})" if rule and rule not in message else ""
    return CannotAnswer(reason=f"the question was understood, but {message}{said}")


async def _chosen_by_person(question: str, options: tuple[Option, ...]) -> str:
    """The reading that a person chooses; "" when he does not."""
    meanings = {option.meaning: option.reading for option in options}
    schema = {
        "type": "object",
        "properties": {"meaning": {"type": "string", "enum": list(meanings)}},
        "required": ["meaning"],
    }
    reply = await ask(f"Which is meant by {question[:200]!r}?", schema=schema, key="reading")
    return meanings.get(reply.content["meaning"], "") if reply.is_accepted else ""
