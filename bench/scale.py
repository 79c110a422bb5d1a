"""Whether a long log is slower than a short one: a million events beside a thousand.

Both logs are asked in turn, so that they meet the same machine. They are filled through the storage port with copies of one real run, three events an append, so
that listing, reading and watching meet what they would have met after as many runs.
"""

import asyncio
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import ClassVar, NamedTuple, TypeAlias

from msgspec.structs import replace

from bench.databases import Place, place_for
from bench.engine import Engine, open_engine
from bench.trial import timed
from bench.watch import Watcher, commit_to_watcher, watching
from stepwell.clock import SystemClock, Uuid7Source
from stepwell.orchestrator.cursors import log_cursor
from stepwell.principals import LOCAL_USER
from stepwell_storage.open import open_storage
from stepwell_storage.records import Append, Head, NewRun, Record, RunRow

LENGTHS = (1_000, 1_000_000)
QUICK_LENGTHS = (200, 1_000)
EVENTS_PER_APPEND = 3
RUNS_AT_ONCE = 500
RUNS_OF_PAGE = 20
"""There are hardly more in the short log."""
EVENTS_OF_PAGE = 100
TURNS = 200
FILTERS = (
    "",
    'status = "completed"',
    'status = "failed"',  # there is none
    'workflow = "chain"',
)


async def measure_scale(database: str, *, quick: bool) -> dict[str, float]:
    """Medians with the long log, and how many times as long they take as with the short one."""
    turns, lengths = (3, QUICK_LENGTHS) if quick else (TURNS, LENGTHS)
    with place_for(database) as place:
        async with AsyncExitStack() as stack:
            logs = [await stack.enter_async_context(_filled(place, events)) for events in lengths]
            figures = {}
            for name, question in _Log.QUESTIONS.items():
                short, long = await _in_turn(logs, question, turns)
                figures[f"{database}.scale_{name}_ms"] = long * 1000
                figures[f"{database}.scale_{name}_ratio"] = long / short
    return figures


async def _in_turn(logs: "list[_Log]", question: "Question", turns: int) -> list[float]:
    """The median seconds that each log takes to answer."""
    times: list[list[float]] = [[] for _ in logs]
    for turn in range(turns):
        for log, of_log in zip(logs, times, strict=True):
            of_log.append(await question(log, turn, turns))
    return [statistics.median(of_log) for of_log in times]


class _Log:
    """A log and the engine that it belongs to. Each question is asked at another place in turn."""

    def __init__(self, engine: Engine, watcher: Watcher, filling: "_Filling") -> None:
        self._engine = engine
        self._watcher = watcher
        self._filling = filling

    async def list_runs(self, turn: int, _: int) -> float:
        filter = FILTERS[turn % len(FILTERS)]
        return await timed(
            self._engine.service.list_runs(LOCAL_USER, page_size=RUNS_OF_PAGE, filter=filter)
        )

    async def read_page(self, turn: int, turns: int) -> float:
        position = (self._filling.events - EVENTS_OF_PAGE) * turn // turns
        cursor = log_cursor(self._filling.log, position)
        events = self._engine.service.list_events(LOCAL_USER, cursor=cursor, limit=EVENTS_OF_PAGE)
        return await timed(events)

    async def read_run(self, turn: int, turns: int) -> float:
        run = self._filling.runs[len(self._filling.runs) * turn // turns]
        events = self._engine.service.list_events(LOCAL_USER, run=run, limit=EVENTS_OF_PAGE)
        return await timed(events)

    async def watch(self, *_: int) -> float:
        return await commit_to_watcher(self._engine, self._watcher)

    QUESTIONS: ClassVar["dict[str, Question]"] = {
        "list_runs": list_runs,
        "read_page": read_page,
        "read_run": read_run,
        "watch": watch,
    }


Question: TypeAlias = Callable[[_Log, int, int], Awaitable[float]]
"""Asks a log, at a turn of so many; tells the seconds until the answer."""


# --- filling --------------------------------------------------------------------------------


class _Filling(NamedTuple):
    """What a log was filled with."""

    log: str
    events: int
    runs: list[str]


@asynccontextmanager
async def _filled(place: Place, events: int) -> AsyncIterator[_Log]:
    """An engine whose log has so many events, while the block lasts."""
    home, url = place.new_home(f"home_{events}"), place.new_url(f"log_{events}")
    async with open_engine(home, url) as engine:
        await engine.run()
    filling = await _fill(url, events)
    async with open_engine(home, url) as engine, watching(engine.service) as watcher:
        yield _Log(engine, watcher, filling)


async def _fill(url: str, events: int) -> _Filling:
    """Copies the one run that is there until the log is as long."""
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
        return _Filling(storage.id, events, runs)
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
