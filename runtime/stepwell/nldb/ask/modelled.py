"""Questions that a model understands: it fills in plans, or writes SQL, and may correct itself twice.

The model sees the schema, what it was taught and a few values that the asker may see; it never sees
what a query brought back, so no row can change what is run next. Each time that it is asked is a run
of the workflow `WORKFLOW` below the run of the question.
"""

from typing import Final, Protocol

import msgspec

from stepwell.engine.values import Data, Json
from stepwell.errors import Code
from stepwell.nldb.ask.asker import Asked
from stepwell.nldb.ask.known import Knowledge
from stepwell.nldb.ask.meant import Meant
from stepwell.nldb.ask.outcomes import CannotAnswer
from stepwell.nldb.ask.prompt import INSTRUCTIONS, chosen, correction, prompt_of
from stepwell.nldb.ask.proposals import SCHEMA, Proposal
from stepwell.nldb.ask.telling import Log
from stepwell.nldb.ask.trial import Problem, Trial
from stepwell.nldb.databases import Databases
from stepwell.tools.port import CallContext, ToolFailed

WORKFLOW: Final = "db_ask"
MOST_REPAIRS: Final = 2


def workflow(model: str) -> bytes:
    """The workflow that asks a model once."""
    document = {
        "workflow": WORKFLOW,
        "description": "Lets a model turn a question into a plan or SQL; db_ask starts it.",
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


class Modelled:
    """Implements `Models` by a workflow that asks one."""

    def __init__(self, databases: Databases, knowledge: Knowledge, run: RunWorkflow) -> None:
        self._databases = databases
        self._knowledge = knowledge
        self._run = run

    async def propose(
        self, asked: Asked, context: CallContext, log: Log
    ) -> tuple[Meant, ...] | CannotAnswer:
        """What the model makes of a question, at least one reading; it sees no row.

        Raises:
            ToolFailed: the model could not be asked.
        """
        known = await self._knowledge.of(context, asked.datasource, asked.question)
        linked = known.linker.link(asked.question)
        log.say("linked", tables=[table.name for table in linked.tables])
        first = prompt_of(asked.question, known, self._knowledge.today())
        if asked.reading:
            first = chosen(first, asked.reading)
        trial = Trial(self._databases, asked, context, known)
        before: list[Proposal] = []
        message = first
        while True:
            proposal = await self._ask(asked, context, message, len(before))
            log.say("generated", attempt=len(before) + 1, kind=proposal.kind)
            if not proposal.readings:
                return CannotAnswer(reason=proposal.reason or "the model gives no reason")
            try:
                return await trial.meant_by(proposal)
            except Problem as error:
                problem = error
            log.say("checked", verdict="refused", rule=problem.rule, attempt=len(before) + 1)
            is_repeated = any(map(proposal.says_the_same, before))
            if problem.is_final or is_repeated or len(before) == MOST_REPAIRS:
                return CannotAnswer(
                    reason=f"the model proposes nothing that may run: {problem.message}",
                    words=problem.words,
                )
            before.append(proposal)
            message = correction(first, proposal.written, problem.message)
            log.say("repaired", rule=problem.rule)

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
