"""What the engine asks of the world: model calls and tool calls, each one told as an input.

Policy is asked before every effect; what it does not allow is told instead of done. A call that a
person has approved is decided on again, as things are now, and made only if it is still the very call
that was shown. One that may not be repeated is committed as begun right before it is made, and not
while it only waits for a worker process, by the `begin` that the owner of the run hands in.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import lru_cache, partial
from typing import Protocol, TypeAlias

import msgspec
from msgspec.structs import replace

from stepwell.agents.answers import read_reply
from stepwell.agents.requests import build_request, new_messages
from stepwell.clock import Clock
from stepwell.definitions.builtin import CALL
from stepwell.engine import codec
from stepwell.engine.budgets import CALLS, ROWS
from stepwell.engine.commands import CallModel, CallTool, EnterQueue, StartChild
from stepwell.engine.depth import TooDeep
from stepwell.engine.due import put_back
from stepwell.engine.events import QuestionAnswered
from stepwell.engine.graph import AgentNode, Graph
from stepwell.engine.inputs import (
    Asked,
    BudgetShort,
    CallDenied,
    CallHeld,
    CallThrottled,
    ChildEnded,
    Input,
    ModelAnswered,
    ToolAnswered,
)
from stepwell.engine.state import RunState
from stepwell.engine.subjects import call_subject
from stepwell.engine.values import NOTHING, Data, Failure, Json
from stepwell.engine.wording import bounded
from stepwell.errors import Code, StepwellError
from stepwell.llm.port import Models
from stepwell.llm.prices import Prices
from stepwell.orchestrator.estimates import estimate
from stepwell.orchestrator.spans import NO_SPANS, Spans
from stepwell.orchestrator.spending import Spending
from stepwell.policy.port import Action, Decision, Facts, Policy, Terms
from stepwell.principals import SCHEDULE
from stepwell.tools.asking import Level, Line
from stepwell.tools.invoke import invoke
from stepwell.tools.outcomes import described, not_json
from stepwell.tools.port import CallContext, Foresees, NotBegun, Tool, ToolFailed, ToolSpec
from stepwell.tools.questions import Question, Reply
from stepwell.tools.registry import ToolRegistry
from stepwell.tools.relay import CallRelay, Message, Progress
from stepwell_storage.records import Short

Call: TypeAlias = CallModel | CallTool | StartChild
"""Commands that are answered by an input, whatever happens."""

Effect: TypeAlias = Call | EnterQueue
"""Commands that take time."""

AskRun: TypeAlias = Callable[
    [tuple[Asked, ...], str | None], Awaitable[Mapping[str, QuestionAnswered]]
]
"""Asks what a call asks, and ends when all of it is answered; a call that may not be repeated is
begun again by then, with what policy said of it."""

Begin: TypeAlias = Callable[[str], Awaitable[bool]]
"""Commits that a call is about to be made, and what policy said of it; False when nobody waits."""

QUESTION_EXPIRES = timedelta(days=7)
"""How long a question waits for its answer, where nobody says."""
CLIENT_PATIENCE = timedelta(minutes=10)
"""How long one waits that only the client can answer that is there now."""
MAX_QUESTION = 64 * 1024
"""Bytes of one question."""
QUESTION_ID = 20
"""Hexadecimal digits of the id of a question."""

SHORTEST_DELAY = 100_000
"""Microseconds until policy is asked again about a call that it has put off, at the least."""

_NOTHING_READ: frozenset[str] = frozenset()


def new_nonce() -> str:
    """What nobody can guess."""
    return secrets.token_hex(16)


class Effects(Protocol):
    """Carries out commands. Cancellation stops what is in flight."""

    async def call_model(self, namespace: str, state: RunState, command: CallModel) -> Input | None:
        """Asks the step's model; failures are told as inputs too."""
        ...

    async def call_tool(
        self, namespace: str, state: RunState, command: CallTool, begin: Begin, ask: AskRun
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
        spending: Spending | None = None,
        prices: Prices | None = None,
        spans: Spans = NO_SPANS,
        nonce: Callable[[], str] = new_nonce,
        relay: CallRelay | None = None,
        question_expires: timedelta = QUESTION_EXPIRES,
    ) -> None:
        """`max_result` bounds what one tool may answer, in bytes; without `spending` nothing limits it.

        Whoever waits for a run hears of its calls by the `relay`.
        """
        self._tools = tools
        self._models = models
        self._policy = policy
        self._clock = clock
        self._max_result = max_result
        self._spending = spending
        self._prices = prices or Prices()
        self._spans = spans
        self._nonce = nonce
        self._relay = relay or CallRelay()
        self._question_expires = question_expires

    async def call_model(self, namespace: str, state: RunState, command: CallModel) -> Input | None:
        """Asks the step's model; failures are told as inputs too."""
        with self._spans.call_model(namespace, state, command) as span:
            answered = await self._ask(namespace, state, command)
            span.ended(answered)
            return answered

    async def call_tool(
        self, namespace: str, state: RunState, command: CallTool, begin: Begin, ask: AskRun
    ) -> Input | None:
        """Calls a tool, if policy allows it; None when nobody waits for it any more."""
        with self._spans.call_tool(namespace, state, command) as span:
            answered = await self._call(namespace, state, command, begin, ask, span.traceparent)
            span.ended(answered)
            return answered

    async def _ask(
        self, namespace: str, state: RunState, command: CallModel
    ) -> ModelAnswered | BudgetShort:
        step = state.steps[command.step]
        node = step.spec
        assert isinstance(node, AgentNode), f"{command.step} asks a model and is no agent"
        specs = self._specs(node.agent.tools)
        messages = new_messages(step)
        request = build_request(step, node.agent, specs.values())
        if self._spending is not None and self._spending.is_limited(namespace, state):
            needed = estimate(request, node.agent.model, self._prices)
            short = await self._spending.reserve(namespace, state, command.id, needed)
            if short is not None:
                return self._too_little(state, command, node.agent.model, short)
        begun = self._clock.now()
        try:
            model = self._models.resolve(namespace, node.agent.model)
            reply = await model.complete(request)
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
        answer = read_reply(reply, step, node.agent, specs, subject=state.subject)
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
            cost=self._prices.cost(node.agent.model, reply.usage, answered=reply.model),
            latency_us=now - begun,
        )

    async def _call(
        self,
        namespace: str,
        state: RunState,
        command: CallTool,
        begin: Begin,
        ask: AskRun,
        traceparent: str,
    ) -> Input | None:
        tool = self._tools.get(command.tool)
        if tool is None:
            return self._answered(command, failure=_unknown_tool(command.tool))
        if reason := self._tools.suspension(command.tool):
            return self._answered(command, failure=Failure(Code.TOOL_SUSPENDED, reason))
        usage = await self._usage(namespace, state)
        decision = self._decide(namespace, state, command, tool.spec, usage)
        if decision.effect == "require_approval" and isinstance(tool, Foresees):
            try:
                await tool.foresee(
                    command.arguments.value,
                    self._context(namespace, state, command, traceparent),
                )
            except StepwellError as error:
                return self._answered(command, failure=failure_of(error))
        if decision.effect != "allow":
            return self._withheld(state, command, tool.spec, decision)
        if self._spending is not None and self._spending.is_limited(namespace, state):
            needed = {CALLS: 1, ROWS: tool.spec.most_rows}
            short = await self._spending.reserve(namespace, state, command.id, needed)
            if short is not None:
                return self._too_little(state, command, command.tool, short)
        return await self._make(namespace, state, command, tool, decision, begin, ask, traceparent)

    async def _make(
        self,
        namespace: str,
        state: RunState,
        command: CallTool,
        tool: Tool,
        decision: Decision,
        begin: Begin,
        ask: AskRun,
        traceparent: str,
    ) -> Input | None:
        """Makes a call that is allowed."""
        may_repeat = command.idempotent
        if may_repeat is None:
            may_repeat = tool.spec.idempotent or tool.spec.read_only or tool.spec.keyed
        context = self._context(namespace, state, command, traceparent)
        approval = command.approval
        by = approval.by if approval else ""
        allowed = _told(decision.effect, decision.rules, by, decision.log_only)
        begun = self._clock.now()
        try:
            result = await invoke(
                tool,
                command.arguments.value,
                context,
                begin=None if may_repeat else partial(begin, allowed),
                line=self._line(
                    namespace, state.run, command, ask, None if may_repeat else allowed
                ),
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

    def _context(
        self, namespace: str, state: RunState, command: CallTool, traceparent: str
    ) -> CallContext:
        return CallContext(
            namespace=namespace,
            principal=state.principal,
            run=state.run,
            step=command.step,
            attempt=command.attempt,
            key=f"{state.run}/{command.key}",
            traceparent=traceparent,
            attributes=state.attributes,
        )

    def _line(
        self, namespace: str, run: str, command: CallTool, ask: AskRun, decision: str | None
    ) -> Line:
        """What the tool says and asks on; its run keeps what it asks."""

        async def put(questions: Mapping[str, Question]) -> Mapping[str, Reply]:
            asked = tuple(self._asked(command.tool, key, it) for key, it in questions.items())
            answers = await ask(asked, decision)
            return {key: reply_of(answer) for key, answer in answers.items()}

        def report(done: float, total: float | None, words: str) -> None:
            self._relay.tell(namespace, run, Progress(command.step, done, total, words))

        def log(level: Level, data: Json, logger: str) -> None:
            self._relay.tell(namespace, run, Message(command.step, level, data, logger))

        return Line(put, report=report, log=log)

    def _asked(self, tool: str, key: str, question: Question) -> Asked:
        """A question as its run keeps it.

        Raises:
            ToolFailed: LIMIT_EXCEEDED, it is too large; INVALID_REQUEST, it is no JSON.
        """
        asked = content_of(question)
        try:
            size = codec.size(asked)
        except (TypeError, ValueError, OverflowError, TooDeep) as error:
            raise ToolFailed(
                f"what {tool} asks ({key!r}) cannot be JSON: {error}",
                code=Code.INVALID_REQUEST,
                retryable=False,
            ) from error
        if size > MAX_QUESTION:
            raise ToolFailed(
                f"what {tool} asks ({key!r}) has {size} bytes, the limit is {MAX_QUESTION}",
                code=Code.LIMIT_EXCEEDED,
                retryable=False,
            )
        expires = question.expires
        if expires is None:
            expires = CLIENT_PATIENCE if question.is_for_client else self._question_expires
        return Asked(
            key=key,
            id=self._nonce()[:QUESTION_ID],
            kind=question.kind,
            question=Data(value=asked),
            expires_at=self._clock.now() + expires // timedelta(microseconds=1),
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

    async def _usage(self, namespace: str, state: RunState) -> Mapping[str, int]:
        """What the run, and its principal today, have spent."""
        usage = {
            "calls_run": sum(state.calls.values()),
            "tokens_run": state.tokens,
            "usd_micros_run": state.usd_micros,
            "rows_run": state.rows,
        }
        if self._spending is not None:
            usage |= await self._spending.usage_of_day(namespace, state)
        return usage

    def _too_little(
        self, state: RunState, command: CallModel | CallTool, resource: str, short: Short
    ) -> BudgetShort:
        """Tells that a call cannot be paid: it is made when there is more."""
        put_back(state, command)
        return BudgetShort(
            at=self._clock.now(),
            step=command.step,
            attempt=command.attempt,
            call=command.call,
            resource=resource,
            scope=short.scope,
            unit=short.unit,
            limit=short.limit,
            taken=short.taken,
            wanted=short.wanted,
        )

    def _decide(
        self,
        namespace: str,
        state: RunState,
        command: CallTool,
        spec: ToolSpec,
        usage: Mapping[str, int],
    ) -> Decision:
        """What policy says of a call now; a person's yes counts for just what was shown."""
        action = self._action(namespace, state, command, spec, usage)
        approval = command.approval
        if approval is None:
            return self._policy.decide(action)
        again = self._policy.decide(replace(action, approved=True, approved_rules=approval.rules))
        now = self._subject(state, command, spec, again.policy, approval.nonce)
        if now == approval.subject:
            return again
        return self._policy.decide(action)

    def _subject(
        self, state: RunState, command: CallTool, spec: ToolSpec, policy: str, nonce: str
    ) -> str:
        return call_subject(
            state.run, command, definition=spec.definition, policy=policy, nonce=nonce
        )

    def _action(
        self,
        namespace: str,
        state: RunState,
        command: CallTool,
        spec: ToolSpec,
        usage: Mapping[str, int],
    ) -> Action:
        return Action(
            namespace=namespace,
            principal=state.principal,
            workflow=state.graph.name,
            run=state.run,
            step=command.step,
            tool=command.tool,
            arguments=command.arguments.value,
            granted=self._granted(state),
            is_own=is_own(state.graph, state.principal),
            author=state.graph.author,
            spec=spec,
            facts=self._facts(state, command, usage),
        )

    def _facts(self, state: RunState, command: CallTool, usage: Mapping[str, int]) -> Facts:
        """What the run has done so far; its cost does not grow with the run."""
        return Facts(
            at=self._clock.now(),
            usage=usage,
            labels=self._read(state),
            approved_before=state.approved.get(command.tool, 0),
        )

    def _read(self, state: RunState) -> frozenset[str]:
        """The labels of all that the run has read: seals of data, and those of tools that answered."""
        labels: frozenset[str] = frozenset(state.read) if state.read else _NOTHING_READ
        for name in state.calls:
            tool = self._tools.get(name)
            if tool is not None and tool.spec.labels:
                labels |= tool.spec.labels
        return labels

    def _withheld(
        self, state: RunState, command: CallTool, spec: ToolSpec, decision: Decision
    ) -> Input:
        """What the run is told of a call that policy does not allow now."""
        now = self._clock.now()
        step, attempt, call = command.step, command.attempt, command.call
        rules, reason, policy = decision.rules, decision.reason, decision.policy
        match decision.effect:
            case "require_approval":
                nonce, terms = self._nonce(), decision.terms or Terms()
                return CallHeld(
                    at=now,
                    step=step,
                    attempt=attempt,
                    call=call,
                    subject=self._subject(state, command, spec, policy, nonce),
                    nonce=nonce,
                    expires_at=now + terms.expires_us,
                    rules=rules,
                    reason=reason,
                    policy=policy,
                    approver=terms.approver,
                    groups=terms.groups,
                    withheld=command.withheld,
                )
            case "throttle":
                until = max(decision.retry_at or 0, now + SHORTEST_DELAY)
                return CallThrottled(
                    at=now,
                    step=step,
                    attempt=attempt,
                    call=call,
                    until=until,
                    rules=rules,
                    reason=reason,
                    policy=policy,
                    withheld=command.withheld,
                )
            case _:
                return CallDenied(
                    at=now,
                    step=step,
                    attempt=attempt,
                    call=call,
                    rules=rules,
                    reason=reason,
                    remedy=decision.remedy,
                    policy=policy,
                    withheld=command.withheld,
                )

    def _granted(self, state: RunState) -> frozenset[str]:
        if state.graph is CALL:
            return self._tools.direct_names
        return state.graph.tools

    def _specs(self, names: tuple[str, ...]) -> Mapping[str, ToolSpec]:
        tools = ((name, self._tools.get(name)) for name in names)
        return {name: tool.spec for name, tool in tools if tool is not None}


def content_of(question: Question) -> dict[str, Json]:
    """What an event holds of a question, without what has its usual value."""
    said = {
        "message": question.message,
        "schema": question.schema,
        "url": question.url,
        "params": question.params,
    }
    return {name: value for name, value in said.items() if value}


def reply_of(answer: QuestionAnswered) -> Reply:
    """An answer as the tool is given it."""
    return msgspec.convert({"action": answer.action, "content": answer.content.value}, Reply)


def is_own(graph: Graph, principal: str) -> bool:
    """Whether a run is its author's: he has started it, or made a schedule that has."""
    return graph.author != "" and (principal == graph.author or principal.startswith(SCHEDULE))


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
def _told(effect: str, rules: tuple[str, ...], approved_by: str, log_only: str) -> str:
    """What an event says of a decision, and of what rules on trial would have made of it."""
    by = f"; approved by {approved_by}" if approved_by else ""
    trial = f"; on trial {log_only}" if log_only else ""
    return f"{effect}: {', '.join(rules)}{by}{trial}"


def _unknown_tool(name: str) -> Failure:
    return Failure(
        Code.TOOL_NOT_FOUND,
        f"there is no tool {name!r} here any more; start the daemon with the file that has it "
        "(stepwell up --tools FILE)",
    )
