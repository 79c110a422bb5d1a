"""The shop of the examples as a database, and the SQL tools over it."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.datasources import always, databases_of

from stepwell.engine.values import Data
from stepwell.nldb.guard import Checked
from stepwell.nldb.limits import Limits
from stepwell.nldb.model import open_access
from stepwell.nldb.sqlite.database import SqliteDatabase
from stepwell.nldb.tools import sql_tools
from stepwell.tools.invoke import invoke
from stepwell.tools.port import CallContext
from stepwell.tools.process import ProcessPool

SHOP = Path(__file__).parents[3] / "server" / "stepwell_server" / "demo" / "shop.sql"
CONTEXT = CallContext(
    namespace="default", principal="agent:local", run="r", step="s", attempt=1, key="k"
)


class NoResults:
    """Nothing was asked before."""

    async def find(self, *asked: object) -> Data | None:
        return None


Ask = Callable[..., Awaitable[Data]]


def make_database(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return make_database(tmp_path / "shop.db", SHOP.read_text())


@pytest.fixture
def database() -> Callable[[Path, str], Path]:
    return make_database


@pytest.fixture
def asker() -> Callable[..., Ask]:
    """`asker(pool, path)` gives `ask(tool, **arguments)` on the datasource `shop`."""

    def make(processes: ProcessPool, path: Path, **limits: Any) -> Ask:
        databases = databases_of(always(f"sqlite:///{path}"), processes)
        tools = {
            tool.spec.name: tool
            for tool in sql_tools(databases, NoResults(), limits=Limits(**limits))
        }

        async def ask(tool: str, **arguments: Any) -> Data:
            return await invoke(tools[tool], {"datasource": "shop", **arguments}, CONTEXT)

        return ask

    return make


@pytest.fixture
def bare() -> Callable[..., Ask]:
    """As `asker`, but what is asked runs in the sandbox as it is: no guard has rebuilt it."""

    def make(processes: ProcessPool, path: Path, **limits: Any) -> Ask:
        database = SqliteDatabase(path, processes)

        async def ask(tool: str, *, sql: str) -> Data:
            stamp, catalog = await database.catalog()
            checked = Checked(
                sql=sql,
                told=sql,
                tables=tuple(catalog.tables),
                columns=(),
                outputs=(),
                written=sql,
                shape="",
                fingerprint="",
            )
            rows = await database.read(checked, open_access(catalog), Limits(**limits), stamp=stamp)
            return Data(msgspec.to_builtins(rows))

        return ask

    return make
