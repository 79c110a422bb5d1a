"""`stepwell wait`: until a run has ended."""

import asyncio
from datetime import timedelta
from typing import Annotated

import typer

from stepwell.client import Run, Step
from stepwell.clock import SystemClock
from stepwell_server.cli.command import (
    HomeOption,
    JsonOption,
    command,
    home_flag,
    home_or_default,
)
from stepwell_server.cli.durations import read_duration
from stepwell_server.cli.ending import ended, print_ended, told_how_to_go_on
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.output import Output
from stepwell_server.cli.run_document import run_document
from stepwell_server.cli.run_ids import RunArgument, full_id
from stepwell_server.cli.session import connected
from stepwell_server.cli.waiting import Asked, waits_of
from stepwell_server.home import Home


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    command(app)(wait)


async def wait(
    run: RunArgument,
    *,
    timeout: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="No longer than this, like 90s or 2h.", show_default=False
        ),
    ] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Wait until a run has ended, and print its output."""
    output, where, flag = Output(json=json), home_or_default(home), home_flag(home)
    patience = read_duration(timeout, "--timeout")
    asked = Asked(output, flag, since=SystemClock().now())
    found, steps = await _look(where, run)
    with told_how_to_go_on(found.id, output, flag):
        _tell(found, steps, output, flag)
        gone = await _within(patience, where, found.id, asked)
    if gone is not None:
        print_ended(gone, output, flag)
        return
    found, _ = await _look(where, found.id)
    if output.json:
        output.line(run_document(found))
    output.note(f"run {found.id} is {found.status}, and has not ended within {timeout}")
    raise typer.Exit(Exit.NOT_YET)


async def _look(home: Home, run: str) -> tuple[Run, tuple[Step, ...]]:
    async with connected(home) as client:
        found = await client.get(await full_id(client, run))
        return found, await client.steps(found.id)


def _tell(run: Run, steps: tuple[Step, ...], output: Output, flag: str) -> None:
    for _, line in waits_of(run, steps, flag):
        output.note(line)


async def _within(patience: timedelta | None, home: Home, run: str, asked: Asked) -> Run | None:
    """The run when it has ended; None when it has not in time."""
    seconds = None if patience is None else patience.total_seconds()
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await ended(home, run, asked)
    except TimeoutError:
        if limit.expired():
            return None
        raise
