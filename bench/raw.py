"""The raw line: what the machine can do when a step is nothing but its row in a group commit.

No graph, no lease, no policy, one event of about 200 bytes a step; a run goes on only after
the commit that holds its step. An engine is measured as a share of it, so nothing is spared to
make it fast: it is warmed up and looks for reference cycles as rarely as the engine does, SQLite
gets its rows in one prepared statement, and PostgreSQL in one binary COPY that is its own
transaction, or in a prepared INSERT when there is only one.
"""

import asyncio
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import psycopg

from bench.trial import SQLITE, STEPS, step_result, stored_bytes

Row: TypeAlias = tuple[int, int, int, bytes]
Commit: TypeAlias = Callable[[list[Row]], None]
"""Writes a group of rows in one transaction; they are on the disk when it returns."""

PADDING = "x" * 120


@asynccontextmanager
async def raw_line(url: str) -> AsyncIterator["RawLine"]:
    """The raw line on an empty database."""
    is_file = url.startswith(SQLITE)
    committing = _committing_to_sqlite(url) if is_file else _committing_to_postgres(url)
    with committing as commit:
        writer = _Writer(commit, asyncio.get_running_loop())
        writer.start()
        try:
            yield RawLine(writer, url)
        finally:
            writer.stop()


class RawLine:
    """Runs that are rows and nothing else; see `trial.Subject`."""

    def __init__(self, writer: "_Writer", url: str) -> None:
        self._writer = writer
        self._url = url
        self._runs = 0

    async def run(self) -> None:
        self._runs += 1
        run = self._runs
        for number in range(STEPS):
            body = {"kind": "step", "result": step_result(number), "padding": PADDING}
            await self._writer.append((run, number, 1, json.dumps(body).encode()))

    def stored_bytes(self) -> int:
        return stored_bytes(self._url)


# --- group commit ---------------------------------------------------------------------------


class _Writer(threading.Thread):
    """Commits whatever waits, as soon as the commit before has returned."""

    def __init__(self, commit: Commit, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(daemon=True)
        self._commit = commit
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
        while not self._stopping:
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                group, self._waiting = self._waiting, []
            if group:
                self._commit([row for row, _ in group])
                self._loop.call_soon_threadsafe(_finish, [future for _, future in group])


def _finish(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        future.set_result(None)


# --- databases ------------------------------------------------------------------------------


@contextmanager
def _committing_to_sqlite(url: str) -> Iterator[Commit]:
    path = url.removeprefix(SQLITE)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(
        "CREATE TABLE event (run INT, sequence INT, kind INT, body BLOB,"
        " PRIMARY KEY (run, sequence)) WITHOUT ROWID"
    )

    def commit(rows: list[Row]) -> None:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", rows)
        db.execute("COMMIT")

    try:
        yield commit
    finally:
        db.close()


@contextmanager
def _committing_to_postgres(url: str) -> Iterator[Commit]:
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(
            "CREATE TABLE event (run INT, sequence INT, kind INT, body BYTEA,"
            " PRIMARY KEY (run, sequence))"
        )

        def commit(rows: list[Row]) -> None:
            if len(rows) == 1:
                db.execute("INSERT INTO event VALUES (%b, %b, %b, %b)", rows[0], prepare=True)
                return
            with db.cursor().copy("COPY event FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int4", "int4", "int4", "bytea"])
                for row in rows:
                    copy.write_row(row)

        yield commit
