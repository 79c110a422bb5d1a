"""`stepwell approvals`: what runs ask you, and what you answer."""

from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
import typer

from stepwell.client import Approval, Client
from stepwell.clock import SystemClock
from stepwell.errors import Code, NotFound
from stepwell.nldb.writes.preview import Preview
from stepwell_server.changes import besides, headline, side_by_side, values
from stepwell_server.cli.code import CodeOption, proven
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_flag, home_or_default
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected, endpoints_of
from stepwell_server.cli.times import day_and_time
from stepwell_server.visible import pretty, visible, visible_line

GLANCE: Final = 60
"""Characters of what is asked that stand in the list."""

ReasonOption: TypeAlias = Annotated[
    str, typer.Option("--reason", help="Why; goes into the log.", show_default=False)
]
IdArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="APPROVAL", help="The id, or its beginning.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(help="What runs ask you, and what you answer.")
    list_all = command(group, "list")(list_approvals)

    @group.callback(invoke_without_command=True)
    def list_by_default(
        context: typer.Context, *, home: HomeOption = None, json: JsonOption = False
    ) -> None:
        """What runs ask you, and what you answer; alone, a list of what waits."""
        if context.invoked_subcommand is None:
            list_all(home=home, json=json)

    command(group)(show)
    command(group)(approve)
    command(group)(deny)
    app.add_typer(group, name="approvals")


async def list_approvals(
    *,
    status: Annotated[
        str, typer.Option(metavar="STATUS", help="waiting, approved, denied, expired or all.")
    ] = "waiting",
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many.")] = 50,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List what waits for an answer, newest first."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        page = await client.approvals.list(status=status, page_size=limit)
        if json:
            more = bool(page.next_page_token)
            output.document({"approvals": page.approvals, "more": more})
            return
        told = [await client.approvals.get(one.id) for one in page.approvals]
    output.table(
        ("approval", "asked", "by", "what", "rule", "status"),
        map(_row, told),
        empty="nothing waits for you",
        is_cut=True,
    )


async def show(id: IdArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show exactly what would be done, who asks, and why you are asked."""
    output = Output(json=json)
    where = home_or_default(home)
    async with connected(where) as client:
        found = await _find(client, id)
    if json:
        output.document(found)
        return
    _print(found, output)
    if found.status == "waiting":
        flag = home_flag(home)
        output.note(f"\nstepwell approvals approve {found.id}{flag}")
        output.note(f"stepwell approvals deny {found.id} --reason WHY{flag}")
        if page := endpoints_of(where).page:
            output.note(f"or on the page: {page}/approvals/{found.id}")


async def approve(
    id: IdArgument,
    *,
    reason: ReasonOption = "",
    code: CodeOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Let it be done, once and exactly so; this takes a one-time code."""
    await _decide("approve", id, reason=reason, code=code, home=home, json=json)


async def deny(
    id: IdArgument,
    *,
    reason: ReasonOption = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Refuse it; whoever asked is told your reason."""
    await _decide("deny", id, reason=reason, code="", home=home, json=json)


async def _decide(
    verdict: Literal["approve", "deny"],
    id: str,
    *,
    reason: str,
    code: str,
    home: HomeOption,
    json: bool,
) -> None:
    """What was shown is what is answered: the subject goes along."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await _find(client, id)
        if verdict == "approve" and not json and not code:
            _print(found, output)
        told = await proven(
            code,
            lambda shown: client.approvals.decide(
                found.id, verdict, reason=reason, subject=found.subject, code=shown
            ),
        )
    if json:
        output.document(told)
    else:
        output.note(f"approval {told.id} is {told.status}")


async def _find(client: Client, id: str) -> Approval:
    """The approval of this id, or the one that waits whose id begins so."""
    try:
        return await client.approvals.get(id)
    except NotFound as error:
        page = await client.approvals.list(page_size=200)
        found = [one.id for one in page.approvals if one.id.startswith(id)]
        if len(found) > 1:
            raise NotFound(
                f"{len(found)} approvals begin with {id}; type more of it",
                code=Code.APPROVAL_NOT_FOUND,
            ) from error
        if not found:
            raise
    return await client.approvals.get(found[0])


def _print(found: Approval, output: Output) -> None:
    rules = ", ".join(found.rules) or "none"
    pairs = [
        ("approval", found.id),
        ("asks for", _what(found)),
        ("asked by", found.principal),
        ("asked", day_and_time(found.requested_at)),
        ("rule", rules),
        ("reason", found.reason or "none given"),
        ("run", f"{found.run}, step {found.step}"),
        ("status", _status(found)),
    ]
    output.pairs((heading, visible_line(text)) for heading, text in pairs)
    if found.message is not None and found.about != "call":
        output.people.print()
        output.people.print(
            visible(found.message) if isinstance(found.message, str) else pretty(found.message),
            markup=False,
        )
    if found.about != "approval":
        output.people.print()
        output.people.print(_arguments(found), markup=False)
    if found.preview is not None or found.preview_ref is not None:
        output.people.print()
        output.people.print(_change(found), markup=False)


def _change(found: Approval) -> str:
    """The rows of a change of a datasource, old and new."""
    if found.preview_ref is not None:
        return "the rows that it changes do not fit here; look at the page"
    preview = msgspec.convert(found.preview, Preview)
    lines = [
        visible_line(headline(preview)),
        "",
        visible(preview.sql),
        visible(values(preview)),
        "",
    ]
    signs = {"removed": "-", "added": "+"}
    for row in side_by_side(preview):
        if row.kind == "changed":
            lines += [f"- {visible_line(row.left)}", f"+ {visible_line(row.right)}"]
        else:
            lines.append(f"{signs.get(row.kind, ' ')} {visible_line(row.left or row.right)}")
    return "\n".join([*lines, "", visible(besides(preview))])


def _arguments(found: Approval) -> str:
    if found.arguments_ref is not None:
        ref = found.arguments_ref
        return f"the arguments ({ref.size} bytes, {ref.digest}) do not fit here; look at the page"
    return f"arguments: {pretty(found.arguments)}"


def _what(found: Approval) -> str:
    match found.about:
        case "call":
            return f"a call of {found.tool}"
        case "outcome":
            return (
                f"what became of a call of {found.tool}" if found.tool else "what became of a call"
            )
        case _:
            return f"an answer to the step {found.step}"


def _status(found: Approval) -> str:
    if found.decided_at is not None:
        why = f": {found.decision_reason}" if found.decision_reason else ""
        return f"{found.status} by {found.decided_by} at {day_and_time(found.decided_at)}{why}"
    if found.expires_at is not None:
        return f"{found.status}, until {day_and_time(found.expires_at)}"
    return found.status


def _row(one: Approval) -> tuple[str, ...]:
    return (
        one.id,
        _age(one.requested_at),
        visible_line(one.principal),
        visible_line(_glance(one)),
        visible_line(", ".join(one.rules)),
        one.status,
    )


def _glance(one: Approval) -> str:
    """What is asked in a line, so that two calls of one tool can be told apart."""
    asked = one.arguments if one.about == "call" else one.message
    if asked is None or one.about == "outcome":
        return _what(one)
    text = asked if isinstance(asked, str) else msgspec.json.encode(asked).decode()
    shown = text if len(text) <= GLANCE else f"{text[:GLANCE]}…"
    return f"{one.tool or one.step}: {shown}"


def _age(at: datetime) -> str:
    now = datetime.fromtimestamp(SystemClock().now() / 1_000_000, at.tzinfo)
    seconds = max(int((now - at).total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
