"""Spans of runs and of what is done for them: one for each call, one for the run as a whole.

Names and attributes are those of OpenTelemetry's conventions for generative AI, where there are
some. No span holds data of the user: neither arguments nor messages nor the text of a failure.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from opentelemetry.trace import Span, SpanKind
from opentelemetry.util.types import AttributeValue

from stepwell.engine.commands import CallModel, CallTool, StartChild
from stepwell.engine.graph import AgentNode
from stepwell.engine.inputs import (
    CallDenied,
    CallHeld,
    CallThrottled,
    ChildEnded,
    Input,
    ModelAnswered,
    ToolAnswered,
)
from stepwell.engine.state import RunState
from stepwell.engine.values import Failure
from stepwell.errors import Code
from stepwell.telemetry.tracing import Tracing, mark_failed, traceparent_of

PROVIDERS = {"google": "gcp.gen_ai"}
"""What the conventions call providers that have another name here."""


class CallSpan(Protocol):
    """The span of one call."""

    @property
    def traceparent(self) -> str:
        """What the call passes on, so that others go on with the trace."""
        ...

    def ended(self, given: Input | None) -> None:
        """Tells how the call came out."""
        ...


class Spans(Protocol):
    """Makes spans; each of the first three is current while its block runs."""

    def call_model(
        self, namespace: str, state: RunState, command: CallModel
    ) -> AbstractContextManager[CallSpan]:
        """The span of a call of a model."""
        ...

    def call_tool(
        self, namespace: str, state: RunState, command: CallTool
    ) -> AbstractContextManager[CallSpan]:
        """The span of a call of a tool."""
        ...

    def start_child(
        self, namespace: str, state: RunState, command: StartChild
    ) -> AbstractContextManager[CallSpan]:
        """The span of the start of a child."""
        ...

    def run_ended(self, namespace: str, state: RunState) -> None:
        """The span of a run that has ended."""
        ...


class NoSpan:
    """Stands for the span where nobody collects any: the trace of the request is passed on."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def __enter__(self) -> CallSpan:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ended(self, given: Input | None) -> None:
        """Nobody wants to know."""


class NoSpans:
    """Where nobody collects spans."""

    def call_model(self, namespace: str, state: RunState, command: CallModel) -> NoSpan:
        """No span."""
        return NoSpan(state.trace)

    def call_tool(self, namespace: str, state: RunState, command: CallTool) -> NoSpan:
        """No span."""
        return NoSpan(state.trace)

    def start_child(self, namespace: str, state: RunState, command: StartChild) -> NoSpan:
        """No span."""
        return NoSpan(state.trace)

    def run_ended(self, namespace: str, state: RunState) -> None:
        """No span."""


NO_SPANS: Spans = NoSpans()


class OtelSpan:
    """The span of one call, as OpenTelemetry has it."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.traceparent = traceparent_of(span)

    def ended(self, given: Input | None) -> None:
        """Tells how the call came out."""
        match given:
            case ModelAnswered():
                self._answered(given)
            case ToolAnswered(failure=Failure(reason=reason)):
                mark_failed(self._span, reason)
            case ChildEnded(failure=Failure(reason=reason)):
                mark_failed(self._span, reason)
            case CallDenied():
                mark_failed(self._span, Code.POLICY_DENIED)
            case CallHeld():
                self._span.set_attribute("stepwell.decision", "require_approval")
            case CallThrottled():
                self._span.set_attribute("stepwell.decision", "throttle")

    def _answered(self, given: ModelAnswered) -> None:
        span, usage = self._span, given.usage
        if given.model:
            span.set_attribute("gen_ai.response.model", given.model)
        for name, tokens in (
            ("input_tokens", usage.input),
            ("output_tokens", usage.output),
            ("cache_read.input_tokens", usage.cache_read),
            ("cache_creation.input_tokens", usage.cache_write),
            ("reasoning.output_tokens", usage.reasoning),
        ):
            if tokens:
                span.set_attribute(f"gen_ai.usage.{name}", tokens)
        if given.answer is not None:
            span.set_attribute("gen_ai.response.finish_reasons", (given.answer.finish,))
        if given.failure is not None:
            mark_failed(span, given.failure.reason)


class OtelSpans:
    """Makes spans, as OpenTelemetry has them. `models` binds classes of models."""

    def __init__(self, tracing: Tracing, *, models: Mapping[str, str]) -> None:
        self._tracing = tracing
        self._models = models

    @contextmanager
    def call_model(self, namespace: str, state: RunState, command: CallModel) -> Iterator[CallSpan]:
        """The span of a call of a model."""
        node = state.steps[command.step].spec
        assert isinstance(node, AgentNode), f"{command.step} asks a model and is no agent"
        full = self._models.get(node.agent.model, node.agent.model)
        provider, _, model = full.rpartition(":")
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": model,
            "gen_ai.agent.name": node.agent.name,
            **_place(namespace, state, command.step, command.attempt),
        }
        if provider:
            attributes["gen_ai.provider.name"] = PROVIDERS.get(provider, provider)
        with self._within(state, f"chat {model}", SpanKind.CLIENT, attributes) as span:
            yield span

    @contextmanager
    def call_tool(self, namespace: str, state: RunState, command: CallTool) -> Iterator[CallSpan]:
        """The span of a call of a tool."""
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": command.tool,
            "gen_ai.tool.type": "function",
            **_place(namespace, state, command.step, command.attempt),
        }
        if command.call:
            attributes["gen_ai.tool.call.id"] = command.call
        name = f"execute_tool {command.tool}"
        with self._within(state, name, SpanKind.INTERNAL, attributes) as span:
            yield span

    @contextmanager
    def start_child(
        self, namespace: str, state: RunState, command: StartChild
    ) -> Iterator[CallSpan]:
        """The span of the start of a child."""
        attributes = {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": command.workflow,
            **_place(namespace, state, command.step, command.attempt),
        }
        name = f"start_child {command.workflow}"
        with self._within(state, name, SpanKind.PRODUCER, attributes) as span:
            yield span

    def run_ended(self, namespace: str, state: RunState) -> None:
        """The span of a run that has ended."""
        assert state.ended_at is not None, f"the run {state.run} has not ended"
        failed_with = state.failure.reason if state.failure is not None else ""
        self._tracing.whole_run(
            state.run,
            state.trace,
            f"invoke_workflow {state.graph.name}",
            {
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.workflow.name": state.graph.name,
                "stepwell.namespace": namespace,
                "stepwell.run": state.run,
                "stepwell.status": state.phase.value,
                "stepwell.workflow.version": state.graph.version,
            },
            started_at=state.started_at,
            ended_at=state.ended_at,
            failed_with=failed_with,
        )

    @contextmanager
    def _within(
        self, state: RunState, name: str, kind: SpanKind, attributes: Mapping[str, AttributeValue]
    ) -> Iterator[CallSpan]:
        with self._tracing.within(state.run, state.trace, name, kind, attributes) as span:
            yield OtelSpan(span)


def _place(namespace: str, state: RunState, step: str, attempt: int) -> dict[str, AttributeValue]:
    return {
        "stepwell.namespace": namespace,
        "stepwell.run": state.run,
        "stepwell.step": step,
        "stepwell.attempt": attempt,
    }
