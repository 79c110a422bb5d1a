"""A connection to a SQLite file: how it is opened, and what bounds its statements."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from stepwell.nldb.limits import Limits

_BUSY_TIMEOUT: Final = 2.0
_PROGRESS_STEPS: Final = 10_000
_LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 60,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


@contextlib.contextmanager
def connected(path: str, mode: Literal["ro", "rw"], limits: Limits) -> Iterator[sqlite3.Connection]:
    """A connection that begins no transaction by itself; it is closed at the end.

    Raises:
        sqlite3.Error: the file cannot be opened; it is never made.
    """
    connection = sqlite3.connect(
        f"{Path(path).as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT,
        isolation_level=None,
        cached_statements=0,
    )
    with contextlib.closing(connection):
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute(f"PRAGMA hard_heap_limit={limits.memory:d}")
        yield connection


def bounded(connection: sqlite3.Connection, more: Mapping[int, int]) -> None:
    """Bounds what one statement may be made of; `more` besides what bounds all."""
    for limit, value in {**_LIMITS, **more}.items():
        connection.setlimit(limit, value)


def ends_in_time(connection: sqlite3.Connection, limits: Limits) -> float:
    """Ends what runs on the connection when its time is over; when that is, by `time.monotonic`."""
    deadline = time.monotonic() + limits.timeout.total_seconds()
    connection.set_progress_handler(lambda: time.monotonic() >= deadline, _PROGRESS_STEPS)
    return deadline
