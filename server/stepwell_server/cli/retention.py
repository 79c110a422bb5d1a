"""`stepwell retention`: how long ended runs are kept."""

from datetime import timedelta
from typing import Annotated

import typer

from stepwell.durations import format_duration
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.durations import read_duration
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected
from stepwell_server.home import Home


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(help="How long ended runs are kept.", no_args_is_help=True)
    command(group, "set")(set_retention)
    command(group)(show)
    command(group)(off)
    app.add_typer(group, name="retention")


async def set_retention(
    keep: Annotated[str, typer.Argument(metavar="TIME", help="Like 30d or 12h; 1m at least.")],
    *,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Delete runs for good when they have ended this long ago, those that there are as well."""
    length = read_duration(keep, "TIME")
    await _set(home_or_default(home), length, Output(json=json))


async def show(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Print how long ended runs are kept."""
    async with connected(home_or_default(home)) as client:
        keep = await client.retention.get()
    _print(keep, Output(json=json))


async def off(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Keep ended runs for ever."""
    await _set(home_or_default(home), None, Output(json=json))


async def _set(home: Home, keep: timedelta | None, output: Output) -> None:
    async with connected(home) as client:
        await client.retention.set(keep)
    _print(keep, output)


def _print(keep: timedelta | None, output: Output) -> None:
    length = None if keep is None else format_duration(keep)
    if output.json:
        output.document({"keep": length})
    elif length is None:
        output.people.print("ended runs are kept for ever")
    else:
        output.people.print(f"runs are deleted {length} after their end")
