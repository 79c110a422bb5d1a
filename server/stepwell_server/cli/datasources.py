"""`stepwell datasource`: the databases that the SQL tools may read."""

from pathlib import Path
from typing import Annotated

import typer

from stepwell.config import redact_url
from stepwell.nldb.datasources import absolute_url
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.definitions import print_problems, read_definition
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of the datasource.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(help="Databases that the SQL tools may read.", no_args_is_help=True)
    command(group)(add)
    command(group, "list")(list_datasources)
    command(group)(teach)
    command(group)(remove)
    app.add_typer(group, name="datasource")


async def add(
    name: NameArgument,
    url: Annotated[str, typer.Argument(metavar="URL", help="Like sqlite:///shop.db.")],
    *,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Name a database; it is opened once, read-only, to see that it is there."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        added = await client.datasources.create(name, absolute_url(url, Path.cwd()))
    if json:
        output.document({"name": added.name, "url": redact_url(added.url)})
    else:
        output.note(f"{added.name} is {redact_url(added.url)}")


async def teach(
    name: NameArgument,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Terms, metrics and verified queries, in YAML.")
    ],
    *,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Teach a datasource words, metrics and verified queries, in the place of those before."""
    output = Output(json=json)
    source = read_definition(file)
    async with connected(home_or_default(home)) as client:
        problems = await client.datasources.teach(name, source)
    if json:
        output.document({"datasource": name, "problems": problems})
    elif problems:
        print_problems(problems, file, source)
    else:
        output.note(f"{name} knows what is in {file}")
    if problems:
        raise typer.Exit(Exit.USAGE)


async def list_datasources(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """List the datasources."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.datasources.list()
    rows = [(one.name, redact_url(one.url)) for one in found]
    if json:
        output.document({"datasources": [{"name": name, "url": url} for name, url in rows]})
        return
    output.table(
        ("datasource", "url"),
        rows,
        empty="no datasources yet; add one with: stepwell datasource add NAME sqlite:///FILE",
    )


async def remove(name: NameArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Forget a datasource; the database itself stays."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        await client.datasources.delete(name)
    if json:
        output.document({"removed": name})
    else:
        output.note(f"forgot {name}")
