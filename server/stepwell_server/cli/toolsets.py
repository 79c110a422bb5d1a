"""`stepwell toolset`: what MCP clients may choose by one name, and what it costs a model to read it."""

import os
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from msgspec import Struct

from stepwell.config import ToolsetSettings, load_settings
from stepwell.errors import InvalidRequest
from stepwell_mcp.choice import SURFACE, TOOLSETS
from stepwell_mcp.weight import complaints, tokens
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_flag, home_or_default
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import endpoints_of
from stepwell_server.home import Endpoints, Home

EVERYTHING = ToolsetSettings(description="everything")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The toolset; `all` is all.")]


class Toolset(Struct, frozen=True, kw_only=True):
    """A toolset; `listed_tokens` are those of what `tools/list` shows, `tokens` those of all of it."""

    name: str
    description: str
    tools: int
    tokens: int
    listed_tokens: int


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(
        help="Selections of tools that MCP clients choose by name.", no_args_is_help=True
    )
    command(group, "list")(list_toolsets)
    command(group)(show)
    app.add_typer(group, name="toolset")


async def list_toolsets(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """List the toolsets of the settings, with how much a model reads of each."""
    output, place = Output(json=json), home_or_default(home)
    endpoints = endpoints_of(place)
    found: list[Toolset] = []
    for name, settings in {**_toolsets(place), "all": EVERYTHING}.items():
        try:
            found.append(await _measured(endpoints, name, settings.description))
        except InvalidRequest:
            flag = home_flag(home)
            output.note(
                f"the daemon was started before {name} was written; it reads the settings when it "
                f"starts: stepwell down{flag}, then stepwell up{flag}"
            )
    if json:
        output.document({"toolsets": found})
        return
    output.table(
        ("toolset", "tools", "tokens", "listed", "description"),
        (
            (one.name, str(one.tools), str(one.tokens), str(one.listed_tokens), one.description)
            for one in found
        ),
        empty="",
    )
    if len(found) == 1:
        output.note('there are no toolsets yet; write one: [toolsets.NAME] tools = ["a*", "b"]')


async def show(name: NameArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Print the tools of a toolset, the heaviest first, and which are longer than they should be."""
    output, place = Output(json=json), home_or_default(home)
    found = await _definitions(endpoints_of(place), name, surface="full")
    found.sort(key=lambda one: (-tokens([one]), one["name"]))
    if json:
        tools = [
            {
                "name": one["name"],
                "tokens": tokens([one]),
                "read_only": _reads_only(one),
                "complaints": complaints(one),
            }
            for one in found
        ]
        output.document({"name": name, "tokens": tokens(found), "tools": tools})
        return
    output.table(
        ("tool", "tokens", "may", "description"),
        (
            (
                one["name"],
                str(tokens([one])),
                "read" if _reads_only(one) else "change",
                (one.get("description") or "").partition("\n")[0],
            )
            for one in found
        ),
        empty="no tools",
        is_cut=True,
    )
    for one in found:
        for complaint in complaints(one):
            output.note(f"{one['name']}: {complaint}")


def _toolsets(place: Home) -> dict[str, ToolsetSettings]:
    return load_settings(place.path, os.environ).toolsets


def _reads_only(definition: dict[str, Any]) -> bool:
    return bool((definition.get("annotations") or {}).get("readOnlyHint"))


async def _measured(endpoints: Endpoints, name: str, description: str) -> Toolset:
    everything = await _definitions(endpoints, name, surface="full")
    listed = await _definitions(endpoints, name)
    return Toolset(
        name=name,
        description=description,
        tools=len(everything),
        tokens=tokens(everything),
        listed_tokens=tokens(listed),
    )


async def _definitions(
    endpoints: Endpoints, name: str, *, surface: str = ""
) -> list[dict[str, Any]]:
    """What an MCP client is told of the tools of a toolset.

    Raises:
        InvalidRequest: there is no such toolset; the nearest one is named.
    """
    from stepwell_server.cli.mcp_client import connected_mcp, every_tool  # takes a second

    chosen = {TOOLSETS: name, **({SURFACE: surface} if surface else {})}
    async with connected_mcp(endpoints, chosen) as client:
        found: Sequence[Any] = await every_tool(client)
    return [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in found]
