"""The steps of a run, as its events tell of them."""

from collections.abc import Callable, Iterable

from msgspec import UNSET
from msgspec.structs import replace

from stepwell.engine.events import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalRequested,
    Event,
    LlmCall,
    QuestionAnswered,
    QuestionAsked,
    RunCancelled,
    RunCompensating,
    RunCompleted,
    RunFailed,
    RunForked,
    RunResumed,
    StepCompleted,
    StepFailed,
    StepRetryScheduled,
    StepScheduled,
    StepSkipped,
    StepStarted,
    ToolCall,
)
from stepwell.engine.graph import UNDO, Graph, SignalNode, WaitNode, spec_of
from stepwell.engine.instants import instant
from stepwell.engine.values import Data
from stepwell.orchestrator.standing import asked_of, input_of
from stepwell.orchestrator.views import Step, Waiting

OPEN = ("active", "waiting", "retrying")
"""The statuses of a step that has not ended."""


def steps_of(run: str, events: Iterable[Event], graph: Graph | None) -> tuple[Step, ...]:
    """In the order in which they were scheduled or skipped.

    `graph` is that of the run; without it nobody can tell which steps wait for a message, a time or a
    place.
    """
    told = _Told(run, graph)
    for event in events:
        told.hear(event)
    return told.steps()


class _Told:
    """What the events so far have told."""

    def __init__(self, run: str, graph: Graph | None) -> None:
        self._run = run
        self._graph = graph
        self._steps: dict[str, Step] = {}
        self._ended_at: int | None = None
        """When the run ended, unless it goes on."""

    def steps(self) -> tuple[Step, ...]:
        """Every step; what has not ended with its run, or with its map or loop, was cancelled."""
        return tuple(map(self._as_it_is, self._steps.values()))

    def hear(self, event: Event) -> None:
        """One more event."""
        match event:
            case StepScheduled():
                self._schedule(event)
            case StepCompleted():
                self._change(
                    event.step,
                    status="completed",
                    ended_at=event.at,
                    output=event.output,
                    waiting=(),
                )
            case StepFailed():
                self._fail(event)
            case StepSkipped():
                self._steps[event.step] = Step(
                    id=event.step, node=event.node, status="skipped", attempt=0, ended_at=event.at
                )
            case StepStarted(child=child) if child:
                self._change(event.step, child=child)
            case StepStarted():
                self._change(event.step, status="active", waiting=())  # it has its place
            case StepRetryScheduled():
                self._retry(event)
            case LlmCall():
                self._pay(event)
            case ApprovalRequested():
                self._ask(event)
            case ApprovalDecided() | ApprovalExpired():
                self._forget(event.step, event.call)
            case QuestionAsked():
                self._ask_for_input(event)
            case QuestionAnswered():
                self._forget_inputs(event.step, lambda one: one.question == event.id)
            case ToolCall() if self._steps[event.step].waiting:
                self._forget_inputs(event.step, lambda one: one.call == event.call)
            case RunForked():
                self._fork()
            case RunCompensating():
                self._steps = {step.id: _cancelled(step, event.at) for step in self._steps.values()}
            case RunCompleted() | RunFailed() | RunCancelled():
                self._ended_at = event.at
            case RunResumed():
                self._resume()
            case _:
                pass

    def _schedule(self, event: StepScheduled) -> None:
        step = Step(
            id=event.step, node=event.node, status="active", attempt=1, scheduled_at=event.at
        )
        self._steps[event.step] = step
        waiting = self._queues(step) or self._waits(event)
        if waiting:
            self._change(event.step, status="waiting", waiting=waiting)

    def _waits(self, event: StepScheduled) -> tuple[Waiting, ...]:
        match self._graph and spec_of(self._graph, event.node, event.step):
            case SignalNode(signal=name):
                return (Waiting(step=event.step, on="signal", about=name),)
            case WaitNode():
                return (Waiting(step=event.step, on="timer", until=_until(event.input)),)
            case _:
                return ()

    def _fail(self, event: StepFailed) -> None:
        # One whose input has no value fails before it was scheduled.
        step = self._steps.get(event.step) or Step(
            id=event.step, node=self._node_of(event.step), status="failed", attempt=event.attempt
        )
        self._steps[event.step] = replace(
            step, status="failed", ended_at=event.at, failure=event.failure, waiting=()
        )

    def _node_of(self, step: str) -> str:
        undone = self._steps.get(step.removesuffix(UNDO))
        return undone.node if undone else step

    def _retry(self, event: StepRetryScheduled) -> None:
        step = self._steps[event.step]
        # One that had failed has given its place back; one that tries again by itself keeps it.
        waiting = self._queues(step) if step.status == "failed" else ()
        status = "waiting" if waiting else "retrying"
        again = {"ended_at": None, "failure": None, "waiting": waiting, "child": ""}
        self._change(event.step, status=status, attempt=event.attempt, **again)
        owner = self._owner_of(step)
        if owner is not None and owner.status == "failed":
            self._change(owner.id, status="active", ended_at=None, failure=None)

    def _pay(self, event: LlmCall) -> None:
        step = self._steps[event.step]
        is_unpriced = event.cost is None and event.failure is None
        self._change(
            event.step,
            tokens=step.tokens + event.usage.input + event.usage.output,
            cost=step.cost + (event.cost or 0),
            unpriced=step.unpriced + is_unpriced,
        )

    def _ask(self, event: ApprovalRequested) -> None:
        asked = replace(asked_of(self._run, event), message=event.message)
        waiting = (*self._steps[event.step].waiting, asked)
        self._change(event.step, status="waiting", waiting=waiting)

    def _forget(self, step: str, call: str) -> None:
        left = tuple(
            one for one in self._steps[step].waiting if one.call != call or one.on == "input"
        )
        self._change(step, status="waiting" if left else "active", waiting=left)

    def _ask_for_input(self, event: QuestionAsked) -> None:
        asked = replace(input_of(event, 0), message=event.question)
        others = [it for it in self._steps[event.step].waiting if it.question != event.id]
        self._change(event.step, status="waiting", waiting=(*others, asked))

    def _forget_inputs(self, step: str, is_it: Callable[[Waiting], bool]) -> None:
        """Questions of tools that nobody waits for any more."""
        waiting = self._steps[step].waiting
        left = tuple(one for one in waiting if one.on != "input" or not is_it(one))
        if len(left) < len(waiting):
            self._change(step, status="waiting" if left else "active", waiting=left)

    def _fork(self) -> None:
        """The other run's calls are its own: nobody asks about them here, and they ask nothing."""
        self._forget_all("outcome", "call")
        for step in tuple(self._steps):
            self._forget_inputs(step, lambda one: True)
        self._queue_again()

    def _resume(self) -> None:
        """About calls that were held when the run ended policy is asked anew."""
        if self._ended_at is not None:
            self._ended_at = None
            self._forget_all("call")
            self._queue_again()

    def _forget_all(self, *abouts: str) -> None:
        for step in tuple(self._steps.values()):
            for asked in step.waiting:
                if asked.about in abouts:
                    self._forget(step.id, asked.call)

    def _queue_again(self) -> None:
        """Whoever had a place, or waited for one, waits for one where the run is taken up again."""
        for step in tuple(self._steps.values()):
            waiting = self._queues(step) if step.status in OPEN else ()
            if waiting:
                self._change(step.id, status="waiting", waiting=waiting)

    def _queues(self, step: Step) -> tuple[Waiting, ...]:
        """The place that a step waits for before it begins."""
        spec = self._graph and spec_of(self._graph, step.node, step.id)
        if spec is None or not spec.queue:
            return ()
        return (Waiting(step=step.id, on="queue", about=spec.queue),)

    def _change(self, step: str, **fields: object) -> None:
        self._steps[step] = replace(self._steps[step], **fields)

    def _owner_of(self, step: Step) -> Step | None:
        """The map or loop that made a step."""
        if step.id == step.node or step.id.endswith(UNDO):
            return None
        return self._steps[step.node]

    def _as_it_is(self, step: Step) -> Step:
        owner = self._owner_of(step)
        if owner is not None and owner.status == "failed":
            return _cancelled(step, owner.ended_at)
        return step if self._ended_at is None else _cancelled(step, self._ended_at)


def _until(input: Data) -> int | None:
    """When a wait is over; None where that was computed from sealed data."""
    return None if input.value is UNSET else instant(input.value["until"])


def _cancelled(step: Step, at: int | None) -> Step:
    if step.status not in OPEN:
        return step
    return replace(step, status="cancelled", ended_at=at, waiting=())
