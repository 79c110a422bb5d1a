"""Durable steps on SQLite (WAL, synchronous FULL), beside the raw line in the same run.

1,000 runs of 10 trivial steps, started through the service, with policy, validation, journal
and leases as shipped, all in flight together; the raw line is timed before and after.
"""

import asyncio
import sqlite3
import tempfile
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from msgspec import Struct

from bench.raw import RawFigures, measure_raw
from stepwell.bootstrap import open_runtime
from stepwell.config import load_settings
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import RunStatus
from stepwell.principals import LOCAL_USER

STEPS = 10
WORKFLOW = "workflow: bench\nnodes:\n" + "".join(
    f"  - {{ id: s{n}, tool: step, with: {{ number: {n} }}{f', needs: [s{n - 1}]' if n else ''} }}\n"
    for n in range(STEPS)
)
WAIT = timedelta(minutes=5)
WARM_UP = 200
"""Runs before the measured ones: statements for many rows are compiled when they first come."""


class _Figures(Struct, frozen=True):
    steps_per_s: float
    cpu_ms_per_step: float
    bytes_per_step: float
    single_run_p50_ms: float
    single_run_p99_ms: float


async def measure(runs: int = 1000, singles: int = 200) -> dict[str, float]:
    """The figures of this part, by name."""
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as folder:
        home = Path(folder)
        before = await measure_raw(home / "before.db", runs=runs, steps=STEPS, singles=singles)
        ours = await _measure_ours(home, runs, singles)
        after = await measure_raw(home / "after.db", runs=runs, steps=STEPS, singles=singles)
    return _report(ours, before, after)


async def _measure_ours(home: Path, runs: int, singles: int) -> _Figures:
    settings = load_settings(home, {}, {"tools.paths": [str(Path(__file__).with_name("tools.py"))]})
    async with open_runtime(settings) as runtime:
        service = runtime.service
        await service.put_workflow(LOCAL_USER, WORKFLOW.encode())
        await _together(service, WARM_UP)
        size = _size(home)
        began, cpu = time.perf_counter(), time.process_time()
        await _together(service, runs)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        grown = _size(home) - size
        times = []
        for _ in range(singles):
            at = time.perf_counter()
            await _one(service)
            times.append((time.perf_counter() - at) * 1000)
    times.sort()
    steps = runs * STEPS
    return _Figures(
        steps_per_s=steps / seconds,
        cpu_ms_per_step=cpu * 1000 / steps,
        bytes_per_step=grown / steps,
        single_run_p50_ms=times[singles // 2],
        single_run_p99_ms=times[int(singles * 0.99)],
    )


async def _together(service: Service, runs: int) -> None:
    await asyncio.gather(*(_one(service) for _ in range(runs)))


async def _one(service: Service) -> None:
    run, _ = await service.start_run(LOCAL_USER, "bench", {})
    ended = await service.wait_run(LOCAL_USER, run.id, WAIT)
    assert ended.status is RunStatus.COMPLETED, ended


def _size(home: Path) -> int:
    """The pages of the database. Its write-ahead log is used again and again, and no step's."""
    with closing(sqlite3.connect(home / "stepwell.db")) as db:
        [[pages], [size]] = (*db.execute("PRAGMA page_count"), *db.execute("PRAGMA page_size"))
    return int(pages) * int(size)


def _report(ours: _Figures, before: RawFigures, after: RawFigures) -> dict[str, float]:
    raw = (before.steps_per_s + after.steps_per_s) / 2
    raw_single = (before.single_run_p50_ms + after.single_run_p50_ms) / 2
    return {
        "sqlite.steps_per_s": ours.steps_per_s,
        "sqlite.cpu_ms_per_step": ours.cpu_ms_per_step,
        "sqlite.bytes_per_step": ours.bytes_per_step,
        "sqlite.single_run_p50_ms": ours.single_run_p50_ms,
        "sqlite.single_run_p99_ms": ours.single_run_p99_ms,
        "sqlite.raw_steps_per_s": raw,
        "sqlite.raw_cpu_ms_per_step": (before.cpu_ms_per_step + after.cpu_ms_per_step) / 2,
        "sqlite.raw_single_run_p50_ms": raw_single,
        "sqlite.ratio_to_raw": ours.steps_per_s / raw,
        "sqlite.single_run_ratio_to_raw": ours.single_run_p50_ms / raw_single,
    }
