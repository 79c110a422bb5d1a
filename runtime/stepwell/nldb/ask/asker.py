"""From a question to what comes of it: verified queries first, then patterns, then a model.

What somebody understood is a `Meant`, one statement; `stepwell.nldb.ask.running` runs it. When
there are several, all of them are run, and a person is asked only where their rows differ.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from stepwell.nldb.ask.known import Knowledge, Known
from stepwell.nldb.ask.meant import MODEL, PATTERN, VERIFIED, Meant, assuming, filled, meant_by
from stepwell.nldb.ask.outcomes import (
    Answer,
    CannotAnswer,
    Change,
    Clarify,
    Explained,
    Outcome,
    Statement,
)
from stepwell.nldb.ask.readings import chosen_by_person, have_the_same_rows, options_of
from stepwell.nldb.ask.running import Preview, Ran, Running, answer_of, values_not_there
from stepwell.nldb.ask.telling import Log, Tell, untold
from stepwell.nldb.databases import Databases
from stepwell.nldb.keyless import matcher
from stepwell.nldb.limits import Limits
from stepwell.nldb.plan.model import Insert
from stepwell.nldb.verified import Recalled, recall
from stepwell.tools.port import CallContext

MOST_QUESTION: Final = 4000
"""Characters of a question."""


class Asked(Struct, frozen=True, kw_only=True):
    """A question as it is asked."""

    datasource: str
    question: str
    rows: int = 50
    reading: str = ""
    ask_back: bool = False


class Models(Protocol):
    """Lets a model understand what nothing else did."""

    async def propose(
        self, asked: Asked, context: CallContext, log: Log
    ) -> tuple[Meant, ...] | CannotAnswer:
        """What the model makes of a question, at least one reading; it sees no row.

        Raises:
            ToolFailed: the model could not be asked.
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
        self.limits: Limits = limits or Limits()
        self._databases = databases
        self._knowledge = knowledge
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
        outcome = await self._outcome(asked, context, log)
        match outcome:
            case Clarify():
                log.say("clarified", options=len(outcome.options))
            case CannotAnswer():
                log.say("not_answered", words=len(outcome.words))
            case Answer() | Change():
                pass
        await log.write()
        return outcome

    async def _outcome(self, asked: Asked, context: CallContext, log: Log) -> Outcome:
        if len(asked.question) > MOST_QUESTION:
            return CannotAnswer(
                reason=f"the question has {len(asked.question)} characters, at most "
                f"{MOST_QUESTION} are read; ask for one thing at a time"
            )
        known = await self._knowledge.of(context, asked.datasource, asked.question)
        running = Running(
            self._databases,
            self.limits,
            self._preview,
            datasource=asked.datasource,
            context=context,
            log=log,
        )
        return await _Asking(asked, known, running, self._models, context, log).outcome()


class _Asking:
    """One question on its way."""

    def __init__(
        self,
        asked: Asked,
        known: Known,
        running: Running,
        models: Models | None,
        context: CallContext,
        log: Log,
    ) -> None:
        self._asked = asked
        self._known = known
        self._running = running
        self._models = models
        self._context = context
        self._log = log

    async def outcome(self) -> Outcome:
        readings = await self._readings()
        if isinstance(readings, CannotAnswer):
            return readings
        return await (self._one(*readings) if len(readings) == 1 else self._several(readings))

    # Who understands the question.

    async def _readings(self) -> tuple[Meant, ...] | CannotAnswer:
        """What the question may mean: what the first says that understands it."""
        asked, world = self._asked, self._known.world
        kept = self._known.taught.verified
        recalled = recall(asked.question, kept, world.catalog, self._known.values)
        if recalled is not None:
            self._log.say("memory_hit", slots=len(recalled.parameters))
            return (_meant_before(recalled),)
        match await asyncio.to_thread(matcher.understand, asked.question, world):
            case matcher.Understood(plan):
                return (meant_by(plan, world.catalog, by=PATTERN),)
            case matcher.Ambiguous(_, readings):
                return tuple(
                    meant_by(one.plan, world.catalog, by=PATTERN, meaning=one.meaning)
                    for one in readings
                )
            case matcher.CannotAnswer(reason, words):
                if self._models is None or not any(map(str.isalpha, asked.question)):
                    return CannotAnswer(reason=reason, words=words)
                return await self._models.propose(asked, self._context, self._log)

    # What comes of it.

    async def _one(self, meant: Meant) -> Outcome:
        if meant.fills is not None:
            found = await self._looked_up(meant, meant.fills)
            return found if isinstance(found, CannotAnswer) else await self._one(found)
        if meant.is_change:
            return await self._running.change(meant, self._known.view)
        ran = await self._running.read(meant)
        return ran if isinstance(ran, CannotAnswer) else self._answer(ran)

    async def _looked_up(self, meant: Meant, insert: Insert) -> Meant | CannotAnswer:
        """The same insert with its rows: whoever approves it sees what they are."""
        ran = await self._running.read(meant)
        if isinstance(ran, CannotAnswer):
            return ran
        if ran.checked.masked:
            return CannotAnswer(reason="the question was understood, but what it adds is masked")
        if not ran.rows.rows or ran.rows.truncated:
            many = "too many rows" if ran.rows.rows else "no row"
            return CannotAnswer(
                reason=f"the question was understood, but there is {many} to take from: "
                f"{meant.explained.summary}"
            )
        return filled(insert, meant, ran.rows.rows, self._known.world.catalog)

    async def _several(self, readings: Sequence[Meant]) -> Outcome:
        """The answer that all readings have; else that of the one that is chosen."""
        if self._asked.reading:
            return await self._chosen(self._asked.reading, readings)
        if not any(one.is_change for one in readings):
            same = await self._same(readings)
            if same is not None:
                return same
        options = options_of(readings)
        if self._asked.ask_back:
            chosen = await chosen_by_person(self._asked.question, options)
            if chosen:
                return await self._chosen(chosen, readings)
        return Clarify(question="Which of these is meant?", options=options)

    async def _same(self, readings: Sequence[Meant]) -> Answer | CannotAnswer | None:
        """The answer that all readings have; None when they have several."""
        runs: list[Ran] = []
        for reading in readings:
            ran = await self._running.read(reading)
            if isinstance(ran, CannotAnswer):
                return ran
            runs.append(ran)
        if not have_the_same_rows([ran.rows for ran in runs]):
            return None
        said = f"{len(runs)} ways to read the question have the same answer"
        first = msgspec.structs.replace(runs[0], meant=assuming(runs[0].meant, said))
        return self._answer(first)

    async def _chosen(self, name: str, readings: Sequence[Meant]) -> Outcome:
        for one in readings:
            if one.reading == name:
                return await self._one(assuming(one, f"you chose: {one.meaning}"))
        return Clarify(
            question=f"{name} is no reading of this question (any more); which one is meant?",
            options=options_of(readings),
        )

    def _answer(self, ran: Ran) -> Answer:
        may_err = ran.meant.by == MODEL and not ran.rows.rows
        notes = values_not_there(ran.meant.statement, self._known.values) if may_err else ()
        most = self._asked.rows
        return answer_of(ran, most=most, result_id=self._context.key, notes=notes)


def _meant_before(recalled: Recalled) -> Meant:
    """What a verified query means."""
    verified = recalled.verified
    by = f" by {verified.by}" if verified.by else ""
    return Meant(
        by=VERIFIED,
        statement=Statement(written=verified.sql, parameters=dict(recalled.parameters)),
        explained=Explained(
            summary=f"Runs the query that was verified{by} for: {verified.question}"
        ),
    )
