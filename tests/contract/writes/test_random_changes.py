"""Changes that nobody thought of: what was shown is what is done, and it goes back.

`make changes` makes a thousand of them on each engine; the suite makes fewer, for the sake of its time.
"""

import asyncio
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from tests.contract.writes import workshop
from tests.contract.writes.postgres_shelves import PostgresDesk
from tests.contract.writes.shelves import Clock, Desk, SqliteDesk
from tests.contract.writes.workshop import Asked

from stepwell.nldb.applied_table import create_sql
from stepwell.nldb.catalog.sqlite import read
from stepwell.nldb.limits import Limits
from stepwell.nldb.model import Catalog
from stepwell.nldb.sqlite.sandbox import stamp_of
from stepwell.nldb.writes import sqlite
from stepwell.nldb.writes.desk import Desk as WriteDesk
from stepwell.nldb.writes.job import Job, Outcome
from stepwell.nldb.writes.port import Ground
from stepwell.nldb.writes.tools import write_tools
from stepwell.tools.port import CallContext, ToolFailed

CHANGES: Final = int(os.environ.get("STEPWELL_CHANGES", "24"))
"""On each engine, besides those that are refused."""

ODDITIES: Final = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


class DirectWriter:
    """The child's own functions, without a child: a thousand of them take a minute to ask."""

    def __init__(self, desk: SqliteDesk) -> None:
        self._path = str(desk.path)

    async def change(self, job: Job, limits: Limits) -> Outcome:
        """As `Writer.change`."""
        told = sqlite.change(self._path, msgspec.to_builtins(job), msgspec.to_builtins(limits))
        return msgspec.convert(msgspec.json.decode(msgspec.json.encode(told)), Outcome)

    async def look(
        self, schema: str, key: str, preview: str, limits: Limits, *, settles: bool = False
    ) -> Outcome:
        """As `Writer.look`."""
        told = sqlite.look(self._path, schema, key, preview, msgspec.to_builtins(limits))
        return msgspec.convert(told, Outcome)


class StillGround:
    """Always the same catalog: nobody changes the schema of these databases."""

    def __init__(self, desk: Desk, found: Catalog, stamp: Callable[[], str]) -> None:
        self._desk, self._found, self._stamp = desk, found, stamp

    async def __call__(self, context: CallContext, name: str) -> Ground:
        """As `GroundOf`."""
        return Ground(self._desk.writer, self._stamp(), self._found, self._desk.access(self._found))

    def put(self) -> None:
        """Gives it to the tools of the desk."""
        tools = write_tools(WriteDesk(self, self._desk.answers, clock=Clock()))
        self._desk.tools = {tool.spec.name: tool for tool in tools}


class Figures:
    """What became of the changes."""

    def __init__(self) -> None:
        self.ways: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def __str__(self) -> str:
        made = self.ways.total() - self.ways["refused"]
        return f"{made} changes as they were shown: {dict(self.ways)}"


class Passage:
    """One change on its way: shown, made, taken back."""

    def __init__(self, desk: Desk, found: Catalog, asked: Asked, figures: Figures) -> None:
        self._desk = desk
        self._found = found
        self._sql, self._parameters = asked
        self._figures = figures

    async def go(self) -> str:
        """Goes all the way; tells how far it came."""
        before = self._all()
        try:
            shown = await self._desk.preview(self._sql, parameters=self._parameters)
        except ToolFailed as error:
            self._figures.reasons[error.message] += 1
            assert self._all() == before
            return "refused"
        assert self._all() == before, "a preview has changed something"
        made = await self._desk.apply(shown)
        after = self._all()
        self._check(shown, made, before, after)
        assert await self._desk.apply(shown) == {**made, "repeated": True}
        assert self._all() == after, "it was made twice"
        if not shown["undo"]["possible"]:
            assert not shown["changes"] or before == after, shown["undo"]
            return "changed nothing"
        if shown["undo"]["why"]:
            return await self._undo_a_part(made, after)
        back = await self._desk.undo(made)
        await self._desk.apply(back)
        assert self._all() == before, "it is not as it was"
        return "undone"

    async def _undo_a_part(self, made: Any, after: Any) -> str:
        """Takes back what it can, or nothing."""
        try:
            await self._desk.apply(await self._desk.undo(made))
        except ToolFailed:
            assert self._all() == after
            return "not undone, as was said"
        return "undone in part, as was said"

    def _check(self, shown: Any, made: Any, before: Any, after: Any) -> None:
        """What was shown is all that was done."""
        table = shown["table"]
        old, new = before[table], after[table]
        changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
        told = {_key(one["key"].values()): one for one in shown["changes"]}
        assert len(told) == shown["rows"] == made["rows"]
        others = {effect["table"] for effect in shown["effects"]}
        if any(effect["kind"] == "trigger" for effect in shown["effects"]):
            others.add("journal")
        for name in before:
            assert name in {table, *others} or before[name] == after[name], f"{name} is not told"
        names = list(shown["changes"][0]["key"]) if shown["changes"] else []
        if shown["kind"] == "insert" and set(names) & set(shown["filled"]):
            fixed = [name for name in shown["columns"] if name not in shown["filled"]]
            added = [new[key] for key in new.keys() - old.keys()]
            assert sorted(repr([row[name] for name in fixed]) for row in added) == sorted(
                repr([one["new"][name] for name in fixed]) for one in shown["changes"]
            )
            return
        assert changed <= told.keys() or table in others
        for key, one in told.items():
            assert one["old"] == old.get(key)
            assert _without(one["new"], shown["filled"]) == _without(new.get(key), shown["filled"])

    def _all(self) -> dict[str, dict[str, Any]]:
        """All rows of all tables by their keys, as a preview writes them."""
        found = {}
        for name, table in self._found.tables.items():
            rows = self._desk.cells(name, [column.name for column in table.columns])
            found[name] = {_key(row[key] for key in table.primary_key): row for row in rows}
        return found


def _key(cells: Any) -> str:
    return msgspec.json.encode(list(cells)).decode()


def _without(row: dict[str, Any] | None, names: list[str]) -> dict[str, Any] | None:
    return None if row is None else {name: row[name] for name in row if name not in names}


def _change(
    desk: Desk,
    engine: str,
    begin: Callable[[], None],
    run: Callable[[Coroutine[Any, Any, str]], str],
    found: Catalog,
) -> Figures:
    """Makes as many changes as are wanted, each from the same beginning."""
    figures = Figures()

    @settings(max_examples=CHANGES * 5 // 2, suppress_health_check=ODDITIES)
    @given(asked=workshop.statements(engine))
    def one(asked: Asked) -> None:
        begin()
        figures.ways[run(Passage(desk, found, asked, figures).go())] += 1

    one()
    return figures


@pytest.mark.timeout(1200)
def test_random_changes_of_sqlite_are_what_was_shown(
    sqlite_desk: SqliteDesk, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sqlite_desk.path
    path.unlink()
    sqlite_desk.run(workshop.SQLITE + workshop.SQLITE_ROWS)
    sqlite_desk.run(create_sql("main"))
    sqlite_desk.writer = DirectWriter(sqlite_desk)
    found = msgspec.convert(read(str(path), {}), tuple[str, Catalog])[1]
    fresh = path.read_bytes()

    def stamp() -> str:
        with closing(sqlite3.connect(path)) as connection:
            return stamp_of(connection, str(path))

    def begin() -> None:
        path.write_bytes(fresh)

    StillGround(sqlite_desk, found, stamp).put()
    with asyncio.Runner() as runner:
        figures = _change(sqlite_desk, "sqlite", begin, runner.run, found)
    _tell("SQLite", figures, capsys)


@pytest.mark.timeout(1200)
def test_random_changes_of_postgres_are_what_was_shown(
    shop_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = PostgresDesk(shop_url)
    desk.run(workshop.POSTGRES + create_sql("public"))
    with asyncio.Runner() as runner:
        stamp, found = runner.run(desk.database.catalog())
        StillGround(desk, found, lambda: stamp).put()

        def begin() -> None:
            desk.run(workshop.POSTGRES_ROWS)

        try:
            figures = _change(desk, "postgres", begin, runner.run, found)
        finally:
            runner.run(desk.close())
    _tell("PostgreSQL", figures, capsys)


def _tell(engine: str, figures: Figures, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{engine}: {figures}")
    made = figures.ways.total() - figures.ways["refused"]
    assert made >= CHANGES, figures.reasons
    assert figures.ways["undone"] >= CHANGES // 4, figures
