"""Whether a long log is slower than a short one: a million events beside a thousand.

The log is filled through the storage port with copies of one real run, three events an append, so
that listing, reading and watching meet what they would have met after as many runs.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from bench.databases import Place, place_for
from bench.engine import Engine, open_engine
from bench.watch import commit_to_watcher, watching
from stepwell.clock import SystemClock, Uuid7Source
from stepwell.orchestrator.cursors import log_cursor
from stepwell.orchestrator.views import RunStatus
from stepwell.principals import LOCAL_USER
from stepwell_storage.open import open_storage
from stepwell_storage.records import Append, Head, NewRun, Record, RunRow

SHORT, LONG = 1_000, 1_000_000
EVENTS_PER_APPEND = 3
RUNS_AT_ONCE = 500
RUNS_OF_PAGE = 20
"""There are hardly more in the short log."""
EVENTS_OF_PAGE = 100
TURNS = 200
FILTERS = (
    (None, None),
    (RunStatus.COMPLETED, None),
    (RunStatus.FAILED, None),  # there is none
    (None, "chain"),
)


class _Times(NamedTuple):
    """Medians, in milliseconds."""

    list_runs: float
    read_page: float
    read_run: float
    watch: float


async def measure_scale(database: str, *, quick: bool) -> dict[str, float]:
    """Medians with the long log, and how many times as long they take as with the short one."""
    turns = 3 if quick else TURNS
    with place_for(database) as place:
        short = await _measured(place, "short", SHORT // 5 if quick else SHORT, turns)
        long = await _measured(place, "long", SHORT if quick else LONG, turns)
    figures = {}
    for name, with_short, with_long in zip(_Times._fields, short, long, strict=True):
        figures[f"{database}.scale_{name}_ms"] = with_long
        figures[f"{database}.scale_{name}_ratio"] = with_long / with_short
    return figures


async def _measured(place: Place, name: str, events: int, turns: int) -> _Times:
    home, url = place.new_home(name), place.new_url(f"{name}_log")
    async with open_engine(home, url) as engine:
        await engine.run()
    log, runs = await _filled(url, events)
    async with open_engine(home, url) as engine:
        return await _timed(engine, log, events, runs, turns)


# --- filling --------------------------------------------------------------------------------


async def _filled(url: str, events: int) -> tuple[str, list[str]]:
    """Copies the one run that is there until the log is as long; tells its id and the runs."""
    storage = open_storage(url)
    await storage.open()
    try:
        [row] = await storage.runs.list(LOCAL_USER.namespace, limit=1)
        records = await storage.log.read(LOCAL_USER.namespace, row.run)
        ids = Uuid7Source(SystemClock())
        runs = [ids.new_id() for _ in range(events // len(records))]
        for at in range(0, len(runs), RUNS_AT_ONCE):
            await asyncio.gather(
                *(
                    storage.log.append(append)
                    for number, run in enumerate(runs[at : at + RUNS_AT_ONCE], at)
                    for append in _copied(row, records, run, number)
                )
            )
        return storage.id, runs
    finally:
        await storage.close()


def _copied(row: RunRow, records: list[Record], run: str, number: int) -> Iterator[Append]:
    """The appends of one more run like it, that was begun later."""
    new: NewRun | None = NewRun(
        workflow=row.workflow,
        version=row.version,
        principal=row.principal,
        created_at=row.created_at + number,
        owner="bench",
        lease_expires_at=row.created_at,
    )
    head = Head(status=row.status, at=row.updated_at + number, detail=row.detail)
    for after in range(0, len(records), EVENTS_PER_APPEND):
        part = tuple(records[after : after + EVENTS_PER_APPEND])
        if after + len(part) == len(records):
            head = replace(head, ended_at=head.at)
        yield Append(row.namespace, run, 1, after, part, head=head, new=new)
        new = None


# --- asking ---------------------------------------------------------------------------------


async def _timed(engine: Engine, log: str, events: int, runs: list[str], turns: int) -> _Times:
    service = engine.service

    async def list_runs(turn: int) -> None:
        status, workflow = FILTERS[turn % len(FILTERS)]
        await service.list_runs(
            LOCAL_USER, page_size=RUNS_OF_PAGE, status=status, workflow=workflow
        )

    async def read_page(turn: int) -> None:
        cursor = log_cursor(log, (events - EVENTS_OF_PAGE) * turn // turns)
        await service.list_events(LOCAL_USER, cursor=cursor, limit=EVENTS_OF_PAGE)

    async def read_run(turn: int) -> None:
        await service.list_events(
            LOCAL_USER, run=runs[len(runs) * turn // turns], limit=EVENTS_OF_PAGE
        )

    return _Times(
        list_runs=await _median(list_runs, turns),
        read_page=await _median(read_page, turns),
        read_run=await _median(read_run, turns),
        watch=await _watched(engine, turns),
    )


async def _median(ask: Callable[[int], Awaitable[None]], turns: int) -> float:
    times = []
    for turn in range(turns):
        at = time.perf_counter()
        await ask(turn)
        times.append((time.perf_counter() - at) * 1000)
    return statistics.median(times)


async def _watched(engine: Engine, turns: int) -> float:
    async with watching(engine.service) as watcher:
        return statistics.median(
            [await commit_to_watcher(engine, watcher) * 1000 for _ in range(turns)]
        )
