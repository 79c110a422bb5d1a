"""Watching the log: live, to the end of a run, across restarts, and when nobody reads."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest

from stepwell.client import Client, Event, EventBatch, RunStatus
from stepwell.engine.events import Custom
from stepwell.errors import Code, InvalidRequest, Unavailable
from stepwell.orchestrator import views
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_USER
from stepwell.v1 import event_service_pb2 as pb
from stepwell.v1.event_service_pb2_grpc import EventServiceStub

pytestmark = pytest.mark.anyio

SOON = timedelta(seconds=5)
HOLD = "workflow: hold\nnodes:\n  - { id: wait, tool: hold }\n"


async def test_the_watch_of_a_run_ends_after_its_last_event(client: Client) -> None:
    run = await client.run("hello", {"name": "Ada"})

    kinds = [event.kind async for batch in client.watch(run.id) for event in batch.events]

    assert kinds[0] == "run_started"
    assert kinds[-1] == "run_completed"


async def test_events_are_seen_as_they_happen(client: Client) -> None:
    run = await client.run("hold")
    async with asyncio.timeout(5):
        watch = client.watch(run.id)
        batch = await anext(watch)
        for number in range(3):
            await client.publish(run.id, "tick", number)
            batch = await anext(watch)
            (fact,) = [event.fact for event in batch.events]
            assert isinstance(fact, Custom)
            assert fact.payload.value == number
        await watch.aclose()


async def test_a_watch_from_now_leaves_out_what_was_before(client: Client) -> None:
    run = await client.run("hold")
    async with asyncio.timeout(5):
        watch = client.watch(run.id, cursor=None)
        first = await anext(watch)
        await client.publish(run.id, "later")
        second = await anext(watch)
        await watch.aclose()

    assert first.events == ()
    assert first.cursor
    assert [event.kind for event in second.events] == ["custom"]


async def test_a_cursor_and_from_now_exclude_each_other(channel: grpc.aio.Channel) -> None:
    call = EventServiceStub(channel).WatchEvents(pb.WatchEventsRequest(cursor="a", from_now=True))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_watch_survives_servers_that_are_killed_without_gap_or_repeat(
    service: Service, serve: Any, port: int
) -> None:
    chance = random.Random(7)
    seen: list[Event] = []

    async def read(batches: AsyncIterator[EventBatch]) -> None:
        async for batch in batches:
            seen.extend(batch.events)

    async with (
        Client(f"127.0.0.1:{port}", token="owner", patience=SOON) as client,
        asyncio.timeout(30),
        asyncio.TaskGroup() as tasks,
    ):
        async with serve(service, port):
            await client.workflows.put(HOLD)
            run = (await client.run("hold")).id
            watch = client.watch(run)
            seen += (await anext(watch)).events
            reading = tasks.create_task(read(watch))
        for _ in range(10):
            async with serve(service, port):
                for _ in range(chance.randrange(30)):
                    await service.controls.publish_event(LOCAL_USER, run, "tick", None)
        async with serve(service, port):
            await service.controls.cancel_run(LOCAL_USER, run)
            await reading

    assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].kind == "run_cancelled"


async def test_a_wait_survives_a_server_that_is_restarted(
    service: Service, serve: Any, port: int
) -> None:
    async with (
        Client(f"127.0.0.1:{port}", token="owner", patience=SOON) as client,
        asyncio.timeout(10),
        asyncio.TaskGroup() as tasks,
    ):
        async with serve(service, port):
            await client.workflows.put(HOLD)
            run = (await client.run("hold")).id
            waiting = tasks.create_task(client.wait(run))
            assert not (await client.wait(run, timedelta(seconds=0.1))).status.ended
        async with serve(service, port):
            await service.controls.cancel_run(LOCAL_USER, run)
            ended = await waiting

    assert ended.status is RunStatus.CANCELLED


async def test_a_watch_gives_up_when_the_server_stays_away(
    service: Service, serve: Any, port: int
) -> None:
    patience = timedelta(seconds=0.3)
    async with Client(f"127.0.0.1:{port}", patience=patience) as client:
        async with serve(service, port):
            watch = client.watch(cursor=None)
            await anext(watch)
        with pytest.raises(Unavailable) as gone:
            async with asyncio.timeout(5):
                await anext(watch)

    assert gone.value.code is Code.DAEMON_NOT_RUNNING


async def test_a_watch_and_a_wait_fail_at_once_when_nobody_listens(port: int) -> None:
    asks: list[Callable[[Client], Awaitable[object]]] = [
        lambda client: anext(client.watch()),
        lambda client: client.wait("r-1"),
        lambda client: client.get("r-1"),
    ]
    for ask in asks:
        async with Client(f"127.0.0.1:{port}") as client, asyncio.timeout(5):
            with pytest.raises(Unavailable, match="stepwell up") as gone:
                await ask(client)
            assert gone.value.code is Code.DAEMON_NOT_RUNNING


async def read_to_the_end(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def test_a_reader_that_reads_nothing_is_cut_off_and_may_resume(
    scripted: Any, serve: Any
) -> None:
    filler = views.RunEvent(
        run="r",
        sequence=1,
        kind="custom",
        principal="service:a",
        event=Custom(at=0, type="t" * 100_000),
    )
    scripted.endless = views.EventBatch(events=(filler,), cursor="place", caught_up=False)
    patience = timedelta(seconds=0.2)
    async with (
        serve(scripted, reader_patience=patience) as running,
        grpc.aio.insecure_channel(running.address) as channel,
    ):
        call = EventServiceStub(channel).WatchEvents(pb.WatchEventsRequest())
        await call.read()
        await running.server.drain()  # ends when the streams have ended
        with pytest.raises(grpc.aio.AioRpcError, match="resume from the last cursor"):
            await read_to_the_end(call)

    assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_unknown_run_cannot_be_watched(client: Client) -> None:
    with pytest.raises(InvalidRequest):
        await anext(client.watch("no run"))


async def test_a_client_that_saw_its_server_go_finds_the_next_one(
    service: Service, serve: Any, port: int
) -> None:
    async with Client(f"127.0.0.1:{port}", token="owner") as client, asyncio.timeout(10):
        with pytest.raises(Unavailable):
            await client.workflows.list()
        async with serve(service, port):
            assert (await client.workflows.put(HOLD)).created
