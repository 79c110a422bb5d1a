"""`stepwell budget`: what may be spent."""

from typing import Annotated

import typer

from stepwell.client import Budget
from stepwell.engine.budgets import USD_MICROS, amount_text
from stepwell_server.cli.amounts import UNLIMITED, read_limits
from stepwell_server.cli.code import CodeOption, proven
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.output import Output
from stepwell_server.cli.run_document import run_document
from stepwell_server.cli.run_ids import RunArgument, full_id
from stepwell_server.cli.session import connected

ScopeArgument = Annotated[
    str,
    typer.Argument(
        metavar="SCOPE",
        help="namespace/day, namespace/month, principal:NAME/day, or principal:*/day for each.",
    ),
]
UsdOption = Annotated[
    str, typer.Option("--usd", metavar="DOLLARS", help="Money.", show_default=False)
]
TokensOption = Annotated[
    str, typer.Option("--tokens", metavar="N", help="Tokens of models.", show_default=False)
]
CallsOption = Annotated[
    str, typer.Option("--calls", metavar="N", help="Calls of models, tools.", show_default=False)
]
RowsOption = Annotated[
    str, typer.Option("--rows", metavar="N", help="Rows of datasources.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(
        help="What runs, principals and the namespace may spend.", no_args_is_help=True
    )
    command(group, "set")(set_budget)
    command(group, "list")(list_budgets)
    command(group)(show)
    command(group, "raise")(raise_budget)
    command(group)(remove)
    app.add_typer(group, name="budget")


async def set_budget(
    scope: ScopeArgument,
    *,
    usd: UsdOption = "",
    tokens: TokensOption = "",
    calls: CallsOption = "",
    rows: RowsOption = "",
    code: CodeOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Set limits, which hold at once; `unlimited` is counted only. What waits for more goes on."""
    limits = read_limits(usd, tokens, calls, rows, may_be_counted=True)
    _demand_any(limits)
    async with connected(home_or_default(home)) as client:
        found = await proven(code, lambda it: client.budgets.set(scope, limits, code=it))
    _print(found, Output(json=json))


async def list_budgets(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """List the budgets of the namespace and of principals, with what is used today or this month."""
    async with connected(home_or_default(home)) as client:
        found = await client.budgets.list()
    _print(found, Output(json=json))


async def show(run: RunArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Print the budget of a run, and what it and the runs below it have used."""
    async with connected(home_or_default(home)) as client:
        found = await client.budgets.of_run(await full_id(client, run))
    _print(found, Output(json=json))


async def raise_budget(
    run: RunArgument,
    *,
    usd: UsdOption = "",
    tokens: TokensOption = "",
    calls: CallsOption = "",
    rows: RowsOption = "",
    code: CodeOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Let a run spend more: the limits are what it may spend in all. If it was paused it goes on."""
    output = Output(json=json)
    limits = {
        unit: limit
        for unit, limit in read_limits(usd, tokens, calls, rows).items()
        if limit is not None
    }
    _demand_any(limits)
    async with connected(home_or_default(home)) as client:
        run = await full_id(client, run)
        raised = await proven(code, lambda it: client.budgets.raise_run(run, limits, code=it))
    if json:
        output.document(run_document(raised))
    else:
        told = ", ".join(amount_text(unit, limit) for unit, limit in limits.items())
        output.note(f"run {raised.id} may spend {told}")


async def remove(
    scope: ScopeArgument,
    *,
    unit: Annotated[
        str, typer.Option(metavar="UNIT", help="usd, tokens, calls or rows.", show_default=False)
    ],
    code: CodeOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Take a limit away; what waits for more goes on."""
    output = Output(json=json)
    name = USD_MICROS if unit == "usd" else unit
    async with connected(home_or_default(home)) as client:
        await proven(code, lambda it: client.budgets.delete(scope, name, code=it))
    if json:
        output.document({"removed": {"scope": scope, "unit": name}})
    else:
        output.note(f"{scope} has no limit of {unit} any more")


def _demand_any(limits: object) -> None:
    if not limits:
        raise typer.BadParameter("say how much", param_hint="--usd / --tokens / --calls / --rows")


def _print(found: tuple[Budget, ...], output: Output) -> None:
    if output.json:
        output.document({"budgets": found})
        return
    output.table(
        ("scope", "limit", "used", "reserved", "set by"),
        (
            (
                it.scope,
                UNLIMITED if it.limit is None else amount_text(it.unit, it.limit),
                amount_text(it.unit, it.used),
                amount_text(it.unit, it.reserved) if it.reserved else "",
                it.principal,
            )
            for it in found
        ),
        empty="no budgets; set one with: stepwell budget set namespace/day --usd 5.00",
    )
