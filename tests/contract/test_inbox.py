"""What every store promises of letters to runs."""

import asyncio

import pytest
from msgspec.structs import replace
from tests.contract.appends import OTHER, RUN, THIRD, begin, end, go_on, letter, outcome, reopen

from stepwell_storage.errors import Fenced
from stepwell_storage.ports import Storage
from stepwell_storage.records import Lease, Letter, Record

pytestmark = pytest.mark.anyio


async def fetched(storage: Storage, owner: str = "one") -> list[str]:
    """The ids of the letters for the runs of an owner."""
    return [it.id for _, it in await storage.inbox.fetch(owner, limit=100)]


# --- sending ----------------------------------------------------------------------------------


async def test_a_letter_waits_until_its_run_has_taken_it(storage: Storage) -> None:
    await storage.log.append(begin())
    strange = Letter("größe/1", RUN, "signal", "user:o'hara", bytes(range(256)), 500)

    assert await storage.inbox.send("default", strange) is True
    assert await storage.inbox.fetch("one", limit=9) == [("default", strange)]
    assert await storage.inbox.fetch("one", limit=9) == [("default", strange)]
    assert await storage.inbox.is_waiting("default", RUN, strange.id) is True

    await storage.log.append(go_on(after=1, taken=(strange.id, "never sent")))
    assert await storage.inbox.fetch("one", limit=9) == []
    assert await storage.inbox.is_waiting("default", RUN, strange.id) is False


async def test_a_run_that_has_ended_or_is_not_there_gets_no_letter(storage: Storage) -> None:
    await storage.log.append(begin())
    await storage.log.append(end(after=1))
    await storage.log.append(begin(OTHER, namespace="elsewhere"))

    for run in (RUN, OTHER, "no run id"):
        assert await storage.inbox.send("default", letter(run=run)) is False
        assert await storage.inbox.is_waiting("default", run, "a") is False
    assert await storage.inbox.send("elsewhere", letter(run=OTHER)) is True


async def test_a_letter_that_is_sent_again_changes_nothing(storage: Storage) -> None:
    await storage.log.append(begin())
    await storage.log.append(begin(OTHER))
    await storage.inbox.send("default", letter("a", at=500))

    again = replace(letter("a", at=100), body=b"another")
    assert await storage.inbox.send("default", again) is True
    await storage.log.append(go_on(OTHER, after=1, letters=(again, again)))
    assert await storage.inbox.fetch("one", limit=9) == [("default", letter("a", at=500))]


async def test_an_id_is_unique_in_its_namespace_only(storage: Storage) -> None:
    await storage.log.append(begin())
    await storage.log.append(begin(namespace="elsewhere"))
    await storage.inbox.send("default", letter("a"))
    await storage.inbox.send("elsewhere", letter("a"))

    found = await storage.inbox.fetch("one", limit=9)
    assert found == [("default", letter("a")), ("elsewhere", letter("a"))]


async def test_letters_are_dropped_one_by_one(storage: Storage) -> None:
    await storage.log.append(begin())
    await storage.log.append(begin(OTHER))
    for it in (letter("a"), letter("b"), letter("c"), letter("d", OTHER)):
        await storage.inbox.send("default", it)

    await storage.inbox.drop("default", RUN, ["a", "c", "d", "never sent"])
    await storage.inbox.drop("default", RUN, [])
    await storage.inbox.drop("elsewhere", RUN, ["b"])
    assert await fetched(storage) == ["b", "d"]


# --- fetching ---------------------------------------------------------------------------------


async def test_an_owner_fetches_letters_for_the_runs_that_it_holds(storage: Storage) -> None:
    await storage.log.append(begin(RUN, owner="one", expires_at=0))
    await storage.log.append(begin(OTHER, owner="two"))
    await storage.log.append(begin(THIRD, owner="one", namespace="elsewhere"))
    await storage.inbox.send("default", letter("a", RUN))
    await storage.inbox.send("default", letter("b", OTHER))
    await storage.inbox.send("elsewhere", letter("c", THIRD))

    assert await fetched(storage, "one") == ["a", "c"]
    assert await fetched(storage, "two") == ["b"]
    assert await fetched(storage, "three") == []

    [lease] = await storage.claims.claim("three", now=10, expires_at=2000, limit=1)
    assert lease == Lease("default", RUN, 2)
    assert await fetched(storage, "one") == ["c"]
    assert await fetched(storage, "three") == ["a"]


async def test_the_oldest_letters_are_fetched_first(storage: Storage) -> None:
    await storage.log.append(begin(RUN))
    await storage.log.append(begin(OTHER))
    await storage.inbox.send("default", letter("c", RUN, at=300))
    await storage.inbox.send("default", letter("a", OTHER, at=200))
    await storage.inbox.send("default", letter("b", RUN, at=100))

    assert await fetched(storage) == ["b", "a", "c"]
    assert [it.id for _, it in await storage.inbox.fetch("one", limit=2)] == ["b", "a"]


async def test_letters_to_a_run_that_ends_are_gone(storage: Storage) -> None:
    await storage.log.append(begin(RUN))
    await storage.log.append(begin(OTHER))
    for n in range(5):
        await storage.inbox.send("default", letter(f"a{n}", RUN))
    await storage.inbox.send("default", letter("b", OTHER, at=900))
    await storage.log.append(end(RUN, after=1))

    assert await storage.inbox.is_waiting("default", RUN, "a0") is False
    assert await storage.inbox.fetch("one", limit=2) == [("default", letter("b", OTHER, at=900))]
    await storage.log.append(reopen(RUN, after=2))
    assert await fetched(storage) == ["b"]


async def test_a_run_that_goes_on_after_its_end_has_no_letters_from_before(
    storage: Storage,
) -> None:
    await storage.log.append(begin())
    await storage.inbox.send("default", letter("a"))
    await storage.log.append(end(after=1))
    await storage.log.append(reopen(after=2))

    assert await storage.inbox.is_waiting("default", RUN, "a") is False
    assert await storage.inbox.send("default", letter("a", at=700)) is True
    assert await storage.inbox.fetch("one", limit=9) == [("default", letter("a", at=700))]


# --- letters of an append ---------------------------------------------------------------------


async def test_an_append_sends_letters_to_other_runs(storage: Storage) -> None:
    await storage.log.append(begin(RUN))
    await storage.log.append(begin(OTHER))
    await storage.log.append(begin(THIRD))
    await storage.log.append(end(THIRD, after=1))

    sent = letter("a", OTHER), letter("b", THIRD), letter("c", "no run id"), letter("d", OTHER)
    await storage.log.append(go_on(RUN, after=1, letters=sent))
    assert await fetched(storage) == ["a", "d"]


async def test_an_append_that_is_refused_sends_and_takes_nothing(storage: Storage) -> None:
    await storage.log.append(begin(RUN))
    await storage.log.append(begin(OTHER))
    await storage.inbox.send("default", letter("a", RUN))

    refused = go_on(RUN, after=1, epoch=7, letters=(letter("b", OTHER),), taken=("a",))
    queued = [storage.log.append(refused), storage.log.append(go_on(OTHER, after=1))]
    assert [await outcome(future) for future in queued] == [Fenced, 3]
    assert await fetched(storage) == ["a"]


async def test_an_append_takes_letters_of_its_own_run_only(storage: Storage) -> None:
    await storage.log.append(begin(RUN))
    await storage.log.append(begin(OTHER))
    await storage.inbox.send("default", letter("a", OTHER))
    await storage.log.append(go_on(RUN, after=1, taken=("a",)))

    assert await fetched(storage) == ["a"]


async def test_the_end_of_a_run_may_be_told_to_another(storage: Storage) -> None:
    await storage.log.append(begin(RUN))
    await storage.log.append(begin(OTHER, parent=RUN))
    await storage.log.append(replace(end(OTHER, after=1), letters=(letter("a", RUN),)))

    assert await fetched(storage) == ["a"]


async def test_a_run_may_begin_and_send_at_once(storage: Storage) -> None:
    await storage.log.append(begin(RUN))
    await storage.log.append(replace(begin(OTHER), letters=(letter("a", RUN),)))

    assert await fetched(storage) == ["a"]


async def test_thousands_of_letters_go_out_in_one_append(storage: Storage) -> None:
    runs = [f"01890000-0000-7000-8000-{n:012x}" for n in range(1200)]
    await asyncio.gather(*(storage.log.append(begin(run)) for run in runs))
    sent = tuple(letter(run, run, at=n) for n, run in enumerate(runs))
    await storage.log.append(replace(go_on(RUN, after=1), letters=sent))

    found = await storage.inbox.fetch("one", limit=2000)
    assert [it.run for _, it in found] == runs
    await storage.log.append(go_on(RUN, after=2, taken=tuple(it.id for _, it in found)))
    assert len(await storage.inbox.fetch("one", limit=2000)) == 1199


# --- waiting ----------------------------------------------------------------------------------


async def test_a_wait_ends_with_a_letter_that_is_sent(storage: Storage) -> None:
    await storage.log.append(begin())
    waiting = asyncio.create_task(storage.inbox.wait(timeout=5))
    await asyncio.sleep(0)
    await storage.inbox.send("default", letter())

    assert await waiting is True


async def test_a_wait_ends_with_a_letter_of_an_append(storage: Storage) -> None:
    await storage.log.append(begin(RUN))
    await storage.log.append(begin(OTHER))
    waiting = asyncio.create_task(storage.inbox.wait(timeout=5))
    await asyncio.sleep(0)
    await storage.log.append(go_on(RUN, after=1, letters=(letter("a", OTHER),)))

    assert await waiting is True


async def test_a_wait_ends_although_the_sender_does_not_wait_for_its_commit(
    storage: Storage,
) -> None:
    await storage.log.append(begin(RUN))
    await storage.log.append(begin(OTHER))
    waiting = asyncio.create_task(storage.inbox.wait(timeout=5))
    await asyncio.sleep(0)
    storage.log.append(go_on(RUN, after=1, letters=(letter("a", OTHER),))).cancel()

    assert await waiting is True
    assert await fetched(storage) == ["a"]


async def test_a_letter_sent_while_nobody_waits_ends_the_next_wait(storage: Storage) -> None:
    await storage.log.append(begin())
    await storage.inbox.send("default", letter("a"))
    await storage.inbox.send("default", letter("b"))

    assert await storage.inbox.wait(timeout=5) is True
    assert await storage.inbox.wait(timeout=0.01) is False


async def test_a_wait_for_letters_in_vain_ends_with_its_time(storage: Storage) -> None:
    await storage.log.append(begin())
    await storage.log.append(replace(go_on(after=1), letters=(letter("a", OTHER),)))
    await storage.inbox.send("default", letter("b", OTHER))

    assert await storage.inbox.wait(timeout=0.01) is False


async def test_all_who_wait_for_letters_are_woken(storage: Storage) -> None:
    await storage.log.append(begin())
    waiting = [asyncio.create_task(storage.inbox.wait(timeout=5)) for _ in range(3)]
    await asyncio.sleep(0)
    await storage.inbox.send("default", letter())

    assert await asyncio.gather(*waiting) == [True, True, True]


async def test_bodies_of_letters_are_as_large_as_events(storage: Storage) -> None:
    await storage.log.append(begin())
    large = replace(letter(), body=bytes(100_000))
    await storage.inbox.send("default", large)
    taken = replace(go_on(after=1, taken=("a",)), records=(Record(2, "custom", "", large.body),))

    assert await storage.inbox.fetch("one", limit=1) == [("default", large)]
    await storage.log.append(taken)
    assert await fetched(storage) == []
