"""Questions that a model understands: it is asked, its SQL is checked, and it may correct itself twice.

The model sees the schema, what it was taught and a few values that the asker may see; it never sees
what a query brought back, so no row can change what is run next. Each time that it is asked is a run
of the workflow `WORKFLOW` below the run of the question.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from stepwell.engine.values import Data, Json
from stepwell.errors import Code
from stepwell.nldb.ask.asker import Asked, Proposed
from stepwell.nldb.ask.known import Knowledge, Known
from stepwell.nldb.ask.outcomes import CannotAnswer, Clarify, Option, Statement
from stepwell.nldb.ask.prompt import INSTRUCTIONS, clean, correction, prompt_of
from stepwell.nldb.ask.proposals import MOST_OPTIONS, SCHEMA, Proposal, same_sql, uncovered
from stepwell.nldb.ask.telling import Log
from stepwell.nldb.databases import Databases
from stepwell.nldb.guard import Refused, check_read, check_write
from stepwell.nldb.limits import Limits
from stepwell.nldb.model import Access, Catalog, TableAccess, open_access
from stepwell.tools.port import CallContext, ToolFailed

WORKFLOW: Final = "db_ask"
MOST_REPAIRS: Final = 2
_TRIAL: Final = timedelta(seconds=10)


def workflow(model: str) -> bytes:
    """The workflow that asks a model once."""
    document = {
        "workflow": WORKFLOW,
        "description": "Lets a model turn a question into SQL; db_ask starts it.",
        "publish": False,
        "input": {
            "type": "object",
            "required": ["message"],
            "properties": {"message": {"type": "string"}},
            "additionalProperties": False,
        },
        "agents": {
            "writer": {
                "model": model,
                "instructions": INSTRUCTIONS,
                "output": SCHEMA,
                "limits": {"turns": 2, "repairs": 1},
            }
        },
        "nodes": [{"id": "write", "agent": "writer", "with": {"message": "=input.message"}}],
        "output": "=write.output",
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


class RunWorkflow(Protocol):
    """Runs a workflow below the run of a call."""

    async def __call__(self, context: CallContext, workflow: str, input: Data, key: str) -> Json:
        """Its output; the same call and key find the same run.

        Raises:
            ToolFailed: it failed.
        """
        ...


class _Problem(Struct, frozen=True):
    """What is wrong with a statement; `is_final` when no other statement would help."""

    rule: str
    message: str
    is_final: bool = False
    words: tuple[str, ...] = ()


class Modelled:
    """Implements `Models` by a workflow that asks one."""

    def __init__(self, databases: Databases, knowledge: Knowledge, run: RunWorkflow) -> None:
        self._databases = databases
        self._knowledge = knowledge
        self._run = run

    async def propose(
        self, asked: Asked, context: CallContext, log: Log
    ) -> Proposed | Clarify | CannotAnswer:
        """What the model makes of a question; it sees no row.

        Raises:
            ToolFailed: the model could not be asked.
        """
        known = await self._knowledge.of(context, asked.datasource, asked.question)
        linked = known.linker.link(asked.question)
        log.say("linked", tables=[table.name for table in linked.tables])
        message = first = prompt_of(asked.question, known, self._knowledge.today())
        if asked.reading:
            message = first = f"{first}\n\nThe person means: {clean(asked.reading, 300)}"
        before: list[str] = []
        problem: _Problem | None = None
        for attempt in range(MOST_REPAIRS + 1):
            proposal = await self._ask(asked, context, message, attempt)
            log.say("generated", attempt=attempt + 1, kind=proposal.kind)
            if proposal.kind == "cannot_answer":
                return CannotAnswer(reason=proposal.reason or "the model gives no reason")
            if proposal.kind == "clarify" and len(proposal.options) > 1:
                return _clarify(proposal)
            problem = await self._problem(proposal, asked, context, known)
            if problem is None:
                return _proposed(proposal)
            log.say("checked", verdict="refused", rule=problem.rule, attempt=attempt + 1)
            if problem.is_final or any(same_sql(proposal.sql, sql) for sql in before):
                break
            before.append(proposal.sql)
            message = correction(first, proposal.sql, problem.message)
            log.say("repaired", rule=problem.rule)
        assert problem is not None, "what is left had a problem"
        return CannotAnswer(
            reason=f"the model wrote no statement that may run: {problem.message}",
            words=problem.words,
        )

    async def _ask(
        self, asked: Asked, context: CallContext, message: str, attempt: int
    ) -> Proposal:
        input = Data({"message": message}, sealed=f"datasource:{asked.datasource}")
        output = await self._run(context, WORKFLOW, input, f"ask/{attempt}/{asked.reading}")
        try:
            return msgspec.convert(output, Proposal)
        except msgspec.ValidationError as error:
            raise ToolFailed(
                "the model's answer is no proposal", code=Code.MODEL_OUTPUT_INVALID
            ) from error

    async def _problem(
        self, proposal: Proposal, asked: Asked, context: CallContext, known: Known
    ) -> _Problem | None:
        """What is wrong with a statement, in words that the model may be told."""
        view = known.view
        if not proposal.sql.strip():
            return _Problem("sql.one_statement", "there is no SQL")
        check = check_write if proposal.kind == "change" else check_read
        params = proposal.values or None
        try:
            check(proposal.sql, view.catalog, view.access, params=params)
        except Refused as error:
            is_final = _is_allowed_to_others(check, proposal, view.catalog, view.access)
            message = f"{error} (rule {error.rule})"
            return _Problem(error.rule, message, is_final=is_final)
        if missing := uncovered(asked.question, proposal.coverage):
            said = ", ".join(missing)
            return _Problem(
                "coverage", f"coverage says nothing of these words: {said}", words=missing
            )
        if proposal.kind == "change":
            return None
        return await self._trial(proposal, asked, context)

    async def _trial(
        self, proposal: Proposal, asked: Asked, context: CallContext
    ) -> _Problem | None:
        """Whether the database can run it. Its rows are dropped: the model is told of none."""
        limits = Limits(timeout=_TRIAL, rows=1)
        try:
            await self._databases.read(
                context,
                asked.datasource,
                proposal.sql,
                limits=limits,
                parameters=proposal.values or None,
            )
        except ToolFailed as error:
            if error.code not in (Code.QUERY_FAILED, Code.QUERY_REFUSED, Code.TOOL_TIMEOUT):
                raise
            return _Problem(str(error.code), error.message)
        return None


def _is_allowed_to_others(
    check: Callable[..., object], proposal: Proposal, catalog: Catalog, access: Access
) -> bool:
    """Whether only the data policy is in the way: another statement would be no better."""
    everything = Access(
        tables={
            name: TableAccess(insert=True, update=True, delete=True) for name in catalog.tables
        },
        functions=access.functions,
    )
    everything = everything if proposal.kind == "change" else open_access(catalog)
    try:
        check(proposal.sql, catalog, everything, params=proposal.values or None)
    except Refused:
        return False
    return True


def _clarify(proposal: Proposal) -> Clarify:
    options = proposal.options[:MOST_OPTIONS]
    return Clarify(
        question="Which of these is meant?", options=tuple(Option(one, one) for one in options)
    )


def _proposed(proposal: Proposal) -> Proposed:
    return Proposed(
        statement=Statement(written=proposal.sql.strip(), parameters=proposal.values),
        assumptions=proposal.assumptions,
        is_change=proposal.kind == "change",
    )
