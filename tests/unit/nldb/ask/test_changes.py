"""A question that wants a change is answered with its preview, and changes nothing."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.nldb.ask.asking import CONTEXT, asking

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.nldb.ask.asker import Asked
from stepwell.nldb.ask.outcomes import CannotAnswer, Change
from stepwell.tools.port import CallContext, ToolFailed

pytestmark = pytest.mark.anyio

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
