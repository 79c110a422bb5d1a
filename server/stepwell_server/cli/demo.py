"""`stepwell demo`: a run that survives `kill -9`, with nothing but what was installed."""

import asyncio
import os
import shlex
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from msgspec import Struct

from stepwell.client import Event, PolicyFile, Run
from stepwell.errors import Code, StepwellError
from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.cli.command import JsonOption, command, read_home
from stepwell_server.cli.demo_home import furnish
from stepwell_server.cli.event_line import EventLines
from stepwell_server.cli.exits import Exit
from stepwell_server.cli.invocation import full_name, typed_name
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected, follow
from stepwell_server.home import Endpoints, Home

LIMIT: Final = 60.0
"""Seconds for all of it."""

QUESTION: Final = "Which customer spent the most?"
COUNT: Final = "SELECT count(*) AS orders FROM orders"

NEXT: Final = """\
What to do next
  look at what was used:    ls {home}/demo
  start the daemon again:   {stepwell} up --home {home}
  run it, in a second one:  {stepwell} run answer-question --home {home} \\
                              --input '{{"question": "{question}"}}' --watch
  see the run as a whole:   {stepwell} show {run} --home {home}
  every event of the run:   {stepwell} events {run} --home {home}
  give it to an MCP host:   {program} mcp --home {home}     (as the command of an MCP server)
  throw all of it away:     rm -r {home}
"""


class Finding(Struct, frozen=True):
    """Something that has to be true at the end."""

    claim: str
    holds: bool


class Report(Struct, frozen=True, kw_only=True):
    """What `--json` prints."""

    home: str
    run: Run
    findings: list[Finding]


class Story(Struct, frozen=True, kw_only=True):
    """What happened: the run over gRPC with its events, and the two answers over MCP."""

    run: Run
    events: tuple[Event, ...]
    orders: Any
    mcp_answer: Any


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    command(app)(demo)


async def demo(
    *,
    home: Annotated[
        Home | None,
        typer.Option(
            "--home",
            metavar="PATH",
            parser=read_home,
            help="The home folder; else a new one, which is named at the end.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Kill a daemon in the middle of a run, start it, and see the run end. No key, no network."""
    output = Output(json=json)
    where = home or _new_home()
    folder = furnish(where)
    _say_beginning(where, output)
    daemon = ChildDaemon(where)
    try:
        async with asyncio.timeout(LIMIT):
            story = await _tell(where, folder, daemon, output)
    except TimeoutError as error:
        raise StepwellError(
            f"the demo has not ended after {LIMIT:g} s; {where.log_file} may say why",
            code=Code.DEADLINE_EXCEEDED,
        ) from error
    finally:
        daemon.stop()
    findings = _verify(folder, story)
    _say_end(where, story, findings, output)
    if not all(finding.holds for finding in findings):
        raise typer.Exit(Exit.FAILED)


async def _tell(home: Home, folder: Path, daemon: ChildDaemon, output: Output) -> Story:
    """The whole story, as it happens."""
    _heading(output, 2, "One daemon serves gRPC and MCP")
    endpoints = await daemon.start()
    _say(output, f"process {endpoints.pid}, gRPC {endpoints.grpc}, MCP {endpoints.mcp}")
    _heading(output, 3, "Over gRPC: put the workflow, start a run, watch its event log")
    run_id = await _start_run(home, folder)
    _say(output, f"run {run_id}")
    events = await _watch_and_kill(home, run_id, daemon, output)
    async with connected(home) as client:
        run = await client.get(run_id)
    _say(output, f"the output: {run.output}")
    _heading(output, 5, "Over MCP: the same daemon, as an editor or an agent sees it")
    orders, answer = await _use_mcp(home, output)
    return Story(run=run, events=tuple(events), orders=orders, mcp_answer=answer)


async def _start_run(home: Home, folder: Path) -> str:
    async with connected(home) as client:
        await client.datasources.create("shop", f"sqlite:///{folder / 'shop.db'}")
        source = (folder / "answer-question.yaml").read_bytes()
        stored = await client.workflows.put(source)
        # An agent starts it too, over MCP; without this rule its message would wait for a person.
        await client.policies.apply(
            [PolicyFile("policy.cedar", (folder / "policy.cedar").read_text())]
        )
        run = await client.run(stored.name, {"question": QUESTION}, version=stored.version)
    return run.id


async def _watch_and_kill(home: Home, run: str, daemon: ChildDaemon, output: Output) -> list[Event]:
    """The events of the run; after its first tool call the daemon is killed and started again."""
    events: list[Event] = []
    lines = EventLines()
    killed = False
    async for event in follow(home, run):
        events.append(event)
        _say(output, lines.line(event), is_cut=True)
        if event.kind == "tool_call" and not killed:
            killed = True
            _say(output, f"kill -9 {daemon.kill()}   while the model is being asked again", "red")
            _heading(output, 4, "Start it again: the run goes on by itself")
            endpoints = await daemon.start()
            _say(output, f"process {endpoints.pid}, and nobody asked for the run to go on")
    return events


async def _use_mcp(home: Home, output: Output) -> tuple[Any, Any]:
    """The structured results of one tool, and of the workflow as a tool."""
    endpoints = home.endpoints()
    assert endpoints is not None, "the daemon has just been asked"
    async with _mcp(endpoints) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        _say(output, f"tools on offer: {', '.join(names)}")
        arguments = {"datasource": "shop", "sql": COUNT}
        orders = (await client.call_tool("db_query", arguments)).structured_content
        _say(output, f"db_query {COUNT!r}: {orders and orders.get('rows')}")
        answer = await client.call_tool("answer-question", {"question": QUESTION})
        _say(output, f"answer-question: {answer.structured_content}")
    return orders, answer.structured_content


@asynccontextmanager
async def _mcp(endpoints: Endpoints) -> AsyncIterator[Any]:
    from stepwell_server.cli.mcp_client import connected_mcp  # takes a second: not for --help

    async with connected_mcp(endpoints) as client:
        yield client


def _new_home() -> Home:
    return Home(Path(tempfile.mkdtemp(prefix="stepwell-demo-")).resolve())


def _verify(folder: Path, story: Story) -> list[Finding]:
    """What the demo claims, looked up where it can be seen from outside."""
    with sqlite3.connect(folder / "shop.db") as database:
        name, cents = _biggest_spender(database)
        ((orders,),) = database.execute(COUNT)
    database.close()
    expected = {"answer": f"{name} spent the most: {cents / 100} in all.", "posted": True}
    kinds = [event.kind for event in story.events]
    channel = folder / "channel.txt"
    lines = channel.read_text().splitlines() if channel.exists() else []
    posted = [line.partition("\t")[0] for line in lines]
    numbers = [event.sequence for event in story.events]
    return [
        Finding("the run completed", kinds[-1] == "run_completed"),
        Finding(
            f"its events are numbered 1 to {len(kinds)}, none is missing or there twice",
            numbers == list(range(1, len(kinds) + 1)),
        ),
        Finding(
            "the model's and the tools' calls are in its log", {"llm_call", "tool_call"} < {*kinds}
        ),
        Finding("the answer is what the database says", story.run.output == expected),
        Finding("MCP gives the same answer", story.mcp_answer == expected),
        Finding(
            "the tool over MCP gives the database's own rows",
            story.orders is not None and story.orders["rows"] == [[orders]],
        ),
        Finding("each run posted its message once", len(posted) == len(set(posted)) == 2),
    ]


def _biggest_spender(database: sqlite3.Connection) -> tuple[str, int]:
    """The same question as the workflow's, answered without it and in another way."""
    spent: dict[str, int] = {}
    for name, cents in database.execute(
        "SELECT customers.name, quantity * price_cents FROM order_items, orders, customers "
        "WHERE orders.id = order_id AND customers.id = customer_id AND status <> 'refunded'"
    ):
        spent[name] = spent.get(name, 0) + cents
    return max(spent.items(), key=lambda item: item[1])


# --- what is said ---------------------------------------------------------------------------


def _say_beginning(home: Home, output: Output) -> None:
    _heading(output, 1, "A new home, with all that the demo needs")
    _say(output, f"{home.path}: settings, a shop's database, a workflow, a tool")
    _say(output, "The model is SCRIPTED, no real one: it answers from demo/analyst.yaml")


def _say_end(home: Home, story: Story, findings: list[Finding], output: Output) -> None:
    _heading(output, 6, "Is it true?")
    for finding in findings:
        mark, style = ("yes", "green") if finding.holds else ("NO ", "bold red")
        _say(output, f"{mark}  {finding.claim}", style)
    if output.json:
        output.document(Report(home=str(home.path), run=story.run, findings=findings))
        return
    output.people.print()
    text = NEXT.format(
        stepwell=typed_name(os.environ, Path.cwd()),
        program=full_name(),
        home=shlex.quote(str(home.path)),
        run=story.run.id,
        question=QUESTION,
    )
    output.people.print(text, markup=False, end="")


def _heading(output: Output, number: int, text: str) -> None:
    if not output.json:
        output.people.print(f"\n[bold]{number}/6  {text}[/]")


def _say(output: Output, text: str, style: str = "", *, is_cut: bool = False) -> None:
    if output.json:
        return
    if is_cut:
        output.row(f"     {text}", style=style)
    else:
        output.people.print(f"     {text}", style=style, markup=False)
