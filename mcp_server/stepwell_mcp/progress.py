"""The events of a run as progress of the call that waits for it."""

import asyncio
import logging
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Any, Final

import anyio
from mcp.server.session import ServerSession

from stepwell.errors import StepwellError
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run
from stepwell.principals import Caller
from stepwell.tools.relay import Progress
from stepwell_mcp.audience import Asked, CallAudience

MAX_REPORTS: Final = 1000
"""A run of more events than this has a reader, and its name is run_events."""
LAG: Final = timedelta(seconds=1)
"""How long an answer waits for the reports of its last events."""

MOST_HEARD: Final = 16
"""Reports of tools that wait to be passed on."""
STEP: Final = 0.001
"""By how much a report of a tool comes after the event before it."""

_logger = logging.getLogger(__name__)


async def wait_reporting(
    service: Service,
    caller: Caller,
    run: str,
    wait: timedelta,
    audience: CallAudience,
    *,
    session: ServerSession | None,
) -> Run | Asked:
    """As `service.wait_run`, while `session` is told of each event and of what tools report.

    Ends earlier with what a newer client is to be asked; while an older one is being asked it
    goes on.

    Raises:
        StepwellError: as `service.wait_run`.
    """
    outcome: Run | Asked | StepwellError = StepwellError("the wait ended without an outcome")
    async with anyio.create_task_group() as tasks:
        reports = None if session is None else _Reports(session)
        if reports is not None:
            audience.listen(reports.note)
            tasks.start_soon(_report, service, caller, run, reports)
            tasks.start_soon(reports.pass_on)
        waiting = asyncio.ensure_future(_wait(service, caller, run, wait, audience))
        try:
            either: list[asyncio.Future[Any]] = [waiting, audience.asked]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            outcome = await waiting if waiting.done() else audience.asked.result()
        except StepwellError as error:
            outcome = error  # raised here it would leave the group as an ExceptionGroup
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        if isinstance(outcome, Run) and outcome.status.ended:
            tasks.cancel_scope.deadline = anyio.current_time() + LAG.total_seconds()
            if reports is not None:
                reports.end()
        else:
            tasks.cancel_scope.cancel()
    if isinstance(outcome, StepwellError):
        raise outcome
    return outcome


async def _wait(
    service: Service, caller: Caller, run: str, wait: timedelta, audience: CallAudience
) -> Run:
    view = await service.wait_run(caller, run, wait)
    while audience.is_asking and not view.status.ended:
        view = await service.wait_run(caller, run, LAG)
    return view


class _Reports:
    """What one client is told, in numbers that only grow: those of the run's events, and between."""

    def __init__(self, session: ServerSession) -> None:
        self._session = session
        self._last = 0.0
        self._send, self._heard = anyio.create_memory_object_stream[Progress](MOST_HEARD)

    async def event(self, number: int, text: str) -> None:
        """Reports an event."""
        await self._tell(max(float(number), self._last + STEP), text)

    def note(self, progress: Progress) -> None:
        """Takes what a tool reports; what comes faster than it can be told is left out."""
        with suppress(anyio.WouldBlock, anyio.ClosedResourceError):
            self._send.send_nowait(progress)

    def end(self) -> None:
        """Takes no more."""
        self._send.close()

    async def pass_on(self) -> None:
        """Reports what tools report, until the end."""
        with self._send, self._heard:
            async for progress in self._heard:
                done = f"{progress.done:g}"
                if progress.total:
                    done += f" of {progress.total:g}"
                await self._tell(
                    self._last + STEP, f"{progress.step}: {done} {progress.words}".rstrip()
                )

    async def _tell(self, number: float, text: str) -> None:
        self._last = number
        await self._session.report_progress(number, message=text)


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
