"""`stepwell data-keys`: the keys that data is encrypted with, and erasing by destroying one."""

from typing import Annotated

import typer

from stepwell.client import DataKey, RingKey
from stepwell_server.cli.command import (
    HomeOption,
    JsonOption,
    YesOption,
    command,
    home_or_default,
)
from stepwell_server.cli.output import Output
from stepwell_server.cli.run_ids import full_id
from stepwell_server.cli.session import connected
from stepwell_server.cli.times import day_and_time


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(help="The keys that data is encrypted with.", no_args_is_help=True)
    command(group, "list")(list_keys)
    command(group)(rotate)
    command(group)(destroy)
    app.add_typer(group, name="data-keys")
    app.add_typer(group, name="keys", hidden=True)  # what it was called once


async def list_keys(
    *,
    runs: Annotated[
        bool, typer.Option("--runs", help="Those of runs, not those of subjects.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List the keys of the ring, and the data keys of subjects or of runs."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        rings = await client.keys.rings()
        page = await client.keys.list(of_runs=runs, page_size=limit)
    if json:
        more = bool(page.next_page_token)
        output.document({"ring": rings, "keys": page.keys, "more": more})
        return
    output.table(
        ("ring key", "state", "data keys"),
        ((one.name, _state(one), str(one.keys)) for one in rings),
        empty="the ring is empty",
    )
    output.people.print()
    output.table(
        ("run" if runs else "subject", "key", "made", "ring key", "destroyed"),
        map(_row, page.keys),
        empty="no data keys yet; one is made when a run needs it",
    )


async def rotate(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Wrap every data key with the active key of the ring; then the other ones can go."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        done = await client.keys.rotate()
    if json:
        output.document(done)
        return
    output.note(f"{done.wrapped} data keys are wrapped anew")
    if done.lost:
        output.note(f"{done.lost} stay as they are: the key of the ring that wraps them is lost")


async def destroy(
    *,
    run: Annotated[
        str, typer.Option(metavar="RUN", help="The run to erase.", show_default=False)
    ] = "",
    subject: Annotated[
        str,
        typer.Option(metavar="NAME", help="The subject to erase, in all runs.", show_default=False),
    ] = "",
    yes: YesOption = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Erase what a run, or all runs of a subject, have written: destroy the key of it, for good."""
    if bool(run) == bool(subject):
        raise typer.BadParameter("name either a run or a subject", param_hint="--run / --subject")
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        run = await full_id(client, run) if run else ""
        what = f"the run {run}" if run else f"all runs of the subject {subject}"
        if not yes:
            _confirm(what)
        if run:
            cancelled = await client.keys.destroy_run(run)
        else:
            cancelled = await client.keys.destroy_subject(subject)
    if json:
        output.document({"run": run, "subject": subject, "cancelled": cancelled})
        return
    output.note(f"erased the data of {what}")
    for one in cancelled:
        output.note(f"cancelled {one}")


def _confirm(what: str) -> None:
    """Asks on the terminal; whoever cannot be asked has to say --yes."""
    typer.confirm(
        f"This erases the data of {what}, for good; those in progress are cancelled. Go on?",
        abort=True,
        err=True,
    )


def _state(ring: RingKey) -> str:
    if ring.is_lost:
        return "lost"
    return "active" if ring.is_active else "in the ring"


def _row(key: DataKey) -> tuple[str, ...]:
    destroyed = day_and_time(key.destroyed_at) if key.destroyed_at else ""
    name = key.run or key.subject
    return (name, key.id, day_and_time(key.created_at), key.ring, destroyed)
