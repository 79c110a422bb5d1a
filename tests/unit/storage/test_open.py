"""From a URL to a store."""

import sys
from pathlib import Path

import pytest

from stepwell_storage.errors import BadUrl
from stepwell_storage.memory import MemoryStorage
from stepwell_storage.open import open_storage
from stepwell_storage.sql.postgres.storage import PostgresStorage
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


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_postgresql_url_names_a_database(scheme: str) -> None:
    url = f"{scheme}://me:hush@localhost/shop?sslmode=require"
    assert isinstance(open_storage(url), PostgresStorage)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hu/sh@localhost:x/shop",
        "postgresql://me:hu%sh@localhost/shop",
        "postgresql://me@localhost/shop?password=hush&pgbouncer=hush",
        "postgres://me:hush@[::1/shop",
    ],
)
def test_a_postgresql_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    for urls in ((url, ""), ("postgresql://localhost/shop", url)):
        with pytest.raises(BadUrl, match="%40 for an @") as caught:
            open_storage(urls[0], direct_url=urls[1])
        assert "hu" not in str(caught.value)
        assert ("storage.direct_url" in str(caught.value)) == bool(urls[1])


def test_a_driver_that_is_missing_is_named_with_what_adds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [it for it in sys.modules if it.startswith("stepwell_storage.sql.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(BadUrl, match=r"pip install 'stepwell\[postgres\]'"):
        open_storage("postgresql://localhost/shop")


@pytest.mark.parametrize(
    "url", ["", "runs.db", "sqlite://", "sqlite:///", "mysql://localhost/x", "sqlite://host/x"]
)
def test_any_other_url_is_refused_with_those_that_work(url: str) -> None:
    with pytest.raises(BadUrl, match="sqlite:///FILE"):
        open_storage(url)
