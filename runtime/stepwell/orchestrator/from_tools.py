"""What our own tools may do to the run that calls them: tell its log, and run a workflow below it.

A model that a tool needs is asked by a run of its own: its call is an event like any other, budgets
of the calling run count it, and after a crash it is found instead of made again.
"""

import asyncio
import hashlib
from datetime import timedelta
from typing import Final

from stepwell.clock import Clock
from stepwell.engine.events import Parent
from stepwell.engine.inputs import Start
from stepwell.engine.state import RunState
from stepwell.engine.values import Data, Json
from stepwell.errors import Code, StepwellError
from stepwell.orchestrator.intake import check_input
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.peers import failure_of_child, too_deep
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import RunStatus
from stepwell.orchestrator.worker import Worker
from stepwell.orchestrator.workflows import Workflows
from stepwell.principals import Caller
from stepwell.tools.port import CallContext, ToolFailed
from stepwell.tools.registry import ToolRegistry
from stepwell_storage.errors import Conflict

_SLICE: Final = timedelta(minutes=1)


class FromTools:
    """Made before the tools, and usable once it is bound: tools are made before the service."""

    def __init__(self) -> None:
        self._bound: _Bound | None = None

    def bind(
        self,
        service: Service,
        *,
        worker: Worker,
        workflows: Workflows,
        journal: Journal,
        tools: ToolRegistry,
        clock: Clock,
        max_depth: int,
    ) -> None:
        """Lets tools reach their runs. `max_depth` is how many runs may be above one."""
        self._bound = _Bound(service, worker, workflows, journal, tools, clock, max_depth)

    async def tell(self, context: CallContext, type: str, payload: Json) -> None:
        """Writes a `custom` event into the log of the run that calls."""
        await self._reach().tell(context, type, payload)

    async def run(self, context: CallContext, workflow: str, input: Data, key: str) -> Json:
        """Runs a workflow below the calling run, and gives its output.

        `key` tells several of one call apart. The same call with the same key finds the same run.

        Raises:
            ToolFailed: the run failed, with its code; CHILD_FAILED, it was cancelled.
        """
        return await self._reach().run(context, workflow, input, key)

    def _reach(self) -> "_Bound":
        assert self._bound is not None, "a tool is called before there is a service"
        return self._bound


class _Bound:
    def __init__(
        self,
        service: Service,
        worker: Worker,
        workflows: Workflows,
        journal: Journal,
        tools: ToolRegistry,
        clock: Clock,
        max_depth: int,
    ) -> None:
        self._service = service
        self._worker = worker
        self._workflows = workflows
        self._journal = journal
        self._tools = tools
        self._clock = clock
        self._max_depth = max_depth

    async def tell(self, context: CallContext, type: str, payload: Json) -> None:
        caller = Caller(context.namespace, context.principal)
        await self._service.controls.publish_event(caller, context.run, type, payload)

    async def run(self, context: CallContext, workflow: str, input: Data, key: str) -> Json:
        child = _id_of(context, key)
        owned = self._worker.find(context.namespace, context.run)
        if owned is None:
            raise ToolFailed("the run that calls is gone", code=Code.RUN_ENDED, retryable=False)
        await self._start(context, owned.state, child, workflow, input)
        caller = Caller(context.namespace, context.principal)
        try:
            run = await self._service.wait_run(caller, child, _SLICE)
            while not run.status.ended:
                run = await self._service.wait_run(caller, child, _SLICE)
        except asyncio.CancelledError:
            if not self._worker.is_draining:
                await asyncio.shield(self._cancel(caller, child))
            raise
        if run.status is not RunStatus.COMPLETED:
            why = run.failure or failure_of_child(run)
            raise ToolFailed(
                f"the run {child} of the workflow {workflow!r} failed ({why.reason}): {why.message}",
                code=Code(why.reason),
                retryable=why.retryable,
                detail={**why.detail, "run": child},
            )
        assert run.output is not None, "what is completed has an output"
        return run.output.value

    async def _start(
        self, context: CallContext, state: RunState, child: str, workflow: str, input: Data
    ) -> None:
        depth = state.parent.depth + 1 if state.parent else 1
        if depth > self._max_depth:
            raise ToolFailed(too_deep(self._max_depth).message, code=Code.LIMIT_EXCEEDED)
        with refusals():
            graph = await self._workflows.graph(context.namespace, workflow)
        check_input(graph, input.value, self._tools)
        given = Start(
            at=self._clock.now(),
            principal=context.principal,
            input=input,
            labels=self._journal.inherited(state.labels),
            parent=Parent(state.run, context.step, context.attempt, depth),
            trace=context.traceparent,
            shares=(*state.shares, state.run) if state.limits else state.shares,
            called=tuple(sorted(state.calls)),
        )
        try:
            with refusals():
                await self._worker.start(context.namespace, child, graph, given)
        except Conflict:
            return  # an earlier attempt has started it

    async def _cancel(self, caller: Caller, child: str) -> None:
        try:
            await self._service.controls.cancel_run(caller, child, "nobody waits for it any more")
        except StepwellError:
            return  # it has ended by itself


def _id_of(context: CallContext, key: str) -> str:
    """A UUID of version 8 that is the same for the same call: as `engine.commands.child_run`."""
    said = f"{context.namespace}/{context.key}/{key}"
    bits = bytearray(hashlib.sha256(said.encode()).digest()[:16])
    bits[6] = bits[6] & 0x0F | 0x80
    bits[8] = bits[8] & 0x3F | 0x80
    text = bits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
