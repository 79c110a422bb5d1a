"""Rules of data, from the text of a policy to the rows of a PostgreSQL database."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.interaction.nldb.conftest import CONTEXT, NoResults

from stepwell.nldb.databases import Databases
from stepwell.nldb.datasources import OwnFiles, opener
from stepwell.nldb.tools import sql_tools
from stepwell.orchestrator.data_policies import access_by
from stepwell.policy.book import PolicyBook
from stepwell.policy.read import read_policy
from stepwell.policy.source import PolicyFile
from stepwell.principals import Attributes
from stepwell.tools.invoke import invoke
from stepwell.tools.port import ToolFailed
from stepwell.tools.process import ProcessPool
from stepwell.tools.secrets import Secrets

pytestmark = pytest.mark.anyio

TEXT = """
@id("own") @mask("city: first, name: hash") @rows("id = principal.customer")
permit(principal, action == Action::"db_read", resource == Table::"shop.customers");
@id("orders") @columns("id, customer_id, total") @most_rows("1")
permit(principal in Group::"support", action == Action::"db_read", resource == Table::"shop.orders");
@id("items")
permit(principal in Group::"support", action == Action::"db_read", resource == Table::"shop.stock.items");
"""

Query = Callable[[str, Attributes], Awaitable[Any]]


@pytest.fixture
async def query(processes: ProcessPool, shop_url: str) -> AsyncIterator[Query]:
    """`query(sql, attributes)`, under the policy."""
    book = PolicyBook()
    reading = read_policy([PolicyFile("shop.cedar", TEXT)])
    assert not reading.problems
    book.put("default", reading.rule_set("v1"))

    async def url_of(namespace: str, name: str) -> str:
        return shop_url

    nowhere = Path("/nowhere/home")
    opened = opener(
        processes=processes, secrets=Secrets({}, home=nowhere), own=OwnFiles(home=nowhere)
    )
    async with Databases(
        url_of, opened, access_of=access_by(book, mask_key=lambda: b"k" * 32)
    ) as databases:
        tool = next(one for one in sql_tools(databases, NoResults()) if one.spec.name == "db_query")

        async def ask(sql: str, attributes: Attributes) -> Any:
            context = replace(CONTEXT, attributes=attributes)
            return (await invoke(tool, {"datasource": "shop", "sql": sql}, context)).value

        yield ask


async def test_rows_masks_and_caps_hold_in_the_database(query: Query) -> None:
    known: Attributes = {"customer": ("2",), "groups": ("support",)}
    found = await query("SELECT * FROM customers", known)
    assert found["columns"] == ["id", "name", "city"]
    [(id, name, city)] = found["rows"]
    assert (id, city) == (2, "O***")
    assert len(name) == 16
    assert name != "Bo"

    capped = await query("SELECT id, customer_id, total FROM orders ORDER BY id", known)
    assert (capped["returned"], capped["truncated"]) == (1, True)
    assert (await query("SELECT count(*) FROM stock.items", known))["rows"] == [[0]]


@pytest.mark.parametrize(
    "sql", ["SELECT data FROM orders", "SELECT * FROM big", "SELECT * FROM pg_catalog.pg_class"]
)
async def test_what_is_not_permitted_is_not_there(query: Query, sql: str) -> None:
    with pytest.raises(ToolFailed):
        await query(sql, {"customer": ("2",), "groups": ("support",)})


@pytest.mark.parametrize("attributes", [{}, {"customer": ("2 or true",)}, {"customer": ("1", "2")}])
async def test_without_its_attribute_a_table_is_not_there(
    query: Query, attributes: Attributes
) -> None:
    with pytest.raises(ToolFailed) as refused:
        await query("SELECT * FROM customers", attributes)
    assert "attribute" not in refused.value.message
    assert "customer" not in refused.value.message.replace("no table customers", "")
