"""QueueService, from a client to the store and back."""

import asyncio
from datetime import timedelta

import grpc
import pytest

from stepwell.client import Client
from stepwell.errors import Code, Denied, FailedPrecondition, InvalidRequest, NotFound
from stepwell.v1 import queue_service_pb2 as pb
from stepwell.v1.queue_service_pb2_grpc import QueueServiceStub

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)


async def test_a_queue_is_made_changed_listed_and_forgotten(client: Client) -> None:
    made = await client.queues.put("db", concurrency=5, rate=10, per=SECOND)
    assert (made.concurrency, made.rate, made.per, made.created) == (5, 10, SECOND, True)
    assert (made.running, made.waiting) == (0, 0)

    changed = await client.queues.put("db", concurrency=0)
    assert (changed.concurrency, changed.rate, changed.per, changed.created) == (
        0,
        None,
        None,
        False,
    )
    assert await client.queues.get("db") == changed
    assert await client.queues.list() == (changed,)

    await client.queues.delete("db")
    with pytest.raises(NotFound) as refused:
        await client.queues.get("db")
    assert refused.value.code is Code.QUEUE_NOT_FOUND


async def test_a_run_waits_in_a_queue_until_it_may_begin(client: Client) -> None:
    await client.queues.put("db", concurrency=0)
    run = await client.run("hello", {"name": "Ann"}, queue="db")
    async with asyncio.timeout(5):
        while not (await client.queues.get("db")).waiting:
            pass
    with pytest.raises(FailedPrecondition) as refused:
        await client.queues.delete("db")
    assert refused.value.code is Code.NOT_APPLICABLE
    await client.queues.put("db", concurrency=1)
    assert (await client.wait(run.id)).output == {"text": "hello Ann"}


async def test_a_run_that_names_a_queue_that_is_not_there_is_refused(client: Client) -> None:
    with pytest.raises(NotFound, match="stepwell queues put dbb"):
        await client.run("hello", queue="dbb")


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"concurrency": -1}, "limits.concurrency"),
        ({"rate": 0, "per": SECOND}, "limits.rate.count"),
        ({"rate": 1}, "limits.rate.per"),
        ({"rate": 1, "per": timedelta(days=32)}, "limits.rate.per"),
    ],
)
async def test_limits_that_are_none_are_refused(
    client: Client, limits: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await client.queues.put("db", **limits)  # type: ignore[arg-type]
    assert list(refused.value.detail) == [field]


async def test_who_shows_no_credential_changes_no_limits(address: str) -> None:
    async with Client(address) as agent:
        with pytest.raises(Denied) as refused:
            await agent.queues.put("db")
        assert refused.value.code is Code.POLICY_DENIED
        assert await agent.queues.list() == ()


async def test_queues_come_in_pages(client: Client, channel: grpc.aio.Channel) -> None:
    for name in ("b", "a"):
        await client.queues.put(name)
    request = pb.ListQueuesRequest(page_size=1)
    first = await QueueServiceStub(channel).ListQueues(request)
    request.page_token = first.next_page_token
    second = await QueueServiceStub(channel).ListQueues(request)
    assert [queue.name for page in (first, second) for queue in page.queues] == ["a", "b"]
    assert second.next_page_token == ""
