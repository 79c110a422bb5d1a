"""What the engine asks of the world: model calls and tool calls, each one told as an input.

Policy is asked before every effect. A call that may not be repeated is committed as begun right
before it is made, and not while it only waits for a worker process, by the `begin` that the owner
of the run hands in.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol, TypeAlias

from stepwell.agents.answers import read_reply
from stepwell.agents.requests import build_request, new_messages
from stepwell.clock import Clock
from stepwell.definitions.builtin import CALL
from stepwell.engine import codec
from stepwell.engine.commands import CallModel, CallTool, EnterQueue, StartChild
from stepwell.engine.depth import TooDeep
from stepwell.engine.graph import AgentNode
from stepwell.engine.inputs import CallDenied, ChildEnded, Input, ModelAnswered, ToolAnswered
from stepwell.engine.state import RunState
from stepwell.engine.values import NOTHING, Data, Failure
from stepwell.engine.wording import bounded
from stepwell.errors import Code, StepwellError
from stepwell.llm.port import Models
from stepwell.orchestrator.spans import NO_SPANS, Spans
from stepwell.policy.port import Action, Decision, Policy
from stepwell.tools.invoke import invoke
from stepwell.tools.outcomes import described, not_json
from stepwell.tools.port import Begin, CallContext, NotBegun, ToolFailed, ToolSpec
from stepwell.tools.registry import ToolRegistry

Call: TypeAlias = CallModel | CallTool | StartChild
"""Commands that are answered by an input, whatever happens."""

Effect: TypeAlias = Call | EnterQueue
"""Commands that take time."""


class Effects(Protocol):
    """Carries out commands. Cancellation stops what is in flight."""

    async def call_model(self, namespace: str, state: RunState, command: CallModel) -> Input | None:
        """Asks the step's model; failures are told as inputs too."""
        ...

    async def call_tool(
        self, namespace: str, state: RunState, command: CallTool, begin: Begin
    ) -> Input | None:
        """Calls a tool, if policy allows it; None when nobody waits for it any more."""
        ...


class WorldEffects:
    """The effects on the real world."""

    def __init__(
        self,
        *,
        tools: ToolRegistry,
        models: Models,
        policy: Policy,
        clock: Clock,
        max_result: int,
        spans: Spans = NO_SPANS,
    ) -> None:
        """`max_result` bounds what one tool may answer, in bytes."""
        self._tools = tools
        self._models = models
        self._policy = policy
        self._clock = clock
        self._max_result = max_result
        self._spans = spans

    async def call_model(self, namespace: str, state: RunState, command: CallModel) -> Input | None:
        """Asks the step's model; failures are told as inputs too."""
        with self._spans.call_model(namespace, state, command) as span:
            answered = await self._ask(namespace, state, command)
            span.ended(answered)
            return answered

    async def call_tool(
        self, namespace: str, state: RunState, command: CallTool, begin: Begin
    ) -> Input | None:
        """Calls a tool, if policy allows it; None when nobody waits for it any more."""
        with self._spans.call_tool(namespace, state, command) as span:
            answered = await self._call(namespace, state, command, begin, span.traceparent)
            span.ended(answered)
            return answered

    async def _ask(self, namespace: str, state: RunState, command: CallModel) -> ModelAnswered:
        step = state.steps[command.step]
        node = step.spec
        assert isinstance(node, AgentNode), f"{command.step} asks a model and is no agent"
        specs = self._specs(node.agent.tools)
        messages = new_messages(step)
        begun = self._clock.now()
        try:
            model = self._models.resolve(namespace, node.agent.model)
            reply = await model.complete(build_request(step, node.agent, specs.values()))
        except StepwellError as error:
            now = self._clock.now()
            return ModelAnswered(
                at=now,
                step=command.step,
                attempt=command.attempt,
                call=command.call,
                model=node.agent.model,
                messages=messages,
                failure=failure_of(error),
                latency_us=now - begun,
            )
        now = self._clock.now()
        answer = read_reply(reply, step, node.agent, specs)
        return ModelAnswered(
            at=now,
            step=command.step,
            attempt=command.attempt,
            call=command.call,
            model=reply.model,
            messages=messages,
            answer=None if isinstance(answer, Failure) else answer,
            failure=answer if isinstance(answer, Failure) else None,
            usage=reply.usage,
            latency_us=now - begun,
        )

    async def _call(
        self,
        namespace: str,
        state: RunState,
        command: CallTool,
        begin: Begin,
        traceparent: str,
    ) -> Input | None:
        tool = self._tools.get(command.tool)
        if tool is None:
            return self._answered(command, failure=_unknown_tool(command.tool))
        if reason := self._tools.suspension(command.tool):
            return self._answered(command, failure=Failure(Code.TOOL_SUSPENDED, reason))
        decision = self._decide(namespace, state, command)
        if decision.effect == "deny":
            return CallDenied(
                at=self._clock.now(),
                step=command.step,
                attempt=command.attempt,
                call=command.call,
                rules=decision.rules,
                reason=decision.reason,
            )
        may_repeat = command.idempotent
        if may_repeat is None:
            may_repeat = tool.spec.idempotent or tool.spec.read_only
        context = CallContext(
            namespace=namespace,
            principal=state.principal,
            run=state.run,
            step=command.step,
            attempt=command.attempt,
            key=f"{state.run}/{command.key}",
            traceparent=traceparent,
        )
        allowed = _told(decision.effect, decision.rules)
        begun = self._clock.now()
        try:
            result = await invoke(
                tool, command.arguments.value, context, begin=None if may_repeat else begin
            )
            self._check_size(command.tool, result)
        except NotBegun:
            return None
        except StepwellError as error:
            return self._answered(command, failure=failure_of(error), begun=begun, decision=allowed)
        now = self._clock.now()
        return ToolAnswered(
            at=now,
            step=command.step,
            attempt=command.attempt,
            call=command.call,
            result=result,
            latency_us=now - begun,
            decision=allowed,
        )

    def _check_size(self, tool: str, result: Data) -> None:
        try:
            size = codec.size(result.value)
        except (TypeError, ValueError, OverflowError, TooDeep) as error:
            raise ToolFailed(
                not_json(result.value, error), code=Code.INVALID_RESULT, retryable=False
            ) from error
        if size > self._max_result:
            raise ToolFailed(
                f"{tool} answered {size} bytes, the limit is {self._max_result} "
                "(limits.blob_bytes); let it answer less, or where the rest is",
                code=Code.LIMIT_EXCEEDED,
                retryable=False,
            )

    def _answered(
        self,
        command: CallTool,
        *,
        failure: Failure,
        begun: int | None = None,
        decision: str = "",
    ) -> ToolAnswered:
        now = self._clock.now()
        return ToolAnswered(
            at=now,
            step=command.step,
            attempt=command.attempt,
            call=command.call,
            failure=failure,
            latency_us=now - (now if begun is None else begun),
            decision=decision,
        )

    def _decide(self, namespace: str, state: RunState, command: CallTool) -> Decision:
        return self._policy.decide(
            Action(
                namespace=namespace,
                principal=state.principal,
                workflow=state.graph.name,
                run=state.run,
                step=command.step,
                tool=command.tool,
                arguments=command.arguments.value,
                granted=self._granted(state),
            )
        )

    def _granted(self, state: RunState) -> frozenset[str]:
        if state.graph is CALL:
            return self._tools.published_names
        return state.graph.tools

    def _specs(self, names: tuple[str, ...]) -> Mapping[str, ToolSpec]:
        tools = ((name, self._tools.get(name)) for name in names)
        return {name: tool.spec for name, tool in tools if tool is not None}


def failure_of(error: StepwellError) -> Failure:
    """An error as an event holds it."""
    detail = {name: bounded(text) for name, text in error.detail.items()}
    return Failure(error.code, bounded(error.message), error.retryable, detail)


def broken(command: Call, error: BaseException, at: int) -> Input:
    """What a run is told when carrying a command out hit a defect of ours."""
    return _failed(command, Failure(Code.INTERNAL, described(error)), at)


def cancelled(command: Call, at: int) -> Input:
    """What a run is told when a call that was wanted cancelled the task that it ran in."""
    match command:
        case CallTool():
            failure = Failure(Code.TOOL_ERROR, f"{command.tool} cancelled itself", retryable=True)
        case CallModel():
            failure = Failure(Code.MODEL_ERROR, "the call of the model cancelled itself")
        case StartChild():
            failure = Failure(Code.INTERNAL, "the start of the child cancelled itself")
    return _failed(command, failure, at)


def _failed(command: Call, failure: Failure, at: int) -> Input:
    match command:
        case CallTool(step=step, attempt=attempt, call=call):
            return ToolAnswered(at=at, step=step, attempt=attempt, call=call, failure=failure)
        case StartChild(step=step, attempt=attempt):
            return ChildEnded(at=at, step=step, attempt=attempt, failure=failure)
        case CallModel(step=step, attempt=attempt, call=number):
            return ModelAnswered(
                at=at,
                step=step,
                attempt=attempt,
                call=number,
                model="",
                messages=NOTHING,
                failure=failure,
            )


@lru_cache(maxsize=256)
def _told(effect: str, rules: tuple[str, ...]) -> str:
    """What an event says of a decision."""
    return f"{effect}: {', '.join(rules)}"


def _unknown_tool(name: str) -> Failure:
    return Failure(
        Code.TOOL_NOT_FOUND,
        f"there is no tool {name!r} here any more; start the daemon with the file that has it "
        "(stepwell up --tools FILE)",
    )
