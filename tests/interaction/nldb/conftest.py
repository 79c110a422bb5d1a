"""A PostgreSQL as a datasource, and the tools over it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg
import pytest
from tests.datasources import always, databases_of

from stepwell.engine.values import Data
from stepwell.nldb.databases import Databases
from stepwell.nldb.limits import Limits
from stepwell.nldb.tools import sql_tools
from stepwell.tools.invoke import invoke
from stepwell.tools.port import CallContext
from stepwell.tools.process import ProcessPool

CONTEXT = CallContext(
    namespace="default", principal="agent:local", run="r", step="s", attempt=1, key="k"
)
SHOP = """
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, city varchar(40));
CREATE TABLE orders (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id int NOT NULL REFERENCES customers,
    total numeric(10, 2) NOT NULL,
    placed_at timestamptz DEFAULT '2026-01-01 10:00:00+00',
    data jsonb,
    twice numeric GENERATED ALWAYS AS (total * 2) STORED,
    UNIQUE (customer_id, placed_at)
);
COMMENT ON TABLE orders IS 'What was bought.';
COMMENT ON COLUMN orders.total IS 'In euros.';
CREATE VIEW big AS SELECT id, total FROM orders WHERE total > 100;
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touched();
INSERT INTO customers VALUES (1, 'Ada', 'London'), (2, 'Bo', 'Oslo');
INSERT INTO orders (customer_id, total, data) VALUES (1, 120.50, '{"a": 1}'), (2, 5, NULL);
CREATE SCHEMA stock;
CREATE TABLE stock.items (id int PRIMARY KEY, order_id int REFERENCES public.orders);
"""


class NoResults:
    """Nothing was asked before."""

    async def find(self, *asked: object) -> Data | None:
        return None


Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def shop_url(postgres_url: str) -> str:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(SHOP.encode())
    return postgres_url


@pytest.fixture
async def processes() -> AsyncIterator[ProcessPool]:
    async with ProcessPool(size=1) as pool:
        yield pool


@pytest.fixture
async def asking(processes: ProcessPool) -> AsyncIterator[Callable[..., Ask]]:
    """`asking(url)` gives `ask(tool, **arguments)`, which answers the value of the result."""
    opened: list[Databases] = []

    def make(url: str, **limits: Any) -> Ask:
        databases = databases_of(always(url), processes)
        opened.append(databases)
        tools = {
            tool.spec.name: tool
            for tool in sql_tools(databases, NoResults(), limits=Limits(**limits))
        }

        async def ask(tool: str, **arguments: Any) -> Any:
            asked = {"datasource": "shop", **arguments}
            return (await invoke(tools[tool], asked, CONTEXT)).value

        return ask

    yield make
    for databases in opened:
        await databases.close()
