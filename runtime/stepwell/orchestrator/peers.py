"""What a run needs of other runs and of queues: nobody here is busy with it while it waits."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from stepwell.clock import Clock
from stepwell.engine.commands import EnterQueue, StartChild, child_run
from stepwell.engine.events import Parent, RunStarted, StepCompleted, ToolCall
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Admitted, ChildEnded, ChildStarted, Input, Start
from stepwell.engine.state import RunState
from stepwell.engine.values import NOTHING, Failure
from stepwell.errors import Code, StepwellError
from stepwell.orchestrator.intake import check_input
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.letters import cancel_child
from stepwell.orchestrator.spans import NO_SPANS, Spans
from stepwell.orchestrator.views import Run, RunStatus, run_of_row
from stepwell.orchestrator.workflows import Workflows
from stepwell.tools.registry import ToolRegistry
from stepwell_storage.errors import Conflict, Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import Ticket

MAX_DEPTH = 16
"""Runs that may be above one, unless settings say otherwise."""


class Peers(Protocol):
    """Carries out the commands that concern other runs."""

    async def start_child(self, namespace: str, state: RunState, command: StartChild) -> Input:
        """Starts the run that a step is, or finds it; how it is there, as an input."""
        ...

    async def stop_child(self, namespace: str, state: RunState, command: StartChild) -> None:
        """Stops the run that a step was, if it is there."""
        ...

    async def enter_queue(
        self, namespace: str, state: RunState, epoch: int, command: EnterQueue
    ) -> Input | None:
        """Asks for a place; None when it has to be waited for: a letter tells then."""
        ...


StartRun = Callable[[str, str, Graph, Start], Awaitable[RunState]]
"""`Worker.start`: namespace, run, graph and input."""


class StoredPeers:
    """The peers of a run are in the store, whoever owns them."""

    def __init__(
        self,
        storage: Storage,
        *,
        journal: Journal,
        workflows: Workflows,
        tools: ToolRegistry,
        clock: Clock,
        start: StartRun,
        max_depth: int,
        spans: Spans = NO_SPANS,
    ) -> None:
        """`max_depth` is how many runs may be above one."""
        self._storage = storage
        self._journal = journal
        self._workflows = workflows
        self._tools = tools
        self._clock = clock
        self._start = start
        self._max_depth = max_depth
        self._spans = spans

    async def start_child(self, namespace: str, state: RunState, command: StartChild) -> Input:
        """Starts the run that a step is, or finds it; how it is there, as an input."""
        child = child_run(state.run, command.step, command.attempt)
        try:
            return await self._found(namespace, child, command)
        except Missing:
            with self._spans.start_child(namespace, state, command) as span:
                begun = await self._begin(namespace, child, state, command, span.traceparent)
                span.ended(begun)
                return begun

    async def stop_child(self, namespace: str, state: RunState, command: StartChild) -> None:
        """Stops the run that a step was, if it is there."""
        child = child_run(state.run, command.step, command.attempt)
        letter = cancel_child(child, state, self._clock.now())
        await self._storage.inbox.send(namespace, letter)

    async def enter_queue(
        self, namespace: str, state: RunState, epoch: int, command: EnterQueue
    ) -> Input | None:
        """Asks for a place; None when it has to be waited for: a letter tells then."""
        now = self._clock.now()
        ticket = Ticket(command.queue, state.run, command.step, now, epoch)
        if await self._storage.queues.enter(namespace, [ticket], now=now):
            return Admitted(at=now, step=command.step)
        return None

    async def outcome(self, namespace: str, child: str, given: ChildEnded) -> ChildEnded:
        """How a child has ended, for its parent.

        Raises:
            StorageError: it cannot be read now.
        """
        run = run_of_row(await self._storage.runs.get(namespace, child))
        output = None
        failure = None if run.status is RunStatus.COMPLETED else failure_of_child(run)
        if run.output is not None:
            try:
                output = await self._journal.resolve(namespace, child, run.output)
            except StepwellError as error:  # erased, for instance
                failure = Failure(error.code, error.message, detail=dict(error.detail))
        return ChildEnded(
            at=self._clock.now(),
            principal=given.principal,
            step=given.step,
            attempt=given.attempt,
            output=output or NOTHING,
            failure=failure,
            called=given.called,
        )

    async def _begin(
        self, namespace: str, child: str, state: RunState, command: StartChild, traceparent: str
    ) -> Input:
        depth = state.parent.depth + 1 if state.parent else 1
        try:
            if depth > self._max_depth:
                return self._refused(command, too_deep(self._max_depth))
            graph = await self._workflows.graph(
                namespace, command.workflow, command.version or None
            )
            check_input(graph, command.input.value, self._tools)
        except StepwellError as error:
            failure = Failure(error.code, error.message, detail=dict(error.detail))
            return self._refused(command, failure)
        given = Start(
            at=self._clock.now(),
            principal=state.principal,
            input=command.input,
            labels=self._journal.inherited(state.labels),
            parent=Parent(state.run, command.step, command.attempt, depth),
            trace=traceparent,
            shares=(*state.shares, state.run) if state.limits else state.shares,
            called=tuple(sorted(state.calls)),
            attributes=state.attributes,
        )
        with suppress(Conflict):  # somebody has started it since we looked
            begun = await self._start(namespace, child, graph, given)
            if not begun.has_ended:
                return self._started(child, command)
        return await self._found(namespace, child, command)

    async def _found(self, namespace: str, child: str, command: StartChild) -> Input:
        """How a child is that was started: one that has ended may have told nobody.

        Raises:
            Missing: it was not started.
        """
        known = run_of_row(await self._storage.runs.get(namespace, child))
        if known.status.ended:
            called = await self._called(namespace, child)
            ended = ChildEnded(
                at=self._clock.now(), step=command.step, attempt=command.attempt, called=called
            )
            return await self.outcome(namespace, child, ended)
        return self._started(child, command)

    async def _called(self, namespace: str, child: str) -> tuple[str, ...]:
        """The tools that a run and those around it had called, as its log has it."""
        called: set[str] = set()
        async for page in self._journal.read(namespace, child):
            for event in page:
                if isinstance(event, ToolCall):
                    called.add(event.tool)
                elif isinstance(event, RunStarted | StepCompleted):
                    called.update(event.called)
        return tuple(sorted(called))

    def _started(self, child: str, command: StartChild) -> ChildStarted:
        return ChildStarted(
            at=self._clock.now(), step=command.step, attempt=command.attempt, child=child
        )

    def _refused(self, command: StartChild, failure: Failure) -> ChildEnded:
        return ChildEnded(
            at=self._clock.now(), step=command.step, attempt=command.attempt, failure=failure
        )


def failure_of_child(run: Run) -> Failure:
    """Why a step that is a run has failed: as that run did, or because it was cancelled."""
    why = run.failure or Failure(Code.RUN_CANCELLED, run.reason or "it was cancelled")
    return Failure(
        Code.CHILD_FAILED,
        f"the run {run.id} of the workflow {run.workflow!r} {run.status}: {why.message}",
        retryable=True,
        detail={"run": run.id, "reason": why.reason},
    )


def too_deep(limit: int) -> Failure:
    """Why a run is refused that would be below too many others."""
    return Failure(
        Code.LIMIT_EXCEEDED,
        f"there are {limit} runs above this one already, and no more may be; let workflows not "
        "call themselves, or raise limits.child_depth",
    )
