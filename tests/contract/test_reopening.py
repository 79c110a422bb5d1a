"""What every store promises of a run that goes on after its end."""

import pytest
from tests.contract.appends import OTHER, RUN, begin, end, go_on, outcome, records, reopen

from stepwell_storage.errors import Conflict, Fenced
from stepwell_storage.ports import Storage
from stepwell_storage.records import Lease

pytestmark = pytest.mark.anyio


async def test_a_run_that_ended_goes_on_in_the_next_epoch(storage: Storage) -> None:
    await storage.log.append(begin())
    await storage.log.append(end(after=1))
    await storage.log.append(reopen(after=2, owner="two", expires_at=900))

    row = await storage.runs.get("default", RUN)
    assert (row.status, row.updated_at, row.ended_at) == ("running", 300, None)
    with pytest.raises(Fenced):
        await storage.log.append(go_on(after=3, epoch=1))
    await storage.log.append(go_on(after=3, epoch=2))
    assert await storage.log.read("default", RUN) == list(records(1, 4))
    assert await storage.claims.claim("three", now=899, expires_at=2000, limit=9) == []
    assert await storage.claims.heartbeat("two", expires_at=950) == 1
    assert await storage.claims.claim("three", now=950, expires_at=2000, limit=9) == [
        Lease("default", RUN, 3)
    ]


async def test_only_a_run_that_has_ended_is_reopened(storage: Storage) -> None:
    await storage.log.append(begin())
    with pytest.raises(Fenced):
        await storage.log.append(reopen(after=1))
    with pytest.raises(Fenced):
        await storage.log.append(reopen(OTHER, after=1))

    await storage.log.append(end(after=1))
    with pytest.raises(Fenced):
        await storage.log.append(reopen(after=2, epoch=2))
    with pytest.raises(Conflict):
        await storage.log.append(reopen(after=0))
    assert (await storage.runs.get("default", RUN)).ended_at == 200


async def test_of_two_who_reopen_a_run_one_does(storage: Storage) -> None:
    await storage.log.append(begin())
    await storage.log.append(end(after=1))
    queued = [storage.log.append(reopen(after=2, owner=owner)) for owner in ("one", "two")]

    assert [await outcome(future) for future in queued] == [3, Fenced]


async def test_a_reopening_that_is_repeated_is_answered_as_the_first_time(
    storage: Storage,
) -> None:
    await storage.log.append(begin())
    await storage.log.append(end(after=1))

    assert await storage.log.append(reopen(after=2)) == 3
    assert await storage.log.append(reopen(after=2)) == 3
    assert await storage.log.append(go_on(after=3, epoch=2)) == 4


async def test_a_run_may_end_go_on_and_end_in_one_group(storage: Storage) -> None:
    queued = [
        storage.log.append(begin()),
        storage.log.append(end(after=1)),
        storage.log.append(reopen(after=2)),
        storage.log.append(go_on(after=3, epoch=2)),
        storage.log.append(end(after=4, epoch=2, at=400)),
        storage.log.append(go_on(after=5, epoch=2)),
    ]

    assert [await outcome(future) for future in queued] == [1, 2, 3, 4, 5, Fenced]
    assert (await storage.runs.get("default", RUN)).ended_at == 400
    assert await storage.claims.claim("two", now=5000, expires_at=9000, limit=9) == []


async def test_what_follows_a_reopening_in_its_group_is_in_the_new_epoch(storage: Storage) -> None:
    await storage.log.append(begin())
    await storage.log.append(end(after=1))
    queued = [
        storage.log.append(reopen(after=2)),
        storage.log.append(go_on(after=3, epoch=2)),
        storage.log.append(go_on(after=4, epoch=1)),
    ]

    assert [await outcome(future) for future in queued] == [3, 4, Fenced]
