"""`stepwell events`, and events as they happen for commands that follow a run."""

from typing import Annotated

import typer

from stepwell.client import Client, Event
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.event_line import EventLines
from stepwell_server.cli.output import Output
from stepwell_server.cli.run_ids import PAGE, RunArgument, full_id
from stepwell_server.cli.session import connected, follow
from stepwell_server.cli.waiting import Asked
from stepwell_server.home import Home


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    command(app)(events)


async def events(
    run: RunArgument,
    *,
    followed: Annotated[
        bool, typer.Option("--follow", help="Go on until the run ends, through restarts too.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Print the event log of a run; times are local."""
    output = Output(json=json)
    where = home_or_default(home)
    async with connected(where) as client:
        run_id = await full_id(client, run)
        found = [] if followed else await _all_events(client, run_id)
    if followed:
        await print_events(where, run_id, output)
    elif json:
        output.document({"events": found})
    else:
        lines = EventLines()
        for event in found:
            output.row(lines.line(event))


async def print_events(
    home: Home, run: str, output: Output, *, beside: Asked | None = None
) -> None:
    """Prints the events of a run until it ends: as progress `beside` another answer, or alone."""
    lines = EventLines()
    gone = "the daemon is gone; this goes on when it is back (stepwell up)"
    async for event in follow(home, run, gone=lambda: output.note(gone)):
        if output.json:
            output.line(event)
        else:
            output.row(lines.line(event), is_progress=beside is not None)
        if beside is not None:
            beside.see(event)


async def _all_events(client: Client, run: str) -> list[Event]:
    found: list[Event] = []
    cursor = ""
    while True:
        batch = await client.events(run=run, cursor=cursor, page_size=PAGE)
        found += batch.events
        cursor = batch.cursor
        if batch.caught_up:
            return found
