"""What the world answers: the same to the same question, whoever asks and however often.

Whether a call is denied, how long it takes, how often it fails and what it gives follows from
the seed, the run and the idempotency key; what people say, from the run and the step. So a run
that was disturbed and one that was not have the same output, unless time itself made the
difference. A run goes by its `origin`: that of a fork is the run that it was forked from.
"""

import hashlib
import random

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from stepwell.engine.commands import CallModel, CallTool
from stepwell.engine.graph import Agent, AgentNode, SignalNode
from stepwell.engine.inputs import Answer
from stepwell.engine.messages import Opaque, ToolRequest
from stepwell.engine.state import RunState, StepState
from stepwell.engine.values import Data, Failure, Json
from stepwell.errors import Code

MAY_REPEAT = frozenset({"look", "read", "ship"})
"""What these say of themselves; `pay` says nothing, so a call of it is never made twice."""
DATASOURCE = "datasource:shop"
"""The seal of what `read` gives."""
WORLD_BEGINS = 1_000_000_000_000
"""Microseconds since 1970, about."""
TOO_LONG = 60.0
"""Seconds that a call takes which hangs: more than any timeout of a document."""

TOOL_FAILURES = (
    Failure(Code.TOOL_ERROR, "busy", retryable=True),
    Failure(Code.TOOL_ERROR, "busy", retryable=True, detail={"retry_after": "0.5"}),
    Failure(Code.TOOL_TIMEOUT, "too slow", retryable=True),
    Failure(Code.INVALID_ARGUMENTS, "no such field"),
)
MODEL_FAILURES = (
    Failure(Code.MODEL_UNAVAILABLE, "away", retryable=True),
    Failure(Code.MODEL_RATE_LIMITED, "slow down", retryable=True, detail={"retry_after": "soon"}),
    Failure(Code.MODEL_REFUSED, "no"),
)


class ToolPlan(Struct, frozen=True, kw_only=True):
    """What a tool call meets. `delay` is in seconds; `breaks` is a defect of ours on the way.

    Policy holds for a person what `is_held`, and puts off at times what `is_throttled`.
    """

    delay: float = 0.0
    may_repeat: bool = True
    is_denied: bool = False
    is_held: bool = False
    is_throttled: bool = False
    asks: tuple[str, ...] = ()
    """What the tool asks the person behind its caller, by key, before it acts."""
    breaks: bool = False
    result: Data | None = None
    failure: Failure | None = None


class ModelPlan(Struct, frozen=True, kw_only=True):
    """What a model call meets."""

    delay: float
    answer: Answer | None = None
    failure: Failure | None = None


class Reaction(Struct, frozen=True, kw_only=True):
    """What a person does about a step: says `verdict` or sends `value`, after `delay` seconds."""

    delay: float
    verdict: str = ""
    value: Json = None


class Script:
    """The answers of one world."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    # --- calls ----------------------------------------------------------------------------

    def tool(self, origin: str, command: CallTool) -> ToolPlan:
        """What a tool call meets: inside an agent by its key alone, else by the attempt too."""
        dice = self._dice(origin, command.key)
        attempt = 1 if command.call else command.attempt
        if command.tool not in MAY_REPEAT | {"pay"}:
            return ToolPlan(failure=Failure(Code.TOOL_NOT_FOUND, f"no tool {command.tool!r}"))
        may_repeat = command.idempotent
        if may_repeat is None:
            may_repeat = command.tool in MAY_REPEAT
        if dice.random() < 0.02:
            return ToolPlan(is_denied=True)
        fails = dice.choices((0, 1, 2, 9), (82, 10, 6, 2))[0]
        failure = dice.choices(TOOL_FAILURES, (9, 4, 2, 1))[0]
        breaks = dice.random() < 0.005
        result = _result(dice, command)
        delay = _delay(self._dice(origin, f"{command.key} {attempt}"))
        governed = self._dice(origin, f"policy {command.key}")
        is_held, is_throttled = governed.random() < 0.08, governed.random() < 0.06
        asks = governed.choices(((), ("who",), ("who", "when")), (84, 10, 6))[0]
        plan = ToolPlan(
            delay=delay,
            may_repeat=may_repeat,
            is_held=is_held,
            is_throttled=is_throttled,
            asks=asks,
        )
        if attempt <= fails:
            return replace(plan, failure=failure)
        return replace(plan, breaks=breaks, result=result)

    def definition(self, tool: str, now: int) -> str:
        """What a tool is: in some worlds it is another from some time on."""
        dice = self._dice("", f"definition {tool}")
        changes = WORLD_BEGINS + round(dice.uniform(0, 60e6)) if dice.random() < 0.3 else None
        return "second" if changes is not None and now >= changes else "first"

    def model(self, origin: str, state: RunState, command: CallModel) -> ModelPlan:
        """What a model call meets. A final answer names all that was said before it."""
        step = state.steps[command.step]
        node = step.spec
        assert isinstance(node, AgentNode)
        tries = self._dice(origin, f"{command.step} {command.call} {command.attempt}")
        delay = _delay(tries)
        if tries.random() < 0.1:
            return ModelPlan(delay=delay, failure=tries.choices(MODEL_FAILURES, (8, 4, 1))[0])
        turns = self._dice(origin, command.step).choices((0, 1, 2, 3, 9), (6, 8, 6, 4, 1))[0]
        dice = self._dice(origin, f"{command.step} {command.call}")
        return ModelPlan(delay=delay, answer=_answer(dice, command, step, node.agent, turns))

    # --- people ---------------------------------------------------------------------------

    def message(self, origin: str, node: SignalNode) -> Reaction | None:
        """The message that comes for whoever waits for this name; None is never."""
        dice = self._dice(origin, f"signal {node.signal}")
        if node.timeout is not None and dice.random() < 0.3:
            return None
        return Reaction(delay=_patience(dice), value={"said": dice.randrange(1000)})

    def approval(self, origin: str, step: StepState) -> Reaction | None:
        """What a person says who is asked for approval; None is nothing."""
        dice = self._dice(origin, f"approval {step.id}")
        if step.spec.timeout is not None and dice.random() < 0.3:
            return None
        verdict = "deny" if dice.random() < 0.15 else "approve"
        return Reaction(delay=_patience(dice), verdict=verdict, value=dice.randrange(1000))

    def consent(self, origin: str, command: CallTool) -> Reaction | None:
        """What a person says to a call that is held; None is nothing."""
        dice = self._dice(origin, f"consent {command.key} {command.attempt}")
        if dice.random() < 0.08:
            return None
        verdict = "deny" if dice.random() < 0.15 else "approve"
        return Reaction(delay=_patience(dice), verdict=verdict)

    def reply(self, origin: str, call: str, key: str) -> Reaction | None:
        """What a person says to the question of a tool; None is nothing."""
        dice = self._dice(origin, f"question {call} {key}")
        if dice.random() < 0.08:
            return None
        verdict = dice.choices(("accept", "decline", "cancel"), (8, 2, 1))[0]
        return Reaction(delay=_patience(dice), verdict=verdict, value=dice.randrange(1000))

    def outcome(self, origin: str, step: StepState, command: CallTool) -> Reaction:
        """What a person finds out about a call: what came of it, as if it had come back."""
        dice = self._dice(origin, f"outcome {command.key} {command.attempt}")
        plan, delay = self.tool(origin, command), _patience(dice)
        if plan.breaks or _is_lost(plan) or (plan.delay >= TOO_LONG and step.spec.timeout):
            found = dice.choice(("done", "fail"))
            return Reaction(delay=delay, verdict=found, value=dice.randrange(1000))
        if plan.result is None or plan.result.sealed:
            return Reaction(delay=delay, verdict="retry")
        return Reaction(delay=delay, verdict="done", value=plan.result.value)

    def _dice(self, origin: str, about: str) -> random.Random:
        return random.Random(f"{self._seed} {origin} {about}")


def _is_lost(plan: ToolPlan) -> bool:
    """Whether the failure of a call leaves open what it has done."""
    return plan.failure is not None and plan.failure.reason == Code.TOOL_TIMEOUT


def _patience(dice: random.Random) -> float:
    """Seconds until a person gets to it: soon, or when the run is let go of."""
    return dice.uniform(0.05, 3) if dice.random() < 0.8 else dice.uniform(10, 40)


def _delay(dice: random.Random) -> float:
    return TOO_LONG if dice.random() < 0.05 else dice.uniform(0.001, 0.3)


def _result(dice: random.Random, command: CallTool) -> Data:
    value: dict[str, Json] = {"v": dice.randrange(1000)}
    if dice.random() < 0.3:
        value["long"] = "x" * 200
    if command.tool == "read":
        return Data(value=value, sealed=DATASOURCE)
    return Data(value=value)


def _answer(
    dice: random.Random, command: CallModel, step: StepState, agent: Agent, turns: int
) -> Answer:
    text = Data(value=f"turn {command.call}", sealed=step.sealed)
    opaque = (Opaque("fake", {"signature": "s" * 100}),) if dice.random() < 0.2 else ()
    if agent.tools and command.call <= turns:
        count = dice.choices((1, 2, 3), (6, 2, 1))[0]
        tools = tuple(_request(dice, index, agent) for index in range(count))
        return Answer(text=text, tools=tools, opaque=opaque, finish="tools")
    if dice.random() < 0.15:
        return Answer(text=text, opaque=opaque, finish="stop", problem="it is not JSON")
    final = Data(value=f"answer to {_digest(step)}", sealed=step.sealed)
    return Answer(text=text, opaque=opaque, finish="stop", final=final)


def _request(dice: random.Random, index: int, agent: Agent) -> ToolRequest:
    name = dice.choice((*agent.tools, *agent.tools, "nowhere"))
    id = "same" if dice.random() < 0.1 else f"c{index}"
    problem = "the arguments are no JSON" if dice.random() < 0.1 else ""
    return ToolRequest(id, name, {"q": dice.randrange(100)}, problem=problem)


def _digest(step: StepState) -> str:
    assert step.conversation is not None
    return hashlib.sha256(msgspec.json.encode(step.conversation.messages)).hexdigest()[:12]
