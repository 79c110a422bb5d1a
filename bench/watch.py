"""How soon a watcher sees what was committed.

On SQLite watcher and writer are one process, as there they always are.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from bench.engine import Engine, open_engine
from bench.trial import percentile
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_USER

COMMITS = 500
QUICK_COMMITS = 3


async def measure_sqlite(*, quick: bool = False) -> dict[str, float]:
    """Milliseconds from the commit of a run's first events until a watcher of the log has them."""
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as folder:
        async with open_engine(Path(folder)) as engine, watching(engine.service) as watcher:
            commits = QUICK_COMMITS if quick else COMMITS
            times = [await commit_to_watcher(engine, watcher) * 1000 for _ in range(commits)]
    return {
        "sqlite.watch_p50_ms": statistics.median(times),
        "sqlite.watch_p99_ms": percentile(times, 0.99),
    }


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
