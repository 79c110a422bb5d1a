"""DatasourceService, from a client to the store and back."""

import sqlite3
from pathlib import Path

import pytest

from stepwell.client import Client
from stepwell.errors import AlreadyExists, Code, Denied, InvalidRequest, NotFound

pytestmark = pytest.mark.anyio


@pytest.fixture
def url(tmp_path: Path) -> str:
    path = tmp_path / "shop.db"
    database = sqlite3.connect(path)
    database.execute("create table sale (id integer primary key)")
    database.close()
    return f"sqlite:///{path}"


async def test_a_datasource_is_named_listed_and_forgotten(client: Client, url: str) -> None:
    created = await client.datasources.create("shop", url)

    assert (created.name, created.url, created.principal) == ("shop", url, "user:local")
    assert await client.datasources.list() == (created,)
    await client.datasources.delete("shop")
    assert await client.datasources.list() == ()


async def test_a_name_that_is_taken_is_refused(client: Client, url: str) -> None:
    await client.datasources.create("shop", url)

    with pytest.raises(AlreadyExists):
        await client.datasources.create("shop", url)


async def test_what_cannot_be_read_is_refused(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        await client.datasources.create("shop", f"sqlite:///{tmp_path / 'missing.db'}")
    with pytest.raises(InvalidRequest):
        await client.datasources.create("shop", "https://example.com")


async def test_an_unknown_datasource_cannot_be_forgotten(client: Client) -> None:
    with pytest.raises(NotFound) as refused:
        await client.datasources.delete("shop")

    assert refused.value.code is Code.DATASOURCE_NOT_FOUND


async def test_an_agent_neither_adds_nor_forgets_a_datasource(
    client: Client, address: str, url: str
) -> None:
    await client.datasources.create("shop", url)
    async with Client(address) as agent:
        with pytest.raises(Denied, match="stepwell datasource add") as refused:
            await agent.datasources.create("mine", url)
        with pytest.raises(Denied):
            await agent.datasources.delete("shop")

    assert refused.value.code is Code.POLICY_DENIED
    assert [one.name for one in await client.datasources.list()] == ["shop"]
