"""What committed events count as. Called for every append, so it does little, and nothing twice."""

from collections.abc import Callable, Sequence
from typing import Any

from stepwell.engine.events import (
    Event,
    LlmCall,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunForked,
    RunStarted,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepScheduled,
    StepSkipped,
    ToolCall,
)
from stepwell.engine.graph import (
    AgentNode,
    ApprovalNode,
    LoopNode,
    MapNode,
    Node,
    SignalNode,
    SwitchNode,
    ToolNode,
    TransformNode,
    WaitNode,
    WorkflowNode,
    spec_of,
)
from stepwell.engine.state import RunState
from stepwell.telemetry.instruments import MOST_NAMES, Distribution, Tally
from stepwell.telemetry.metrics import Metrics
from stepwell_storage.errors import Full, StorageError
from stepwell_storage.ports import CommitWatch

MICROSECOND = 1e-6

KINDS: dict[type[Node], str] = {
    AgentNode: "agent",
    ToolNode: "tool",
    TransformNode: "transform",
    SwitchNode: "switch",
    WorkflowNode: "workflow",
    WaitNode: "wait",
    SignalNode: "signal",
    ApprovalNode: "approval",
    MapNode: "map",
    LoopNode: "loop",
}
_STATUSES: dict[type[Event], str] = {
    StepCompleted: "completed",
    StepFailed: "failed",
    StepSkipped: "skipped",
    RunCompleted: "completed",
    RunFailed: "failed",
    RunCancelled: "cancelled",
}


def watched_commits(metrics: Metrics) -> CommitWatch:
    """Counts transactions."""

    def committed(size: int, seconds: float, refusal: StorageError | None) -> None:
        metrics.commit_seconds.observe(seconds)
        metrics.commit_group_size.observe(size)
        if refusal is not None:
            metrics.storage_refusals.add("full" if isinstance(refusal, Full) else "unavailable")

    return committed


class Meter:
    """Counts for all runs of a process; `of_run` counts for one."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._steps: dict[tuple[type[Node], type[Event]], tuple[Tally, Distribution]] = {}
        self._tools: dict[str, tuple[Tally, Distribution]] = {}

    def of_run(self) -> "RunMeter":
        """Counts what is committed of one run, while it is in our hands."""
        return RunMeter(self)

    def ends(self, spec: type[Node], by: type[Event]) -> tuple[Tally, Distribution]:
        """Where steps are counted that end like this."""
        found = self._steps.get((spec, by))
        if found is None:
            kind, metrics = KINDS[spec], self.metrics
            found = metrics.steps_ended.of(kind, _STATUSES[by]), metrics.step_seconds.of(kind)
            self._steps[spec, by] = found
        return found

    def calls(self, tool: str) -> tuple[Tally, Distribution]:
        """Where calls of a tool are counted that came back well."""
        found = self._tools.get(tool)
        if found is None:
            metrics = self.metrics
            found = metrics.tool_calls.of(tool, "ok"), metrics.tool_call_seconds.of(tool)
            if len(self._tools) < MOST_NAMES:
                self._tools[tool] = found
        return found


class RunMeter:
    """Counts what is committed of one run; `scheduled` has its open steps: since when, of what kind.

    The state cannot tell the kind of a step that a map has made: it forgets what has ended.
    """

    __slots__ = ("of_all", "scheduled")

    def __init__(self, of_all: Meter) -> None:
        self.of_all = of_all
        self.scheduled: dict[str, tuple[int, type[Node]]] = {}

    def committed(self, state: RunState, events: Sequence[tuple[Event, str]]) -> None:
        """These events of the run are in the log; `state` has folded them, and maybe more."""
        for event, _ in events:
            count = _COUNTED.get(type(event))
            if count is not None:
                count(self, state, event)


def _run_started(meter: RunMeter, state: RunState, _: RunStarted | RunForked) -> None:
    meter.of_all.metrics.runs_started.add(state.graph.name)


def _run_ended(meter: RunMeter, state: RunState, event: Event) -> None:
    metrics, workflow = meter.of_all.metrics, state.graph.name
    metrics.runs_ended.add(workflow, _STATUSES[type(event)])
    metrics.run_seconds.observe((event.at - state.started_at) * MICROSECOND, workflow)


def _step_scheduled(meter: RunMeter, state: RunState, event: StepScheduled) -> None:
    spec = spec_of(state.graph, event.node, event.step)
    meter.scheduled[event.step] = event.at, type(spec)


def _step_ended(
    meter: RunMeter, state: RunState, event: StepCompleted | StepFailed | StepSkipped
) -> None:
    begun = meter.scheduled.pop(event.step, None)
    if begun is None:
        _step_of_others_ended(meter, state, event)
        return
    at, spec = begun
    tally, distribution = meter.of_all.ends(spec, type(event))
    tally.count += 1
    distribution.observe((event.at - at) * MICROSECOND)


def _step_of_others_ended(
    meter: RunMeter, state: RunState, event: StepCompleted | StepFailed | StepSkipped
) -> None:
    """It was skipped, or began in other hands: nobody knows here how long it took."""
    step = state.steps.get(event.step)
    if step is not None:
        tally, _ = meter.of_all.ends(type(step.spec), type(event))
        tally.count += 1


def _step_retried(meter: RunMeter, state: RunState, event: StepRetryScheduled) -> None:
    step = state.steps.get(event.step)
    if step is not None:
        meter.of_all.metrics.step_retries.add(KINDS[type(step.spec)])


def _tool_called(meter: RunMeter, _: RunState, event: ToolCall) -> None:
    if event.failure is None:
        tally, distribution = meter.of_all.calls(event.tool)
        tally.count += 1
        distribution.observe(event.latency_us * MICROSECOND)
        return
    metrics = meter.of_all.metrics
    metrics.tool_calls.add(event.tool, event.failure.reason)
    metrics.tool_call_seconds.observe(event.latency_us * MICROSECOND, event.tool)


def _model_called(meter: RunMeter, _: RunState, event: LlmCall) -> None:
    metrics, model, usage = meter.of_all.metrics, event.model or "unknown", event.usage
    metrics.model_calls.add(model, "ok" if event.failure is None else event.failure.reason)
    metrics.model_call_seconds.observe(event.latency_us * MICROSECOND, model)
    for kind, tokens in (
        ("input", usage.input),
        ("output", usage.output),
        ("cache_read", usage.cache_read),
    ):
        if tokens:
            metrics.model_tokens.add(model, kind, by=tokens)


_COUNTED: dict[type[Event], Callable[[RunMeter, RunState, Any], None]] = {
    RunStarted: _run_started,
    RunForked: _run_started,
    RunCompleted: _run_ended,
    RunFailed: _run_ended,
    RunCancelled: _run_ended,
    StepScheduled: _step_scheduled,
    StepCompleted: _step_ended,
    StepFailed: _step_ended,
    StepSkipped: _step_ended,
    StepRetryScheduled: _step_retried,
    ToolCall: _tool_called,
    LlmCall: _model_called,
}
