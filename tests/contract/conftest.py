"""The store that a suite asks for, once for each adapter."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stepwell_storage.memory import MemoryStorage
from stepwell_storage.ports import Storage
from stepwell_storage.sql.postgres.storage import PostgresStorage
from stepwell_storage.sql.sqlite import SqliteStorage


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def storage(
    request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str
) -> AsyncIterator[Storage]:
    made: Storage
    match request.param:
        case "memory":
            made = MemoryStorage()
        case "sqlite":
            made = SqliteStorage(tmp_path / "runs.db")
        case _:
            made = PostgresStorage(request.getfixturevalue("emptied_postgres_url"))
    await made.open()
    yield made
    await made.close()
