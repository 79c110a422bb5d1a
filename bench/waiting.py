"""What a hundred thousand runs cost that wait for a signal: processor time and memory, for nothing."""

import asyncio
import time

from bench.databases import place_for
from bench.engine_process import engine_process
from bench.trial import cpu_seconds, stored_bytes

RUNS = 100_000
QUICK_RUNS = 20
IN_FLIGHT = 1000
IDLE = 20.0
"""Seconds that are looked at: several heartbeats."""
QUICK_IDLE = 0.1


async def measure_waiting(database: str, *, quick: bool) -> dict[str, float]:
    """Of the process that holds them, once it has nothing else to do, and of the database's."""
    runs, idle = (QUICK_RUNS, QUICK_IDLE) if quick else (RUNS, IDLE)
    with place_for(database) as place:
        url = place.new_url("waiting")
        async with engine_process(place.new_home("home"), url) as engine:
            empty, stored = engine.memory_mb(), stored_bytes(url)
            began = time.perf_counter()
            await engine.do("hold", runs, min(runs, IN_FLIGHT))
            seconds = time.perf_counter() - began
            share = await _cpu_share((engine.usage.pid, place.server), idle)
            return {
                f"{database}.waiting_begun_per_s": runs / seconds,
                f"{database}.waiting_cpu_s_per_s": share,
                f"{database}.waiting_memory_mb": engine.memory_mb(),
                f"{database}.waiting_memory_kb_per_run": (engine.memory_mb() - empty) * 1e3 / runs,
                f"{database}.waiting_bytes_per_run": (stored_bytes(url) - stored) / runs,
            }


async def _cpu_share(processes: tuple[int | None, ...], seconds: float) -> float:
    await asyncio.sleep(seconds / 10)  # what was begun settles
    cpu = sum(map(cpu_seconds, processes))
    await asyncio.sleep(seconds)
    return (sum(map(cpu_seconds, processes)) - cpu) / seconds
