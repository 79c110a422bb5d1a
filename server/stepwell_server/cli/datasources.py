"""`stepwell datasource`: the databases that there are, and what is known of them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from stepwell.client.types import InspectedDatasource
from stepwell.config import redact_url
from stepwell.nldb.urls import absolute_url
from stepwell_server.cli import queries
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.definitions import print_problems, read_definition
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected
from stepwell_server.visible import visible

URL_HELP = "Like sqlite:///shop.db, or postgresql://reader:secret://store/NAME@host/shop."
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of the datasource.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(help="Databases that are asked, read and changed.", no_args_is_help=True)
    command(group)(add)
    command(group, "list")(list_datasources)
    command(group)(teach)
    command(group)(show)
    command(group)(check)
    command(group, "emit-sql")(emit_sql)
    queries.add_to(group)
    command(group)(remove)
    app.add_typer(group, name="datasource")


async def add(
    name: NameArgument,
    url: Annotated[str, typer.Argument(metavar="URL", help=URL_HELP)],
    *,
    accept_risks: Annotated[
        bool,
        typer.Option("--accept-risks", help="Take a login that may do more than it should."),
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Name a database.

    It is opened once, read-only, to see that it is there.
    """
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        added = await client.datasources.create(
            name, absolute_url(url, Path.cwd()), accept_risks=accept_risks
        )
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
    """Teach a datasource words, metrics and queries.

    They take the place of those before.
    """
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


async def show(name: NameArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show what a datasource is, and what is in it."""
    output = Output(json=json)
    found = await _described(name, home)
    if json:
        output.document(_document(found))
        return
    output.pairs(
        [
            ("datasource", found.datasource.name),
            ("url", redact_url(found.datasource.url)),
            ("engine", f"{found.dialect} {found.version}"),
            ("login", found.login or "none: it is a file"),
            ("added by", found.datasource.principal),
            ("schema", found.fingerprint[:16]),
            ("tables", ", ".join(found.tables)),
            ("findings", str(len(found.findings))),
        ]
    )


async def check(name: NameArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Check what a datasource's login may do.

    1 is returned when it is too much.
    """
    output = Output(json=json)
    found = await _described(name, home)
    if json:
        output.document(_document(found))
    else:
        output.table(
            ("level", "rule", "what", "what to do"),
            [(one.level, one.rule, one.what, one.advice) for one in found.findings],
            empty=f"{name} can be read, and its login may do nothing that it should not",
        )
    if any(one.level == "refuse" for one in found.findings):
        raise typer.Exit(1)


async def emit_sql(
    name: NameArgument,
    *,
    writes: Annotated[
        list[str] | None,
        typer.Option(
            "--writes", metavar="TABLE", help="A table of which rows are changed too; repeatable."
        ),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Print SQL that makes a login which may only read.

    It is for the owner of the database. With --writes the login may change rows of those tables.
    """
    output = Output(json=json)
    found = await _described(name, home, writes or ())
    if json:
        output.document({"sql": found.hardening_sql})
    elif found.hardening_sql:
        is_seen = sys.stdout.isatty()
        sys.stdout.write(visible(found.hardening_sql) if is_seen else found.hardening_sql)
    else:
        output.note(f"{name} is a file: its permissions are what holds; there are no logins")


async def _described(
    name: str, home: HomeOption, writes: Sequence[str] = ()
) -> InspectedDatasource:
    async with connected(home_or_default(home)) as client:
        return await client.datasources.describe(name, writes=writes)


def _document(found: InspectedDatasource) -> dict[str, Any]:
    return {
        "name": found.datasource.name,
        "url": redact_url(found.datasource.url),
        "dialect": found.dialect,
        "version": found.version,
        "login": found.login,
        "fingerprint": found.fingerprint,
        "tables": list(found.tables),
        "findings": [msgspec.to_builtins(one) for one in found.findings],
    }


async def remove(name: NameArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Forget a datasource; the database itself stays."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        await client.datasources.delete(name)
    if json:
        output.document({"removed": name})
    else:
        output.note(f"forgot {name}")
