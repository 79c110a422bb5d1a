"""`stepwell datasource query`, `preview`, `apply` and `undo`: SQL at a terminal, as agents call it."""

from typing import Annotated

import typer

from stepwell.engine.values import Json
from stepwell_server.cli.command import (
    HomeOption,
    JsonOption,
    command,
    home_flag,
    home_or_default,
)
from stepwell_server.cli.json_values import METAVAR, read_json
from stepwell_server.cli.outcome import print_made, print_preview, print_result
from stepwell_server.cli.output import Output
from stepwell_server.cli.tool_calls import answer_of

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of the datasource.")]
ParametersOption = Annotated[
    str,
    typer.Option(
        "--parameters",
        metavar=METAVAR,
        help="The values of $1 or ? as a list, of :name as an object.",
        show_default=False,
    ),
]


def add_to(group: typer.Typer) -> None:
    """Adds the commands of this module to those of datasources."""
    command(group)(query)
    command(group)(preview)
    command(group)(apply)
    command(group)(undo)


async def query(
    name: NameArgument,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT.")],
    *,
    parameters: ParametersOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Run one SELECT, and print its rows."""
    output = Output(json=json)
    answer = await _called("db_query", _statement(name, sql, parameters), output, home)
    if json:
        output.document(answer)
    else:
        print_result(answer, output)


async def preview(
    name: NameArgument,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One INSERT, UPDATE or DELETE.")],
    *,
    parameters: ParametersOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a change would do, row by row; nothing is changed."""
    output = Output(json=json)
    answer = await _called("db_preview_write", _statement(name, sql, parameters), output, home)
    _show(answer, output, home)


async def apply(
    preview: Annotated[str, typer.Argument(metavar="PREVIEW", help="As the preview named it.")],
    *,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make the change of a preview, once, when it has been approved."""
    output = Output(json=json)
    answer = await _called("db_apply", {"preview": preview}, output, home)
    if json:
        output.document(answer)
    else:
        print_made(answer, output, home_flag(home))


async def undo(
    applied: Annotated[
        str, typer.Argument(metavar="PREVIEW", help="That of the change that was made, or its run.")
    ],
    *,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show what takes a change back; nothing is changed."""
    output = Output(json=json)
    _show(await _called("db_undo", {"apply": applied}, output, home), output, home)


def _statement(name: str, sql: str, parameters: str) -> dict[str, Json]:
    asked: dict[str, Json] = {"datasource": name, "sql": sql}
    if parameters:
        asked["parameters"] = read_json(parameters, "--parameters")
    return asked


async def _called(tool: str, asked: dict[str, Json], output: Output, home: HomeOption) -> Json:
    return await answer_of(tool, asked, output, home_or_default(home), home_flag(home))


def _show(answer: Json, output: Output, home: HomeOption) -> None:
    if output.json:
        output.document(answer)
    else:
        print_preview(answer, output, home_flag(home))
