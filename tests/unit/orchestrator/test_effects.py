"""What the world answers, as a run is told it."""

from collections.abc import Mapping

import pytest
from tests.simulation.virtual_loop import LoopClock, VirtualLoop, run

from stepwell.engine.commands import CallTool
from stepwell.engine.events import QuestionAnswered
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Asked, Input, ToolAnswered
from stepwell.engine.state import RunState
from stepwell.engine.values import Data, Json
from stepwell.engine.wording import MAX_WORDS
from stepwell.errors import Code
from stepwell.llm.port import Model
from stepwell.orchestrator.effects import WorldEffects, failure_of
from stepwell.policy.port import Action, Decision
from stepwell.tools.port import CallContext, ToolFailed, ToolSpec
from stepwell.tools.registry import ToolRegistry


class Give:
    """Gives what it was made with, as it is."""

    spec = ToolSpec(name="give", description="Gives.", input_schema={}, read_only=True)

    def __init__(self, value: Json) -> None:
        self._value = value

    async def call(self, arguments: dict[str, Json], context: CallContext) -> Data:
        return Data(self._value)


class AnyAction:
    """A policy that allows everything."""

    def decide(self, action: Action) -> Decision:
        return Decision("allow")


class NoModels:
    """Nothing here asks a model."""

    def resolve(self, namespace: str, name: str) -> Model:
        raise LookupError(name)


async def nobody_asks(decision: str) -> bool:
    raise AssertionError("a tool that only reads is not committed as begun")


async def nothing_is_asked(
    questions: tuple[Asked, ...], decision: str | None
) -> Mapping[str, QuestionAnswered]:
    raise AssertionError("this tool asks nothing")


async def answered(loop: VirtualLoop, value: Json) -> Input | None:
    tools = ToolRegistry()
    tools.add(Give(value))
    effects = WorldEffects(
        tools=tools, models=NoModels(), policy=AnyAction(), clock=LoopClock(loop), max_result=1000
    )
    state = RunState("r", Graph(name="w", version="v", nodes={}, dependents={}))
    command = CallTool("s", 1, "", "give", "s", Data(value={}))
    return await effects.call_tool("default", state, command, nobody_asks, nothing_is_asked)


@pytest.mark.parametrize("value", ["\ud800", object(), 10**5000], ids=["text", "object", "number"])
def test_a_result_that_the_log_cannot_hold_is_a_failure_of_the_tool(value: Json) -> None:
    loop = VirtualLoop()
    given = run(loop, answered(loop, value))
    assert isinstance(given, ToolAnswered)
    assert given.failure is not None
    assert (given.failure.reason, given.failure.retryable) == (Code.INVALID_RESULT, False)


def test_what_a_tool_says_of_its_failure_can_be_written_and_has_an_end() -> None:
    failure = failure_of(ToolFailed("\ud800" * 10_000, detail={"row": "x" * 10_000}))
    assert failure.message.encode()
    assert len(failure.message) <= MAX_WORDS
    assert len(failure.detail["row"]) <= MAX_WORDS
