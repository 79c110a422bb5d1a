"""One call of a tool that a command makes and waits for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import typer

from stepwell.client import RunStatus
from stepwell.clock import SystemClock
from stepwell.engine.values import Json
from stepwell.errors import Code, StepwellError
from stepwell.nldb.writes.preview import APPLY
from stepwell_server.cli.ending import ended, print_ended, told_how_to_go_on
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected
from stepwell_server.cli.waiting import Asked
from stepwell_server.home import Home

PATIENCE: Final = 5
"""Seconds in which a call is stopped."""


async def answer_of(
    tool: str, arguments: dict[str, Json], output: Output, home: Home, flag: str
) -> Json:
    """The object that the tool answers. While the call is held, the person is told what to do.

    Ctrl-C ends a call that only reads; `db_apply`, which may wait for somebody else, goes on.

    Raises:
        StepwellError: the call failed; `detail` has its run.
    """
    since = SystemClock().now()
    async with connected(home) as client:
        started = await client.call(tool, arguments)
    asked = Asked(output, flag, since=since)
    if tool == APPLY:
        with told_how_to_go_on(started.id, output, flag):
            run = await ended(home, started.id, asked)
    else:
        async with _stopped_with(started.id, output, home):
            run = await ended(home, started.id, asked)
    if run.failure is not None:
        reason = run.failure.reason
        raise StepwellError(
            run.failure.message,
            code=Code(reason) if reason in Code.__members__ else Code.INTERNAL,
            detail={**run.failure.detail, "run": run.id},
        )
    if run.status is not RunStatus.COMPLETED or not isinstance(run.output, dict):
        print_ended(run, output, flag)
        raise typer.Exit(Exit.FAILED)
    return run.output


@asynccontextmanager
async def _stopped_with(run: str, output: Output, home: Home) -> AsyncIterator[None]:
    """Stops the run when whoever waits for it does not want to any more."""
    try:
        yield
    except asyncio.CancelledError:
        async with asyncio.timeout(PATIENCE), connected(home) as client:
            with suppress(StepwellError):  # it has ended meanwhile
                await client.cancel(run, "Ctrl-C")
        output.note("stopped")
        raise
