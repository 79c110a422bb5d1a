"""`stepwell run`, `runs`, `events`, `cancel`: what is done, and what was."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from stepwell.client import Client, Event, Run, RunStatus
from stepwell.engine.values import Json
from stepwell.errors import Code, InvalidRequest, StepwellError
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.definitions import is_file, put_file
from stepwell_server.cli.event_line import event_line
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected, follow
from stepwell_server.home import Home

PAGE = 1000

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    command(app)(run)
    command(app)(runs)
    command(app)(events)
    command(app)(cancel)


async def run(
    workflow: Annotated[
        str,
        typer.Argument(metavar="FILE|NAME", help="A definition, which is put first, or a name."),
    ],
    *,
    given: Annotated[
        str,
        typer.Option("--input", metavar="JSON|@FILE|-", help="The input; - is standard input."),
    ] = "{}",
    label: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A label; repeatable.")
    ] = None,
    request_id: Annotated[
        str, typer.Option(help="Start once only, however often this is sent.", show_default=False)
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
    value = read_input(given)
    async with connected(where) as client:
        version = ""
        if is_file(workflow):
            stored = await put_file(client, Path(workflow), output)
            workflow, version = stored.name, stored.version
        started = await client.run(
            workflow,
            value,
            version=version,
            labels=_labels(label or []),
            request_id=request_id or None,
        )
    if watch:
        await _print_events(where, started.id, output)
    if not (wait or watch):
        _print_started(started, output)
        return
    _print_ended(await _ended(where, started.id), output)


async def runs(
    *,
    status: Annotated[
        Literal["running", "completed", "failed", "cancelled"] | None,
        typer.Option(help="Only runs in this state.", show_default=False),
    ] = None,
    workflow: Annotated[
        str, typer.Option(metavar="NAME", help="Only runs of this workflow.", show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="At most so many.")] = 20,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List runs, newest first."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        page = await client.list(
            page_size=limit, status=RunStatus(status) if status else None, workflow=workflow
        )
    if json:
        output.document({"runs": page.runs, "more": bool(page.next_page_token)})
        return
    output.table(
        ("run", "workflow", "status", "started (UTC)", "by"),
        (
            (one.id, one.workflow, one.status, f"{one.created_at:%Y-%m-%d %H:%M:%S}", one.principal)
            for one in page.runs
        ),
        empty="no runs yet; start one with: stepwell run FILE --input JSON",
    )


async def events(
    run: RunArgument,
    *,
    followed: Annotated[
        bool, typer.Option("--follow", help="Go on until the run ends, through restarts too.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Print the event log of a run."""
    output = Output(json=json)
    where = home_or_default(home)
    if followed:
        await _print_events(where, run, output, to_people=True)
        return
    async with connected(where) as client:
        found = await _all_events(client, run)
    if json:
        output.document({"events": found})
    for event in [] if json else found:
        output.people.print(event_line(event), markup=False)


async def cancel(
    run: RunArgument,
    *,
    reason: Annotated[str, typer.Option(help="Why; goes into the log.", show_default=False)] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Stop a run; calls in flight are cancelled."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        cancelled = await client.cancel(run, reason)
    if json:
        output.document(cancelled)
    else:
        output.note(f"run {cancelled.id} is {cancelled.status}")


def read_input(given: str) -> Json:
    """The JSON that `--input` names: itself, a file, or standard input.

    Raises:
        InvalidRequest: it cannot be read, or is not JSON.
    """
    try:
        match given[:1], given[1:]:
            case "-", "":
                source = sys.stdin.buffer.read()
            case "@", path:
                source = Path(path).read_bytes()
            case _:
                source = given.encode()
        return msgspec.json.decode(source)
    except OSError as error:
        raise InvalidRequest(
            f"--input {given}: {error.strerror}", code=Code.INVALID_CONFIG
        ) from error
    except msgspec.DecodeError as error:
        raise InvalidRequest(
            f'--input is not JSON: {error}. Write it like \'{{"question": "..."}}\', '
            "or @FILE, or - for standard input",
            code=Code.INVALID_CONFIG,
        ) from error


def _labels(pairs: list[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise InvalidRequest(
                f"--label {pair!r} has no value; write it like team=shop", code=Code.INVALID_CONFIG
            )
        labels[key] = value
    return labels


async def _all_events(client: Client, run: str) -> list[Event]:
    found: list[Event] = []
    cursor = ""
    while True:
        batch = await client.events(run=run, cursor=cursor, page_size=PAGE)
        found += batch.events
        cursor = batch.cursor
        if batch.caught_up:
            return found


async def _print_events(home: Home, run: str, output: Output, *, to_people: bool = False) -> None:
    """Events as they happen; beside another answer they are progress, and go where that goes."""
    gone = "the daemon is gone; this goes on when it is back (stepwell up)"
    async for event in follow(home, run, gone=lambda: output.note(gone)):
        if output.json:
            output.line(event)
        elif to_people:
            output.people.print(event_line(event), markup=False)
        else:
            output.note(event_line(event))


async def _ended(home: Home, run: str) -> Run:
    """The run when it has ended, through restarts of the daemon."""
    async for _ in follow(home, run):
        pass
    async with connected(home) as client:
        return await client.get(run)


def _print_started(started: Run, output: Output) -> None:
    if output.json:
        output.document(started)
        return
    output.people.print(started.id, markup=False)
    if not started.created:
        output.note("this request id was used before: this is that run")
    output.note(f"see it with: stepwell events {started.id} --follow")


def _print_ended(ended: Run, output: Output) -> None:
    """The output; a run that did not complete is an error."""
    if output.json:
        output.line(ended)
    elif ended.output_ref is not None:
        output.note(f"the output has {ended.output_ref.size} bytes, too many for one message")
    elif isinstance(ended.output, str):
        output.people.print(ended.output, markup=False)
    elif ended.status is RunStatus.COMPLETED:
        output.document(ended.output)
    if ended.status is RunStatus.COMPLETED:
        return
    if not output.json:
        output.error(_why(ended))
    raise typer.Exit(Exit.FAILED)


def _why(ended: Run) -> StepwellError:
    if ended.failure is None:
        return StepwellError(
            f"run {ended.id} was cancelled: {ended.reason or 'no reason given'}",
            code=Code.RUN_CANCELLED,
        )
    reason = ended.failure.reason
    return StepwellError(
        f"run {ended.id} failed: {ended.failure.message}. See: stepwell events {ended.id}",
        code=Code(reason) if reason in Code.__members__ else Code.INTERNAL,
        detail=ended.failure.detail,
    )
