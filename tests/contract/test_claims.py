"""What every store promises of its leases."""

import pytest
from tests.contract.appends import OTHER, RUN, THIRD, begin, go_on

from stepwell_storage.errors import Fenced, Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import Head, Lease

pytestmark = pytest.mark.anyio


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


async def test_a_claim_of_what_is_free_leaves_alone_what_anybody_holds(storage: Storage) -> None:
    await storage.log.append(begin(RUN, owner="one", expires_at=100))
    await storage.log.append(begin(OTHER, owner="two", expires_at=100))
    await storage.claims.release("two", now=100)

    free = await storage.claims.claim("three", now=500, expires_at=900, limit=9, only_free=True)
    assert free == [Lease("default", OTHER, 2)]
    assert await storage.claims.claim("three", now=500, expires_at=900, limit=9) == [
        Lease("default", RUN, 2)
    ]


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


async def test_who_is_alone_evicts_all_others_and_may_claim_at_once(storage: Storage) -> None:
    await storage.log.append(begin(RUN, owner="one", expires_at=9000))
    await storage.log.append(begin(OTHER, owner="two", expires_at=9000))

    assert await storage.claims.evict("two", now=500) == 1
    assert await storage.claims.claim("two", now=500, expires_at=900, limit=9) == [
        Lease("default", RUN, 2)
    ]
    assert await storage.claims.evict("two", now=500) == 0


async def test_a_process_finds_out_what_it_holds(storage: Storage) -> None:
    await storage.log.append(begin(owner="one"))
    await storage.log.append(begin(OTHER, owner="two"))
    assert await storage.claims.held("one") == [Lease("default", RUN, 1)]
    await storage.claims.claim("two", now=10_000_000, expires_at=20_000_000, limit=9)
    assert await storage.claims.held("one") == []
    held = await storage.claims.held("two")
    assert {(it.run, it.epoch) for it in held} == {(RUN, 2), (OTHER, 1)}
    await storage.claims.release("two", now=0)
    assert await storage.claims.held("two") == []


async def test_the_last_lease_of_a_run_is_told_after_its_end_as_well(storage: Storage) -> None:
    await storage.log.append(begin(expires_at=0))
    await storage.claims.claim("two", now=500, expires_at=900, limit=9)
    await storage.log.append(go_on(after=1, epoch=2, head=Head("completed", 9, ended_at=9)))

    assert await storage.claims.last("default", RUN) == Lease("default", RUN, 2)
    with pytest.raises(Missing):
        await storage.claims.last("elsewhere", RUN)
