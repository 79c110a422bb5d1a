"""`stepwell runs`, `show`: the runs that there are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
import typer

from stepwell.client import Client, Run, RunStatus, Step
from stepwell.clock import SystemClock
from stepwell.durations import format_duration
from stepwell.engine.budgets import USD_MICROS, amount_text
from stepwell.engine.events import RunForked, RunStarted
from stepwell.engine.instants import instant_text
from stepwell.engine.values import Data
from stepwell_server.cli.command import (
    HomeOption,
    JsonOption,
    command,
    home_flag,
    home_or_default,
)
from stepwell_server.cli.durations import read_duration
from stepwell_server.cli.event_line import beginning, value_text
from stepwell_server.cli.labels import LabelOption, read_labels
from stepwell_server.cli.output import Output
from stepwell_server.cli.run_document import listed_run, run_document
from stepwell_server.cli.run_ids import PAGE, RunArgument, full_id
from stepwell_server.cli.session import connected
from stepwell_server.cli.times import day_and_time, time_of_day
from stepwell_server.cli.waiting import waits_of


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    command(app)(runs)
    command(app)(show)


async def runs(
    *,
    status: Annotated[
        Literal["running", "waiting", "paused", "completed", "failed", "cancelled"] | None,
        typer.Option(help="Only runs in this state.", show_default=False),
    ] = None,
    workflow: Annotated[
        str, typer.Option(metavar="NAME", help="Only runs of this workflow.", show_default=False)
    ] = "",
    label: LabelOption = None,
    since: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="Only runs begun not longer ago.", show_default=False
        ),
    ] = "",
    filter: Annotated[
        str,
        typer.Option(
            metavar="FILTER",
            help="Only runs that fit, like: status = failed AND labels:team.",
            show_default=False,
        ),
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="At most so many.")] = 20,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List runs, newest first; times are local."""
    output = Output(json=json)
    wanted = _filter(filter, read_labels(label), read_duration(since, "--since"))
    async with connected(home_or_default(home)) as client:
        page = await client.list(
            page_size=limit,
            status=RunStatus(status) if status else None,
            workflow=workflow,
            filter=wanted,
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
        empty="no runs like these"
        if status or workflow or wanted
        else "no runs yet; start one with: stepwell run FILE --input JSON",
    )


async def show(run: RunArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Print one run: its state, input, output or failure, and steps; times are local.

    Of a run that waits it tells for what, and the command that answers it.
    """
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.get(await full_id(client, run))
        given = await _input(client, found.id)
        steps = await client.steps(found.id)
    if json:
        output.document(run_document(found) | _input_document(given) | {"steps": steps})
        return
    about = (*_about(found, given), *_cost(steps), *waits_of(found, steps, home_flag(home)))
    output.pairs(about)
    output.table(
        ("step", "status", "attempt", "from", "took", "output or failure"),
        map(_step_row, steps),
        empty="no step has been scheduled yet",
        is_cut=True,
    )


async def _input(client: Client, run: str) -> Data:
    """What the run was started with, as its first event tells; of a fork, that of the other run."""
    batch = await client.events(run=run, page_size=1)
    first = batch.events[0].fact
    if isinstance(first, RunForked):
        return await _input(client, first.run)
    assert isinstance(first, RunStarted), "a run begins with its start, or is forked"
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
    if run.parent:
        yield "parent", run.parent
    if run.forked_from:
        yield "fork of", run.forked_from
    if run.run_key:
        yield "key", run.run_key
    if run.labels:
        yield "labels", ", ".join(f"{key}={value}" for key, value in run.labels.items())
    yield "input", value_text(given)
    if run.is_erased:
        yield "output", "erased: its key has been destroyed"
    elif run.output_ref:
        yield "output", value_text(Data(blob=run.output_ref))
    elif run.status is RunStatus.COMPLETED:
        yield "output", msgspec.json.encode(run.output).decode()
    if run.failure:
        yield "failure", f"{run.failure.reason}: {run.failure.message}"


def _cost(steps: Iterable[Step]) -> Iterator[tuple[str, str]]:
    """What the models of a run have cost; of an answer without a price that is said."""
    tokens = sum(step.tokens for step in steps)
    unpriced = sum(step.unpriced_answers for step in steps)
    if not tokens and not unpriced:
        return
    cost = amount_text(USD_MICROS, sum(step.cost for step in steps))
    left_out = f", and {unpriced} answers of models that are unpriced" if unpriced else ""
    yield "cost", f"{cost} for {tokens} tokens{left_out}"


def _filter(given: str, labels: Mapping[str, str], since: timedelta | None) -> str:
    """A filter that says what the flags do; what was `given` comes first, as errors tell columns."""
    conditions = [given] if given.strip() else []
    conditions += [f"labels.{key} = {_quoted(value)}" for key, value in labels.items()]
    if since is not None:
        begin = max(SystemClock().now() - since // timedelta(microseconds=1), 0)
        conditions.append(f"created_at >= {_quoted(instant_text(begin))}")
    return " AND ".join(conditions)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


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
