"""`stepwell mcp`, as `--help` and the reference show it; `main` runs it before this is imported."""

from pathlib import Path
from typing import Annotated

import typer

from stepwell_mcp.choice import READONLY, SURFACE, TOOLS, TOOLSETS, flags_of
from stepwell_mcp.relay import main as relay
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
    toolset: Annotated[
        str,
        typer.Option(metavar="NAMES", help="Only tools of these toolsets of config.toml."),
    ] = "",
    tools: Annotated[
        str, typer.Option(metavar="NAMES", help="Only these tools, beside those of --toolset.")
    ] = "",
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only tools that change nothing.")
    ] = False,
    surface: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="List every tool (full), or tools that find them (search); auto goes by their number.",
        ),
    ] = "",
) -> None:
    """Speak MCP over stdio, for the configuration of an MCP host; starts the daemon if absent."""
    said = {TOOLSETS: toolset, TOOLS: tools, SURFACE: surface, READONLY: "true" * read_only}
    arguments = ["--home", str(home)] if home else []
    arguments += flags_of({name: text for name, text in said.items() if text})
    raise typer.Exit(relay([*arguments, "--standalone"] if standalone else arguments))
