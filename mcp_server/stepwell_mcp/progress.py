"""The events of a run as progress of the call that waits for it."""

import logging
from contextlib import aclosing
from datetime import timedelta
from typing import Final

import anyio
from mcp.server.session import ServerSession

from stepwell.errors import StepwellError
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run
from stepwell.principals import Caller

MAX_REPORTS: Final = 1000
"""A run of more events than this has a reader, and its name is run_events."""
LAG: Final = timedelta(seconds=1)
"""How long an answer waits for the reports of its last events."""

_logger = logging.getLogger(__name__)


async def wait_reporting(
    service: Service, caller: Caller, run: str, wait: timedelta, session: ServerSession
) -> Run:
    """As `service.wait_run`, while each event of the run is reported to the client.

    Raises:
        StepwellError: as `service.wait_run`.
    """
    outcome: Run | StepwellError = StepwellError("the wait ended without an outcome")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_report, service, caller, run, session)
        try:
            outcome = await service.wait_run(caller, run, wait)
        except StepwellError as error:
            outcome = error  # raised here it would leave the group as an ExceptionGroup
        if isinstance(outcome, Run) and outcome.status.ended:
            tasks.cancel_scope.deadline = anyio.current_time() + LAG.total_seconds()
        else:
            tasks.cancel_scope.cancel()
    if isinstance(outcome, StepwellError):
        raise outcome
    return outcome


async def _report(service: Service, caller: Caller, run: str, session: ServerSession) -> None:
    """Reports each event of the run until its last one. Best effort: no call fails of it."""
    try:
        async with aclosing(service.watch_events(caller, run=run)) as batches:
            async for batch in batches:
                for event in batch.events:
                    step = getattr(event.event, "step", "")
                    text = f"{event.kind} {step}".rstrip()
                    await session.report_progress(event.sequence, message=text)
                    if event.sequence >= MAX_REPORTS:
                        return
    except StepwellError as error:
        _logger.warning("no more progress of run %s: %s", run, error)
