"""What every log promises."""

import asyncio
from itertools import product

import pytest
from msgspec.structs import replace
from tests.contract.appends import OTHER, RUN, THIRD, begin, go_on, outcome, records, written

from stepwell_storage.errors import Conflict, Duplicate, Fenced, Unavailable
from stepwell_storage.ports import Storage
from stepwell_storage.records import Blob, Head, Logged, Record

pytestmark = pytest.mark.anyio


async def test_records_are_read_back_as_they_were_written(storage: Storage) -> None:
    await storage.log.append(begin(count=2))
    await storage.log.append(go_on(after=2, count=3))

    assert await storage.log.read("default", RUN) == list(records(1, 5))
    assert await storage.log.read("default", RUN, after=3) == list(records(4, 2))
    assert await storage.log.read("default", RUN, after=1, limit=2) == list(records(2, 2))
    assert await storage.log.read("default", OTHER) == []
    assert await storage.log.read("default", "no run id") == []


async def test_bodies_and_kinds_are_opaque(storage: Storage) -> None:
    bodies = (
        b'{ "a" : [1, {"b": "]},{"}], "c":"\\"\\u0000" }',
        b"{}",
        '{"größe":"🪣\u2028","big":1e400,"twice":1,"twice":2}'.encode(),
        b'{"long":"' + b"x" * 100_000 + b'"}',
        b"[[],[ ]]",
        b"null",
    )
    strange = tuple(
        Record(sequence, f"größe-🪣-{sequence}", "user:o'hara", body)
        for sequence, body in enumerate(bodies, 1)
    )
    await storage.log.append(written(*strange))

    assert await storage.log.read("default", RUN) == list(strange)


async def test_a_page_may_begin_and_end_anywhere_in_what_was_appended_together(
    storage: Storage,
) -> None:
    everything = records(1, 12)
    await storage.log.append(written(*everything[:5]))
    await storage.log.append(begin(OTHER, count=4))
    await storage.log.append(go_on(after=5))
    await storage.log.append(go_on(after=6, count=6))
    logged = await storage.log.read_log("default", after=0)
    assert [(it.run, it.position) for it in logged] == [
        *((RUN, position) for position in range(1, 6)),
        *((OTHER, position) for position in range(6, 10)),
        *((RUN, position) for position in range(10, 17)),
    ]
    of_run = [it for it in logged if it.run == RUN]
    assert [it.record for it in of_run] == list(everything)

    for after, limit in product(range(18), range(18)):
        assert await storage.log.read("default", RUN, after=after, limit=limit) == list(
            everything[after : after + limit]
        )
        assert (
            await storage.log.read_log("default", after=after, limit=limit)
            == logged[after : after + limit]
        )
        assert (
            await storage.log.read_log("default", after=after, limit=limit, run=RUN)
            == [it for it in of_run if it.position > after][:limit]
        )


async def test_events_of_several_principals_in_one_append_keep_their_own(
    storage: Storage,
) -> None:
    who = ["user:ann", "user:ann", "agent:local", "user:ann", "user:bob", "user:bob"]
    mixed = tuple(
        Record(sequence, f"kind_{sequence}", principal, b"{}")
        for sequence, principal in enumerate(who, 1)
    )
    await storage.log.append(written(*mixed))

    assert await storage.log.read("default", RUN) == list(mixed)
    assert await storage.log.read("default", RUN, after=1, limit=4) == list(mixed[1:5])


async def test_a_large_append_is_read_page_by_page(storage: Storage) -> None:
    small = records(1, 1000)
    large = tuple(
        Record(sequence, "custom", "agent:local", b'{"x":"%s"}' % (b"y" * (sequence % 7) * 5000))
        for sequence in range(1001, 1101)
    )
    await storage.log.append(written(*small, *large))

    read: list[Record] = []
    while page := await storage.log.read("default", RUN, after=len(read), limit=130):
        assert len(page) == min(130, 1100 - len(read))
        read += page
    assert read == [*small, *large]

    logged: list[Logged] = []
    while page_of_log := await storage.log.read_log("default", after=len(logged), limit=130):
        assert len(page_of_log) == min(130, 1100 - len(logged))
        logged += page_of_log
    assert [it.record for it in logged] == read
    assert [it.position for it in logged] == list(range(1, 1101))


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


async def test_an_append_that_is_repeated_exactly_is_answered_as_the_first_time(
    storage: Storage,
) -> None:
    """Whoever lost the answer to a commit cannot know more than that."""
    ended = Head("completed", 200, ended_at=200)
    blob = Blob("d", 1, b"x")
    for append in (
        begin(count=2, request="r", blobs=(blob,)),
        go_on(after=2, count=3, blobs=(blob,)),
        go_on(after=5, head=ended),
    ):
        first = await storage.log.append(append)
        assert await storage.log.append(append) == first
        together = storage.log.append(append), storage.log.append(append)
        assert list(await asyncio.gather(*together)) == [first, first]

    assert await storage.log.read("default", RUN) == list(records(1, 6))
    assert await storage.log.last_position("default") == 6
    assert (await storage.runs.get("default", RUN)).ended_at == 200


async def test_an_append_is_repeated_in_the_group_of_the_first_and_of_others(
    storage: Storage,
) -> None:
    queued = [
        storage.log.append(begin(request="r")),
        storage.log.append(begin(request="r")),
        storage.log.append(begin(OTHER)),
        storage.log.append(go_on(after=1, count=2)),
        storage.log.append(go_on(after=1, count=2)),
        storage.log.append(go_on(OTHER, after=1)),
    ]

    assert await asyncio.gather(*queued) == [1, 1, 2, 4, 4, 5]
    assert await storage.log.read("default", RUN) == list(records(1, 3))


async def test_what_only_resembles_the_last_append_is_refused(storage: Storage) -> None:
    await storage.log.append(begin(request="r"))
    await storage.log.append(go_on(after=1, count=2))

    other = Record(3, "custom", "agent:local", b"{}")
    resembling = replace(go_on(after=1, count=2), records=(*records(2), other))
    assert await outcome(storage.log.append(resembling)) is Conflict
    assert await outcome(storage.log.append(go_on(after=1, count=2, epoch=2))) is Fenced
    assert await outcome(storage.log.append(begin(request="r"))) is Duplicate
    assert await outcome(storage.log.append(begin())) is Conflict
    assert await storage.log.read("default", RUN) == list(records(1, 3))

    await storage.log.append(begin(OTHER, owner="one"))
    assert await outcome(storage.log.append(begin(OTHER, owner="two"))) is Conflict


async def test_an_append_is_not_repeated_for_an_owner_that_lost_the_run(storage: Storage) -> None:
    await storage.log.append(begin(expires_at=0))
    await storage.log.append(go_on(after=1))
    await storage.claims.claim("two", now=10, expires_at=20, limit=9)

    assert await outcome(storage.log.append(go_on(after=1))) is Fenced


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
        await storage.log.append(go_on(after=0))
    other = (Record(2, "custom", "agent:local", b"{}"),)
    with pytest.raises(Conflict):
        await storage.log.append(replace(go_on(after=1), records=other))


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
