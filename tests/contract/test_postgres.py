"""What only a store that many processes share can be asked: others write, and servers go away."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.contract.appends import OTHER, RUN, THIRD, begin, go_on, letter, outcome, records
from tests.contract.pgbouncer import is_installed, running_pgbouncer
from tests.contract.proxy import Loss, Proxy, running_proxy

from stepwell_storage.errors import (
    BadUrl,
    Exists,
    Fenced,
    Unavailable,
)
from stepwell_storage.records import Append, Blob, DatasourceRow, Head, Logged
from stepwell_storage.sql.postgres import fence
from stepwell_storage.sql.postgres.connection import Patience
from stepwell_storage.sql.postgres.storage import PostgresStorage

pytestmark = pytest.mark.anyio

NEVER = timedelta(hours=1)
SHORT = Patience(
    lock=timedelta(milliseconds=300),
    statement=timedelta(milliseconds=600),
    transaction=timedelta(milliseconds=900),
    answer=timedelta(milliseconds=1200),
)
COMMIT = b"COMMIT\0"  # as it is sent, and no part of READ COMMITTED
LOCK_DEFAULT = f"SELECT pg_advisory_xact_lock({fence.lock_keys({'default'})[0]})"


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncIterator[PostgresStorage]:
    storage = PostgresStorage(url, **settings)
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


@asynccontextmanager
async def through_a_proxy(
    url: str, **settings: Any
) -> AsyncIterator[tuple[PostgresStorage, Proxy]]:
    port = port_of(url)
    async with running_proxy(port) as proxy:
        near = url.replace(f":{port}/", f":{proxy.port}/")
        async with opened(near, **settings) as storage:
            yield storage, proxy


def port_of(url: str) -> int:
    return int(str(psycopg.conninfo.conninfo_to_dict(url)["port"]))


async def sql(url: str, statement: str) -> list[tuple[Any, ...]]:
    """What a program other than Stepwell does."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


async def retried(storage: PostgresStorage, append: Append) -> int:
    """The position of an append that is repeated until the database takes it."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await storage.log.append(append)
            except Unavailable:
                await asyncio.sleep(0.01)


# --- several processes ------------------------------------------------------------------------


async def test_two_stores_on_one_database_share_one_log(postgres_url: str) -> None:
    async with opened(postgres_url) as one, opened(postgres_url) as two:
        assert one.id == two.id
        assert await one.log.append(begin(RUN)) == 1
        assert await two.log.append(begin(OTHER)) == 2
        [lease, _] = await two.claims.claim("two", now=1000, expires_at=2000, limit=9)
        assert await outcome(one.log.append(go_on(RUN, after=1))) is Fenced
        assert await two.log.append(go_on(lease.run, after=1, epoch=2)) == 3
        assert [it.position for it in await one.log.read_log("default", after=0)] == [1, 2, 3]


async def test_who_reads_past_its_last_position_misses_nothing_that_several_write(
    postgres_url: str,
) -> None:
    async with (
        opened(postgres_url) as one,
        opened(postgres_url) as two,
        opened(postgres_url) as who,
    ):

        async def write(storage: PostgresStorage, number: int) -> None:
            run = f"01890000-0000-7000-8000-{number:012x}"
            await storage.log.append(begin(run))
            for after in range(1, 31, 3):
                await storage.log.append(go_on(run, after=after, count=3))

        async def read() -> list[Logged]:
            seen: list[Logged] = []
            while len(seen) < 40 * 31:
                await who.log.wait_past("default", len(seen), timeout=5)
                seen += await who.log.read_log("default", after=len(seen))
            return seen

        reading = asyncio.create_task(read())
        writers = (one, two)
        await asyncio.gather(*(write(writers[number % 2], number) for number in range(40)))
        seen = await asyncio.wait_for(reading, 5)

    assert [it.position for it in seen] == list(range(1, 40 * 31 + 1))
    for number in range(40):
        run = f"01890000-0000-7000-8000-{number:012x}"
        assert [it.record for it in seen if it.run == run] == list(records(1, 31))


async def test_a_commit_that_stalls_holds_back_the_positions_after_it(postgres_url: str) -> None:
    """Else a reader could pass a position that becomes visible only later."""
    async with opened(postgres_url) as storage:
        await storage.log.append(begin(RUN))
        foreign = await psycopg.AsyncConnection.connect(postgres_url)
        await foreign.execute(LOCK_DEFAULT.encode())
        held = storage.log.append(go_on(RUN, after=1))
        elsewhere = psycopg.connect(postgres_url)
        with elsewhere:
            waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            async with asyncio.timeout(5):
                while not elsewhere.execute(waits.encode()).fetchall():
                    await asyncio.sleep(0.01)
        assert not held.done()
        assert await storage.log.last_position("default") == 1
        await foreign.rollback()
        await foreign.close()

        assert await held == 2


async def test_a_transaction_that_stalls_with_the_lock_ends_in_unavailable(
    postgres_url: str,
) -> None:
    async with opened(postgres_url, patience=SHORT) as storage:
        async with await psycopg.AsyncConnection.connect(postgres_url) as foreign:
            await foreign.execute(LOCK_DEFAULT.encode())
            with pytest.raises(Unavailable, match="lock timeout"):
                await asyncio.wait_for(storage.log.append(begin(RUN)), 5)
            # The logs of others are not concerned.
            assert await storage.log.append(begin(RUN, namespace="other")) == 1

        assert await storage.log.append(begin(RUN)) == 1


async def test_a_process_that_hangs_in_a_transaction_loses_it(postgres_url: str) -> None:
    async with opened(postgres_url, patience=SHORT) as one, opened(postgres_url) as two:
        session = one._transactions._session
        session.begin(fence.lock_keys({"default"}))
        session.flush()  # and here it hangs

        assert await asyncio.wait_for(two.log.append(begin(RUN)), 5) == 1
        assert await one.log.append(begin(OTHER)) == 2


async def test_what_two_processes_write_at_once_exists_for_one_of_them(postgres_url: str) -> None:
    async with opened(postgres_url) as one, opened(postgres_url) as two:
        for number in range(20):
            row = DatasourceRow(f"shop{number}", "sqlite:///shop.db", "user:ann", 1)
            results = await asyncio.gather(
                *(storage.datasources.add("default", row) for storage in (one, two)),
                return_exceptions=True,
            )
            assert {type(result) for result in results} == {type(None), Exists}


# --- groups -----------------------------------------------------------------------------------


async def test_a_stale_append_leaves_its_neighbours_in_one_transaction(postgres_url: str) -> None:
    async with opened(postgres_url) as storage:
        names = [f"01890000-0000-7000-8000-{number:012x}" for number in range(50)]
        await asyncio.gather(*(storage.log.append(begin(run)) for run in names))
        queued = [
            storage.log.append(go_on(run, after=1, epoch=1 + (number % 10 == 3)))
            for number, run in enumerate(names)
        ]
        outcomes = [await outcome(future) for future in queued]

        written = await sql(
            postgres_url, "SELECT DISTINCT xmin::text FROM stepwell.events WHERE sequence = 2"
        )
    assert [number for number, it in enumerate(outcomes) if it is Fenced] == [3, 13, 23, 33, 43]
    assert [it for it in outcomes if it is not Fenced] == list(range(51, 96))
    # The first of those may have gone out before the others were queued.
    assert len(written) <= 2


async def test_what_no_database_can_hold_fails_alone(postgres_url: str) -> None:
    async with opened(postgres_url) as storage:
        queued = [
            storage.log.append(begin(RUN)),
            storage.log.append(begin(THIRD, principal="\ud800")),
            storage.log.append(begin(THIRD, principal="a\0b")),
            storage.log.append(begin(THIRD, request=secrets.token_hex(5_000))),
            storage.log.append(go_on(RUN, after=1)),
            storage.log.append(begin(OTHER)),
        ]
        results = await asyncio.gather(*queued, return_exceptions=True)

        assert [isinstance(result, ValueError) for result in results[1:4]] == [True] * 3
        assert [results[0], *results[4:]] == [1, 2, 3]
        assert await storage.log.last_position("default") == 3


async def test_what_no_database_can_hold_is_not_asked_for_either(postgres_url: str) -> None:
    async with opened(postgres_url) as storage:
        with pytest.raises(ValueError, match="no such value"):
            await storage.definitions.get("default", "a\0b")
        with pytest.raises(ValueError, match="no such value"):
            await storage.datasources.add("default", DatasourceRow("a\0b", "x", "user:ann", 1))


async def test_a_job_that_fails_is_undone_alone(postgres_url: str) -> None:
    async with opened(postgres_url) as storage:
        bad = DatasourceRow("shop", "\ud800", "user:ann", 1)
        results = await asyncio.gather(
            storage.datasources.add("default", bad),
            storage.claims.heartbeat("two", expires_at=5),
            storage.log.append(begin(RUN)),
            return_exceptions=True,
        )

        assert [type(results[0]), *results[1:]] == [UnicodeEncodeError, 0, 1]
        assert await storage.datasources.list("default") == []


# --- a database that goes away ----------------------------------------------------------------


async def test_a_commit_whose_answer_is_lost_is_answered_when_it_is_asked_again(
    postgres_url: str,
) -> None:
    async with through_a_proxy(postgres_url) as (storage, proxy):
        for append in (
            begin(RUN, request="r"),
            go_on(RUN, after=1, count=2),
            go_on(RUN, after=3, head=Head("completed", 9, ended_at=9)),
        ):
            proxy.lose(COMMIT, Loss.ANSWER)
            with pytest.raises(Unavailable):
                await storage.log.append(append)
            assert await storage.log.append(append) == append.last

        assert await storage.log.read("default", RUN) == list(records(1, 4))


async def test_a_commit_that_never_arrived_is_written_when_it_is_asked_again(
    postgres_url: str,
) -> None:
    async with through_a_proxy(postgres_url) as (storage, proxy):
        for append in (begin(RUN), go_on(RUN, after=1)):
            proxy.lose(COMMIT, Loss.REQUEST)
            with pytest.raises(Unavailable):
                await storage.log.append(append)
            assert await storage.log.append(append) == append.last


async def test_a_connection_that_was_lost_while_idle_is_nobodys_business(
    postgres_url: str,
) -> None:
    async with through_a_proxy(postgres_url) as (storage, proxy):
        await storage.log.append(begin(RUN))
        await storage.log.read("default", RUN)
        await proxy.cut()

        assert await storage.log.append(go_on(RUN, after=1)) == 2
        assert len(await storage.log.read("default", RUN)) == 2
        await storage.ping()


async def test_sessions_that_an_administrator_ends_are_made_again(postgres_url: str) -> None:
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with opened(postgres_url) as storage:
        await storage.log.append(begin(RUN))
        await storage.log.read("default", RUN)
        await sql(postgres_url, f"SELECT pg_terminate_backend(pid) {others}")

        assert await retried(storage, go_on(RUN, after=1)) == 2
        assert len(await storage.log.read("default", RUN)) == 2


async def test_a_server_that_is_gone_is_unavailable_until_it_is_back(postgres_url: str) -> None:
    async with through_a_proxy(postgres_url) as (storage, proxy):
        await storage.log.append(begin(RUN))
        await proxy.refuse()
        for _ in range(5):
            with pytest.raises(Unavailable):
                await storage.log.append(go_on(RUN, after=1))
        with pytest.raises(Unavailable):
            await storage.log.read("default", RUN)
        with pytest.raises(Unavailable):
            await storage.ping()
        await proxy.accept()

        assert await retried(storage, go_on(RUN, after=1)) == 2
        assert len(await storage.log.read("default", RUN)) == 2


async def test_a_server_that_is_gone_is_not_asked_again_and_again(postgres_url: str) -> None:
    async with through_a_proxy(postgres_url) as (storage, proxy):
        await storage.log.append(begin(RUN))
        await proxy.refuse()
        await proxy.accept()
        proxy.lose(b"stepwell", Loss.REQUEST)
        before = proxy.accepted
        for _ in range(100):
            await outcome(storage.log.append(go_on(RUN, after=1)))

        assert proxy.accepted - before <= 3


async def test_a_server_that_does_not_answer_is_given_up(postgres_url: str) -> None:
    async with through_a_proxy(postgres_url, patience=SHORT) as (storage, proxy):
        await retried(storage, begin(RUN))
        await storage.log.read("default", RUN)
        proxy.stall()
        results = await asyncio.wait_for(
            asyncio.gather(
                outcome(storage.log.append(go_on(RUN, after=1))),
                asyncio.gather(storage.log.read("default", RUN), return_exceptions=True),
            ),
            5,
        )
        proxy.resume()

        assert results[0] is Unavailable
        assert isinstance(results[1][0], Unavailable)
        assert await retried(storage, go_on(RUN, after=1)) == 2
        assert len(await storage.log.read("default", RUN)) == 2


# --- waiting for others -----------------------------------------------------------------------


async def test_a_wait_ends_with_the_commit_of_another_process(postgres_url: str) -> None:
    async with (
        opened(postgres_url, poll_interval=timedelta(milliseconds=5)) as one,
        opened(postgres_url, poll_interval=NEVER) as two,
    ):
        await two.log.append(begin(RUN))
        assert await one.log.wait_past("default", 0, timeout=5) is True
        waiting = asyncio.create_task(one.log.wait_past("default", 1, timeout=5))
        await asyncio.sleep(0)
        await two.log.append(go_on(RUN, after=1))

        assert await asyncio.wait_for(waiting, 4) is True


async def test_all_who_wait_share_one_question(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(postgres_url, poll_interval=timedelta(milliseconds=5)) as storage:
        asked: list[list[str]] = []
        reader = storage._reader
        assert reader is not None
        rows = reader.rows

        async def counted(statement: Any, **values: Any) -> list[tuple[Any, ...]]:
            if "namespaces" in values:
                asked.append(sorted(values["namespaces"]))
            return await rows(statement, **values)

        monkeypatch.setattr(reader, "rows", counted)
        async with asyncio.TaskGroup() as waiting:
            for number in range(100):
                waiting.create_task(storage.log.wait_past(f"n{number % 4}", 0, timeout=0.1))

        assert 1 <= len(asked) <= 21
        assert asked[0] == ["n0", "n1", "n2", "n3"]
        assert storage.log._heads.waited_for == (), "nobody waits, so nobody asks"


async def test_a_process_that_listens_is_told_at_once(postgres_url: str) -> None:
    settings = {"direct_url": postgres_url, "notify": True, "poll_interval": NEVER}
    async with opened(postgres_url, **settings) as one, opened(postgres_url, **settings) as two:
        await until_told(one)
        waiting = asyncio.create_task(one.log.wait_past("default", 0, timeout=5))
        await asyncio.sleep(0)
        await two.log.append(begin(RUN))

        assert await asyncio.wait_for(waiting, 4) is True


async def test_a_process_that_listens_hears_of_letters_at_once(postgres_url: str) -> None:
    settings = {"direct_url": postgres_url, "notify": True, "poll_interval": NEVER}
    async with opened(postgres_url, **settings) as one, opened(postgres_url, **settings) as two:
        await one.log.append(begin(RUN, owner="one"))
        await until_told(one)
        while await one.inbox.wait(timeout=0.05):
            pass  # what rang until now
        waiting = asyncio.create_task(one.inbox.wait(timeout=5))
        await asyncio.sleep(0)
        await two.inbox.send("default", letter())

        assert await asyncio.wait_for(waiting, 4) is True
        assert len(await one.inbox.fetch("one", limit=9)) == 1


async def test_telling_is_switched_on_and_off_while_the_store_is_open(postgres_url: str) -> None:
    settings = {"direct_url": postgres_url, "poll_interval": NEVER}
    async with opened(postgres_url, **settings) as one, opened(postgres_url, **settings) as two:
        await two.log.append(begin(RUN))
        for storage in (one, two):
            storage.notify(True)
        await until_told(one)
        waiting = asyncio.create_task(one.log.wait_past("default", 1, timeout=5))
        await asyncio.sleep(0)
        await two.log.append(go_on(RUN, after=1))
        assert await asyncio.wait_for(waiting, 4) is True

        one.notify(False)
        await until_told(one, is_told=False)
        listening = "SELECT 1 FROM pg_stat_activity WHERE query = 'LISTEN stepwell'"
        async with asyncio.timeout(5):
            while len(await sql(postgres_url, listening)) > 1:
                await asyncio.sleep(0.01)


async def test_a_process_that_is_not_told_any_more_asks_again(postgres_url: str) -> None:
    port = port_of(postgres_url)
    async with running_proxy(port) as proxy:
        direct = postgres_url.replace(f":{port}/", f":{proxy.port}/")
        interval = timedelta(milliseconds=5)
        async with (
            opened(postgres_url, direct_url=direct, notify=True, poll_interval=interval) as one,
            opened(postgres_url) as two,
        ):
            await until_told(one)
            await proxy.refuse()
            await until_told(one, is_told=False)
            waiting = asyncio.create_task(one.log.wait_past("default", 0, timeout=5))
            await asyncio.sleep(0)
            await two.log.append(begin(RUN))

            assert await asyncio.wait_for(waiting, 4) is True


async def test_nobody_can_be_told_through_a_pooler(postgres_url: str) -> None:
    with pytest.raises(BadUrl, match="direct_url"):
        PostgresStorage(postgres_url, notify=True)
    async with opened(postgres_url) as storage:
        with pytest.raises(BadUrl, match="direct_url"):
            storage.notify(True)


async def until_told(storage: PostgresStorage, *, is_told: bool = True) -> None:
    watch = storage._watch
    assert watch is not None
    async with asyncio.timeout(5):
        while watch.is_told is not is_told:
            await asyncio.sleep(0.001)


# --- a pooler ---------------------------------------------------------------------------------


@pytest.mark.skipif(not is_installed(), reason="there is no pgbouncer on this machine")
async def test_everything_works_behind_a_pooler_that_shares_sessions(postgres_url: str) -> None:
    server = port_of(postgres_url)
    async with running_pgbouncer(server) as port:
        pooled = postgres_url.replace(f":{server}/", f":{port}/")
        interval = timedelta(milliseconds=5)
        async with (
            opened(pooled, poll_interval=interval) as one,
            opened(pooled, poll_interval=interval, direct_url=postgres_url, notify=True) as two,
        ):
            waiting = asyncio.create_task(one.log.wait_past("default", 0, timeout=5))

            async def work(storage: PostgresStorage, number: int) -> None:
                run = f"01890000-0000-7000-8000-{number:012x}"
                blob = Blob("d", 1, b"x")
                await storage.log.append(begin(run, request=run, blobs=(blob,)))
                for after in range(1, 31, 3):
                    stale = storage.log.append(go_on(run, after=after, epoch=9))
                    await storage.log.append(go_on(run, after=after, count=3))
                    assert await outcome(stale) is Fenced
                    assert len(await storage.log.read("default", run)) == after + 3
                assert await storage.blobs.get("default", run, ["d"]) == {"d": blob}

            await asyncio.gather(*(work((one, two)[number % 2], number) for number in range(40)))

            assert await waiting is True
            assert len(await two.claims.claim("two", now=1000, expires_at=1, limit=99)) == 40
            logged = await one.log.read_log("default", after=0, limit=2000)
            assert [it.position for it in logged] == list(range(1, 40 * 31 + 1))
            await one.ping()
        # What a transaction set for itself stayed with it.
        assert await sql(pooled, "SHOW lock_timeout") == [("0",)]
