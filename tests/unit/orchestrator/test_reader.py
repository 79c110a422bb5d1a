"""The log of a namespace, a page at a time or as it grows."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.unit.orchestrator.rig import NAMESPACE, Rig, on_virtual_time, until

from stepwell.errors import Code, InvalidRequest
from stepwell.orchestrator.cursors import log_cursor
from stepwell.orchestrator.reader import LogReader
from stepwell.orchestrator.views import EventBatch

ONE = "{ workflow: one, nodes: [{ id: look, tool: look }] }"
MINUTE = timedelta(minutes=1)


async def page(reader: LogReader, cursor: str = "", *, run: str | None = None) -> EventBatch:
    return await reader.page(NAMESPACE, run=run, cursor=cursor, limit=3)


def watch(
    reader: LogReader, run: str | None = None, cursor: str | None = ""
) -> AsyncIterator[EventBatch]:
    return reader.watch(NAMESPACE, run=run, cursor=cursor, batch=3, heartbeat=MINUTE)


@on_virtual_time
async def test_pages_give_every_event_once_and_in_order() -> None:
    rig = Rig()
    reader = LogReader(rig.storage)
    async with rig.working() as worker:
        graph = await rig.put(ONE)
        runs = [await rig.start(worker, graph) for _ in range(4)]
    seen, cursor, caught_up = [], "", False
    while not caught_up:
        batch = await page(reader, cursor)
        seen += [(event.run, event.sequence) for event in batch.events]
        cursor, caught_up = batch.cursor, batch.caught_up
    assert seen == [(run, sequence) for run in runs for sequence in (1, 2)]
    assert (await page(reader, cursor)).events == ()


@on_virtual_time
async def test_a_page_of_one_run_leaves_the_others_out() -> None:
    rig = Rig()
    reader = LogReader(rig.storage)
    async with rig.working() as worker:
        graph = await rig.put(ONE)
        await rig.start(worker, graph)
        run = await rig.start(worker, graph)
        await rig.start(worker, graph)
        batch = await page(reader, run=run)
        assert [event.kind for event in batch.events] == ["run_started", "step_scheduled"]
        assert {event.run for event in batch.events} == {run}
        assert batch.caught_up
        assert (await page(reader, batch.cursor)).events == ()


@pytest.mark.parametrize(
    ("cursor", "code"),
    [
        ("what", Code.INVALID_CURSOR),
        (log_cursor("another log", 0), Code.CURSOR_EXPIRED),
    ],
)
@on_virtual_time
async def test_a_cursor_of_somewhere_else_is_refused(cursor: str, code: Code) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await page(LogReader(Rig().storage), cursor)
    assert refused.value.code is code


@on_virtual_time
async def test_a_watch_of_a_run_ends_with_it() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(ONE))
        seen: list[str] = []

        async def follow() -> None:
            async for batch in watch(LogReader(rig.storage), run):
                seen.extend(event.kind for event in batch.events)

        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            tasks.create_task(follow())
            await until(lambda: len(seen) == 2)
            (await rig.effects.next()).returns(1)
    assert seen == await rig.kinds(run)


@on_virtual_time
async def test_a_watch_from_now_on_says_at_once_where_that_is() -> None:
    rig = Rig()
    async with rig.working() as worker:
        graph = await rig.put(ONE)
        await rig.start(worker, graph)
        batches = watch(LogReader(rig.storage), cursor=None)
        first = await anext(batches)
        assert first.events == ()
        run = await rig.start(worker, graph)
        assert {event.run for event in (await anext(batches)).events} == {run}
        await batches.aclose()  # type: ignore[attr-defined]


@on_virtual_time
async def test_a_watch_in_silence_says_so_every_heartbeat() -> None:
    rig = Rig()
    batches = watch(LogReader(rig.storage))
    begun = rig.clock.now()
    for _ in range(3):
        assert (await anext(batches)).events == ()
    assert rig.clock.now() - begun == 3 * 60_000_000
    await batches.aclose()  # type: ignore[attr-defined]


@on_virtual_time
async def test_a_watch_of_one_run_is_not_told_of_the_commits_of_others() -> None:
    rig = Rig()
    async with rig.working() as worker:
        graph = await rig.put(ONE)
        run = await rig.start(worker, graph)
        batches = watch(LogReader(rig.storage), run)
        assert len((await anext(batches)).events) == 2
        heartbeat = asyncio.ensure_future(anext(batches))
        begun = rig.clock.now()
        while not heartbeat.done():
            await rig.start(worker, graph)
            await asyncio.sleep(7)
        assert heartbeat.result().events == ()
        assert rig.clock.now() - begun >= 60_000_000
        # What the cursor stands for is past the commits of the others.
        rest = await page(LogReader(rig.storage), heartbeat.result().cursor, run=run)
        assert rest.events == ()
        await batches.aclose()  # type: ignore[attr-defined]
