"""The chinook database on both engines, as datasources that everybody may read and change."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from dev.postgres import running_postgres

from bench.nldb.postgres import copy_to_postgres
from stepwell.nldb.databases import Databases
from stepwell.nldb.datasources import OwnFiles, opener
from stepwell.nldb.model import Access, Catalog, Dialect, TableAccess
from stepwell.tools.port import CallContext
from stepwell.tools.process import ProcessPool
from stepwell.tools.secrets import Secrets

CONTEXT: Final = CallContext(
    namespace="bench", principal="user:bench", run="run", step="step", attempt=1, key="key"
)


@asynccontextmanager
async def both_engines(path: Path) -> AsyncIterator[tuple[Databases, dict[Dialect, str]]]:
    """The datasources `sqlite` and `postgres`, and their URLs. The path is absolute."""
    with running_postgres() as server:
        url = server.create_database("chinook")
        copy_to_postgres(path, url)
        urls: dict[Dialect, str] = {"sqlite": f"sqlite:///{path}", "postgres": url}

        async def url_of(namespace: str, name: str) -> str:
            return {str(dialect): one for dialect, one in urls.items()}[name]

        nowhere = Path("/nowhere")
        secrets = Secrets({}, home=nowhere, store=lambda name: name)
        async with ProcessPool(size=2) as processes:
            opens = opener(processes=processes, secrets=secrets, own=OwnFiles(home=nowhere))
            async with Databases(url_of, opens, access_of=_all_may) as databases:
                yield databases, urls


async def untaught(namespace: str, name: str) -> bytes:
    """Nobody has taught them anything."""
    return b""


async def _all_may(context: CallContext, datasource: str, catalog: Catalog) -> Access:
    every = TableAccess(insert=True, update=True, delete=True)
    return Access(tables=dict.fromkeys(catalog.tables, every))
