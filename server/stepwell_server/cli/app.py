"""The tree of commands, one module a group."""

from importlib.metadata import version
from typing import Annotated

import typer

from stepwell_server.cli import (
    answer,
    approvals,
    ask,
    audit,
    budgets,
    connect,
    controls,
    datasources,
    definitions,
    demo,
    doctor,
    events,
    factor,
    key,
    keys,
    mcp,
    page,
    policy,
    queues,
    retention,
    run,
    runs,
    schedules,
    secret_commands,
    settings,
    tools,
    toolsets,
    up,
    wait,
)
from stepwell_server.cli.command import JsonOption, command
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.output import Output
from stepwell_server.cli.root import Root

app = typer.Typer(
    name="stepwell",
    cls=Root,
    help="Durable workflows of agents and tools, governed, behind MCP and gRPC.",
    epilog="Exit codes: " + " ".join(f"{code.value}: {code.meaning}" for code in Exit),
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: it fits narrow terminals and honours NO_COLOR
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        Output().people.print(f"stepwell {version('stepwell')}")
        raise typer.Exit(Exit.OK)


@app.callback()
def stepwell(
    *,
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version.",
            show_default=False,
        ),
    ] = False,
) -> None:
    """Durable workflows of agents and tools, governed, behind MCP and gRPC."""


@command(app, "version")
def show_version(*, json: JsonOption = False) -> None:
    """Print the version."""
    output = Output(json=json)
    if json:
        output.document({"version": version("stepwell")})
    else:
        output.people.print(f"stepwell {version('stepwell')}")


for group in (
    up,
    run,
    runs,
    events,
    wait,
    ask,
    controls,
    answer,
    approvals,
    page,
    factor,
    key,
    definitions,
    datasources,
    queues,
    schedules,
    retention,
    keys,
    budgets,
    audit,
    tools,
    toolsets,
    secret_commands,
    policy,
    mcp,
    connect,
    demo,
    doctor,
    settings,
):
    group.add_to(app)
