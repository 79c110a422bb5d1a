"""The events of a run as progress of the call that waits for it."""

import logging
from collections import deque
from contextlib import aclosing
from datetime import timedelta
from typing import Final, NamedTuple

import anyio
from anyio.abc import TaskGroup
from mcp.shared.exceptions import MCPError
from mcp_types import (
    InputRequiredResult,
    LoggingLevel,
    LoggingMessageNotification,
    LoggingMessageNotificationParams,
)

from stepwell.errors import StepwellError
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run, stuck
from stepwell.principals import Caller
from stepwell.tools.relay import Message, Progress
from stepwell_mcp.asking import Conversation
from stepwell_mcp.audience import CallAudience
from stepwell_mcp.callers import RequestContext

MAX_REPORTS: Final = 1000
"""A run of more events than this has a reader, and its name is run_events."""
LAG: Final = timedelta(seconds=1)
"""How long an answer waits for the reports of its last events."""

MOST_HEARD: Final = 16
"""Reports of tools that wait to be passed on."""
STEP: Final = 0.001
"""By how much a report of a tool comes after the event before it."""

_logger = logging.getLogger(__name__)


class Patience(NamedTuple):
    """How long a call is waited for: `task_after` by whom it becomes a task, `wait` by others."""

    wait: timedelta
    task_after: timedelta


async def wait_reporting(
    service: Service,
    caller: Caller,
    run: str,
    patience: Patience,
    audience: CallAudience,
    conversation: Conversation,
    context: RequestContext,
    *,
    is_task: bool,
    levels: frozenset[LoggingLevel],
) -> Run | InputRequiredResult:
    """Waits as long as `patience` says, while the client is told of events and of what tools say.

    `levels` are those of the messages that the client wants. Ends earlier with what a newer client is
    to be asked; while an older one is being asked it goes on.

    Raises:
        StepwellError: as `service.wait_run`.
        MCPError: as `Conversation.ask`.
    """
    outcome: Run | InputRequiredResult | Exception = StepwellError("the wait had no outcome")
    async with anyio.create_task_group() as tasks:
        has_token = (context.meta or {}).get("progress_token") is not None
        reports = _Reports(context, tasks, has_token=has_token, levels=levels)
        audience.listen(reports.note)
        if has_token:
            tasks.start_soon(_report, service, caller, run, reports)
        try:
            outcome = await _wait(service, caller, run, patience, conversation, is_task=is_task)
        except (StepwellError, MCPError) as error:
            outcome = error  # raised here it would leave the group as an ExceptionGroup
        if isinstance(outcome, Run) and outcome.status.ended:
            tasks.cancel_scope.deadline = anyio.current_time() + LAG.total_seconds()
        else:
            tasks.cancel_scope.cancel()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def _wait(
    service: Service,
    caller: Caller,
    run: str,
    patience: Patience,
    conversation: Conversation,
    *,
    is_task: bool,
) -> Run | InputRequiredResult:
    """Waits for the end, and asks the client what it can be asked.

    Of a run that waits for somebody else a task is made at once, and a handle soon; after a
    question to an older client the waiting begins anew.
    """
    soon, wants = min(patience.task_after, patience.wait), conversation.wants

    def is_stuck(view: Run) -> bool:
        return wants(view) or (stuck(view) and not conversation.is_watched)

    while True:
        view = await service.wait_run(caller, run, soon, until=is_stuck if is_task else wants)
        is_early = not (is_task or view.status.ended or wants(view))
        if is_early and soon < patience.wait:
            view = await service.wait_run(caller, run, patience.wait - soon, until=is_stuck)
        if view.status.ended or not wants(view):
            return view
        if (asked := await conversation.ask(view)) is not None:
            return asked


class _Reports:
    """What one client is told: progress, and messages of tools.

    The numbers of progress only grow: they are those of the run's events, and between.
    """

    def __init__(
        self,
        context: RequestContext,
        tasks: TaskGroup,
        *,
        has_token: bool,
        levels: frozenset[LoggingLevel],
    ) -> None:
        self._context = context
        self._tasks = tasks
        self._has_token = has_token
        self._levels = levels
        self._last = 0.0
        self._heard: deque[Progress | Message] = deque()
        self._is_passing_on = False

    async def event(self, number: int, text: str) -> None:
        """Reports an event."""
        await self._tell(max(float(number), self._last + STEP), text)

    def note(self, said: Progress | Message) -> None:
        """Takes what a tool says; what comes faster than it can be told is left out."""
        is_wanted = said.level in self._levels if isinstance(said, Message) else self._has_token
        if not is_wanted or len(self._heard) >= MOST_HEARD:
            return
        self._heard.append(said)
        if not self._is_passing_on:
            self._is_passing_on = True
            self._tasks.start_soon(self._pass_on)

    async def _pass_on(self) -> None:
        while self._heard:
            said = self._heard.popleft()
            if isinstance(said, Message):
                await self._say(said)
                continue
            done = f"{said.done:g}"
            if said.total:
                done += f" of {said.total:g}"
            await self._tell(self._last + STEP, f"{said.step}: {done} {said.words}".rstrip())
        self._is_passing_on = False

    async def _say(self, said: Message) -> None:
        # Not by `send_log_message`, which warns that logging goes out of the protocol one day.
        params = LoggingMessageNotificationParams(
            level=said.level, data=said.data, logger=said.logger or None
        )
        await self._context.session.send_notification(
            LoggingMessageNotification(params=params), self._context.request_id
        )

    async def _tell(self, number: float, text: str) -> None:
        self._last = number
        await self._context.session.report_progress(number, message=text)


async def _report(service: Service, caller: Caller, run: str, reports: _Reports) -> None:
    """Reports each event of the run until its last one. Best effort: no call fails of it."""
    try:
        async with aclosing(service.watch_events(caller, run=run)) as batches:
            async for batch in batches:
                for event in batch.events:
                    step = getattr(event.event, "step", "")
                    await reports.event(event.sequence, f"{event.kind} {step}".rstrip())
                    if event.sequence >= MAX_REPORTS:
                        return
    except StepwellError as error:
        _logger.warning("no more progress of run %s: %s", run, error)
