"""`stepwell tools`: what the daemon offers, which servers it is of, and what was approved of it."""

from typing import Annotated

import msgspec
import typer

from stepwell.client import Tool, ToolChange, ToolServer
from stepwell.engine.values import Json
from stepwell_mcp.choice import SURFACE
from stepwell_mcp.weight import complaints, tokens
from stepwell_server.cli.code import CodeOption, proven
from stepwell_server.cli.command import (
    HomeOption,
    JsonOption,
    YesOption,
    command,
    home_flag,
    home_or_default,
)
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected, endpoints_of
from stepwell_server.cli.times import day_and_time

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of the tool.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(
        help="The tools that there are, and the MCP servers behind them.", no_args_is_help=True
    )
    command(group, "list")(list_tools)
    command(group)(show)
    command(group)(servers)
    command(group)(diff)
    command(group)(approve)
    app.add_typer(group, name="tools")


async def list_tools(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """List what MCP clients are offered: published tools, and workflows as tools."""
    output = Output(json=json)
    endpoints = endpoints_of(home_or_default(home))
    from stepwell_server.cli.mcp_client import connected_mcp, every_tool  # takes a second

    async with connected_mcp(endpoints, {SURFACE: "full"}) as client:
        found = await every_tool(client)
    if json:
        output.document({"tools": [tool.model_dump(exclude_none=True) for tool in found]})
        return
    output.table(
        ("tool", "description"),
        ((tool.name, _first_sentence(tool.description or "")) for tool in found),
        empty="no tools",
        is_cut=True,
    )
    async with connected(home_or_default(home)) as own:
        suspended = [tool.name for tool in await own.tools.list() if tool.suspended]
    for name in suspended:
        output.note(f"suspended: {name}; look at it with: stepwell tools diff {name}")


async def show(name: NameArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Print one tool: what it takes, what it may do, and which server it is of."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        tool = await client.tools.get(name)
    if json:
        output.document(tool)
        return
    output.pairs(_pairs(tool))
    for complaint in complaints(_definition(tool)):
        output.note(f"{name}: {complaint}")


async def servers(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """List the MCP servers of the settings, and how they are."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.tools.servers()
    if json:
        output.document({"servers": found})
        return
    output.table(
        ("server", "status", "tools", "starts", "what it is"),
        (
            (one.name, one.status, str(len(one.tools)), str(one.starts), one.product)
            for one in found
        ),
        empty="no MCP servers yet; put those you use behind Stepwell with: stepwell connect",
    )
    for one in found:
        for line in _troubles(one):
            output.note(f"{one.name}: {line}")


async def diff(name: NameArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show how a tool differs from what it said of itself when it was pinned."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        change = await client.tools.change(name)
    if json:
        output.document(change)
        return
    _print_change(change, output)
    if change.diff:
        output.note(f"accept it with: stepwell tools approve {name}{home_flag(home)}")


async def approve(
    name: NameArgument,
    *,
    yes: YesOption = False,
    code: CodeOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Accept how a tool has changed, after a look at the difference; it may be called again."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        change = await client.tools.change(name)
        if not json:
            _print_change(change, output)
        if change.diff and not yes:
            typer.confirm(f"Let {name} be called as it is now?", abort=True, err=True)
        approved = await proven(
            code, lambda shown: client.tools.approve(name, change.offered_definition, code=shown)
        )
    if json:
        output.document(approved)
    else:
        output.note(f"{name} may be called again")


def _print_change(change: ToolChange, output: Output) -> None:
    pinned = f"pinned {day_and_time(change.pinned_at)} by {change.pinned_by}"
    output.note(f"{change.tool} of the MCP server {change.server}, {pinned}")
    if not change.diff:
        output.note("it is as it was pinned")
        return
    for line in change.diff.splitlines():
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        output.people.print(line, style=style, markup=False)


def _pairs(tool: Tool) -> list[tuple[str, str]]:
    said = [
        "reads only" if tool.read_only else "",
        {None: "", True: "may destroy", False: "destroys nothing"}[
            None if tool.read_only else tool.destructive
        ],
        "may be repeated" if tool.idempotent and not tool.read_only else "",
        {None: "", True: "reaches outside", False: "stays inside"}[tool.open_world],
    ]
    pairs = [
        ("tool", tool.name),
        ("title", tool.title),
        ("kind", tool.kind + (f", of the server {tool.server}" if tool.server else "")),
        ("description", tool.description),
        ("it says", ", ".join(filter(None, said)) or "nothing about what it does"),
        ("labels", ", ".join(tool.labels)),
        ("offered", "yes" if tool.published and not tool.suspended else "no"),
        ("suspended", tool.suspended),
        ("definition", f"{tool.definition}, about {tokens([_definition(tool)])} tokens"),
        ("takes", _json(tool.input_schema)),
        ("answers", _json(tool.output_schema) if tool.output_schema else ""),
    ]
    return [(heading, text) for heading, text in pairs if text]


def _definition(tool: Tool) -> dict[str, Json]:
    """A tool as a model reads it."""
    said = {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        "outputSchema": tool.output_schema,
    }
    return {name: value for name, value in said.items() if value}


def _troubles(server: ToolServer) -> list[str]:
    lines = [f"not offered: {one}" for one in server.refused]
    lines += [f"suspended: {name} (stepwell tools diff {name})" for name in server.suspended]
    if server.status != "ready":
        lines.append(server.problem or "it is being started")
        lines += [f"| {line}" for line in server.words.splitlines()[-5:]]
    return lines


def _first_sentence(text: str) -> str:
    return text.partition("\n")[0].partition(". ")[0]


def _json(value: Json) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
