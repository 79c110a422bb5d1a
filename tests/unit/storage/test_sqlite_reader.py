"""SQLite is read on threads of their own, which end with the reader whatever becomes of who asked."""

import asyncio
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from stepwell_storage.sql.sqlite_reader import SqliteReader

pytestmark = pytest.mark.anyio

ONE = sa.text("SELECT 1")


class Held(sqlite3.Connection):
    """A connection whose first statement takes as long as the test wants."""

    begun: threading.Event
    goes_on: threading.Event

    def execute(self, *given: Any) -> sqlite3.Cursor:
        self.begun.set()
        assert self.goes_on.wait(5)
        return super().execute(*given)


@pytest.mark.parametrize("place", ["connecting", "preparing"])
async def test_a_connection_whose_asker_has_gone_away_is_closed_with_the_reader(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was left to its thread, which found the event loop closed and never closed it."""
    begun, goes_on, made = threading.Event(), threading.Event(), list[sqlite3.Connection]()
    monkeypatch.setattr(Held, "begun", begun, raising=False)
    monkeypatch.setattr(Held, "goes_on", goes_on, raising=False)
    connect: Any = sqlite3.connect

    def held(*given: Any, **how: Any) -> sqlite3.Connection:
        if place == "connecting":
            begun.set()
            assert goes_on.wait(5)
        made.append(connect(*given, **how, factory=Held, check_same_thread=False))
        return made[0]

    monkeypatch.setattr(sqlite3, "connect", held)
    reader = SqliteReader(tmp_path / "runs.db", busy_timeout=timedelta(seconds=1))
    asked = asyncio.ensure_future(reader.rows(ONE))
    assert await asyncio.to_thread(begun.wait, 5)
    asked.cancel()
    await asyncio.wait([asked])
    closing = asyncio.ensure_future(reader.close())
    await asyncio.sleep(0)
    goes_on.set()
    async with asyncio.timeout(5):
        await closing

    assert asked.cancelled()
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        made[0].execute("SELECT 1")


async def test_a_connection_whose_asker_has_gone_away_serves_the_next_one(tmp_path: Path) -> None:
    reader = SqliteReader(tmp_path / "runs.db", busy_timeout=timedelta(seconds=1))
    asked = asyncio.ensure_future(reader.rows(ONE))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    assert await reader.rows(ONE) == [(1,)]
    await reader.close()
