"""What only a store in a file can be asked: it is full, locked, killed, copied, too new."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from stepwell_storage.errors import Duplicate, Fenced, Full, Incompatible, Unavailable
from stepwell_storage.records import Append, Blob, DefinitionRow, Head, NewRun, Record
from stepwell_storage.sql.sqlite import SqliteStorage
from stepwell_storage.sql.sqlite_reader import SqliteReader

pytestmark = pytest.mark.anyio

RUN, OTHER, THIRD = (f"01890000-0000-7000-8000-{n:012x}" for n in (1, 2, 3))

APPEND_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from stepwell_storage.records import Append, Head, NewRun, Record
from stepwell_storage.sql.sqlite import SqliteStorage

async def work(storage, number):
    run = f"01890000-0000-7000-8000-{number:012x}"
    new = NewRun("w", "v", "user:ann", 1, "one", 10)
    sequence = 0
    while True:
        append = Append(
            "default", run, 1, sequence, (Record(sequence + 1, "custom", "", b"x" * 500),),
            (), Head("running", 1), new if sequence == 0 else None,
        )
        await storage.log.append(append)
        sequence += 1
        print(run, sequence, flush=True)

async def main():
    storage = SqliteStorage(Path(sys.argv[1]))
    await storage.open()
    await asyncio.gather(*(work(storage, number) for number in range(20)))

asyncio.run(main())
"""


@asynccontextmanager
async def opened(path: Path, *, max_page_count: int | None = None) -> AsyncIterator[SqliteStorage]:
    patience = timedelta(milliseconds=50)
    storage = SqliteStorage(path, busy_timeout=patience, max_page_count=max_page_count)
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


def begin(run: str, body: bytes = b"{}", *, principal: str = "user:ann") -> Append:
    new = NewRun("w", "v1", principal, 1, "one", 10, {}, "request of " + run)
    return Append(
        "default", run, 1, 0, (Record(1, "run_started", "", body),), (), Head("running", 1), new
    )


def go_on(run: str, after: int, body: bytes = b"{}", *, kind: str = "custom") -> Append:
    return Append("default", run, 1, after, (Record(after + 1, kind, "", body),))


def acknowledged_until_killed(path: Path, *, lines: int) -> dict[str, int]:
    """The last sequence of each run that a process was told, before it was killed at work."""
    acknowledged: dict[str, int] = {}
    command = [sys.executable, "-c", APPEND_FOR_EVER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            run, *sequence = line.split()
            if sequence and line.endswith("\n"):
                acknowledged[run] = int(sequence[0])
            if (lines := lines - 1) == 0:
                child.send_signal(signal.SIGKILL)
    return acknowledged


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


# --- full, locked ---------------------------------------------------------------------------


async def test_a_full_disk_loses_nothing_answered_and_accepts_again_with_space(
    path: Path,
) -> None:
    async with opened(path, max_page_count=120) as storage:
        await storage.log.append(begin(RUN))
        after = 1
        with suppress(Full):
            while True:
                await storage.log.append(go_on(RUN, after, bytes(20_000)))
                after += 1

        with pytest.raises(Full, match="Make room"):
            await storage.ping()
        with pytest.raises(Full):
            await storage.log.append(go_on(RUN, after, bytes(200_000)))
        assert len(await storage.log.read("default", RUN)) == after

        await storage.limit_pages(1000)
        await storage.ping()
        assert await storage.log.append(go_on(RUN, after, bytes(20_000))) == after + 1
        assert [it.sequence for it in await storage.log.read("default", RUN)] == list(
            range(1, after + 2)
        )


async def test_a_group_that_does_not_fit_is_refused_as_a_whole(path: Path) -> None:
    async with opened(path, max_page_count=120) as storage:
        queued = [
            storage.log.append(begin(RUN)),
            storage.log.append(begin(OTHER, bytes(2_000_000))),
        ]
        results = await asyncio.gather(*queued, return_exceptions=True)

        assert [type(result) for result in results] == [Full, Full]
        assert await storage.log.last_position("default") == 0
        assert await storage.log.append(begin(RUN)) == 1


async def test_a_locked_database_is_unavailable_until_it_is_free(path: Path) -> None:
    async with opened(path) as storage:
        with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="locked"):
                await storage.log.append(begin(RUN))
            with pytest.raises(Unavailable):
                await storage.ping()
            assert await storage.log.read("default", RUN) == []
            foreign.execute("ROLLBACK")

        assert await storage.log.append(begin(RUN)) == 1


async def test_what_no_database_can_hold_fails_alone(path: Path) -> None:
    async with opened(path) as storage:
        queued = [
            storage.log.append(begin(RUN)),
            storage.log.append(go_on(RUN, 1, kind="\ud800")),
            storage.log.append(begin(THIRD, principal="\ud800")),
            storage.log.append(begin(OTHER)),
        ]
        results = await asyncio.gather(*queued, return_exceptions=True)

        kinds = [type(result) for result in results]
        assert kinds == [int, UnicodeEncodeError, UnicodeEncodeError, int]
        assert await storage.log.last_position("default") == 2


async def test_a_job_that_fails_is_undone_alone(path: Path) -> None:
    async with opened(path) as storage:
        bad = DefinitionRow("w", "v1", b"", "\ud800", 1)
        queued = [
            asyncio.ensure_future(storage.definitions.put("default", bad)),
            asyncio.ensure_future(storage.claims.heartbeat("one", expires_at=5)),
        ]
        results = await asyncio.gather(*queued, return_exceptions=True)

        assert [type(results[0]), results[1]] == [UnicodeEncodeError, 0]
        assert await storage.definitions.list("default") == []


# --- closed, killed, shared -------------------------------------------------------------------


async def test_everything_is_there_after_closing_and_opening(path: Path) -> None:
    async with opened(path) as storage:
        name = storage.id
        await storage.log.append(begin(RUN))
        await storage.definitions.put("default", DefinitionRow("w", "v1", b"s", "user:ann", 1))

    async with opened(path) as storage:
        assert storage.id == name
        assert await storage.log.wait_past("default", 0, timeout=0) is True
        assert await storage.log.append(go_on(RUN, 1)) == 2
        assert len(await storage.log.read("default", RUN)) == 2
        assert len(await storage.definitions.list("default")) == 1


async def test_two_databases_have_two_ids(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as one, opened(tmp_path / "b.db") as two:
        assert one.id != two.id


async def test_two_stores_on_one_file_share_one_log(path: Path) -> None:
    async with opened(path) as one, opened(path) as two:
        assert await one.log.append(begin(RUN)) == 1
        assert await two.log.append(begin(OTHER)) == 2
        with pytest.raises(Duplicate):
            await two.log.append(begin(RUN, b'{"other":1}'))
        [lease, _] = await two.claims.claim("two", now=10, expires_at=20, limit=9)
        assert lease.run == RUN
        with pytest.raises(Fenced):
            await one.log.append(go_on(RUN, 1))
        assert [it.position for it in await one.log.read_log("default", after=0)] == [1, 2]
        assert await one.log.wait_past("default", 1, timeout=0.01) is True
        assert one.id == two.id


async def test_a_position_is_never_given_twice_even_when_a_run_is_deleted(path: Path) -> None:
    async with opened(path) as storage:
        await storage.log.append(begin(RUN))
        await storage.log.append(begin(OTHER))
        with closing(sqlite3.connect(path)) as foreign:
            foreign.execute("DELETE FROM events WHERE position = 2")
            foreign.commit()

        assert await storage.log.append(go_on(RUN, 1)) == 3


async def test_a_killed_process_loses_nothing_that_was_acknowledged(path: Path) -> None:
    acknowledged = acknowledged_until_killed(path, lines=1000)

    async with opened(path) as storage:
        logged = await storage.log.read_log("default", after=0, limit=100_000)
        assert [it.position for it in logged] == list(range(1, len(logged) + 1))
        for run, last in acknowledged.items():
            kept = [it.record.sequence for it in logged if it.run == run]
            assert kept == list(range(1, len(kept) + 1))
            assert len(kept) >= last
        claimed = await storage.claims.claim("two", now=10, expires_at=20, limit=99)
        assert len(claimed) == 20


# --- whose database is it ---------------------------------------------------------------------


async def test_one_run_is_read_without_reading_what_all_others_wrote(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Sequence[Any]]] = []
    rows = SqliteReader.rows

    async def noted(reader: SqliteReader, statement: sa.Executable, **values: Any) -> list[Any]:
        asked.append(reader._statements.bind(statement, values))
        return await rows(reader, statement, **values)

    monkeypatch.setattr(SqliteReader, "rows", noted)
    async with opened(path) as storage:
        await storage.log.read_log("default", after=0, run=RUN)
    [(sql, given)] = asked
    with closing(sqlite3.connect(path)) as db:
        plan = [detail for *_, detail in db.execute(f"EXPLAIN QUERY PLAN {sql}", given)]
    assert plan == ["SEARCH events USING INDEX sqlite_autoindex_events_1 (namespace=? AND run=?)"]


async def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("UPDATE stepwell_schema SET version_num = '9999'")
        foreign.execute("UPDATE meta SET readable_by = '9998'")
        foreign.commit()

    with pytest.raises(Incompatible, match=r"schema 9999.*up to 0005.*newer Stepwell"):
        await SqliteStorage(path).open()


async def test_a_newer_schema_that_only_adds_is_used_as_it_is(path: Path) -> None:
    async with opened(path) as storage:
        await storage.log.append(begin(RUN))
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("UPDATE stepwell_schema SET version_num = '9999'")
        foreign.execute("CREATE TABLE news (namespace TEXT)")
        foreign.commit()

    async with opened(path) as storage:
        assert await storage.log.append(go_on(RUN, 1)) == 2


def test_the_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE artist (name TEXT)")
    before = path.read_bytes()

    with pytest.raises(Incompatible, match="another program"):
        asyncio.run(SqliteStorage(path).open())
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("Dear diary, " * 100)

    with pytest.raises(Incompatible, match="not a SQLite database"):
        asyncio.run(SqliteStorage(path).open())
    assert path.read_text() == "Dear diary, " * 100


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"nowhere.*folder must be there"):
        await SqliteStorage(tmp_path / "nowhere" / "runs.db").open()


async def test_a_store_that_is_not_open_says_so(path: Path) -> None:
    with pytest.raises(Unavailable, match="not open"):
        await SqliteStorage(path).ping()


async def test_a_commit_reaches_the_disk_before_it_is_answered(path: Path) -> None:
    async with opened(path) as storage:
        pragmas = await storage.claims._writer.call(
            lambda session: [
                session.rows(sa.text(f"PRAGMA {name}"))[0][0]
                for name in ("journal_mode", "synchronous")
            ]
        )
        assert pragmas == ["wal", 2]


async def test_a_large_blob_comes_back_whole(path: Path) -> None:
    blob = Blob("d", 8_000_000, bytes(range(250)) * 32_000)
    async with opened(path) as storage:
        first = begin(RUN)
        await storage.log.append(
            Append("default", RUN, 1, 0, first.records, (blob,), first.head, first.new)
        )
        assert await storage.blobs.get("default", RUN, ["d"]) == {"d": blob}


async def test_a_sqlite_that_is_too_old_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))

    with pytest.raises(Incompatible, match=r"needs 3\.35"):
        await SqliteStorage(path).open()
