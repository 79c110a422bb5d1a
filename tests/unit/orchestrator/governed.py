"""A worker whose calls are decided on by a policy in the test's own hand."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.unit.orchestrator.rig import NAMESPACE, Rig
from tests.unit.orchestrator.unread import Unread

from stepwell.definitions.compile import compile_definition
from stepwell.engine.graph import Graph
from stepwell.engine.values import Data, Json
from stepwell.errors import Code, Denied
from stepwell.llm.port import Model
from stepwell.orchestrator.approvals import Proof
from stepwell.orchestrator.effects import WorldEffects
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.worker import Worker
from stepwell.policy.port import Action, Decision, Terms
from stepwell.principals import Caller
from stepwell.tools.port import CallContext, ToolSpec
from stepwell.tools.registry import ToolRegistry

ANN = Caller(NAMESPACE, "user:ann")
BOB = Caller(NAMESPACE, "user:bob")
EVE = Caller(NAMESPACE, "user:eve")
BOT = Caller(NAMESPACE, "agent:local")
CODE = Proof(kind="totp", value="123456")
WRONG = Proof(kind="totp", value="000000")

HOLD = Decision("require_approval", ("big",), "more than 3", terms=Terms(), policy="p1")
ALLOW = Decision("allow", ("big",), policy="p1")
DENY = Decision("deny", ("spent",), "the budget is spent", remedy="raise it", policy="p1")


def until_approved(action: Action) -> Decision:
    """Holds whatever nobody has approved."""
    return ALLOW if action.approved else HOLD


class HandPolicy:
    """Decides as the test says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.says: Callable[[Action], Decision] = until_approved
        self.asked: list[Action] = []

    def decide(self, action: Action) -> Decision:
        self.asked.append(action)
        return self.says(action)


class Codes:
    """One right code for everybody who is enrolled."""

    def __init__(self) -> None:
        self.enrolled = {ANN.principal, BOB.principal}
        self.subjects: list[str] = []

    async def is_enrolled(self, caller: Caller) -> bool:
        return caller.principal in self.enrolled

    async def is_wanted(self, caller: Caller) -> bool:
        return bool(self.enrolled)

    async def verify(self, caller: Caller, proof: Proof | None, subject: str) -> None:
        if proof is None or caller.principal not in self.enrolled:
            raise Denied("show a code", code=Code.FACTOR_REQUIRED)
        if proof != CODE:
            raise Denied("not this one", code=Code.FACTOR_WRONG)
        self.subjects.append(subject)


@dataclass
class Recorder:
    """A tool that remembers its calls."""

    spec: ToolSpec
    calls: list[tuple[dict[str, Json], CallContext]] = field(default_factory=list)
    fails: Exception | None = None
    sealed: str = ""

    async def call(self, arguments: dict[str, Json], context: CallContext) -> Data:
        self.calls.append((arguments, context))
        if self.fails is not None:
            raise self.fails
        return Data(value={"paid": arguments.get("sum")}, sealed=self.sealed)


class NoModels:
    """Nothing here asks a model."""

    def resolve(self, namespace: str, name: str) -> Model:
        raise LookupError(name)


class Ids:
    """Ids that count up."""

    def __init__(self, rig: Rig) -> None:
        self.new_id = rig.new_id


class Governed(Rig):
    """Two tools, `pay`, which may not be repeated, and `look`, under a policy by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = HandPolicy()
        self.factors = Codes()
        self.pay = Recorder(ToolSpec(name="pay", description="Pays.", input_schema={}))
        self.look = Recorder(
            ToolSpec(name="look", description="Looks.", input_schema={}, read_only=True)
        )
        self.tools = ToolRegistry()
        self.tools.add(self.pay)
        self.tools.add(self.look)
        self.effects = WorldEffects(  # type: ignore[assignment]
            tools=self.tools,
            models=NoModels(),
            policy=self.policy,
            clock=self.clock,
            max_result=10_000,
        )

    def service(self, worker: Worker) -> Service:
        """The use cases, over one worker."""
        return Service(
            self.storage,
            worker=worker,
            workflows=self.workflows,
            journal=self.journal,
            tools=self.tools,
            reader=Unread(),
            clock=self.clock,
            ids=Ids(self),
            factors=self.factors,  # type: ignore[arg-type]  # nobody enrols here
        )

    @asynccontextmanager
    async def serving(self, owner: str = "one", *, alone: bool = True) -> AsyncIterator[Service]:
        """A service whose worker works."""
        async with self.working(owner, alone=alone) as worker:
            yield self.service(worker)

    def redefine(self, **changed: Any) -> None:
        """`pay` is another tool from now on."""
        self.pay.spec = ToolSpec(
            **{"name": "pay", "description": "Pays.", "input_schema": {}, **changed}
        )

    async def put_graph(self, source: str) -> Graph:
        """Stores a workflow."""
        await self.workflows.put(NAMESPACE, source.encode(), principal="user:ann", now=0)
        return compile_definition(source.encode(), tools=None)
