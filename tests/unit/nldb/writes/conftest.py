"""The desk of a database that may be written."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.nldb.writes.shelves import SHOP, Desk

from stepwell.tools.process import ProcessPool


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with ProcessPool(size=2) as processes:
        made = Desk(tmp_path / "shop.db", processes)
        made.run(SHOP)
        yield made
