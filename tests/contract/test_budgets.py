"""What every store promises of budgets."""

import asyncio

import pytest
from msgspec.structs import replace
from tests.contract.appends import OTHER, RUN, begin, end, go_on, outcome

from stepwell_storage.errors import Fenced
from stepwell_storage.ports import Storage
from stepwell_storage.records import (
    Append,
    BudgetRow,
    Charge,
    Head,
    Reservation,
    Short,
    Spent,
    Used,
)

pytestmark = pytest.mark.anyio

DAY, ACCOUNT = "namespace/day", "namespace/2026-03-01"


def limit(amount: int | None, unit: str = "calls", scope: str = DAY) -> BudgetRow:
    return BudgetRow(scope, unit, amount, "user:ann", 1)


def charge(amount: int | None, unit: str = "calls") -> Charge:
    return Charge(DAY, ACCOUNT, unit, amount)


def call(key: str, *charges: Charge, run: str = RUN, until: int = 1000) -> Reservation:
    return Reservation(run, key, charges, until)


def spending(append: Append, *spent: Spent, frees: bool = False) -> Append:
    return replace(append, spent=spent, frees=frees)


async def test_limits_are_set_replaced_listed_and_taken_away(storage: Storage) -> None:
    of_run = BudgetRow(f"run:{RUN}", "calls", 3, "user:ann", 5, RUN)
    await storage.budgets.put("default", limit(5))
    await storage.budgets.put("default", limit(None, "tokens"))
    await storage.budgets.put("default", limit(9))
    await storage.budgets.put("default", of_run)
    await storage.budgets.put("elsewhere", limit(1))

    assert await storage.budgets.list("default") == [limit(9), limit(None, "tokens")]
    assert await storage.budgets.of_run("default", RUN) == [of_run]
    assert await storage.budgets.of_run("default", OTHER) == []
    assert await storage.budgets.shared() == [
        ("default", limit(9)),
        ("default", limit(None, "tokens")),
        ("elsewhere", limit(1)),
    ]
    assert await storage.budgets.remove("default", DAY, "calls")
    assert not await storage.budgets.remove("default", DAY, "calls")
    assert await storage.budgets.list("default") == [limit(None, "tokens")]


async def test_what_is_reserved_and_spent_never_exceeds_a_limit(storage: Storage) -> None:
    await storage.budgets.put("default", limit(10))
    await storage.log.append(begin(RUN))

    assert await storage.budgets.reserve("default", call("a", charge(6)), now=1) is None
    short = await storage.budgets.reserve("default", call("b", charge(5)), now=1)
    assert short == Short(DAY, "calls", 10, 6, 5)
    assert await storage.budgets.used("default", [ACCOUNT]) == [Used(ACCOUNT, "calls", 0, 6)]

    await storage.log.append(spending(go_on(RUN, after=1), Spent("a", (charge(2),))))
    assert await storage.budgets.used("default", [ACCOUNT]) == [Used(ACCOUNT, "calls", 2, 0)]
    assert await storage.budgets.reserve("default", call("b", charge(8)), now=1) is None
    assert await storage.budgets.reserve("default", call("c", charge(1)), now=1) is not None


async def test_ten_that_reserve_at_once_do_not_exceed_a_limit(storage: Storage) -> None:
    await storage.budgets.put("default", limit(35))
    answers = await asyncio.gather(
        *(storage.budgets.reserve("default", call(f"{n}", charge(10)), now=1) for n in range(10))
    )
    assert answers.count(None) == 3
    assert await storage.budgets.used("default", [ACCOUNT]) == [Used(ACCOUNT, "calls", 0, 30)]


async def test_of_many_that_reserve_at_once_each_gets_its_own_answer(storage: Storage) -> None:
    await storage.budgets.put("default", limit(100))
    await storage.budgets.put("elsewhere", limit(5))
    sizes = [60, 50, 30, 20, 10, *[1] * 60]
    answers = await asyncio.gather(
        *(
            storage.budgets.reserve(namespace, call(f"{n}", charge(size)), now=1)
            for n, size in enumerate(sizes)
            for namespace in ("default", "elsewhere")
        )
    )
    here, there = answers[::2], answers[1::2]
    assert [short is None for short in here] == [n in (0, 2, 4) for n in range(len(sizes))]
    assert here[3] == Short(DAY, "calls", 100, 90, 20)
    assert [short is None for short in there] == [5 <= n < 10 for n in range(len(sizes))]
    for namespace, reserved in (("default", 100), ("elsewhere", 5)):
        used = await storage.budgets.used(namespace, [ACCOUNT])
        assert used == [Used(ACCOUNT, "calls", 0, reserved)]


async def test_a_call_that_is_reserved_twice_at_once_counts_once(storage: Storage) -> None:
    await storage.budgets.put("default", limit(10))
    twice = [storage.budgets.reserve("default", call("a", charge(7)), now=1) for _ in range(2)]
    assert await asyncio.gather(*twice) == [None, None]
    assert await storage.budgets.used("default", [ACCOUNT]) == [Used(ACCOUNT, "calls", 0, 7)]


async def test_calls_of_several_runs_that_are_settled_at_once_are_not_mixed_up(
    storage: Storage,
) -> None:
    await storage.budgets.put("default", limit(100))
    await asyncio.gather(*(storage.log.append(begin(run)) for run in (RUN, OTHER)))
    for run in (RUN, OTHER):
        for key in "abc":
            await storage.budgets.reserve("default", call(key, charge(10), run=run), now=1)
    await asyncio.gather(
        storage.log.append(
            spending(go_on(RUN, after=1), Spent("a", (charge(4),)), Spent("b", (charge(3),)))
        ),
        storage.log.append(spending(end(OTHER, after=1), Spent("c", (charge(1),)), frees=True)),
    )
    # What is left is reserved for call c of the one; of the other nothing.
    assert await storage.budgets.used("default", [ACCOUNT]) == [Used(ACCOUNT, "calls", 8, 10)]
    await storage.log.append(spending(go_on(RUN, after=2), Spent("c", (charge(2),))))
    assert await storage.budgets.used("default", [ACCOUNT]) == [Used(ACCOUNT, "calls", 10, 0)]


async def test_all_of_a_reservation_is_taken_or_nothing(storage: Storage) -> None:
    await storage.budgets.put("default", limit(10))
    await storage.budgets.put("default", limit(10, "tokens"))
    wanted = call("a", charge(1), charge(11, "tokens"))
    assert await storage.budgets.reserve("default", wanted, now=1) == Short(
        DAY, "tokens", 10, 0, 11
    )
    assert await storage.budgets.used("default", [ACCOUNT]) == []


async def test_a_call_that_is_repeated_counts_once(storage: Storage) -> None:
    await storage.budgets.put("default", limit(10))
    await storage.log.append(begin(RUN))
    for _ in range(3):
        assert await storage.budgets.reserve("default", call("a", charge(7)), now=1) is None
    settled = spending(go_on(RUN, after=1), Spent("a", (charge(7),)))
    first = await storage.log.append(settled)
    assert await storage.log.append(settled) == first
    assert await storage.budgets.used("default", [ACCOUNT]) == [Used(ACCOUNT, "calls", 7, 0)]


async def test_who_lost_the_run_counts_nothing(storage: Storage) -> None:
    await storage.budgets.put("default", limit(10))
    await storage.log.append(begin(RUN))
    await storage.budgets.reserve("default", call("a", charge(7)), now=1)
    late = spending(go_on(RUN, after=1, epoch=9), Spent("a", (charge(7),)))
    assert await outcome(storage.log.append(late)) is Fenced
    assert await storage.budgets.used("default", [ACCOUNT]) == [Used(ACCOUNT, "calls", 0, 7)]


async def test_a_run_that_ends_gives_back_what_is_reserved(storage: Storage) -> None:
    await storage.budgets.put("default", limit(10))
    await storage.log.append(begin(RUN))
    for key in "ab":
        await storage.budgets.reserve("default", call(key, charge(2)), now=1)
    await storage.budgets.reserve("default", call("a", charge(3), run=OTHER), now=1)
    await storage.log.append(spending(end(RUN, after=1), frees=True))
    assert await storage.budgets.used("default", [ACCOUNT]) == [Used(ACCOUNT, "calls", 0, 3)]


async def test_what_is_reserved_for_too_long_makes_room(storage: Storage) -> None:
    await storage.budgets.put("default", limit(10))
    await storage.budgets.reserve("default", call("a", charge(9), until=100), now=1)
    other = call("b", charge(5), run=OTHER, until=300)
    assert await storage.budgets.reserve("default", other, now=99) is not None
    assert await storage.budgets.reserve("default", other, now=100) is None
    assert await storage.budgets.used("default", [ACCOUNT]) == [Used(ACCOUNT, "calls", 0, 5)]


async def test_an_amount_that_nobody_knows_is_too_much_where_there_is_a_limit(
    storage: Storage,
) -> None:
    unknown = call("a", charge(None, "usd_micros"), charge(1))
    assert await storage.budgets.reserve("default", unknown, now=1) is None
    await storage.budgets.put("default", limit(10, "usd_micros"))
    short = await storage.budgets.reserve("default", unknown, now=1)
    assert short == Short(DAY, "usd_micros", 10, 0, None)
    await storage.budgets.put("default", limit(None, "usd_micros"))
    assert await storage.budgets.reserve("default", unknown, now=1) is None


async def test_what_has_no_limit_is_counted_only_where_that_is_wanted(storage: Storage) -> None:
    await storage.budgets.put("default", limit(None))
    await storage.log.append(begin(RUN))
    await storage.budgets.reserve("default", call("a", charge(5), charge(9, "tokens")), now=1)
    await storage.log.append(
        spending(go_on(RUN, after=1), Spent("a", (charge(4), charge(9, "tokens"))))
    )
    assert await storage.budgets.used("default", [ACCOUNT]) == [Used(ACCOUNT, "calls", 4, 0)]


async def test_the_budget_of_a_run_is_made_with_it_and_goes_with_it(storage: Storage) -> None:
    scope = f"run:{RUN}"
    row = BudgetRow(scope, "calls", 2, "user:ann", 1, RUN)
    head = Head("completed", 100, ended_at=100)
    await storage.log.append(replace(begin(RUN, head=head), budgets=(row,)))
    wanted = Reservation(RUN, "a", (Charge(scope, scope, "calls", 2, RUN),), 1000)
    assert await storage.budgets.reserve("default", wanted, now=1) is None
    raised = replace(row, amount=4)
    await storage.budgets.put("default", raised)
    assert await storage.budgets.reserve("default", replace(wanted, key="b"), now=1) is None
    assert await storage.budgets.reserve("default", replace(wanted, key="c"), now=1) is not None
    assert await storage.budgets.of_run("default", RUN) == [raised]

    await storage.retention.keep("default", 10)
    assert await storage.retention.purge(now=500, limit=9) == 1
    assert await storage.budgets.of_run("default", RUN) == []
    assert await storage.budgets.used("default", [scope]) == []
