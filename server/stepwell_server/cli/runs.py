"""`stepwell runs`, `show`, `cancel`: the runs that there are."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec
import typer

from stepwell.client import Client, Run, RunStatus, Step
from stepwell.durations import format_duration
from stepwell.engine.events import RunStarted
from stepwell.engine.values import Data
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.event_line import beginning, value_text
from stepwell_server.cli.output import Output
from stepwell_server.cli.run_document import listed_run, run_document
from stepwell_server.cli.run_ids import PAGE, RunArgument, full_id
from stepwell_server.cli.session import connected
from stepwell_server.cli.times import day_and_time, time_of_day


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    command(app)(runs)
    command(app)(show)
    command(app)(cancel)


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
    """List runs, newest first; times are local."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        page = await client.list(
            page_size=limit, status=RunStatus(status) if status else None, workflow=workflow
        )
    if json:
        output.document(
            {"runs": [listed_run(one) for one in page.runs], "more": bool(page.next_page_token)}
        )
        return
    output.table(
        ("run", "workflow", "status", "started", "by"),
        (
            (one.id, one.workflow, one.status, day_and_time(one.created_at), one.principal)
            for one in page.runs
        ),
        empty="no runs yet; start one with: stepwell run FILE --input JSON",
    )


async def show(run: RunArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Print one run: its state, input, output or failure, and its steps; times are local."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.get(await full_id(client, run))
        given = await _input(client, found.id)
        steps = await client.steps(found.id)
    if json:
        output.document(run_document(found) | _input_document(given) | {"steps": steps})
        return
    output.pairs(_about(found, given))
    output.table(
        ("step", "status", "attempt", "from", "took", "output or failure"),
        map(_step_row, steps),
        empty="no step has been scheduled yet",
        is_cut=True,
    )


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
        cancelled = await client.cancel(await full_id(client, run), reason)
    if json:
        output.document(run_document(cancelled))
    else:
        output.note(f"run {cancelled.id} is {cancelled.status}")


async def _input(client: Client, run: str) -> Data:
    """What the run was started with, as its first event tells."""
    batch = await client.events(run=run, page_size=1)
    first = batch.events[0].fact
    assert isinstance(first, RunStarted), "a run begins with its start"
    return first.input


def _input_document(given: Data) -> dict[str, Any]:
    value = None if given.value is msgspec.UNSET else given.value
    return {"input": value, "input_ref": given.blob}


def _about(run: Run, given: Data) -> Iterator[tuple[str, str]]:
    """What there is to say of a run, each with its heading."""
    yield "run", run.id
    yield "workflow", f"{run.workflow} {run.version}"
    yield "status", f"{run.status}{': ' + run.reason if run.reason else ''}"
    yield "by", run.principal
    yield "started", day_and_time(run.created_at)
    if run.ended_at:
        took = format_duration(run.ended_at - run.created_at)
        yield "ended", f"{day_and_time(run.ended_at)}, after {took}"
    if run.labels:
        yield "labels", ", ".join(f"{key}={value}" for key, value in run.labels.items())
    yield "input", value_text(given)
    if run.output_ref:
        yield "output", value_text(Data(blob=run.output_ref))
    elif run.status is RunStatus.COMPLETED:
        yield "output", msgspec.json.encode(run.output).decode()
    if run.failure:
        yield "failure", f"{run.failure.reason}: {run.failure.message}"


def _step_row(step: Step) -> Sequence[str]:
    begun, ended = step.scheduled_at, step.ended_at
    return (
        step.id,
        step.status,
        str(step.attempt),
        time_of_day(begun) if begun else "",
        format_duration(ended - begun) if begun and ended else "",
        _result(step),
    )


def _result(step: Step) -> str:
    if step.failure:
        return beginning(f"{step.failure.reason}: {step.failure.message}")
    return value_text(Data(blob=step.output_ref) if step.output_ref else Data(step.output))
