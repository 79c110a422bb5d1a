"""The desks of databases that may be written."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dev.postgres import PostgresServer
from tests.contract.writes import postgres_shelves, shelves
from tests.contract.writes.postgres_shelves import PostgresDesk
from tests.contract.writes.shelves import Desk, SqliteDesk

from stepwell.tools.process import ProcessPool


@pytest.fixture(scope="session")
async def processes(anyio_backend: str) -> AsyncIterator[ProcessPool]:
    """Children that are started once."""
    async with ProcessPool(size=2) as pool:
        yield pool


@pytest.fixture
def sqlite_desk(tmp_path: Path, processes: ProcessPool) -> SqliteDesk:
    made = SqliteDesk(tmp_path / "shop.db", processes)
    made.run(shelves.SHOP)
    return made


@pytest.fixture(scope="session")
def shop_url(postgres: PostgresServer) -> str:
    return postgres.create_database("shop_to_write")


@pytest.fixture
async def postgres_desk(shop_url: str, anyio_backend: str) -> AsyncIterator[PostgresDesk]:
    made = PostgresDesk(shop_url)
    made.run(postgres_shelves.SHOP)
    yield made
    await made.close()


@pytest.fixture(params=["sqlite", "postgres"])
def desk(request: pytest.FixtureRequest) -> Desk:
    made: Desk = request.getfixturevalue(f"{request.param}_desk")
    return made
