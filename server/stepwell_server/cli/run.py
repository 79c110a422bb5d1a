"""`stepwell run`: starts a run, and waits for it where that is wanted."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from stepwell.client import Run, RunStatus
from stepwell.engine.values import Json
from stepwell.errors import Code, InvalidRequest, StepwellError
from stepwell_server.cli.command import (
    HomeOption,
    JsonOption,
    command,
    home_flag,
    home_or_default,
)
from stepwell_server.cli.definitions import is_file, put_file
from stepwell_server.cli.events import print_events
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.output import Output
from stepwell_server.cli.run_document import run_document
from stepwell_server.cli.session import connected, follow
from stepwell_server.home import Home


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
    if not (wait or watch):
        _print_started(started, output, home_flag(home))
        return
    with _told_how_to_go_on(started.id, output, home_flag(home)):
        output.note(f"run {started.id}")
        if watch:
            await print_events(where, started.id, output, is_progress=True)
        ended = await _ended(where, started.id)
    _print_ended(msgspec.structs.replace(ended, created=started.created), output, home_flag(home))


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


async def _ended(home: Home, run: str) -> Run:
    """The run when it has ended, through restarts of the daemon."""
    async for _ in follow(home, run):
        pass
    async with connected(home) as client:
        return await client.get(run)


@contextmanager
def _told_how_to_go_on(run: str, output: Output, flag: str) -> Iterator[None]:
    """Tells who stops waiting with Ctrl-C that the run itself does not stop."""
    try:
        yield
    except asyncio.CancelledError:
        output.note(
            f"the run goes on without you. Follow it: stepwell events {run} --follow{flag}; "
            f"stop it: stepwell cancel {run}{flag}",
            is_urgent=True,
        )
        raise


def _print_started(started: Run, output: Output, flag: str) -> None:
    if output.json:
        output.document(run_document(started, created=started.created))
        return
    output.people.print(started.id, markup=False)
    if not started.created:
        output.note("this request id was used before: this is that run")
    output.note(f"see it with: stepwell events {started.id} --follow{flag}")


def _print_ended(ended: Run, output: Output, flag: str) -> None:
    """The output; a run that did not complete is an error."""
    if output.json:
        output.line(run_document(ended, created=ended.created))
    elif ended.output_ref is not None:
        output.note(f"the output has {ended.output_ref.size} bytes, too many for one message")
    elif isinstance(ended.output, str):
        output.people.print(ended.output, markup=False)
    elif ended.status is RunStatus.COMPLETED:
        output.document(ended.output)
    if ended.status is RunStatus.COMPLETED:
        return
    if not output.json:
        output.error(_why(ended, flag))
    raise typer.Exit(Exit.FAILED)


def _why(ended: Run, flag: str) -> StepwellError:
    if ended.failure is None:
        return StepwellError(
            f"run {ended.id} was cancelled: {ended.reason or 'no reason given'}",
            code=Code.RUN_CANCELLED,
        )
    reason = ended.failure.reason
    return StepwellError(
        f"run {ended.id} failed: {ended.failure.message}. See: stepwell events {ended.id}{flag}",
        code=Code(reason) if reason in Code.__members__ else Code.INTERNAL,
        detail=ended.failure.detail,
    )
