"""A thousand changes that nobody thought of: what was shown is what is done, and it goes back."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.writes import postgres_shelves
from tests.contract.writes.postgres_shelves import PostgresDesk
from tests.contract.writes.shelves import Clock, Desk, SqliteDesk

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

COLUMNS: Final = {
    "goods": ("name", "price", "stock", "shelf", "tenant"),
    "marks": ("n",),
    "shelves": ("name", "room"),
    "journal": ("what",),
}
KEYS: Final = {"goods": "id", "marks": "good", "shelves": "id", "journal": "id"}
TEXTS: Final = {"name", "room", "what", "word"}

texts = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")),
    max_size=12,
)
numbers = st.integers(-5, 200)


@st.composite
def values(draw: st.DrawFn, column: str) -> str:
    """What a column may be set to, as SQL."""
    if column in TEXTS:
        text = draw(texts)
        plain = "'" + text.replace("'", "''") + "'"
        return draw(st.sampled_from([plain] * 9 + [f"upper({plain})", "NULL"]))
    if column == "shelf":
        return draw(st.sampled_from(["1", "2", "3", "NULL"] * 4 + ["77"]))
    if column == "price":
        return draw(st.sampled_from(["NULL", "1.5", "0", "-3.25", "199.125"]))
    return str(draw(numbers))


@st.composite
def conditions(draw: st.DrawFn, table: str) -> str:
    """Which rows."""
    column = draw(st.sampled_from([KEYS[table], *COLUMNS[table]]))
    own = draw(
        st.sampled_from([f"{column} IS NULL", f"{column} IS NOT NULL"])
        if column in TEXTS
        else st.builds(
            lambda sign, number: f"{column} {sign} {number}",
            st.sampled_from(["=", "<", ">", "<>", ">="]),
            st.integers(-1, 6),
        )
    )
    if draw(st.booleans()):
        return own
    other = draw(st.sampled_from([f"{KEYS[table]} < 4", "1 = 1", f"{KEYS[table]} IN (1, 2, 3)"]))
    joined = draw(st.sampled_from(["AND", "OR"]))
    return f"{own} {joined} {other}"


@st.composite
def changes(draw: st.DrawFn) -> str:
    """One statement that writes."""
    table = draw(st.sampled_from(["goods", "goods", "marks", "shelves", "journal"]))
    match draw(st.sampled_from(["insert", "update", "update", "delete"])):
        case "delete":
            return f"DELETE FROM {table} WHERE {draw(conditions(table))}"
        case "update":
            names = draw(
                st.lists(st.sampled_from(COLUMNS[table]), min_size=1, max_size=3, unique=True)
            )
            sets = ", ".join(f"{name} = {draw(_set(name))}" for name in names)
            return f"UPDATE {table} SET {sets} WHERE {draw(conditions(table))}"
        case _:
            names = list(COLUMNS[table])
            if table == "marks":
                names += ["good", "word"]
            if table == "shelves":
                names.append("id")
            count = draw(st.integers(1, 3))
            rows = [f"({', '.join(draw(values(name)) for name in names)})" for _ in range(count)]
            return f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join(rows)}"


def _set(name: str) -> st.SearchStrategy[str]:
    if name in ("stock", "n", "tenant"):
        return st.one_of(values(name), st.sampled_from([f"{name} + 1", f"{name} * 2 - 1"]))
    if name in TEXTS:
        return st.one_of(values(name), st.just(f"{name} || '+'"))
    return values(name)


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


def rows_of(desk: Desk, shown: Any) -> dict[str, Any]:
    """The rows of the previewed table by their keys, as the preview writes them."""
    found = desk.cells(shown["table"], shown["columns"])
    keys = list(shown["changes"][0]["key"]) if shown["changes"] else []
    return {msgspec.json.encode([row[name] for name in keys]).decode(): row for row in found}


async def goes_through(desk: Desk, sql: str) -> str:
    """Previews, applies and undoes one change; tells how far it came."""
    before = desk.dump()
    try:
        shown = await desk.preview(sql)
    except ToolFailed:
        assert desk.dump() == before
        return "refused"
    assert desk.dump() == before
    old = rows_of(desk, shown)
    made = await desk.apply(shown)
    new = rows_of(desk, shown)
    changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    told = {_key(one): one for one in shown["changes"]}
    is_counted = shown["kind"] == "insert" and shown["filled"]
    if is_counted:
        assert len(new.keys() - old.keys()) == made["rows"] == shown["rows"]
        fixed = [name for name in shown["columns"] if name not in shown["filled"]]
        added = [new[key] for key in new.keys() - old.keys()]
        assert sorted(repr([row[n] for n in fixed]) for row in added) == sorted(
            repr([one["new"][n] for n in fixed]) for one in shown["changes"]
        )
    else:
        assert changed <= told.keys()
        for key, one in told.items():
            assert (one["old"], one["new"]) == (old.get(key), new.get(key))
    if not shown["undo"]["possible"]:
        return "applied"
    back = await desk.undo(made)
    await desk.apply(back)
    if shown["undo"]["why"] or "journal" in sql:
        return "undone in part"
    assert desk.dump() == before
    return "undone"


def _key(one: Any) -> str:
    return msgspec.json.encode(list(one["key"].values())).decode()


ODDITIES: Final = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.timeout(400)
def test_a_thousand_changes_of_sqlite_are_what_was_shown(sqlite_desk: SqliteDesk) -> None:
    made: Counter[str] = Counter()
    sqlite_desk.writer = DirectWriter(sqlite_desk)
    found = msgspec.convert(read(str(sqlite_desk.path), {}), tuple[str, Catalog])[1]

    async def ground(context: CallContext, name: str) -> Ground:
        with closing(sqlite3.connect(sqlite_desk.path)) as connection:
            stamp = stamp_of(connection, str(sqlite_desk.path))
        return Ground(sqlite_desk.writer, stamp, found, sqlite_desk.access(found))

    sqlite_desk.tools = {
        tool.spec.name: tool
        for tool in write_tools(WriteDesk(ground, sqlite_desk.answers, clock=Clock()))
    }

    loop = asyncio.new_event_loop()
    fresh = sqlite_desk.path.read_bytes()

    @settings(max_examples=1400, suppress_health_check=ODDITIES)
    @given(sql=changes())
    def one(sql: str) -> None:
        sqlite_desk.path.write_bytes(fresh)
        made[loop.run_until_complete(goes_through(sqlite_desk, sql))] += 1

    with closing(loop):
        one()
    assert made.total() - made["refused"] >= 1000, made
    assert made["undone"] >= 300, made


@settings(max_examples=100, suppress_health_check=ODDITIES)
@given(sql=changes())
def test_changes_of_postgres_are_what_was_shown(sql: str, postgres_desk: PostgresDesk) -> None:
    async def through() -> None:
        try:
            await goes_through(postgres_desk, sql)
        finally:
            await postgres_desk.database.close()

    postgres_desk.run(postgres_shelves.SHOP)
    asyncio.run(through())
