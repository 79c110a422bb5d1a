"""`stepwell workflows`: definitions, checked and stored."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from stepwell.client import Client, Problem, Workflow
from stepwell.definitions.problems import Problem as Finding
from stepwell.definitions.problems import render
from stepwell.errors import Code, InvalidRequest
from stepwell_server.cli.code import CodeOption, proven
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected
from stepwell_server.cli.times import day_and_time

SUFFIXES = (".yaml", ".yml", ".json")

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A workflow, YAML or JSON.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of a workflow.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(help="Check, store and show workflows.", no_args_is_help=True)
    command(group)(check)
    command(group)(put)
    command(group, "list")(list_workflows)
    command(group)(show)
    app.add_typer(group, name="workflows")


async def check(file: FileArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Print every problem of a definition, with its place."""
    output = Output(json=json)
    where = home_or_default(home)
    source = read_definition(file)
    if where.endpoints():
        async with connected(where) as client:
            problems = await _problems(client, source)
    else:
        output.note("no daemon runs, so the names of tools are not checked")
        problems = await _problems(None, source)
    if json:
        output.document({"file": str(file), "problems": problems})
    elif problems:
        print_problems(problems, file, source)
    else:
        output.note(f"{file} is a valid workflow")
    if problems:
        raise typer.Exit(Exit.USAGE)


async def put(
    file: FileArgument,
    *,
    code: CodeOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Store a workflow; its new version is the one that its name means from now on."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        stored = await put_file(client, file, output, code)
    if json:
        output.document({"name": stored.name, "version": stored.version, "created": stored.created})
        return
    output.people.print(f"{stored.name} {stored.version}", markup=False)
    output.note("a new version" if stored.created else "this version was there before")


async def list_workflows(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """List the workflows with their newest versions; times are local."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.workflows.list()
    if json:
        output.document({"workflows": [_listed(workflow) for workflow in found]})
        return
    output.table(
        ("workflow", "version", "put", "description"),
        ((w.name, _short(w.version), day_and_time(w.created_at), w.description) for w in found),
        empty="no workflows yet; store one with: stepwell workflows put FILE",
        is_cut=True,
    )


async def show(
    name: NameArgument,
    *,
    version: Annotated[
        str, typer.Option(metavar="DIGEST", help="Not the newest.", show_default=False)
    ] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Print a workflow as it was put."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.workflows.get(name, version)
    if json:
        output.document(
            {
                "name": found.name,
                "version": found.version,
                "input_schema": found.input_schema,
                "source": found.source.decode(),
            }
        )
        return
    output.note(f"{found.name} {found.version}, put by {found.principal}")
    sys.stdout.write(found.source.decode().rstrip("\n") + "\n")


def is_file(text: str) -> bool:
    """Whether a command's FILE|NAME means a file."""
    path = Path(text)
    return path.suffix in SUFFIXES or path.is_file()


def read_definition(file: Path) -> bytes:
    """The bytes of a definition.

    Raises:
        InvalidRequest: the file cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidRequest(
            f"{file} cannot be read: {error.strerror}", code=Code.INVALID_CONFIG
        ) from error


async def put_file(client: Client, file: Path, output: Output, code: str = "") -> Workflow:
    """Stores a definition; one with problems is shown with all of them instead.

    Raises:
        InvalidRequest: INVALID_DEFINITION.
    """
    source = read_definition(file)
    problems = await _problems(client, source)
    if not problems:
        return await proven(code, lambda shown: client.workflows.put(source, code=shown))
    if not output.json:
        print_problems(problems, file, source)
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise InvalidRequest(
        f"{file} has {count} and was not stored",
        code=Code.INVALID_DEFINITION,
        detail={f"{p.line}:{p.column}": p.message for p in problems} if output.json else {},
    )


async def _problems(client: Client | None, source: bytes) -> tuple[Problem, ...]:
    """What the daemon finds, who knows the tools; without one, all but unknown tools."""
    from stepwell.definitions.loader import (
        MAX_BYTES,
    )  # brings YAML, which most commands do not need

    # What is empty or too large for a request is told as a problem of the file, too.
    if client and 0 < len(source) <= MAX_BYTES:
        return await client.workflows.check(source)
    from stepwell.definitions.compile import check_definition  # brings CEL, which takes a while

    return tuple(
        Problem(line=p.line, column=p.column, path=p.path, message=p.message, hint=p.hint)
        for p in check_definition(source, tools=None)
    )


def print_problems(problems: tuple[Problem, ...], file: Path, source: bytes) -> None:
    """Each with its line of the source."""
    findings = [
        Finding(line=p.line, column=p.column, path=p.path, message=p.message, hint=p.hint)
        for p in problems
    ]
    sys.stderr.write(render(findings, str(file), source) + "\n")


def _listed(workflow: Workflow) -> dict[str, object]:
    return {
        "name": workflow.name,
        "version": workflow.version,
        "description": workflow.description,
        "created_at": workflow.created_at,
        "principal": workflow.principal,
    }


def _short(version: str) -> str:
    return version[:19]
