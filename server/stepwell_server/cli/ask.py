"""`stepwell ask`: a question about a datasource, in plain words."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from stepwell.client import Client
from stepwell.engine.values import Json
from stepwell.errors import Code, InvalidRequest, NotFound
from stepwell_server.cli.command import (
    HomeOption,
    JsonOption,
    command,
    home_flag,
    home_or_default,
)
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.outcome import print_outcome
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected
from stepwell_server.cli.tool_calls import answer_of
from stepwell_server.visible import visible_line


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    command(app)(ask)


async def ask(
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="Like 'top 3 customers by revenue'.")
    ],
    *,
    datasource: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Which datasource, where there are several.", show_default=False
        ),
    ] = "",
    reading: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Which reading is meant, as it was asked.", show_default=False
        ),
    ] = "",
    rows: Annotated[int, typer.Option(help="The most rows to show.", min=1, max=1000)] = 50,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Ask a datasource a question, and print the rows, the SQL and what was assumed."""
    output = Output(json=json)
    where, flag = home_or_default(home), home_flag(home)
    if not datasource:
        async with connected(where) as client:
            datasource = await _only(client)
    asked: dict[str, Json] = {"datasource": datasource, "question": question, "rows": rows}
    while True:
        if reading:
            asked["reading"] = reading
        outcome = await answer_of("db_ask", asked, output, where, flag)
        is_clear = outcome["outcome"] != "clarify"
        if is_clear or json or not sys.stdin.isatty():
            break
        reading = _chosen(outcome, output)
    if json:
        output.document(outcome)
    else:
        print_outcome(outcome, output, flag)
    if outcome["outcome"] in ("clarify", "cannot_answer"):
        raise typer.Exit(Exit.FAILED)


async def _only(client: Client) -> str:
    """The one datasource that there is.

    Raises:
        NotFound: DATASOURCE_NOT_FOUND, there is none.
        InvalidRequest: there are several.
    """
    names = [one.name for one in await client.datasources.list()]
    if not names:
        raise NotFound(
            "there is no datasource; add one with: stepwell datasource add NAME sqlite:///FILE",
            code=Code.DATASOURCE_NOT_FOUND,
        )
    if len(names) > 1:
        raise InvalidRequest(f"say which one is asked: --datasource {'|'.join(names)}")
    return names[0]


def _chosen(outcome: Json, output: Output) -> str:
    """The reading that the person at the terminal means."""
    options: Sequence[Json] = outcome["options"]
    output.note(visible_line(outcome["question"]))
    for number, option in enumerate(options, 1):
        output.note(f"  {number}  {visible_line(option['meaning'])}")
    number = 0
    while not 1 <= number <= len(options):
        number = typer.prompt(f"Which one (1 to {len(options)})", type=int, err=True)
    return str(options[number - 1]["reading"])
