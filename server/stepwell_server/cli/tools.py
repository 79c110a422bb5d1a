"""`stepwell tools`: what the daemon offers to MCP clients."""

import typer

from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import endpoints_of


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(help="The tools that MCP clients see.", no_args_is_help=True)
    command(group, "list")(list_tools)
    app.add_typer(group, name="tools")


async def list_tools(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """List what MCP clients are offered: published tools, and workflows as tools."""
    output = Output(json=json)
    endpoints = endpoints_of(home_or_default(home))
    from stepwell_server.cli.mcp_client import connected_mcp, every_tool  # takes a second

    async with connected_mcp(endpoints) as client:
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


def _first_sentence(text: str) -> str:
    return text.partition("\n")[0].partition(". ")[0]
