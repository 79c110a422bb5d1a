"""What every store promises: one suite, run for each adapter."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stepwell_storage.errors import (
    Conflict,
    Duplicate,
    Exists,
    Fenced,
    Missing,
    StorageError,
    Unavailable,
)
from stepwell_storage.memory import MemoryStorage
from stepwell_storage.ports import Storage
from stepwell_storage.records import (
    Append,
    Blob,
    DatasourceRow,
    DefinitionRow,
    Head,
    Lease,
    Logged,
    NewRun,
    Record,
    RunRow,
)
from stepwell_storage.sql.sqlite import SqliteStorage

pytestmark = pytest.mark.anyio

RUN, OTHER, THIRD = (f"01890000-0000-7000-8000-{n:012x}" for n in (1, 2, 3))


@pytest.fixture(params=["memory", "sqlite"])
async def storage(
    request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str
) -> AsyncIterator[Storage]:
    made: Storage = (
        MemoryStorage() if request.param == "memory" else SqliteStorage(tmp_path / "runs.db")
    )
    await made.open()
    yield made
    await made.close()


def records(first: int, count: int = 1, kind: str = "custom") -> tuple[Record, ...]:
    return tuple(
        Record(sequence, kind, "agent:local", b"body %d" % sequence)
        for sequence in range(first, first + count)
    )


def begin(
    run: str = RUN,
    *,
    count: int = 1,
    namespace: str = "default",
    workflow: str = "w",
    at: int = 100,
    owner: str = "one",
    expires_at: int = 1000,
    request: str | None = None,
    digest: str = "",
    principal: str = "agent:local",
    blobs: tuple[Blob, ...] = (),
    head: Head | None = None,
) -> Append:
    new = NewRun(
        workflow=workflow,
        version="v1",
        principal=principal,
        created_at=at,
        owner=owner,
        lease_expires_at=expires_at,
        labels={"team": "shop"},
        request_id=request,
        request_digest=digest,
    )
    head = head or Head("running", at)
    return Append(namespace, run, 1, 0, records(1, count), blobs, head, new)


def go_on(
    run: str = RUN,
    *,
    after: int,
    count: int = 1,
    epoch: int = 1,
    namespace: str = "default",
    head: Head | None = None,
    blobs: tuple[Blob, ...] = (),
) -> Append:
    return Append(namespace, run, epoch, after, records(after + 1, count), blobs, head)


async def outcome(future: asyncio.Future[int]) -> object:
    try:
        return await future
    except StorageError as error:
        return type(error)


# --- the log --------------------------------------------------------------------------------


async def test_records_are_read_back_as_they_were_written(storage: Storage) -> None:
    await storage.log.append(begin(count=2))
    await storage.log.append(go_on(after=2, count=3))

    assert await storage.log.read("default", RUN) == list(records(1, 5))
    assert await storage.log.read("default", RUN, after=3) == list(records(4, 2))
    assert await storage.log.read("default", RUN, after=1, limit=2) == list(records(2, 2))
    assert await storage.log.read("default", OTHER) == []
    assert await storage.log.read("default", "no run id") == []


async def test_bodies_and_kinds_are_opaque(storage: Storage) -> None:
    strange = Record(1, "größe 🪣", "user:o'hara", bytes(range(256)) * 100)
    appended = begin()
    await storage.log.append(
        Append("default", RUN, 1, 0, (strange,), (), appended.head, appended.new)
    )

    assert await storage.log.read("default", RUN) == [strange]


async def test_the_result_is_the_position_of_the_last_record(storage: Storage) -> None:
    assert await storage.log.append(begin(count=2)) == 2
    assert await storage.log.append(begin(OTHER)) == 3
    assert await storage.log.append(go_on(after=2, count=2)) == 5
    assert await storage.log.last_position("default") == 5


async def test_positions_follow_the_order_of_commits_over_all_runs(storage: Storage) -> None:
    await storage.log.append(begin(count=2))
    await storage.log.append(begin(OTHER))
    await storage.log.append(go_on(after=2))

    expected = [
        Logged(RUN, 1, records(1)[0]),
        Logged(RUN, 2, records(2)[0]),
        Logged(OTHER, 3, records(1)[0]),
        Logged(RUN, 4, records(3)[0]),
    ]
    assert await storage.log.read_log("default", after=0) == expected
    assert await storage.log.read_log("default", after=1, limit=2) == expected[1:3]
    assert await storage.log.read_log("default", after=4) == []
    assert await storage.log.read_log("default", after=1, run=RUN) == [expected[1], expected[3]]
    assert await storage.log.read_log("default", after=0, limit=1, run=OTHER) == [expected[2]]
    assert await storage.log.read_log("default", after=0, run=THIRD) == []


async def test_an_empty_log_ends_at_nothing(storage: Storage) -> None:
    assert await storage.log.last_position("default") == 0
    assert await storage.log.read_log("default", after=0) == []


async def test_appends_are_committed_in_the_order_in_which_they_were_queued(
    storage: Storage,
) -> None:
    queued = [storage.log.append(begin())]
    queued += [storage.log.append(go_on(after=after)) for after in range(1, 300)]

    assert await asyncio.gather(*queued) == list(range(1, 301))
    assert await storage.log.read("default", RUN, limit=300) == list(records(1, 300))


async def test_a_refused_append_does_not_fail_its_neighbours(storage: Storage) -> None:
    await storage.log.append(begin(request="a"))
    queued = [
        storage.log.append(begin(OTHER)),
        storage.log.append(go_on(after=1, epoch=2)),
        storage.log.append(go_on(after=1, count=2)),
        storage.log.append(go_on(after=1)),
        storage.log.append(begin(THIRD, request="a")),
        storage.log.append(begin(THIRD)),
        storage.log.append(go_on(OTHER, after=1)),
    ]

    outcomes = [await outcome(future) for future in queued]

    assert outcomes == [2, Fenced, 4, Conflict, Duplicate, 5, 6]
    assert await storage.log.last_position("default") == 6
    assert await storage.log.read("default", RUN) == list(records(1, 3))


async def test_an_append_is_written_as_a_whole_or_not_at_all(storage: Storage) -> None:
    await storage.log.append(begin())
    refused = go_on(
        after=1, count=3, epoch=7, head=Head("completed", 200, 200), blobs=(Blob("d", 1, b"x"),)
    )

    assert await outcome(storage.log.append(refused)) is Fenced
    assert await storage.log.read("default", RUN) == list(records(1))
    assert await storage.blobs.get("default", RUN, ["d"]) == {}
    assert (await storage.runs.get("default", RUN)).status == "running"


async def test_an_append_that_leaves_a_gap_or_writes_over_is_a_conflict(storage: Storage) -> None:
    await storage.log.append(begin(count=2))

    with pytest.raises(Conflict):
        await storage.log.append(go_on(after=3))
    with pytest.raises(Conflict):
        await storage.log.append(go_on(after=1))


async def test_a_run_is_begun_once(storage: Storage) -> None:
    await storage.log.append(begin())

    with pytest.raises(Conflict):
        await storage.log.append(begin(count=2))
    assert await storage.log.read("default", RUN) == list(records(1))


async def test_a_run_that_was_never_begun_has_no_lease(storage: Storage) -> None:
    with pytest.raises(Fenced):
        await storage.log.append(go_on(after=0))
    assert await storage.log.last_position("default") == 0


async def test_nothing_follows_the_end_of_a_run(storage: Storage) -> None:
    await storage.log.append(begin())
    await storage.log.append(go_on(after=1, head=Head("completed", 200, ended_at=200)))

    with pytest.raises(Fenced):
        await storage.log.append(go_on(after=2))


async def test_nothing_follows_the_end_of_a_run_in_the_same_group(storage: Storage) -> None:
    ended = Head("completed", 200, ended_at=200)
    queued = [
        storage.log.append(begin()),
        storage.log.append(go_on(after=1, head=ended)),
        storage.log.append(go_on(after=2)),
        storage.log.append(begin(OTHER, head=ended)),
        storage.log.append(go_on(OTHER, after=1)),
    ]

    outcomes = [await outcome(future) for future in queued]

    assert outcomes == [1, 2, Fenced, 3, Fenced]
    assert (await storage.runs.get("default", OTHER)).ended_at == 200
    assert await storage.claims.claim("two", now=10_000, expires_at=20_000, limit=9) == []


async def test_a_request_id_begins_one_run(storage: Storage) -> None:
    await storage.log.append(begin(request="r-1", digest="same"))

    with pytest.raises(Duplicate) as caught:
        await storage.log.append(begin(OTHER, request="r-1", digest="other"))
    assert (caught.value.run, caught.value.digest) == (RUN, "same")
    assert await storage.log.read("default", OTHER) == []


async def test_a_request_id_belongs_to_its_principal(storage: Storage) -> None:
    await storage.log.append(begin(request="r-1"))
    await storage.log.append(begin(OTHER, request="r-1", principal="user:ann"))
    await storage.log.append(begin(THIRD, request="r-2"))

    assert len(await storage.runs.list("default", limit=9)) == 3


async def test_of_two_requests_in_one_group_the_first_begins_the_run(storage: Storage) -> None:
    first = storage.log.append(begin(request="r-1"))
    second = storage.log.append(begin(OTHER, request="r-1"))

    assert await first == 1
    with pytest.raises(Duplicate) as caught:
        await second
    assert caught.value.run == RUN


async def test_a_cancelled_wait_does_not_take_back_what_is_queued(storage: Storage) -> None:
    first = storage.log.append(begin())
    first.cancel()
    await storage.log.append(go_on(after=1))

    assert await storage.log.read("default", RUN) == list(records(1, 2))


async def test_many_tasks_append_at_once_and_no_number_is_missing(storage: Storage) -> None:
    names = [f"01890000-0000-7000-8000-{n:012x}" for n in range(100)]

    async def work(run: str) -> None:
        await storage.log.append(begin(run))
        for after in range(1, 13, 3):
            await storage.log.append(go_on(run, after=after, count=3))

    await asyncio.gather(*(work(run) for run in names))

    for run in names:
        assert await storage.log.read("default", run) == list(records(1, 13))
    logged = await storage.log.read_log("default", after=0, limit=2000)
    assert [it.position for it in logged] == list(range(1, 1301))


async def test_what_is_queued_when_the_store_closes_is_committed(storage: Storage) -> None:
    future = storage.log.append(begin())
    await storage.close()

    assert await future == 1


async def test_a_closed_store_refuses_appends(storage: Storage) -> None:
    await storage.close()

    with pytest.raises(Unavailable):
        await storage.log.append(begin())


# --- waiting --------------------------------------------------------------------------------


async def test_a_wait_ends_with_the_next_commit(storage: Storage) -> None:
    await storage.log.append(begin())
    waiting = asyncio.create_task(storage.log.wait_past("default", 1, timeout=5))
    await asyncio.sleep(0)
    await storage.log.append(go_on(after=1))

    assert await waiting is True


async def test_a_wait_for_what_is_there_already_ends_at_once(storage: Storage) -> None:
    await storage.log.append(begin())

    assert await storage.log.wait_past("default", 0, timeout=5) is True


async def test_a_wait_in_vain_ends_with_its_time(storage: Storage) -> None:
    await storage.log.append(begin())
    await storage.log.append(begin(namespace="elsewhere"))

    assert await storage.log.wait_past("default", 1, timeout=0.01) is False
    assert await storage.log.wait_past("nowhere", 0, timeout=0.01) is False


async def test_everyone_who_waits_is_woken(storage: Storage) -> None:
    waiting = [
        asyncio.create_task(storage.log.wait_past("default", 0, timeout=5)) for _ in range(3)
    ]
    await asyncio.sleep(0)
    await storage.log.append(begin())

    assert await asyncio.gather(*waiting) == [True, True, True]


# --- claims ---------------------------------------------------------------------------------


async def test_an_expired_lease_is_claimed_with_the_next_epoch(storage: Storage) -> None:
    await storage.log.append(begin(expires_at=1000))

    assert await storage.claims.claim("two", now=999, expires_at=2000, limit=9) == []
    assert await storage.claims.claim("two", now=1000, expires_at=2000, limit=9) == [
        Lease("default", RUN, 2)
    ]
    assert await storage.claims.claim("three", now=1999, expires_at=3000, limit=9) == []
    assert await storage.claims.claim("three", now=2000, expires_at=3000, limit=9) == [
        Lease("default", RUN, 3)
    ]


async def test_the_owner_before_is_fenced_off(storage: Storage) -> None:
    await storage.log.append(begin(expires_at=1000))
    [lease] = await storage.claims.claim("two", now=1000, expires_at=2000, limit=9)

    with pytest.raises(Fenced):
        await storage.log.append(go_on(after=1, epoch=1))
    assert await storage.log.append(go_on(after=1, epoch=lease.epoch)) == 2


async def test_a_late_owner_may_write_until_somebody_claims(storage: Storage) -> None:
    await storage.log.append(begin(expires_at=0))

    assert await storage.log.append(go_on(after=1)) == 2


async def test_the_longest_expired_are_claimed_first(storage: Storage) -> None:
    await storage.log.append(begin(RUN, expires_at=300))
    await storage.log.append(begin(OTHER, expires_at=100))
    await storage.log.append(begin(THIRD, expires_at=200, namespace="elsewhere"))

    assert await storage.claims.claim("two", now=500, expires_at=900, limit=2) == [
        Lease("default", OTHER, 2),
        Lease("elsewhere", THIRD, 2),
    ]
    assert await storage.claims.claim("three", now=500, expires_at=900, limit=2) == [
        Lease("default", RUN, 2)
    ]


async def test_a_claim_leaves_alone_what_the_owner_holds_itself(storage: Storage) -> None:
    await storage.log.append(begin(owner="one", expires_at=0))

    assert await storage.claims.claim("one", now=500, expires_at=900, limit=9) == []


async def test_a_heartbeat_extends_every_lease_of_its_owner(storage: Storage) -> None:
    await storage.log.append(begin(RUN, owner="one", expires_at=100))
    await storage.log.append(begin(OTHER, owner="one", expires_at=100))
    await storage.log.append(begin(THIRD, owner="two", expires_at=100))

    assert await storage.claims.heartbeat("one", expires_at=900) == 2
    assert await storage.claims.claim("three", now=500, expires_at=900, limit=9) == [
        Lease("default", THIRD, 2)
    ]


async def test_a_released_lease_may_be_claimed_at_once_by_anybody(storage: Storage) -> None:
    await storage.log.append(begin(owner="one", expires_at=1000))
    await storage.log.append(begin(OTHER, owner="two", expires_at=1000))

    assert await storage.claims.release("one", now=50) == 1
    assert await storage.claims.heartbeat("one", expires_at=5000) == 0
    assert await storage.claims.claim("one", now=50, expires_at=900, limit=9) == [
        Lease("default", RUN, 2)
    ]


async def test_an_ended_run_is_never_claimed_and_has_no_heartbeat(storage: Storage) -> None:
    await storage.log.append(begin(expires_at=0))
    await storage.log.append(go_on(after=1, head=Head("failed", 200, ended_at=200)))

    assert await storage.claims.heartbeat("one", expires_at=10) == 0
    assert await storage.claims.release("one", now=10) == 0
    assert await storage.claims.claim("two", now=2**62, expires_at=2**62, limit=9) == []


# --- blobs ----------------------------------------------------------------------------------


async def test_blobs_are_kept_with_their_run(storage: Storage) -> None:
    plain = Blob("sha256:a", 5, b"plain")
    sealed = Blob("sha256:b", 6, b"\x00sealed"[:6], label="datasource:shop", key_id="k1")
    await storage.log.append(begin(blobs=(plain,)))
    await storage.log.append(go_on(after=1, blobs=(plain, sealed)))
    await storage.log.append(begin(OTHER))

    found = await storage.blobs.get("default", RUN, ["sha256:a", "sha256:b", "sha256:c"])
    assert found == {"sha256:a": plain, "sha256:b": sealed}
    assert await storage.blobs.get("default", OTHER, ["sha256:a"]) == {}
    assert await storage.blobs.get("default", RUN, []) == {}


async def test_a_blob_that_is_there_is_left_as_it_is(storage: Storage) -> None:
    first, second = Blob("d", 1, b"x", label="first"), Blob("d", 1, b"x", label="second")
    await storage.log.append(begin(blobs=(first, second)))
    await storage.log.append(go_on(after=1, blobs=(second,)))

    assert await storage.blobs.get("default", RUN, ["d"]) == {"d": first}


async def test_many_blobs_are_fetched_at_once(storage: Storage) -> None:
    blobs = tuple(Blob(f"d{n}", 1, b"%d" % n) for n in range(1200))
    await storage.log.append(begin(blobs=blobs))

    found = await storage.blobs.get("default", RUN, [blob.digest for blob in blobs])
    assert found == {blob.digest: blob for blob in blobs}


# --- runs -----------------------------------------------------------------------------------


async def test_a_run_shows_its_last_head(storage: Storage) -> None:
    await storage.log.append(begin(at=100))
    begun = RunRow(
        namespace="default",
        run=RUN,
        workflow="w",
        version="v1",
        principal="agent:local",
        status="running",
        created_at=100,
        updated_at=100,
        ended_at=None,
        labels={"team": "shop"},
        detail=b"",
    )
    assert await storage.runs.get("default", RUN) == begun

    queued = [
        storage.log.append(go_on(after=1)),
        storage.log.append(go_on(after=2, head=Head("waiting", 150))),
        storage.log.append(go_on(after=3, head=Head("completed", 200, 200, b"out"))),
    ]
    await asyncio.gather(*queued)
    ended = RunRow(
        namespace="default",
        run=RUN,
        workflow="w",
        version="v1",
        principal="agent:local",
        status="completed",
        created_at=100,
        updated_at=200,
        ended_at=200,
        labels={"team": "shop"},
        detail=b"out",
    )
    assert await storage.runs.get("default", RUN) == ended


async def test_a_run_that_is_not_there_is_missing(storage: Storage) -> None:
    for run in (RUN, "no run id", ""):
        with pytest.raises(Missing):
            await storage.runs.get("default", run)


async def test_runs_are_listed_newest_first_page_by_page(storage: Storage) -> None:
    runs = [f"01890000-0000-7000-8000-{n:012x}" for n in range(10)]
    for n, run in enumerate(runs):
        await storage.log.append(begin(run, at=100 + n // 3))

    first = await storage.runs.list("default", limit=4)
    await storage.log.append(begin("01890000-0000-7000-8000-ffffffffffff", at=999))
    before = first[-1].created_at, first[-1].run
    second = await storage.runs.list("default", limit=4, before=before)
    before = second[-1].created_at, second[-1].run
    third = await storage.runs.list("default", limit=4, before=before)

    assert [row.run for row in (*first, *second, *third)] == runs[::-1]


async def test_runs_are_listed_by_status_and_workflow(storage: Storage) -> None:
    await storage.log.append(begin(RUN, workflow="a", at=1))
    await storage.log.append(begin(OTHER, workflow="b", at=2))
    await storage.log.append(begin(THIRD, workflow="a", at=3, head=Head("completed", 3, 3)))

    async def listed(**wanted: str) -> list[str]:
        return [row.run for row in await storage.runs.list("default", limit=9, **wanted)]  # type: ignore[arg-type]

    assert await listed(workflow="a") == [THIRD, RUN]
    assert await listed(status="running") == [OTHER, RUN]
    assert await listed(workflow="a", status="running") == [RUN]
    assert await listed(status="cancelled") == []


# --- definitions and datasources --------------------------------------------------------------


async def test_the_newest_version_is_the_one_put_last(storage: Storage) -> None:
    one = DefinitionRow("w", "v1", b"source 1", "user:ann", 1)
    two = DefinitionRow("w", "v2", b"source 2", "user:ann", 2)

    assert await storage.definitions.put("default", one) is True
    assert await storage.definitions.put("default", two) is True
    assert await storage.definitions.get("default", "w") == two
    assert await storage.definitions.get("default", "w", "v1") == one

    again = DefinitionRow("w", "v1", b"source 1", "user:bob", 3)
    assert await storage.definitions.put("default", again) is False
    assert await storage.definitions.get("default", "w") == one
    assert await storage.definitions.get("default", "w", "v2") == two


async def test_the_newest_versions_are_listed_by_name(storage: Storage) -> None:
    rows = [
        DefinitionRow("b", "v1", b"b", "user:ann", 1),
        DefinitionRow("a", "v1", b"old", "user:ann", 1),
        DefinitionRow("a", "v2", b"new", "user:ann", 2),
    ]
    for row in rows:
        await storage.definitions.put("default", row)

    assert await storage.definitions.list("default") == [rows[2], rows[0]]


async def test_a_definition_that_is_not_there_is_missing(storage: Storage) -> None:
    await storage.definitions.put("default", DefinitionRow("w", "v1", b"s", "user:ann", 1))

    for name, version in (("x", None), ("w", "v2"), ("x", "v1")):
        with pytest.raises(Missing):
            await storage.definitions.get("default", name, version)


async def test_datasources_come_and_go_by_name(storage: Storage) -> None:
    shop = DatasourceRow("shop", "sqlite:///shop.db", "user:ann", 1)
    bank = DatasourceRow("bank", "sqlite:///bank.db", "user:ann", 2)
    await storage.datasources.add("default", shop)
    await storage.datasources.add("default", bank)

    with pytest.raises(Exists):
        await storage.datasources.add("default", DatasourceRow("shop", "x", "user:bob", 3))
    assert await storage.datasources.list("default") == [bank, shop]
    assert await storage.datasources.get("default", "shop") == shop

    await storage.datasources.remove("default", "shop")
    assert await storage.datasources.list("default") == [bank]
    with pytest.raises(Missing):
        await storage.datasources.get("default", "shop")
    with pytest.raises(Missing):
        await storage.datasources.remove("default", "shop")


# --- the store ------------------------------------------------------------------------------


async def test_namespaces_never_see_each_other(storage: Storage) -> None:
    blob = Blob("d", 1, b"x")
    await storage.log.append(begin(RUN, namespace="a", count=2, request="r", blobs=(blob,)))
    await storage.definitions.put("a", DefinitionRow("w", "v1", b"s", "user:ann", 1))
    await storage.datasources.add("a", DatasourceRow("shop", "sqlite:///a.db", "user:ann", 1))

    assert await storage.log.read("b", RUN) == []
    assert await storage.log.read_log("b", after=0) == []
    assert await storage.log.read_log("b", after=0, run=RUN) == []
    assert await storage.log.last_position("b") == 0
    assert await storage.blobs.get("b", RUN, ["d"]) == {}
    assert await storage.runs.list("b", limit=9) == []
    assert await storage.definitions.list("b") == []
    assert await storage.datasources.list("b") == []
    with pytest.raises(Missing):
        await storage.runs.get("b", RUN)
    with pytest.raises(Missing):
        await storage.definitions.get("b", "w")
    with pytest.raises(Missing):
        await storage.datasources.get("b", "shop")
    with pytest.raises(Missing):
        await storage.datasources.remove("b", "shop")
    with pytest.raises(Fenced):
        await storage.log.append(go_on(RUN, namespace="b", after=2))

    # The same names mean other things there, and its log has positions of its own.
    assert await storage.log.append(begin(RUN, namespace="b", request="r")) == 1
    assert await storage.log.append(go_on(RUN, namespace="a", after=2)) == 3
    await storage.datasources.add("b", DatasourceRow("shop", "sqlite:///b.db", "user:bob", 1))
    assert (await storage.datasources.get("a", "shop")).principal == "user:ann"


async def test_a_store_that_can_be_used_answers_a_ping(storage: Storage) -> None:
    await storage.ping()
    await storage.ping()

    assert storage.id
    assert await storage.log.read_log("", after=0) == []
