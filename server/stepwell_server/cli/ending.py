"""Waiting for the end of a run, and telling how it ended."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from stepwell.client import Run, RunStatus
from stepwell.errors import Code, StepwellError
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.output import Output
from stepwell_server.cli.run_document import run_document
from stepwell_server.cli.session import connected, follow
from stepwell_server.cli.waiting import Asked
from stepwell_server.home import Home


async def ended(home: Home, run: str, asked: Asked | None = None) -> Run:
    """The run when it has ended, through restarts of the daemon; `asked` is told its events."""
    async for event in follow(home, run):
        if asked is not None:
            asked.see(event)
    async with connected(home) as client:
        return await client.get(run)


@contextmanager
def told_how_to_go_on(run: str, output: Output, flag: str) -> Iterator[None]:
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


def print_ended(run: Run, output: Output, flag: str, *, created: bool | None = None) -> None:
    """The output; a run that did not complete is an error. `created` is for who starts one."""
    if output.json:
        output.line(run_document(run, created=created))
    elif run.is_erased:
        output.note("the output was erased: its key has been destroyed")
    elif run.output_ref is not None:
        output.note(f"the output has {run.output_ref.size} bytes, too many for one message")
    elif isinstance(run.output, str):
        output.text(run.output)
    elif run.status is RunStatus.COMPLETED:
        output.document(run.output)
    if run.status is RunStatus.COMPLETED:
        return
    if not output.json:
        output.error(_why(run, flag))
    raise typer.Exit(Exit.FAILED)


def _why(run: Run, flag: str) -> StepwellError:
    if run.failure is None:
        return StepwellError(
            f"run {run.id} was cancelled: {run.reason or 'no reason given'}",
            code=Code.RUN_CANCELLED,
        )
    reason = run.failure.reason
    return StepwellError(
        f"run {run.id} failed: {run.failure.message}. See: stepwell events {run.id}{flag}",
        code=Code(reason) if reason in Code.__members__ else Code.INTERNAL,
        detail=run.failure.detail,
    )
