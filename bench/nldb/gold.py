"""Lets a scripted model answer the gold SQL, through the guard and the executors of both engines.

Where the matcher has a plan for a question, the model fills that in as well. What comes back must
be the expected rows: it shows that nothing on the way changes what a statement or a plan means.
`python -m bench.nldb.evaluate --gold --part open` runs it.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.nldb.answers import Gold, is_answer
from bench.nldb.engines import CONTEXT, both_engines, untaught
from bench.nldb.forms import form_of
from bench.nldb.questions import Answer, Clarify, Question
from stepwell.clock import SystemClock
from stepwell.engine.values import Data, Json
from stepwell.errors import StepwellError
from stepwell.nldb.ask.asker import Asked
from stepwell.nldb.ask.known import Knowledge
from stepwell.nldb.ask.modelled import Modelled
from stepwell.nldb.ask.outcomes import CannotAnswer
from stepwell.nldb.ask.telling import Log, untold
from stepwell.nldb.databases import Databases
from stepwell.nldb.limits import Limits
from stepwell.nldb.link.words import words_of
from stepwell.nldb.model import Dialect
from stepwell.nldb.plan.model import Plan
from stepwell.tools.port import CallContext

_LIMITS = Limits(rows=10_000, size=64 * 1024 * 1024)


class Same(NamedTuple):
    """A gold statement, and whether its rows came back; `problem` is why not."""

    id: str
    dialect: Dialect
    is_same: bool
    problem: str = ""


class _Read(NamedTuple):
    """One reading of a model, for one engine: a plan or SQL."""

    dialect: Dialect
    sql: str = ""
    plan: Plan | None = None

    def answer(self, question: str) -> Json:
        """As the model gives it; each word of the question is covered."""
        use = "gold" if self.plan is None else self.plan.table
        covered = [{"word": word, "use": use} for word in words_of(question)]
        if self.plan is None:
            sql = {"kind": "query", "text": self.sql}
            return {"readings": [{"sql": sql, "coverage": covered}]}
        form = msgspec.to_builtins(form_of(self.plan))
        return {"readings": [{"plan": form, "coverage": covered}]}


async def evaluate(
    questions: Sequence[Question], plans: Mapping[str, Plan], path: Path
) -> list[Same]:
    """Every gold statement that reads, and the plans by question, on both engines. The path is absolute."""
    async with both_engines(path) as (databases, _):
        return [
            await _judged(f"{question.id}{suffix}", question.question, gold, read, databases)
            for question in questions
            for suffix, gold, read in _read(question, plans.get(question.id))
        ]


def _read(question: Question, plan: Plan | None) -> Iterator[tuple[str, Gold, _Read]]:
    """What the model answers to a question, by engine, and the gold that its rows must be."""
    for suffix, gold in _golds(question):
        yield suffix, gold, _Read("sqlite", sql=gold.sql)
        yield suffix, gold, _Read("postgres", sql=gold.postgres or gold.sql)
        if plan is not None and isinstance(question, Answer):
            yield f"{suffix} as a plan", gold, _Read("sqlite", plan=plan)
            yield f"{suffix} as a plan", gold, _Read("postgres", plan=plan)


def _golds(question: Question) -> list[tuple[str, Gold]]:
    match question:
        case Answer():
            return [("", question.gold)]
        case Clarify():
            return [(f"/{number}", gold) for number, gold in enumerate(question.readings)]
        case _:
            return []


async def _judged(id: str, question: str, gold: Gold, read: _Read, databases: Databases) -> Same:
    dialect = read.dialect

    async def model(context: CallContext, workflow: str, input: Data, key: str) -> Json:
        return read.answer(question)

    knowledge = Knowledge(databases, untaught, clock=SystemClock())
    modelled = Modelled(databases, knowledge, model)
    asked = Asked(datasource=dialect, question=question)
    try:
        proposed = await modelled.propose(asked, CONTEXT, Log(untold, CONTEXT))
        if isinstance(proposed, CannotAnswer):
            return Same(id, dialect, False, str(proposed))
        statement = proposed[0].statement
        _, rows = await databases.read(
            CONTEXT,
            dialect,
            statement.written,
            limits=_LIMITS,
            parameters=statement.parameters or None,
        )
    except StepwellError as error:
        return Same(id, dialect, False, error.message)
    return Same(id, dialect, is_answer(gold, rows.rows), "" if rows.total else "no rows")
