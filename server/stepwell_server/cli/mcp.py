"""`stepwell mcp`, as `--help` and the reference show it; `main` runs it before this is imported."""

from pathlib import Path
from typing import Annotated

import typer

from stepwell_mcp.choice import flags_of
from stepwell_mcp.relay import main as relay
from stepwell_server.cli.choosing import (
    ReadOnlyOption,
    SurfaceOption,
    ToolsetOption,
    ToolsOption,
    chosen_by,
)
from stepwell_server.cli.command import command


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    command(app)(mcp)


def mcp(
    *,
    standalone: Annotated[
        bool, typer.Option("--standalone", help="Run everything in this process, without a daemon.")
    ] = False,
    home: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="The home folder; else STEPWELL_HOME, else ~/.stepwell.",
            show_default=False,
        ),
    ] = None,
    toolset: ToolsetOption = "",
    tools: ToolsOption = "",
    read_only: ReadOnlyOption = False,
    surface: SurfaceOption = "",
) -> None:
    """Speak MCP over stdio, for the configuration of an MCP host; starts the daemon if absent."""
    arguments = ["--home", str(home)] if home else []
    arguments += flags_of(chosen_by(toolset, tools, surface, read_only=read_only))
    raise typer.Exit(relay([*arguments, "--standalone"] if standalone else arguments))
