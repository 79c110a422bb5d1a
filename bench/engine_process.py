"""This engine in a process of its own, which is told what to do by lines of JSON.

A line is a list: the name of an action and its arguments. The answer is a line too.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import uvloop

from bench.engine import Engine, open_engine
from bench.trial import together

REPOSITORY = Path(__file__).parents[1]


class EngineProcess:
    """One of these processes, seen from outside."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.usage = psutil.Process(process.pid)

    def memory_mb(self) -> float:
        """What is resident, in MB of a million bytes."""
        return self.usage.memory_info().rss / 1e6

    async def do(self, action: str, *arguments: float) -> Any:
        """Does one of `ACTIONS`; tells what it returns."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([action, *arguments]).encode() + b"\n")
        return await self.answer()

    async def answer(self) -> Any:
        """What it says next."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the engine's process has ended; what it said is above"
        return json.loads(line)


@asynccontextmanager
async def engine_process(home: Path, url: str) -> AsyncIterator[EngineProcess]:
    """An engine in another process, open while the block lasts."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.engine_process", str(home), url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=2**24,
        cwd=REPOSITORY,
    )
    assert process.stdin is not None
    try:
        engine = EngineProcess(process)
        assert await engine.answer() == "open"
        yield engine
        process.stdin.close()
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# --- inside ---------------------------------------------------------------------------------


async def _run(engine: Engine, runs: int, in_flight: int) -> None:
    """Runs of ten steps, so many together."""
    await together(engine, runs, in_flight)


async def _commit(engine: Engine, runs: int, pause: float) -> list[tuple[str, float]]:
    """Runs one after another, with a pause; each with the time at which its begin was committed."""
    committed = []
    for _ in range(runs):
        await asyncio.sleep(pause)
        run = await engine.start("chain")
        committed.append((run, time.perf_counter()))
        await engine.ended(run)
    return committed


async def _hold(engine: Engine, runs: int, in_flight: int) -> None:
    """Begins runs that wait for a signal."""
    left = iter(range(runs))

    async def one_after_another() -> None:
        for _ in left:
            await engine.start("hold")

    await asyncio.gather(*(one_after_another() for _ in range(in_flight)))


ACTIONS: dict[str, Callable[..., Awaitable[Any]]] = {"run": _run, "commit": _commit, "hold": _hold}


async def _serve(home: Path, url: str) -> None:
    async with open_engine(home, url) as engine:
        _say("open")
        while line := await asyncio.to_thread(sys.stdin.readline):
            action, *arguments = json.loads(line)
            _say(await ACTIONS[action](engine, *arguments))


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1]), sys.argv[2]))
