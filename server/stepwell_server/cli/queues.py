"""`stepwell queues`: how many runs or steps go on at a time."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from stepwell.client import Queue
from stepwell.durations import format_duration, parse_duration
from stepwell.errors import Code, InvalidRequest
from stepwell_server.cli.command import HomeOption, JsonOption, command, home_or_default
from stepwell_server.cli.output import Output
from stepwell_server.cli.session import connected
from stepwell_server.cli.times import day_and_time

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of the queue.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    group = typer.Typer(
        help="Limits of how many runs or steps go on at a time.", no_args_is_help=True
    )
    command(group)(put)
    command(group, "list")(list_queues)
    command(group)(show)
    command(group)(remove)
    app.add_typer(group, name="queues")


async def put(
    name: NameArgument,
    *,
    concurrency: Annotated[
        int | None,
        typer.Option(metavar="N", help="At most so many at a time; 0 holds back what comes."),
    ] = None,
    rate: Annotated[
        str,
        typer.Option(
            metavar="N/TIME", help="At most so many begin in any such time.", show_default=False
        ),
    ] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a queue, or replace its limits, which hold at once; without options it has none."""
    output = Output(json=json)
    count, per = read_rate(rate)
    async with connected(home_or_default(home)) as client:
        stored = await client.queues.put(name, concurrency=concurrency, rate=count, per=per)
    if json:
        output.document(_document(stored) | {"created": stored.created})
        return
    made = "a new queue" if stored.created else "the queue"
    output.note(f"{made} {stored.name}: {_limits(stored)}")


async def list_queues(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """List the queues, with how many are in them."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.queues.list()
    if json:
        output.document({"queues": [_document(queue) for queue in found]})
        return
    output.table(
        ("queue", "running", "waiting", "limits"),
        ((q.name, str(q.running), str(q.waiting), _limits(q)) for q in found),
        empty="no queues yet; make one with: stepwell queues put NAME --concurrency 5",
    )


async def show(name: NameArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Print one queue: its limits, and how many are in it."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        found = await client.queues.get(name)
    if json:
        output.document(_document(found))
        return
    output.pairs(
        (
            ("queue", found.name),
            ("limits", _limits(found)),
            ("running", str(found.running)),
            ("waiting", str(found.waiting)),
            ("put", day_and_time(found.updated_at)),
        )
    )


async def remove(name: NameArgument, *, home: HomeOption = None, json: JsonOption = False) -> None:
    """Forget a queue that nobody is in: what names it is not limited any more."""
    output = Output(json=json)
    async with connected(home_or_default(home)) as client:
        await client.queues.delete(name)
    if json:
        output.document({"removed": name})
    else:
        output.note(f"forgot {name}")


def read_rate(given: str) -> tuple[int | None, timedelta | None]:
    """How many in how long; None where nothing is given.

    Raises:
        InvalidRequest: it is no rate.
    """
    if not given:
        return None, None
    count, _, length = given.partition("/")
    try:
        return int(count), parse_duration(length)
    except ValueError as error:
        raise InvalidRequest(
            f"--rate {given}: it is how many in how long; write it like 10/1s or 500/1h",
            code=Code.INVALID_CONFIG,
        ) from error


def _limits(queue: Queue) -> str:
    """In words."""
    limits = []
    if queue.concurrency is not None:
        limits.append(f"{queue.concurrency} at a time")
    if queue.rate is not None and queue.per is not None:
        limits.append(f"{queue.rate} in {format_duration(queue.per)}")
    return ", ".join(limits) or "no limits"


def _document(queue: Queue) -> dict[str, Any]:
    return {
        "name": queue.name,
        "concurrency": queue.concurrency,
        "rate": queue.rate,
        "per": None if queue.per is None else format_duration(queue.per),
        "running": queue.running,
        "waiting": queue.waiting,
        "updated_at": queue.updated_at,
    }
