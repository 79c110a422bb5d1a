"""`stepwell schedules`: runs that are started by the clock."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import msgspec
import typer

from stepwell.client import Overlap, Schedule
from stepwell.durations import format_duration
from stepwell_server.cli.command import (
    HomeOption,
    JsonOption,
    command,
    home_flag,
    home_or_default,
)
from stepwell_server.cli.durations import read_duration
from stepwell_server.cli.json_values import METAVAR, read_json
from stepwell_server.cli.labels import LabelOption, read_labels
from stepwell_server.cli.output import Output
from stepwell_server.cli.run import RequestIdOption, print_started
from stepwell_server.cli.session import connected
from stepwell_server.cli.times import day_and_time

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of the schedule.")]
NoteOption = Annotated[
    str, typer.Option(metavar="TEXT", help="Why; shown with it.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(help="Runs that are started by the clock.", no_args_is_help=True)
    command(group)(put)
    command(group, "list")(list_schedules)
    for body in (show, pause, resume, trigger, remove):
        command(group)(body)
    app.add_typer(group, name="schedules")


async def put(
    name: NameArgument,
    *,
    cron: Annotated[
        str,
        typer.Option(
            metavar="EXPRESSION",
            help="Minute, hour, day of the month, month, day of the week: '0 9 * * 1-5'.",
        ),
    ],
    workflow: Annotated[str, typer.Option(metavar="NAME", help="What is run.")],
    zone: Annotated[str, typer.Option(metavar="ZONE", help="Like Europe/Berlin.")] = "UTC",
    version: Annotated[
        str, typer.Option(metavar="DIGEST", help="Not the newest.", show_default=False)
    ] = "",
    given: Annotated[
        str, typer.Option("--input", metavar=METAVAR, help="The input; - is standard input.")
    ] = "{}",
    label: LabelOption = None,
    key: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="The run key that the runs have, instead of one of their own.",
            show_default=False,
        ),
    ] = "",
    queue: Annotated[
        str,
        typer.Option(metavar="NAME", help="Begin when there is a place in it.", show_default=False),
    ] = "",
    overlap: Annotated[
        Overlap, typer.Option(help="What to do while the run before goes on.")
    ] = "skip",
    catch_up: Annotated[
        str, typer.Option(metavar="TIME", help="Start no run that is later than this.")
    ] = "1m",
    jitter: Annotated[
        str, typer.Option(metavar="TIME", help="Start each run later, by at most this.")
    ] = "0s",
    note: Annotated[
        str, typer.Option(metavar="TEXT", help="What it is for.", show_default=False)
    ] = "",
    paused: Annotated[
        bool | None,
        typer.Option("--paused/--not-paused", help="Else it stays as it is.", show_default=False),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a schedule, or replace it as a whole."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        stored = await client.schedules.put(
            name,
            cron=cron,
            zone=zone,
            workflow=workflow,
            version=version,
            input=read_json(given, "--input"),
            labels=read_labels(label),
            run_key=key,
            queue=queue,
            overlap=overlap,
            catch_up=read_duration(catch_up, "--catch-up") or timedelta(0),
            jitter=read_duration(jitter, "--jitter") or timedelta(0),
            note=note,
            paused=paused,
        )
    _print_changed(stored, output, created=stored.created)


async def list_schedules(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """List the schedules with their next fires; times are local."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.schedules.list()
    if json:
        output.document({"schedules": [_document(schedule) for schedule in found]})
        return
    output.table(
        ("schedule", "workflow", "cron", "zone", "next"),
        ((one.name, one.workflow, one.cron, one.zone, _next(one)) for one in found),
        empty="no schedules yet; make one with: stepwell schedules put NAME --cron '0 9 * * 1-5' "
        "--workflow NAME",
    )


async def show(
    name: NameArgument,
    *,
    fires: Annotated[int, typer.Option(min=1, max=1000, help="So many of the next fires.")] = 5,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Print one schedule: what it runs, when it fires next, what came of it; times are local."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.schedules.get(name, fires=fires)
    if json:
        output.document(_document(found) | {"fires": found.fires, "problem": found.problem})
        return
    output.pairs(_about(found))
    if found.problem:
        output.note(
            f"the next fire would start no run: {found.problem.message} ({found.problem.reason})"
        )


async def pause(
    name: NameArgument, *, note: NoteOption = "", home: HomeOption = None, json: JsonOption = False
) -> None:
    """Let a schedule fire no more until it is resumed."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        paused = await client.schedules.pause(name, note)
    _print_changed(paused, output)
    output.note(f"it goes on with: stepwell schedules resume {name}{home_flag(home)}")


async def resume(
    name: NameArgument, *, note: NoteOption = "", home: HomeOption = None, json: JsonOption = False
) -> None:
    """Let a schedule go on with its next fire; what it missed is not made up for."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        resumed = await client.schedules.resume(name, note)
    _print_changed(resumed, output)


async def trigger(
    name: NameArgument,
    *,
    request_id: RequestIdOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Start a run of a schedule now, and print its id."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        started = await client.schedules.trigger(name, request_id=request_id or None)
    print_started(started, output, home_flag(home))


async def remove(name: NameArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Forget a schedule; its runs stay and go on."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        await client.schedules.delete(name)
    if json:
        output.document({"removed": name})
    else:
        output.note(f"forgot {name}")


def _print_changed(schedule: Schedule, output: Output, *, created: bool | None = None) -> None:
    if output.json:
        told = {} if created is None else {"created": created}
        output.document(_document(schedule) | told)
        return
    made = "a new schedule" if created else "the schedule"
    output.note(f"{made} {schedule.name}: {_next(schedule)}")


def _next(schedule: Schedule) -> str:
    """The next fire, in words."""
    if schedule.paused:
        return "paused"
    if schedule.next_at is None:
        return "never again"
    if schedule.waiting:
        return f"{day_and_time(schedule.next_at)}, waits for the run before"
    return day_and_time(schedule.next_at)


def _about(schedule: Schedule) -> Iterator[tuple[str, str]]:
    """What there is to say of a schedule, each with its heading."""
    yield "schedule", schedule.name
    yield "runs", f"{schedule.workflow} {schedule.version}".rstrip()
    yield "input", msgspec.json.encode(schedule.input).decode()
    if schedule.labels:
        yield "labels", ", ".join(f"{key}={value}" for key, value in schedule.labels.items())
    if schedule.queue:
        yield "queue", schedule.queue
    if schedule.run_key:
        yield "key", schedule.run_key
    yield "cron", f"{schedule.cron} in {schedule.zone}"
    yield "overlap", schedule.overlap
    yield "catch-up", format_duration(schedule.catch_up)
    if schedule.jitter:
        yield "jitter", format_duration(schedule.jitter)
    if schedule.note:
        yield "note", schedule.note
    yield "put", f"{day_and_time(schedule.updated_at)} by {schedule.principal}"
    if schedule.last_at:
        yield "last", day_and_time(schedule.last_at)
    if schedule.last_run:
        yield "last run", schedule.last_run
    yield "next", _next(schedule)
    if not schedule.paused:
        yield from (("", day_and_time(at)) for at in schedule.fires[1:])


def _document(schedule: Schedule) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(schedule)
    for of_another_call in ("fires", "problem", "created"):
        del document[of_another_call]
    return document | {
        "catch_up": format_duration(schedule.catch_up),
        "jitter": format_duration(schedule.jitter),
    }
