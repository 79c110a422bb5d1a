"""A question that wants a change is answered with its preview, and changes nothing."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from tests.datasources import always, databases_of

from stepwell.clock import SystemClock
from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb.ask.asker import Asked, Asker
from stepwell.nldb.ask.known import Knowledge
from stepwell.nldb.ask.outcomes import CannotAnswer, Change
from stepwell.nldb.model import Access, Catalog, TableAccess
from stepwell.tools.port import CallContext, ToolFailed
from stepwell.tools.process import ProcessPool

pytestmark = pytest.mark.anyio

CONTEXT = CallContext(
    namespace="default", principal="agent:local", run="r", step="s", attempt=1, key="k"
)
QUESTION = 'change the email of Mia Holm to "mia@new"'


class Previewer:
    """Remembers what it was asked, or fails."""

    def __init__(self, failure: ToolFailed | None = None) -> None:
        self.asked: list[tuple[str, str, dict[str, Json]]] = []
        self._failure = failure

    async def __call__(
        self, context: CallContext, datasource: str, sql: str, parameters: dict[str, Json]
    ) -> Json:
        self.asked.append((datasource, sql, parameters))
        if self._failure is not None:
            raise self._failure
        return {"rows": 1}


def all_may_change(catalog: Catalog) -> Access:
    return Access(
        tables=dict.fromkeys(catalog.tables, TableAccess(insert=True, update=True, delete=True))
    )


@asynccontextmanager
async def asking(path: Path, **given: Any) -> AsyncIterator[Asker]:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT, email TEXT)")
        database.execute("INSERT INTO staff VALUES (1, 'Mia Holm', 'mia@old')")

    async def untaught(namespace: str, name: str) -> bytes:
        return b""

    async with ProcessPool(size=1) as processes:
        url = f"sqlite:///{path}"
        async with databases_of(always(url), processes, access=all_may_change) as databases:
            knowledge = Knowledge(databases, untaught, clock=SystemClock())
            yield Asker(databases, knowledge, **given)


async def test_a_change_is_shown_with_its_preview(tmp_path: Path) -> None:
    preview = Previewer()
    async with asking(tmp_path / "shop.db", preview=preview) as asker:
        outcome = await asker.ask(Asked(datasource="shop", question=QUESTION), CONTEXT)

    assert isinstance(outcome, Change)
    assert outcome.preview == {"rows": 1}
    assert preview.asked == [("shop", outcome.sql.written, outcome.sql.parameters)]
    assert set(outcome.sql.parameters.values()) == {"mia@new", "Mia Holm"}
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        assert database.execute("SELECT email FROM staff").fetchall() == [("mia@old",)]


async def test_a_change_that_cannot_be_made_is_no_answer(tmp_path: Path) -> None:
    failure = ToolFailed(
        "the change failed: it has children", code=Code.QUERY_FAILED, retryable=False
    )
    async with asking(tmp_path / "shop.db", preview=Previewer(failure)) as asker:
        outcome = await asker.ask(Asked(datasource="shop", question=QUESTION), CONTEXT)

    assert isinstance(outcome, CannotAnswer)
    assert "it has children" in outcome.reason


async def test_a_database_that_is_busy_may_be_asked_again(tmp_path: Path) -> None:
    failure = ToolFailed("the database is locked", code=Code.QUERY_FAILED, retryable=True)
    async with asking(tmp_path / "shop.db", preview=Previewer(failure)) as asker:
        with pytest.raises(ToolFailed, match="locked"):
            await asker.ask(Asked(datasource="shop", question=QUESTION), CONTEXT)
