"""The flags with which `stepwell mcp`, and whatever writes a command of it, chooses tools."""

import os
from typing import Annotated, TypeAlias

import typer

from stepwell.config import load_settings
from stepwell_mcp.choice import READONLY, SURFACE, TOOLS, TOOLSETS
from stepwell_server.home import Home

ToolsetOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--toolset",
        metavar="NAMES",
        help="Only tools of these toolsets of config.toml.",
        show_default=False,
    ),
]
ToolsOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--tools",
        metavar="NAMES",
        help="Only these tools, beside those of --toolset.",
        show_default=False,
    ),
]
ReadOnlyOption: TypeAlias = Annotated[
    bool,
    typer.Option("--read-only", help="Only tools that change nothing.", show_default=False),
]
SurfaceOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--surface",
        metavar="KIND",
        help="List every tool (full), or tools that find them (search); auto goes by their number.",
        show_default=False,
    ),
]


def chosen_by(toolset: str, tools: str, surface: str, *, read_only: bool) -> dict[str, str]:
    """What the flags choose, as headers say it over HTTP."""
    said = {TOOLSETS: toolset, TOOLS: tools, SURFACE: surface, READONLY: "true" * read_only}
    return {name: text for name, text in said.items() if text}


def demand_choice(home: Home, chosen: dict[str, str]) -> None:
    """Whether the settings of a home let a client choose this.

    Raises:
        InvalidRequest: a toolset is not there; the nearest one is named.
        SetupError: the settings are wrong.
    """
    if not chosen:
        return
    from stepwell_mcp.selection import Offering, selected  # takes a while to load

    headers = [(name.encode(), text.encode()) for name, text in chosen.items()]
    Offering.of(load_settings(home.path, os.environ)).view(selected({"headers": headers}))
