"""`stepwell run`: starts a run, and waits for it where that is wanted."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from stepwell.client import OnConflict, Run
from stepwell.clock import SystemClock
from stepwell_server.cli.amounts import read_limits
from stepwell_server.cli.command import (
    HomeOption,
    JsonOption,
    command,
    home_flag,
    home_or_default,
)
from stepwell_server.cli.definitions import is_file, put_file
from stepwell_server.cli.ending import ended, print_ended, told_how_to_go_on
from stepwell_server.cli.events import print_events
from stepwell_server.cli.json_values import METAVAR, read_json
from stepwell_server.cli.labels import LabelOption, read_labels
from stepwell_server.cli.output import Output
from stepwell_server.cli.run_document import run_document
from stepwell_server.cli.session import connected
from stepwell_server.cli.waiting import Asked

RequestIdOption: TypeAlias = Annotated[
    str, typer.Option(help="Start once only, however often this is sent.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    command(app)(run)


async def run(
    workflow: Annotated[
        str,
        typer.Argument(metavar="FILE|NAME", help="A definition, which is put first, or a name."),
    ],
    *,
    given: Annotated[
        str,
        typer.Option("--input", metavar=METAVAR, help="The input; - is standard input."),
    ] = "{}",
    label: LabelOption = None,
    request_id: RequestIdOption = "",
    key: Annotated[
        str,
        typer.Option(
            metavar="KEY", help="No two runs with this key at a time.", show_default=False
        ),
    ] = "",
    on_conflict: Annotated[
        OnConflict,
        typer.Option(help="Where another run has it: fail, use_existing, cancel_existing."),
    ] = "fail",
    queue: Annotated[
        str,
        typer.Option(metavar="NAME", help="Begin when there is a place in it.", show_default=False),
    ] = "",
    budget: Annotated[
        str,
        typer.Option(
            metavar="DOLLARS",
            help="What it may spend; it is paused before more.",
            show_default=False,
        ),
    ] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Print the output when it is there.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Print events as they happen.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Start a run and print its id, or with --wait or --watch its output."""
    output = Output(json=json)
    where = home_or_default(home)
    value = read_json(given, "--input")
    limits = {it: limit or 0 for it, limit in read_limits(budget, "", "", "").items()}
    since = SystemClock().now()
    async with connected(where) as client:
        version = ""
        if is_file(workflow):
            stored = await put_file(client, Path(workflow), output)
            workflow, version = stored.name, stored.version
        started = await client.run(
            workflow,
            value,
            version=version,
            labels=read_labels(label),
            request_id=request_id or None,
            run_key=key,
            on_conflict=on_conflict,
            queue=queue,
            limits=limits,
        )
    flag, asked = home_flag(home), Asked(output, home_flag(home), since=since)
    if not (wait or watch):
        print_started(started, output, flag)
        return
    with told_how_to_go_on(started.id, output, flag):
        output.note(f"run {started.id}")
        if watch:
            await print_events(where, started.id, output, beside=asked)
        found = await ended(where, started.id, None if watch else asked)
    print_ended(found, output, flag, created=started.created)


def print_started(started: Run, output: Output, flag: str) -> None:
    """The id of a run, and where to look for it."""
    if output.json:
        output.document(run_document(started, created=started.created))
        return
    output.people.print(started.id, markup=False)
    if not started.created:
        output.note("the request id or the key was used before: this is that run")
    output.note(f"see it with: stepwell events {started.id} --follow{flag}")
