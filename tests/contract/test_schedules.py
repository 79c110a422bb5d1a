"""What every store promises of schedules."""

import pytest
from msgspec.structs import replace
from tests.contract.appends import RUN

from stepwell_storage.errors import Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import ScheduleRow

pytestmark = pytest.mark.anyio


def schedule(
    name: str = "nightly", *, next_at: int | None = 100, paused: bool = False
) -> ScheduleRow:
    return ScheduleRow(name, b"\x00spec", "user:ann", 1, 2, next_at, paused=paused)


async def due(storage: Storage, *, now: int, limit: int = 9) -> list[tuple[str, str]]:
    found = await storage.schedules.due(now=now, limit=limit)
    return [(namespace, row.name) for namespace, row in found]


async def test_schedules_come_and_go_by_name(storage: Storage) -> None:
    nightly, hourly = schedule("nightly"), schedule("hourly", next_at=None, paused=True)
    assert await storage.schedules.put("default", nightly) is True
    assert await storage.schedules.put("default", hourly) is True
    assert await storage.schedules.put("elsewhere", nightly) is True
    assert await storage.schedules.list("default") == [hourly, nightly]

    changed = replace(nightly, spec=b"new", last_at=50, last_run=RUN, updated_at=9)
    assert await storage.schedules.put("default", changed) is False
    assert await storage.schedules.get("default", "nightly") == changed
    assert await storage.schedules.get("elsewhere", "nightly") == nightly

    await storage.schedules.remove("default", "nightly")
    for ask in (storage.schedules.get, storage.schedules.remove):
        with pytest.raises(Missing):
            await ask("default", "nightly")
    assert await storage.schedules.list("default") == [hourly]


async def test_schedules_are_due_from_their_time_on_earliest_first(storage: Storage) -> None:
    await storage.schedules.put("default", schedule("b", next_at=300))
    await storage.schedules.put("elsewhere", schedule("a", next_at=200))
    await storage.schedules.put("default", schedule("c", next_at=100))
    await storage.schedules.put("default", schedule("never", next_at=None))
    await storage.schedules.put("default", schedule("paused", next_at=50, paused=True))

    assert await due(storage, now=99) == []
    assert await due(storage, now=100) == [("default", "c")]
    assert await due(storage, now=300) == [("default", "c"), ("elsewhere", "a"), ("default", "b")]
    assert await due(storage, now=300, limit=2) == [("default", "c"), ("elsewhere", "a")]
    assert (await storage.schedules.due(now=100, limit=1))[0][1] == schedule("c", next_at=100)


async def test_the_next_one_that_is_due_is_known_before(storage: Storage) -> None:
    assert await storage.schedules.next_due() is None
    await storage.schedules.put("default", schedule("never", next_at=None))
    await storage.schedules.put("default", schedule("paused", next_at=50, paused=True))
    assert await storage.schedules.next_due() is None

    await storage.schedules.put("default", schedule("b", next_at=300))
    await storage.schedules.put("elsewhere", schedule("a", next_at=200))
    assert await storage.schedules.next_due() == 200


async def test_of_two_who_advance_a_schedule_one_does(storage: Storage) -> None:
    row = schedule(next_at=100)
    await storage.schedules.put("default", row)
    fired = replace(row, next_at=200, last_at=100, last_run=RUN)

    assert await storage.schedules.advance("default", fired, from_at=100) is True
    assert await storage.schedules.advance("default", fired, from_at=100) is False
    assert await storage.schedules.get("default", "nightly") == fired
    assert await storage.schedules.advance("elsewhere", fired, from_at=200) is False


async def test_what_was_changed_meanwhile_is_not_advanced(storage: Storage) -> None:
    row = schedule(next_at=100)
    await storage.schedules.put("default", row)
    changed = replace(row, next_at=150, spec=b"new")
    await storage.schedules.put("default", changed)

    assert (
        await storage.schedules.advance("default", replace(row, next_at=200), from_at=100) is False
    )
    assert await storage.schedules.get("default", "nightly") == changed
    await storage.schedules.remove("default", "nightly")
    assert await storage.schedules.advance("default", row, from_at=150) is False


async def test_advancing_writes_nothing_but_when_it_fires_and_fired(storage: Storage) -> None:
    row = schedule(next_at=100)
    await storage.schedules.put("default", row)
    last = replace(row, spec=b"old", updated_at=99, next_at=None, last_at=100, last_run=RUN)

    assert await storage.schedules.advance("default", last, from_at=100) is True
    expected = replace(row, next_at=None, last_at=100, last_run=RUN)
    assert await storage.schedules.get("default", "nightly") == expected
    assert await due(storage, now=10_000) == []
