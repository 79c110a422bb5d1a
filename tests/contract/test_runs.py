"""What every list of runs promises."""

import asyncio

import pytest
from tests.contract.appends import OTHER, RUN, THIRD, begin, go_on

from stepwell_storage.errors import Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import Head, RunRow

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
