"""How anything here is measured: the raw line, this engine and its peers, each in the same way.

A subject does runs of ten trivial steps on a database of its own. A run has ended when all its
steps are durable: committed, with the database's settings as `bench` sets them for everyone.

Peers are measured in an environment of their own, so this module stands on the standard library
and psutil alone.
"""

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, Protocol

import psutil

SQLITE = "sqlite:///"
STEPS = 10
"""Of a run, one after another."""


class Load(NamedTuple):
    """How much is asked of a subject."""

    runs: int
    in_flight: int
    """How many of them at any time."""
    warm_up: int
    """Runs before the measured ones: what is compiled or connected at first use is there then."""
    singles: int
    """Runs one after another, nothing else in flight."""


class Subject(Protocol):
    """An engine on a database."""

    async def run(self) -> None:
        """One run; ends when its last step is durable."""
        ...

    def stored_bytes(self) -> int:
        """The size of the database without its write-ahead log."""
        ...


class Figures(NamedTuple):
    """What a subject does here and now."""

    steps_per_s: float
    cpu_ms_per_step: float
    """User and system, of this process and of the database's, if that is another."""
    server_cpu_ms_per_step: float
    """The database's part of it; 0 where it has no process of its own."""
    bytes_per_step: float
    single_run_p50_ms: float
    single_run_p99_ms: float

    def named(self, prefix: str) -> dict[str, float]:
        """The figures by name, those that mean something."""
        figures = self._asdict()
        if not self.server_cpu_ms_per_step:
            del figures["server_cpu_ms_per_step"]
        return {f"{prefix}{name}": figure for name, figure in figures.items()}


def step_result(number: int) -> dict[str, object]:
    """What a trivial step returns."""
    return {"step": number, "ok": True}


async def measure(subject: Subject, load: Load, *, server: int | None = None) -> Figures:
    """Many runs together, then some one after another. `server` is the database's process."""
    await together(subject, load.warm_up, load.in_flight)
    size = subject.stored_bytes()
    began, cpu, server_cpu = time.perf_counter(), time.process_time(), cpu_seconds(server)
    await together(subject, load.runs, load.in_flight)
    seconds = time.perf_counter() - began
    server_cpu = cpu_seconds(server) - server_cpu
    cpu = time.process_time() - cpu + server_cpu
    grown = subject.stored_bytes() - size
    singles = [await timed(subject.run()) * 1000 for _ in range(load.singles)]
    steps = load.runs * STEPS
    return Figures(
        steps_per_s=steps / seconds,
        cpu_ms_per_step=cpu * 1000 / steps,
        server_cpu_ms_per_step=server_cpu * 1000 / steps,
        bytes_per_step=grown / steps,
        single_run_p50_ms=statistics.median(singles),
        single_run_p99_ms=percentile(singles, 0.99),
    )


async def together(subject: Subject, runs: int, in_flight: int) -> None:
    """Does so many runs, and has so many of them in flight until there are no more to begin."""
    left = iter(range(runs))

    async def one_after_another() -> None:
        for _ in left:
            await subject.run()

    await asyncio.gather(*(one_after_another() for _ in range(min(runs, in_flight))))


async def measure_fan_out(fan_out: Callable[[int], Awaitable[None]], items: int) -> float:
    """Seconds for one run that does so many steps side by side, after a small one to warm up."""
    await fan_out(10)
    return await timed(fan_out(items))


async def timed(act: Awaitable[object]) -> float:
    """The seconds that it takes."""
    at = time.perf_counter()
    await act
    return time.perf_counter() - at


def percentile(values: list[float], share: float) -> float:
    """The value that this share of all stays below."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


# --- processes and files --------------------------------------------------------------------


def cpu_seconds(process: int | None) -> float:
    """User and system time of a process and its children, ended ones too; 0 for None."""
    if process is None:
        return 0.0
    parent = psutil.Process(process)
    total = sum(parent.cpu_times()[:4])
    for child in parent.children(recursive=True):
        try:
            total += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return total


def stored_bytes(url: str) -> int:
    """The size of a database, SQLite or PostgreSQL, with its indexes and what they have not filled."""
    file = url.removeprefix(SQLITE)
    return _postgres_bytes(url) if file == url else _sqlite_bytes(Path(file))


def _sqlite_bytes(path: Path) -> int:
    """Its pages. The write-ahead log is used again and again, and no step's."""
    with closing(sqlite3.connect(path)) as db:
        [[pages], [size]] = (*db.execute("PRAGMA page_count"), *db.execute("PRAGMA page_size"))
    return int(pages) * int(size)


def _postgres_bytes(url: str) -> int:
    import psycopg  # SQLite is measured without it

    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CHECKPOINT")
        row = db.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])
