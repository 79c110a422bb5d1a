"""EventService: reading the log, and writing what services may write."""

from datetime import timedelta

import pytest

from stepwell.client import Client, Event
from stepwell.engine.events import KINDS, Custom, RunStarted
from stepwell.engine.values import Data
from stepwell.errors import Code, FailedPrecondition, InvalidRequest

pytestmark = pytest.mark.anyio

SOON = timedelta(seconds=5)
COMPLETED = ["run_started", "step_scheduled", "step_completed", "run_completed"]


async def test_the_events_of_a_run_are_listed_in_order(client: Client) -> None:
    run = await client.run("hello", {"name": "Ada"}, labels={"team": "a"})
    await client.wait(run.id, SOON)

    batch = await client.events(run.id)

    assert [event.kind for event in batch.events] == COMPLETED
    assert [event.sequence for event in batch.events] == [1, 2, 3, 4]
    assert batch.caught_up
    first = batch.events[0]
    assert (first.run, first.principal) == (run.id, "user:local")
    assert isinstance(first.fact, RunStarted)
    assert (first.fact.input, first.fact.labels) == (Data(value={"name": "Ada"}), {"team": "a"})
    assert all(isinstance(event.fact, KINDS[event.kind]) for event in batch.events)


async def test_pages_of_the_log_join_without_gap_or_repeat(client: Client) -> None:
    runs = [await client.run("hello", {"name": "Ada"}) for _ in range(3)]
    for run in runs:
        await client.wait(run.id, SOON)

    seen: list[Event] = []
    cursor = ""
    while True:
        batch = await client.events(cursor=cursor, page_size=5)
        seen += batch.events
        cursor = batch.cursor
        if batch.caught_up:
            break

    assert len(seen) == 12
    for run in runs:
        assert [event.sequence for event in seen if event.run == run.id] == [1, 2, 3, 4]
    assert (await client.events(cursor=cursor)).events == ()


async def test_events_that_fill_more_than_a_message_come_in_several(client: Client) -> None:
    run = await client.run("hold")
    for number in range(500):
        await client.publish(run.id, "filler", str(number).ljust(16_000))

    page = await client.events(run.id)
    assert 0 < len(page.events) < 500
    assert not page.caught_up

    await client.cancel(run.id)
    watched = [event async for batch in client.watch(run.id) for event in batch.events]
    assert [event.sequence for event in watched] == list(range(1, len(watched) + 1))
    assert sum(event.kind == "custom" for event in watched) == 500


async def test_a_service_publishes_an_event_of_its_own(client: Client) -> None:
    run = await client.run("hold")
    await client.publish(run.id, "com.example.paid", {"cents": 2**60})

    last = (await client.events(run.id)).events[-1]
    assert isinstance(last.fact, Custom)
    assert (last.fact.type, last.fact.payload.value) == ("com.example.paid", {"cents": 2**60})


async def test_nothing_is_written_into_the_log_of_a_run_that_has_ended(client: Client) -> None:
    run = await client.run("hello", {"name": "Ada"})
    await client.wait(run.id, SOON)

    with pytest.raises(FailedPrecondition) as refused:
        await client.publish(run.id, "late")
    assert refused.value.code is Code.RUN_ENDED


async def test_a_made_up_cursor_is_refused(client: Client) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await client.events(cursor="made-up")
    assert refused.value.code is Code.INVALID_CURSOR

    with pytest.raises(InvalidRequest) as refused:
        await anext(client.watch(cursor="made-up"))
    assert refused.value.code is Code.INVALID_CURSOR
