"""The store that a suite asks for, once for each adapter."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stepwell_storage.memory import MemoryStorage
from stepwell_storage.ports import Storage
from stepwell_storage.sql.sqlite import SqliteStorage


@pytest.fixture(params=["memory", "sqlite"])
async def storage(
    request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str
) -> AsyncIterator[Storage]:
    made: Storage = (
        MemoryStorage() if request.param == "memory" else SqliteStorage(tmp_path / "runs.db")
    )
    await made.open()
    yield made
    await made.close()
