"""What every store promises of runs that nobody holds while they wait."""

import asyncio

import pytest
from tests.contract.appends import OTHER, RUN, THIRD, begin, end, go_on, letter

from stepwell_storage.errors import Fenced
from stepwell_storage.ports import Storage
from stepwell_storage.records import Lease, Rest

pytestmark = pytest.mark.anyio


def rest(
    run: str = RUN,
    *,
    wake_at: int | None = None,
    namespace: str = "default",
    epoch: int = 1,
    sequence: int = 1,
) -> Rest:
    return Rest(namespace, run, epoch, sequence, wake_at)


async def claimed(storage: Storage, *, now: int, owner: str = "two") -> list[Lease]:
    return await storage.claims.claim(owner, now=now, expires_at=now + 100, limit=9)


async def test_a_parked_run_may_be_claimed_from_its_time_on(storage: Storage) -> None:
    await storage.log.append(begin())

    assert await storage.claims.park("one", [rest(wake_at=5000)]) == [rest(wake_at=5000)]
    assert await claimed(storage, now=4999) == []
    assert await claimed(storage, now=5000, owner="one") == [Lease("default", RUN, 2)]


async def test_a_run_parked_for_ever_is_not_claimed_for_its_time(storage: Storage) -> None:
    await storage.log.append(begin())
    await storage.claims.park("one", [rest()])

    assert await claimed(storage, now=2**62) == []


async def test_a_parked_run_has_no_heartbeat_and_is_not_released(storage: Storage) -> None:
    await storage.log.append(begin())
    await storage.claims.park("one", [rest(wake_at=5000)])

    assert await storage.claims.heartbeat("one", expires_at=9000) == 0
    assert await storage.claims.release("one", now=50) == 0
    assert await claimed(storage, now=5000) == [Lease("default", RUN, 2)]


async def test_nobody_writes_to_a_parked_run_until_somebody_claims_it(storage: Storage) -> None:
    """Else what its owner learns while it lets go of it would be known to nobody who goes on."""
    await storage.log.append(begin())
    await storage.claims.park("one", [rest(wake_at=5000)])

    for late in (go_on(after=1, epoch=1), end(after=1)):
        with pytest.raises(Fenced):
            await storage.log.append(late)
    await claimed(storage, now=5000)
    with pytest.raises(Fenced):
        await storage.log.append(go_on(after=1, epoch=1))
    await storage.log.append(go_on(after=1, epoch=2))


async def test_many_runs_are_parked_at_once(storage: Storage) -> None:
    runs = [f"01890000-0000-7000-8000-{n:012x}" for n in range(1200)]
    await asyncio.gather(*(storage.log.append(begin(run)) for run in runs))
    await storage.log.append(begin(RUN, namespace="elsewhere"))
    rests = [rest(run, wake_at=5000 + n % 3) for n, run in enumerate(runs)]
    rests.append(rest(RUN, namespace="elsewhere"))

    parked = await storage.claims.park("one", rests)
    assert sorted(parked, key=rests.index) == rests
    leases = await storage.claims.claim("two", now=5001, expires_at=9000, limit=2000)
    assert [lease.run for lease in leases] == runs[0::3] + runs[1::3]
    assert await storage.claims.heartbeat("one", expires_at=9000) == 0


async def test_what_moved_on_is_not_parked(storage: Storage) -> None:
    for run in (RUN, OTHER, THIRD):
        await storage.log.append(begin(run, expires_at=0))
    await storage.log.append(go_on(RUN, after=1))
    await storage.log.append(end(OTHER, after=1))
    [*_] = await storage.claims.claim("two", now=0, expires_at=50, limit=1)  # the oldest: RUN
    asked = [
        rest(RUN, sequence=2),
        rest(RUN, epoch=2),
        rest(OTHER, sequence=2),
        rest(THIRD, epoch=2),
        rest(THIRD, sequence=2),
        rest(THIRD, namespace="elsewhere"),
        rest("01890000-0000-7000-8000-00000000000f"),
    ]

    assert await storage.claims.park("one", asked) == []
    assert await storage.claims.park("two", [rest(RUN, epoch=2)]) == []
    assert await storage.claims.park("two", [rest(RUN, epoch=2, sequence=2)]) != []
    assert await storage.claims.park("one", [rest(THIRD)]) == [rest(THIRD)]
    assert await storage.claims.park("one", [rest(THIRD)]) == []
    assert await storage.claims.park("one", []) == []


async def test_a_run_with_a_letter_is_not_parked(storage: Storage) -> None:
    await storage.log.append(begin(RUN))
    await storage.log.append(begin(OTHER))
    await storage.inbox.send("default", letter("a", RUN))

    assert await storage.claims.park("one", [rest(RUN), rest(OTHER)]) == [rest(OTHER)]
    await storage.inbox.drop("default", RUN, ["a"])
    assert await storage.claims.park("one", [rest(RUN)]) == [rest(RUN)]


async def test_a_refusal_to_park_ends_a_wait_for_letters(storage: Storage) -> None:
    await storage.log.append(begin(RUN))
    await storage.inbox.send("default", letter("a", RUN))
    assert await storage.inbox.wait(timeout=5) is True

    assert await storage.claims.park("one", [rest(RUN)]) == []
    assert await storage.inbox.wait(timeout=5) is True


async def test_a_letter_wakes_a_parked_run(storage: Storage) -> None:
    for run in (RUN, OTHER, THIRD):
        await storage.log.append(begin(run))
    await storage.claims.park("one", [rest(RUN), rest(OTHER, wake_at=9000)])
    await storage.inbox.send("default", letter("a", RUN, at=600))
    await storage.log.append(go_on(THIRD, after=1, letters=(letter("b", OTHER, at=500),)))

    assert await storage.inbox.fetch("one", limit=9) == []
    assert await claimed(storage, now=499) == []
    assert await claimed(storage, now=600) == [Lease("default", OTHER, 2), Lease("default", RUN, 2)]
    assert [it.id for _, it in await storage.inbox.fetch("two", limit=9)] == ["b", "a"]


async def test_a_later_letter_delays_nothing(storage: Storage) -> None:
    await storage.log.append(begin(RUN))
    await storage.claims.park("one", [rest(RUN, wake_at=500)])
    await storage.inbox.send("default", letter("a", RUN, at=900))
    await storage.inbox.send("default", letter("a", RUN, at=100))

    assert await claimed(storage, now=499) == []
    assert await claimed(storage, now=500) == [Lease("default", RUN, 2)]


async def test_a_letter_to_a_run_that_is_held_leaves_its_lease_alone(storage: Storage) -> None:
    await storage.log.append(begin(RUN, expires_at=1000))
    await storage.inbox.send("default", letter("a", RUN, at=500))

    assert await claimed(storage, now=999) == []


async def test_the_next_wake_is_that_of_the_first_run_that_nobody_holds(storage: Storage) -> None:
    assert await storage.claims.next_wake() is None
    for run in (RUN, OTHER, THIRD):
        await storage.log.append(begin(run, expires_at=10))
    assert await storage.claims.next_wake() is None

    await storage.claims.park("one", [rest(RUN)])
    assert await storage.claims.next_wake() is None
    await storage.claims.park("one", [rest(OTHER, wake_at=7000), rest(THIRD, wake_at=5000)])
    assert await storage.claims.next_wake() == 5000
    await storage.inbox.send("default", letter("a", RUN, at=600))
    assert await storage.claims.next_wake() == 600
    await claimed(storage, now=5000)
    assert await storage.claims.next_wake() == 7000
    await storage.claims.release("two", now=5100)
    assert await storage.claims.next_wake() == 5100
