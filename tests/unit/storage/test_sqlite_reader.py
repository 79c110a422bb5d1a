"""Reading SQLite beside the writer."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from stepwell_storage.sql.sqlite_reader import SqliteReader

pytestmark = pytest.mark.anyio


async def test_a_question_that_is_taken_back_leaves_no_connection_behind(tmp_path: Path) -> None:
    """At each await of it, the first ones among them while it connects."""
    before = threading.active_count()
    for turns in range(12):
        reader = SqliteReader(tmp_path / "empty.db", busy_timeout=timedelta(seconds=1))
        asked = asyncio.ensure_future(reader.rows(sa.text("SELECT 1")))
        for _ in range(turns):
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
        await reader.close()
    async with asyncio.timeout(5):
        while threading.active_count() > before:
            await asyncio.sleep(0.001)
