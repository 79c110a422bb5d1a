"""How soon a watcher sees what was committed.

On SQLite watcher and writer are one process, as there they always are. On PostgreSQL another
process writes, which wakes nobody here.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from bench.databases import place_for
from bench.engine import Engine, open_engine
from bench.engine_process import engine_process
from bench.trial import percentile
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_USER

COMMITS = 300
QUICK_COMMITS = 3
PAUSE = 0.037
"""Between the commits of another process: no multiple of any interval at which we may look."""


async def measure_watch(database: str, *, quick: bool) -> dict[str, float]:
    """Milliseconds from the commit of a run's first events until a watcher of the log has them."""
    commits = QUICK_COMMITS if quick else COMMITS
    with place_for(database) as place:
        url = place.new_url("watched")
        async with (
            open_engine(place.new_home("home"), url) as engine,
            watching(engine.service) as watcher,
        ):
            if place.server is None:
                times = [await commit_to_watcher(engine, watcher) for _ in range(commits)]
            else:
                times = await _from_another_process(place.new_home("other"), url, watcher, commits)
    return {
        f"{database}.watch_p50_ms": statistics.median(times) * 1000,
        f"{database}.watch_p99_ms": percentile(times, 0.99) * 1000,
    }


async def _from_another_process(
    home: Path, url: str, watcher: "Watcher", commits: int
) -> list[float]:
    """Both processes read one clock: that of the machine."""
    async with engine_process(home, url) as other:
        committed = await other.do("commit", commits, PAUSE)
        return [await watcher.saw(run) - at for run, at in committed]


async def commit_to_watcher(engine: Engine, watcher: "Watcher") -> float:
    """Seconds from a commit to the watcher, on an engine that does nothing else."""
    run = await engine.start("chain")
    committed = time.perf_counter()
    seen = await watcher.saw(run)
    await engine.ended(run)
    return seen - committed


class Watcher:
    """When each run was first seen in the log."""

    def __init__(self) -> None:
        self._seen: dict[str, asyncio.Future[float]] = {}

    async def saw(self, run: str) -> float:
        """Waits until the run is seen; tells when that was, by `time.perf_counter`."""
        return await self._first(run)

    async def read(self, service: Service) -> None:
        """Reads on for ever, from what is committed now."""
        async with aclosing(service.watch_events(LOCAL_USER, cursor=None)) as batches:
            async for batch in batches:
                now = time.perf_counter()
                for event in batch.events:
                    if not (first := self._first(event.run)).done():
                        first.set_result(now)

    def _first(self, run: str) -> asyncio.Future[float]:
        if run not in self._seen:
            self._seen[run] = asyncio.get_running_loop().create_future()
        return self._seen[run]


@asynccontextmanager
async def watching(service: Service) -> AsyncIterator[Watcher]:
    """A watcher of the whole log while the block lasts."""
    watcher = Watcher()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(watcher.read(service))
        yield watcher
        reading.cancel()
