"""`stepwell pause`, `resume`, `cancel`, `retry`, `fork`, `signal`, `resolve`: steering a run."""

from typing import Annotated, TypeAlias

import msgspec
import typer

from stepwell.client import Run, Verdict
from stepwell_server.cli.code import CodeOption, proven
from stepwell_server.cli.command import (
    HomeOption,
    JsonOption,
    command,
    home_flag,
    home_or_default,
)
from stepwell_server.cli.json_values import METAVAR, read_json
from stepwell_server.cli.labels import LabelOption, read_labels
from stepwell_server.cli.output import Output
from stepwell_server.cli.run import RequestIdOption, print_started
from stepwell_server.cli.run_document import run_document
from stepwell_server.cli.run_ids import RunArgument, full_id
from stepwell_server.cli.session import connected

ReasonOption: TypeAlias = Annotated[
    str, typer.Option("--reason", help="Why; goes into the log.", show_default=False)
]
StepArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="STEP", help="The id of a step, as `stepwell show` has it.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    command(app)(pause)
    command(app)(resume)
    command(app)(cancel)
    command(app)(retry)
    command(app)(fork)
    command(app)(signal)
    command(app)(resolve)


async def pause(
    run: RunArgument,
    *,
    reason: ReasonOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Let a run begin nothing new; calls in flight may end."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        paused = await client.pause(await full_id(client, run), reason)
    _print_status(paused, output)
    output.note(f"it goes on with: stepwell resume {paused.id}{home_flag(home)}")


async def resume(
    run: RunArgument,
    *,
    reason: ReasonOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Let a paused run go on."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        resumed = await client.resume(await full_id(client, run), reason)
    _print_status(resumed, output)


async def cancel(
    run: RunArgument,
    *,
    reason: ReasonOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Stop a run; calls in flight are cancelled."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        cancelled = await client.cancel(await full_id(client, run), reason)
    _print_status(cancelled, output)


async def retry(
    run: RunArgument,
    step: Annotated[
        str,
        typer.Argument(
            metavar="STEP",
            help="The step that the run failed over, or one of its map or loop.",
            show_default=False,
        ),
    ] = "",
    *,
    reason: ReasonOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Take a run up again that has failed, with another attempt of the step it failed over."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        again = await client.retry(await full_id(client, run), step, reason=reason)
    _print_status(again, output)
    output.note(f"see it with: stepwell events {again.id} --follow{home_flag(home)}")


async def fork(
    run: RunArgument,
    step: StepArgument,
    *,
    given: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar=METAVAR,
            help="What the step is given, if not the same as before.",
            show_default=False,
        ),
    ] = None,
    label: LabelOption = None,
    request_id: RequestIdOption = "",
    code: CodeOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Start a run that goes on from where another was before a step, and print its id."""
    output = Output(json=json)
    value = msgspec.UNSET if given is None else read_json(given, "--input")
    async with connected(home_or_default(home)) as client:
        id = await full_id(client, run)
        forked = await proven(
            code,
            lambda shown: client.fork(
                id,
                step,
                input=value,
                labels=read_labels(label),
                request_id=request_id or None,
                code=shown,
            ),
        )
    print_started(forked, output, home_flag(home))


async def signal(
    run: RunArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the step waits for.")],
    payload: Annotated[
        str,
        typer.Argument(
            metavar=METAVAR, help="What the message holds; null without it.", show_default=False
        ),
    ] = "null",
    *,
    id: Annotated[
        str,
        typer.Option(help="Sent again under the same id, it changes nothing.", show_default=False),
    ] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Send a message to whatever step waits for it, now or later."""
    output = Output(json=json)
    value = read_json(payload, "the message")
    async with connected(home_or_default(home)) as client:
        told = await client.signal(await full_id(client, run), name, value, id=id)
    _print_status(told, output)


async def resolve(
    run: RunArgument,
    step: StepArgument,
    verdict: Annotated[
        Verdict,
        typer.Argument(
            metavar="VERDICT",
            help="Of an approval: approve or deny. Of a call whose outcome nobody knows: done, "
            "retry or fail.",
        ),
    ],
    *,
    call: Annotated[
        str | None,
        typer.Option(
            metavar="CALL", help="Which call, where a step asks about several.", show_default=False
        ),
    ] = None,
    reason: ReasonOption = "",
    code: CodeOption = "",
    value: Annotated[
        str,
        typer.Option(
            metavar=METAVAR,
            help="The result of a call that is done, or what an approval gives along.",
            show_default=False,
        ),
    ] = "null",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Answer what a step asks a person; `stepwell show` tells what that is."""
    output = Output(json=json)
    given = read_json(value, "--value")
    async with connected(home_or_default(home)) as client:
        id = await full_id(client, run)
        told = await proven(
            code,
            lambda shown: client.resolve(
                id, step, verdict, call=call, reason=reason, value=given, code=shown
            ),
        )
    _print_status(told, output)


def _print_status(run: Run, output: Output) -> None:
    if output.json:
        output.document(run_document(run))
    else:
        output.note(f"run {run.id} is {run.status}")
