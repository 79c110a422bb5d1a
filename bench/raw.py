"""The raw line: what the machine can do when a step is nothing but its row in a group commit.

No graph, no lease, no policy, one event of about 200 bytes a step; a run goes on only after
the commit that holds its step. An engine is measured as a share of it.
"""

import asyncio
import json
import sqlite3
import threading
import time
from pathlib import Path

from msgspec import Struct

Row = tuple[int, int, int, bytes]
PADDING = "x" * 120


class RawFigures(Struct, frozen=True):
    """What the raw line does here and now."""

    steps_per_s: float
    cpu_ms_per_step: float
    single_run_p50_ms: float


class _Writer(threading.Thread):
    """Commits whatever waits, as soon as the commit before has returned."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._loop = loop
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._stopping = False

    def append(self, row: Row) -> asyncio.Future[None]:
        future = self._loop.create_future()
        with self._lock:
            self._waiting.append((row, future))
        self._wake.set()
        return future

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        self.join()

    def run(self) -> None:
        db = sqlite3.connect(self._path, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(
            "CREATE TABLE event (run INT, sequence INT, kind INT, body BLOB,"
            " PRIMARY KEY (run, sequence)) WITHOUT ROWID"
        )
        while not self._stopping:
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                group, self._waiting = self._waiting, []
            if group:
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", [row for row, _ in group])
                db.execute("COMMIT")
                self._loop.call_soon_threadsafe(_finish, [future for _, future in group])
        db.close()


def _finish(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        future.set_result(None)


async def measure_raw(path: Path, *, runs: int, steps: int, singles: int) -> RawFigures:
    """Many runs in flight together, then some one after another."""
    writer = _Writer(path, asyncio.get_running_loop())
    writer.start()

    async def one(run: int) -> None:
        for number in range(steps):
            body = {"kind": "step", "result": {"step": number, "ok": True}, "padding": PADDING}
            await writer.append((run, number, 1, json.dumps(body).encode()))

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one(run) for run in range(runs)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    times = []
    for run in range(runs, runs + singles):
        at = time.perf_counter()
        await one(run)
        times.append(time.perf_counter() - at)
    writer.stop()
    return RawFigures(
        steps_per_s=runs * steps / seconds,
        cpu_ms_per_step=cpu * 1000 / (runs * steps),
        single_run_p50_ms=sorted(times)[singles // 2] * 1000,
    )
