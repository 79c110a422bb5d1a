"""What every list of runs promises."""

import asyncio

import pytest
from tests.contract.appends import OTHER, RUN, THIRD, begin, go_on

from stepwell_storage.errors import Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import Condition, Head, RunRow

pytestmark = pytest.mark.anyio


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


async def listed(storage: Storage, *where: Condition) -> list[str]:
    """The runs for which these conditions hold, as the list shows them."""
    return [row.run for row in await storage.runs.list("default", limit=9, where=where)]


async def test_runs_are_listed_by_status_and_workflow(storage: Storage) -> None:
    await storage.log.append(begin(RUN, workflow="a", at=1))
    await storage.log.append(begin(OTHER, workflow="b", at=2))
    await storage.log.append(begin(THIRD, workflow="a", at=3, head=Head("completed", 3, 3)))

    a, running = Condition("workflow", "=", ("a",)), Condition("status", "=", ("running",))
    assert await listed(storage, a) == [THIRD, RUN]
    assert await listed(storage, running) == [OTHER, RUN]
    assert await listed(storage, a, running) == [RUN]
    assert await listed(storage, Condition("status", "=", ("cancelled",))) == []


async def test_a_run_shows_its_key_and_the_runs_that_it_comes_from(storage: Storage) -> None:
    await storage.log.append(begin(RUN, run_key="order-7", parent=OTHER, forked_from=THIRD))

    row = await storage.runs.get("default", RUN)
    assert (row.run_key, row.parent, row.forked_from) == ("order-7", OTHER, THIRD)
    assert await storage.runs.list("default", limit=1) == [row]


async def test_runs_are_listed_by_any_of_some_values(storage: Storage) -> None:
    for run, status in ((RUN, "running"), (OTHER, "failed"), (THIRD, "completed")):
        await storage.log.append(begin(run, head=Head(status, 100, 100)))

    wanted = Condition("status", "=", ("running", "completed", "paused"))
    assert await listed(storage, wanted) == [THIRD, RUN]


async def test_runs_are_listed_by_when_they_were_made_and_ended(storage: Storage) -> None:
    await storage.log.append(begin(RUN, at=100))
    await storage.log.append(begin(OTHER, at=200, head=Head("completed", 250, 250)))
    await storage.log.append(begin(THIRD, at=300, head=Head("failed", 350, 350)))

    assert await listed(storage, Condition("created_at", ">=", (200,))) == [THIRD, OTHER]
    assert await listed(storage, Condition("created_at", ">", (200,))) == [THIRD]
    assert await listed(storage, Condition("created_at", "<=", (200,))) == [OTHER, RUN]
    assert await listed(storage, Condition("ended_at", "<", (300,))) == [OTHER]
    assert await listed(storage, Condition("updated_at", "=", (350,))) == [THIRD]
    between = Condition("created_at", ">", (100,)), Condition("created_at", "<", (300,))
    assert await listed(storage, *between) == [OTHER]


async def test_runs_are_listed_by_the_run_that_they_come_from(storage: Storage) -> None:
    await storage.log.append(begin(RUN))
    await storage.log.append(begin(OTHER, parent=RUN, run_key="a"))
    await storage.log.append(begin(THIRD, forked_from=RUN))

    assert await listed(storage, Condition("parent", "=", (RUN,))) == [OTHER]
    assert await listed(storage, Condition("parent", "=", (RUN, THIRD))) == [OTHER]
    assert await listed(storage, Condition("forked_from", "=", (RUN,))) == [THIRD]
    assert await listed(storage, Condition("run_key", "=", ("a",))) == [OTHER]
    assert await listed(storage, Condition("parent", "=", ("no run id",))) == []
    assert await listed(storage, Condition("parent", "!=", ("no run id",))) == [THIRD, OTHER, RUN]


async def test_not_equal_holds_where_there_is_no_value(storage: Storage) -> None:
    await storage.log.append(begin(RUN, labels={"team": "shop"}, run_key="a"))
    await storage.log.append(begin(OTHER, labels={"team": "bank"}, run_key="b"))
    await storage.log.append(begin(THIRD, labels={}))

    assert await listed(storage, Condition("run_key", "!=", ("a",))) == [THIRD, OTHER]
    assert await listed(storage, Condition("labels.team", "!=", ("shop",))) == [THIRD, OTHER]
    assert await listed(storage, Condition("labels.team", "!=", ("shop", "bank"))) == [
        THIRD,
        OTHER,
        RUN,
    ]


async def test_no_value_is_more_or_less_than_another(storage: Storage) -> None:
    await storage.log.append(begin(RUN, labels={"team": "shop"}, run_key="a"))
    await storage.log.append(begin(OTHER, labels={}))

    assert await listed(storage, Condition("labels.team", ">=", ("",))) == [RUN]
    assert await listed(storage, Condition("labels.team", "<", ("z",))) == [RUN]
    assert await listed(storage, Condition("run_key", ">", ("",))) == [RUN]
    assert await listed(storage, Condition("ended_at", "<", (10_000,))) == []


async def test_runs_are_listed_by_several_labels(storage: Storage) -> None:
    await storage.log.append(begin(RUN, labels={"team": "shop", "env": "live"}))
    await storage.log.append(begin(OTHER, labels={"team": "shop", "env": "test"}))
    await storage.log.append(begin(THIRD, labels={"team": "bank", "env": "live"}))
    await storage.log.append(begin(THIRD, labels={"team": "shop"}, namespace="elsewhere"))

    shop, live = (Condition("labels.team", "=", ("shop",)), Condition("labels.env", "=", ("live",)))
    assert await listed(storage, shop) == [OTHER, RUN]
    assert await listed(storage, shop, live) == [RUN]
    assert await listed(storage, Condition("labels.team", "=", ("shop", "bank")), live) == [
        THIRD,
        RUN,
    ]
    assert await listed(storage, shop, Condition("status", "=", ("failed",))) == []
    assert await listed(storage, Condition("labels.other", "=", ("shop",))) == []


async def test_runs_with_a_label_are_listed_page_by_page(storage: Storage) -> None:
    runs = [f"01890000-0000-7000-8000-{n:012x}" for n in range(9)]
    for n, run in enumerate(runs):
        await storage.log.append(begin(run, at=100 + n // 4, labels={"odd": str(n % 2)}))

    where = [Condition("labels.odd", "=", ("1",))]
    first = await storage.runs.list("default", limit=2, where=where)
    before = first[-1].created_at, first[-1].run
    second = await storage.runs.list("default", limit=9, before=before, where=where)
    assert [row.run for row in (*first, *second)] == [runs[7], runs[5], runs[3], runs[1]]
