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


PLAYLISTS = """
CREATE TABLE playlist (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE track (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE playlist_track (
    playlist_id INTEGER REFERENCES playlist (id), track_id INTEGER REFERENCES track (id),
    PRIMARY KEY (playlist_id, track_id));
INSERT INTO playlist VALUES (7, 'Grunge'), (8, 'Quiet'), (9, 'Empty');
INSERT INTO track VALUES (31, 'Lithium'), (32, 'Polly'), (33, 'Polly');
INSERT INTO playlist_track VALUES (7, 31), (8, 31);
"""


async def test_the_keys_of_rows_that_are_joined_are_looked_up_and_shown(tmp_path: Path) -> None:
    preview = Previewer()
    async with asking(tmp_path / "music.db", rows=PLAYLISTS, preview=preview) as asker:
        question = "put Lithium on the Empty playlist"
        outcome = await asker.ask(Asked(datasource="music", question=question), CONTEXT)
    assert isinstance(outcome, Change)
    assert list(outcome.sql.parameters.values()) == [9, 31]
    assert outcome.sql.written.startswith('INSERT INTO "playlist_track"')
    assert any("looked up" in said and "Lithium" in said for said in outcome.assumptions)


async def test_rows_that_have_lost_all_others_can_be_deleted(tmp_path: Path) -> None:
    async with asking(tmp_path / "music.db", rows=PLAYLISTS, preview=Previewer()) as asker:
        question = "delete the playlists that have no tracks"
        outcome = await asker.ask(Asked(datasource="music", question=question), CONTEXT)
    assert isinstance(outcome, Change)
    with closing(sqlite3.connect(tmp_path / "music.db")) as database:
        database.execute(outcome.sql.written, outcome.sql.parameters)
        assert database.execute("SELECT name FROM playlist").fetchall() == [("Grunge",), ("Quiet",)]


async def test_what_is_masked_is_not_added_to_other_rows(tmp_path: Path) -> None:
    async with asking(tmp_path / "music.db", rows=PLAYLISTS, masks={"track": "id"}) as asker:
        question = "put Lithium on the Empty playlist"
        outcome = await asker.ask(Asked(datasource="music", question=question), CONTEXT)
    assert isinstance(outcome, CannotAnswer)
    assert "masked" in outcome.reason
