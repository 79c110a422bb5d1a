"""DatasourceService, from a client to the store and back."""

import sqlite3
from pathlib import Path
from typing import Any

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


async def test_a_datasource_is_described_as_it_is_now(client: Client, url: str) -> None:
    await client.datasources.create("shop", url)

    found = await client.datasources.describe("shop")

    assert (found.datasource.url, found.dialect, found.tables) == (url, "sqlite", ("sale",))
    assert (found.login, found.findings, found.hardening_sql) == ("", (), "")
    with pytest.raises(NotFound) as refused:
        await client.datasources.describe("other")
    assert refused.value.code is Code.DATASOURCE_NOT_FOUND


async def test_an_agent_is_not_told_what_a_login_may(
    client: Client, address: str, url: str
) -> None:
    await client.datasources.create("shop", url)
    async with Client(address) as agent:
        with pytest.raises(Denied):
            await agent.datasources.describe("shop")


async def test_another_agent_is_not_shown_the_rows_of_a_run(
    client: Client, address: str, url: str
) -> None:
    await client.datasources.create("shop", url)
    asked = {"datasource": "shop", "sql": "SELECT 'CANARY' AS word"}
    mine = await client.wait((await client.call("db_query", asked)).id)
    async with Client(address) as agent:
        other = await agent.get(mine.id)
        waited = await agent.wait(mine.id)
        own = await agent.wait((await agent.call("db_query", asked)).id)

    assert (other.output, waited.output) == (None, None)
    assert other.output_ref is not None
    assert own.output is not None
    assert (await client.get(own.id)).output == own.output  # people see what agents have read


async def test_all_rows_are_in_the_run_and_are_paged_through_by_who_asked(
    client: Client, address: str, url: str
) -> None:
    await client.datasources.create("shop", url)
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120)"
    asked = await client.call(
        "db_query", {"datasource": "shop", "sql": f"{numbers} SELECT i FROM n"}
    )
    answer: Any = (await client.wait(asked.id)).output
    page = {"result_id": answer["result_id"], "offset": 100}

    shown = await client.wait((await client.call("db_result", page)).id)
    async with Client(address) as agent:
        denied = await agent.wait((await agent.call("db_result", page)).id)

    assert (answer["returned"], answer["total"], answer["truncated"]) == (120, 120, False)
    assert answer["result_id"].startswith(f"{asked.id}/")
    output: Any = shown.output
    assert output["rows"] == [[n] for n in range(101, 121)]
    assert denied.failure is not None
    assert denied.failure.reason == Code.RESOURCE_NOT_FOUND
