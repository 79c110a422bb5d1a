"""What every store promises of named queues."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec import structs
from tests.contract.appends import OTHER, RUN, THIRD, begin, end, go_on, outcome

from stepwell_storage.errors import Exists, Fenced, Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import Lease, Letter, QueueLoad, QueueRow, Rest, Ticket

pytestmark = pytest.mark.anyio


def queue(
    name: str = "q",
    concurrency: int | None = None,
    *,
    rate: int | None = None,
    per_us: int | None = None,
) -> QueueRow:
    return QueueRow(name, concurrency, rate, per_us, 10)


def ticket(step: str, run: str = RUN, *, at: int = 100, queue: str = "q") -> Ticket:
    return Ticket(queue, run, step, at)


async def made(storage: Storage, row: QueueRow, *runs: str) -> None:
    """A queue, and runs that may wait in it."""
    await storage.queues.put("default", row)
    for run in runs or (RUN,):
        await storage.log.append(begin(run))


async def entered(storage: Storage, *tickets: Ticket, now: int = 100) -> list[str]:
    """The steps that have a place after they asked for one."""
    return [it.step for it in await storage.queues.enter("default", tickets, now=now)]


async def admitted(storage: Storage, owner: str = "one") -> list[str]:
    """The steps that the owner is told of, which takes the letters away."""
    found = await storage.inbox.fetch(owner, limit=5000)
    for namespace, it in found:
        await storage.inbox.drop(namespace, it.run, [it.id])
    return [it.body.decode() for _, it in found]


async def load(storage: Storage, name: str = "q") -> tuple[int, int]:
    """How many are in a queue, and how many wait."""
    found = await storage.queues.get("default", name)
    return found.running, found.waiting


async def leave(storage: Storage, *steps: str, run: str = RUN) -> None:
    after = len(await storage.log.read("default", run))
    await storage.log.append(go_on(run, after=after, left=steps))


def steps(count: int) -> Sequence[str]:
    return [f"s{n:04}" for n in range(count)]


# --- queues -----------------------------------------------------------------------------------


async def test_queues_come_and_go_by_name(storage: Storage) -> None:
    shop, bank = queue("shop", 3), queue("bank", rate=5, per_us=60_000_000)
    assert await storage.queues.put("default", shop) is True
    assert await storage.queues.put("default", bank) is True
    assert await storage.queues.put("elsewhere", shop) is True
    assert await storage.queues.list("default") == [QueueLoad(bank, 0, 0), QueueLoad(shop, 0, 0)]

    changed = queue("shop", 7)
    assert await storage.queues.put("default", changed) is False
    assert await storage.queues.get("default", "shop") == QueueLoad(changed, 0, 0)
    assert await storage.queues.get("elsewhere", "shop") == QueueLoad(shop, 0, 0)

    await storage.queues.remove("default", "shop")
    for ask in (storage.queues.get, storage.queues.remove):
        with pytest.raises(Missing):
            await ask("default", "shop")
    assert await storage.queues.list("default") == [QueueLoad(bank, 0, 0)]


async def test_a_queue_with_tickets_is_not_removed(storage: Storage) -> None:
    await made(storage, queue("q", 1))
    await entered(storage, ticket("a"), ticket("b"))

    for step in ("a", "b"):
        with pytest.raises(Exists):
            await storage.queues.remove("default", "q")
        await leave(storage, step)
    await storage.queues.remove("default", "q")


async def test_a_queue_tells_how_many_are_in_it_and_wait(storage: Storage) -> None:
    await made(storage, queue("q", 2))
    await storage.queues.put("default", queue("empty"))
    await entered(storage, *map(ticket, "abcde"))

    assert await storage.queues.get("default", "q") == QueueLoad(queue("q", 2), 2, 3)
    assert [(it.running, it.waiting) for it in await storage.queues.list("default")] == [
        (0, 0),
        (2, 3),
    ]


# --- entering ---------------------------------------------------------------------------------


async def test_as_many_enter_as_have_a_place(storage: Storage) -> None:
    await made(storage, queue("q", 2))

    assert await entered(storage, ticket("a"), ticket("b"), ticket("c")) == ["a", "b"]
    assert await entered(storage, ticket("d")) == []
    assert await load(storage) == (2, 2)


async def test_who_asks_again_keeps_a_place_and_a_place_in_line(storage: Storage) -> None:
    await made(storage, queue("q", 1))
    await entered(storage, ticket("a", at=100))
    await entered(storage, ticket("b", at=200))
    await entered(storage, ticket("c", at=300))

    again = ticket("a", at=900), ticket("b", at=900), ticket("b", at=950)
    assert await entered(storage, *again) == ["a"]
    assert await load(storage) == (1, 2)
    await leave(storage, "a")
    await storage.queues.admit(now=1000)
    assert await admitted(storage) == ["b"]
    assert await entered(storage, ticket("b"), ticket("c")) == ["b"]


async def test_the_line_is_by_time_then_by_run_and_step(storage: Storage) -> None:
    await made(storage, queue("q", 0), RUN, OTHER)
    asked = [
        ticket("late", RUN, at=300),
        ticket("b", OTHER, at=200),
        ticket("b", RUN, at=200),
        ticket("a", OTHER, at=200),
        ticket("early", OTHER, at=100),
    ]
    assert await entered(storage, *asked) == []

    order = []
    for limit in range(1, 6):
        await storage.queues.put("default", queue("q", limit))
        await storage.queues.admit(now=1000 + limit)
        order += [(it.run, it.body) for _, it in await storage.inbox.fetch("one", limit=9)][-1:]
    assert order == [
        (OTHER, b"early"),
        (RUN, b"b"),
        (OTHER, b"a"),
        (OTHER, b"b"),
        (RUN, b"late"),
    ]


async def test_who_comes_does_not_pass_who_waits(storage: Storage) -> None:
    await made(storage, queue("q", 1))
    await entered(storage, ticket("a", at=100))
    await entered(storage, ticket("b", at=200))
    await leave(storage, "a")

    assert await entered(storage, ticket("c", at=300)) == []
    assert await entered(storage, ticket("early", at=50)) == ["early"]
    assert await load(storage) == (1, 2)


async def test_who_waits_may_enter_by_asking_again(storage: Storage) -> None:
    await made(storage, queue("q", 1))
    await entered(storage, ticket("a"), ticket("b"))
    await leave(storage, "a")

    assert await entered(storage, ticket("b")) == ["b"]
    assert await admitted(storage) == []


async def test_a_queue_that_is_not_there_admits_at_once(storage: Storage) -> None:
    await storage.log.append(begin())

    asked = ticket("a", queue="nowhere"), ticket("b", queue="nowhere")
    assert await entered(storage, *asked) == ["a", "b"]
    assert await entered(storage, *asked) == ["a", "b"]

    await storage.queues.put("default", queue("nowhere", 2))
    assert await load(storage, "nowhere") == (2, 0)
    assert await entered(storage, ticket("c", queue="nowhere")) == []


async def test_tickets_of_several_queues_are_asked_for_at_once(storage: Storage) -> None:
    await made(storage, queue("q", 1), RUN, OTHER)
    await storage.queues.put("default", queue("r", 1))
    asked = [
        ticket("a", RUN, queue="r"),
        ticket("b", OTHER),
        ticket("c", RUN, queue="nowhere"),
        ticket("d", RUN, at=200),
        ticket("e", OTHER, queue="r"),
    ]

    assert await entered(storage, *asked) == ["a", "b", "c"]


async def test_an_owner_before_takes_no_place(storage: Storage) -> None:
    await made(storage, queue(concurrency=2), RUN, OTHER)
    await storage.claims.claim("two", now=10_000, expires_at=20_000, limit=9)
    before, now = structs.replace(ticket("a"), epoch=1), structs.replace(ticket("b"), epoch=2)
    assert await entered(storage, before, now) == ["b"]
    assert await load(storage) == (1, 0)
    await storage.log.append(end(OTHER, after=1, epoch=2))
    ended = structs.replace(ticket("c", OTHER), epoch=2)
    assert await entered(storage, ended) == []
    assert await load(storage) == (1, 0)


async def test_a_whole_run_may_have_a_ticket(storage: Storage) -> None:
    await made(storage, queue("q", 1), RUN, OTHER)

    assert await entered(storage, ticket("", RUN), ticket("", OTHER)) == [""]
    await leave(storage, "", run=RUN)
    await storage.queues.admit(now=500)
    assert await storage.inbox.fetch("one", limit=9) == [
        ("default", Letter(f"admitted/{OTHER}/", OTHER, "admitted", "", b"", 500))
    ]


async def test_queues_of_two_namespaces_have_nothing_to_do_with_each_other(
    storage: Storage,
) -> None:
    await made(storage, queue("q", 1))
    await storage.queues.put("elsewhere", queue("q", 1))
    await storage.log.append(begin(namespace="elsewhere"))

    assert await entered(storage, ticket("a")) == ["a"]
    assert await storage.queues.enter("elsewhere", [ticket("a")], now=100) == [ticket("a")]
    assert await storage.queues.enter("elsewhere", [ticket("b")], now=100) == []
    await leave(storage, "a")
    assert await load(storage) == (0, 0)
    assert (await storage.queues.get("elsewhere", "q")).running == 1


# --- leaving and admitting --------------------------------------------------------------------


async def test_a_place_that_is_left_is_given_to_the_oldest_with_a_letter(storage: Storage) -> None:
    await made(storage, queue("q", 1), RUN, OTHER)
    await entered(storage, ticket("a", RUN, at=100))
    await entered(storage, ticket("größe", OTHER, at=200), ticket("c", RUN, at=300))
    await leave(storage, "a", "never asked for")

    assert await storage.queues.admit(now=500) is None
    letter = Letter(f"admitted/{OTHER}/größe", OTHER, "admitted", "", "größe".encode(), 500)
    assert await storage.inbox.fetch("one", limit=9) == [("default", letter)]
    assert await load(storage) == (1, 1)
    assert await storage.queues.admit(now=600) is None
    assert await load(storage) == (1, 1)


async def test_an_append_that_is_refused_leaves_nothing(storage: Storage) -> None:
    await made(storage, queue("q", 1))
    await entered(storage, ticket("a"))

    assert await outcome(storage.log.append(go_on(after=1, epoch=7, left=("a",)))) is Fenced
    assert await load(storage) == (1, 0)


async def test_a_ticket_that_waits_may_be_given_back(storage: Storage) -> None:
    await made(storage, queue("q", 1))
    await entered(storage, *map(ticket, "abc"))
    await leave(storage, "b")
    await leave(storage, "a")
    await storage.queues.admit(now=500)

    assert await admitted(storage) == ["c"]


async def test_a_step_that_left_may_ask_again_and_stands_at_the_end(storage: Storage) -> None:
    await made(storage, queue("q", 1))
    await entered(storage, ticket("a", at=100), ticket("b", at=200))
    await leave(storage, "a")
    await entered(storage, ticket("a", at=300))
    await storage.queues.admit(now=400)

    assert await admitted(storage) == ["b"]
    assert await load(storage) == (1, 1)


async def test_raised_limits_admit_more(storage: Storage) -> None:
    await made(storage, queue("q", 0))
    await entered(storage, *map(ticket, "abcd"))
    await storage.queues.admit(now=500)
    assert await admitted(storage) == []

    await storage.queues.put("default", queue("q", 2))
    await storage.queues.admit(now=500)
    assert await admitted(storage) == ["a", "b"]
    await storage.queues.put("default", queue("q", 1))
    await leave(storage, "a")
    await storage.queues.admit(now=500)
    assert await admitted(storage) == []
    await storage.queues.put("default", queue("q"))
    await storage.queues.admit(now=500)
    assert await admitted(storage) == ["c", "d"]


async def test_thousands_are_admitted_when_the_limits_allow_it(storage: Storage) -> None:
    await made(storage, queue("q", 1))
    await entered(storage, *(ticket(step) for step in steps(1300)))
    await storage.queues.put("default", queue("q", 1250))

    assert await storage.queues.admit(now=500) is None
    assert await admitted(storage) == steps(1300)[1:1250]
    assert await load(storage) == (1250, 50)


async def test_an_admission_wakes_a_parked_run(storage: Storage) -> None:
    await made(storage, queue("q", 1), RUN, OTHER)
    await entered(storage, ticket("a", RUN), ticket("b", OTHER, at=200))
    await storage.claims.park("one", [Rest("default", OTHER, 1, 1, None)])
    await leave(storage, "a", run=RUN)
    waiting = asyncio.create_task(storage.inbox.wait(timeout=5))
    await asyncio.sleep(0)
    await storage.queues.admit(now=500)

    assert await waiting is True
    assert await storage.claims.claim("two", now=500, expires_at=900, limit=9) == [
        Lease("default", OTHER, 2)
    ]
    assert await admitted(storage, "two") == ["b"]


async def test_a_run_that_has_ended_keeps_nobody_waiting(storage: Storage) -> None:
    await made(storage, queue("q", 1), RUN, OTHER, THIRD)
    await entered(storage, ticket("a", RUN))
    await entered(storage, ticket("b", OTHER, at=200), ticket("c", THIRD, at=300))
    await storage.log.append(end(OTHER, after=1))
    await leave(storage, "a", run=RUN)
    await storage.queues.admit(now=500)

    assert await admitted(storage) == ["c"]
    assert await load(storage) == (1, 0)


async def test_places_are_exact_however_many_ask_at_once(storage: Storage) -> None:
    runs = [f"01890000-0000-7000-8000-{n:012x}" for n in range(40)]
    await made(storage, queue("q", 7), *runs)

    async def ask(run: str) -> int:
        return len(await storage.queues.enter("default", [ticket("s", run)], now=100))

    assert sum(await asyncio.gather(*map(ask, runs))) == 7
    assert await load(storage) == (7, 33)


async def test_who_leaves_while_asking_for_a_place_keeps_none(storage: Storage) -> None:
    """What asks and what leaves may be written together, behind what is being written already."""
    await made(storage, queue("q", 1), RUN, OTHER)

    for turn in range(1, 21):
        busy = storage.log.append(go_on(OTHER, after=turn))
        asking = asyncio.create_task(entered(storage, ticket(f"s{turn}")))
        await asyncio.sleep(0)
        leaving = storage.log.append(go_on(after=turn, left=(f"s{turn}",)))
        await asyncio.gather(busy, asking, leaving)

    assert await load(storage) == (0, 0)


async def test_a_place_that_becomes_free_is_announced(storage: Storage) -> None:
    await made(storage, queue("q", 1))
    await entered(storage, ticket("a"), ticket("b"))
    while await storage.inbox.wait(timeout=0):
        pass

    await leave(storage, "a")

    assert await storage.inbox.wait(timeout=5) is True


# --- rates ------------------------------------------------------------------------------------


async def test_no_more_than_the_rate_are_admitted_in_any_window(storage: Storage) -> None:
    await made(storage, queue("q", rate=2, per_us=1000))

    assert await entered(storage, ticket("a"), now=100) == ["a"]
    assert await entered(storage, ticket("b"), ticket("c"), ticket("d"), now=900) == ["b"]
    assert await storage.queues.admit(now=1099) == 1100
    assert await admitted(storage) == []
    assert await storage.queues.admit(now=1100) == 1900
    assert await admitted(storage) == ["c"]
    assert await storage.queues.admit(now=1899) == 1900
    assert await storage.queues.admit(now=1900) is None
    assert await admitted(storage) == ["d"]
    assert await entered(storage, ticket("e"), now=1900) == []
    assert await storage.queues.admit(now=1900) == 2100


async def test_who_has_left_still_counts_for_the_rate(storage: Storage) -> None:
    await made(storage, queue("q", rate=1, per_us=1000))
    await entered(storage, ticket("a"), now=100)
    await leave(storage, "a")

    assert await entered(storage, ticket("a"), now=500) == []
    assert await storage.queues.admit(now=500) == 1100
    assert await storage.queues.admit(now=1100) is None
    assert await admitted(storage) == ["a"]


async def test_both_limits_of_a_queue_hold(storage: Storage) -> None:
    await made(storage, queue("q", 1, rate=2, per_us=1000))
    await entered(storage, *map(ticket, "abc"), now=100)

    assert await storage.queues.admit(now=200) is None  # somebody has to leave first
    await leave(storage, "a")
    assert await storage.queues.admit(now=300) is None
    await leave(storage, "b")
    assert await storage.queues.admit(now=400) == 1100
    assert await admitted(storage) == ["b"]
    assert await storage.queues.admit(now=1100) is None
    assert await admitted(storage) == ["c"]


async def test_the_next_admission_is_the_first_of_all_queues(storage: Storage) -> None:
    await made(storage, queue("q", rate=1, per_us=1000))
    await storage.queues.put("default", queue("r", rate=1, per_us=400))
    await storage.queues.put("elsewhere", queue("q", rate=1, per_us=100))
    await entered(storage, ticket("a"), ticket("b"), now=100)
    await entered(storage, ticket("c", queue="r"), ticket("d", queue="r"), now=200)

    assert await storage.queues.admit(now=300) == 600
    assert await storage.queues.admit(now=600) == 1100
    assert await storage.queues.admit(now=1100) is None


async def test_many_admitted_at_one_time_all_count(storage: Storage) -> None:
    await made(storage, queue("q", rate=5, per_us=1000))
    for step in "abc":
        assert await entered(storage, ticket(step), now=100) == [step]
    assert await entered(storage, *map(ticket, "defg"), now=100) == ["d", "e"]

    assert await storage.queues.admit(now=1099) == 1100
    assert await storage.queues.admit(now=1100) is None
    assert await admitted(storage) == ["f", "g"]


async def test_a_rate_of_none_admits_nobody_ever(storage: Storage) -> None:
    await made(storage, queue("q", rate=0, per_us=1000))

    assert await entered(storage, ticket("a"), now=100) == []
    assert await storage.queues.admit(now=10_000) is None
    assert await load(storage) == (0, 1)
