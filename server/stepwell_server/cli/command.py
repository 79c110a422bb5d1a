"""How every command is declared: its common options, and what happens when it fails."""

import asyncio
import functools
import inspect
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeAlias

import typer

from stepwell.errors import StepwellError
from stepwell_server.cli.exits import exit_for
from stepwell_server.cli.output import Output
from stepwell_server.home import Home, locate_home

P = ParamSpec("P")


def read_home(value: str) -> Home:
    """The home that a flag names."""
    return locate_home(Path(value), os.environ)


HomeOption: TypeAlias = Annotated[
    Home | None,
    typer.Option(
        "--home",
        metavar="PATH",
        parser=read_home,
        help="The home folder; else STEPWELL_HOME, else ~/.stepwell.",
        show_default=False,
    ),
]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON for programs.", show_default=False)
]

YesOption: TypeAlias = Annotated[
    bool, typer.Option("--yes", help="Do not ask.", show_default=False)
]


def home_or_default(home: Home | None) -> Home:
    """The home that a command works on when its flag may be absent."""
    return home or locate_home(None, os.environ)


def home_flag(home: Home | None) -> str:
    """The flag to repeat in a command that is proposed, where one was given."""
    return f" --home {home.path}" if home else ""


def command(
    app: typer.Typer, name: str | None = None
) -> Callable[[Callable[P, None] | Callable[P, Coroutine[Any, Any, None]]], Callable[P, None]]:
    """Adds a function, async or not, as a command; an error of ours becomes its exit code."""

    def register(
        body: Callable[P, None] | Callable[P, Coroutine[Any, Any, None]],
    ) -> Callable[P, None]:
        @functools.wraps(body)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                result = body(*args, **kwargs)
                if inspect.iscoroutine(result):
                    asyncio.run(result)
            except StepwellError as error:
                Output(json=bool(kwargs.get("json"))).error(error)
                raise typer.Exit(exit_for(error.code)) from error

        app.command(name)(run)
        return run

    return register
