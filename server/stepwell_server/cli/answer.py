"""`stepwell answer`: what a tool asks of the person behind its caller."""

from typing import Annotated

import typer

from stepwell.client import Question, QuestionAction, Run
from stepwell.engine.values import Json
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.json_values import METAVAR, read_json
from stepwell_server.cli.output import Output
from stepwell_server.cli.run_document import run_document
from stepwell_server.cli.run_ids import RunArgument, full_id
from stepwell_server.cli.session import connected


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    command(app)(answer)


async def answer(
    run: RunArgument,
    question: Annotated[
        str,
        typer.Argument(
            metavar="QUESTION",
            help="The id of the question, where the run asks several.",
            show_default=False,
        ),
    ] = "",
    *,
    accept: Annotated[
        str | None,
        typer.Option(
            "--accept",
            metavar=METAVAR,
            help="The answer: an object with the fields that are asked for, or null for a mere yes.",
            show_default=False,
        ),
    ] = None,
    decline: Annotated[bool, typer.Option("--decline", help="Say no.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Say neither yes nor no.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Answer what a tool asks, once; `stepwell show` tells what that is."""
    output = Output(json=json)
    action, content = _said(accept, decline=decline, cancel=cancel)
    async with connected(home_or_default(home)) as client:
        id = await full_id(client, run)
        told = await client.answer(id, question, action=action, content=content)
    _print(told, output)


def _said(accept: str | None, *, decline: bool, cancel: bool) -> tuple[QuestionAction, Json]:
    """What the options say.

    Raises:
        BadParameter: not exactly one of them is given, or it is no JSON.
    """
    if (accept is not None) + decline + cancel != 1:
        raise typer.BadParameter("give one of --accept JSON, --decline and --cancel")
    if accept is not None:
        return "accept", read_json(accept, "--accept")
    return ("decline" if decline else "cancel"), None


def _print(run: Run, output: Output) -> None:
    if output.json:
        output.document(run_document(run))
        return
    output.note(f"run {run.id} is {run.status}")
    for question in run.questions:
        output.note(f"it asks still: {_told(question)} ({question.id})")


def _told(question: Question) -> str:
    return question.message or f"{question.tool} asks the client for its {question.kind}"
