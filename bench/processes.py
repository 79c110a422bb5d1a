"""Whether more processes on one PostgreSQL do more: durable steps of one, two and four together."""

import asyncio
import time
from contextlib import AsyncExitStack

from bench.databases import Place, place_for
from bench.engine_process import engine_process
from bench.trial import STEPS

PROCESSES = (1, 2, 4)
RUNS = 3000
QUICK_RUNS = 8
IN_FLIGHT = 1000
"""Of all processes together."""
WARM_UP = 200


async def measure_processes(database: str, *, quick: bool) -> dict[str, float]:
    """Steps a second of all together, and how many times that is what one does."""
    runs = QUICK_RUNS if quick else RUNS
    rates = {}
    with place_for(database) as place:
        for count in PROCESSES[:2] if quick else PROCESSES:
            rates[count] = await _together(place, count, runs)
    figures = {f"{database}.processes_{n}_steps_per_s": rate for n, rate in rates.items()}
    figures |= {f"{database}.processes_{n}_times_1": rate / rates[1] for n, rate in rates.items()}
    return figures


async def _together(place: Place, count: int, runs: int) -> float:
    url, share, in_flight = place.new_url(f"of_{count}"), runs // count, IN_FLIGHT // count
    async with AsyncExitStack() as stack:
        engines = [
            await stack.enter_async_context(engine_process(place.new_home(f"{n}_of_{count}"), url))
            for n in range(count)
        ]
        await asyncio.gather(*(it.do("run", min(share, WARM_UP), in_flight) for it in engines))
        began = time.perf_counter()
        await asyncio.gather(*(engine.do("run", share, in_flight) for engine in engines))
        return share * count * STEPS / (time.perf_counter() - began)
