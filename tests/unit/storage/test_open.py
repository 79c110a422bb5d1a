"""From a URL to a store."""

from pathlib import Path

import pytest

from stepwell_storage.errors import BadUrl
from stepwell_storage.memory import MemoryStorage
from stepwell_storage.open import open_storage
from stepwell_storage.sql.sqlite import SqliteStorage


def test_memory_is_a_store_of_its_own() -> None:
    assert isinstance(open_storage("memory:"), MemoryStorage)


@pytest.mark.anyio
async def test_a_sqlite_url_names_a_file(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/runs 1.db")
    assert isinstance(storage, SqliteStorage)
    await storage.open()
    await storage.close()

    assert (tmp_path / "runs 1.db").exists()


@pytest.mark.parametrize(
    "url", ["", "runs.db", "sqlite://", "sqlite:///", "mysql://localhost/x", "sqlite://host/x"]
)
def test_any_other_url_is_refused_with_those_that_work(url: str) -> None:
    with pytest.raises(BadUrl, match="sqlite:///FILE"):
        open_storage(url)
