"""ScheduleService, from a client to the store and back."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import grpc
import pytest
from msgspec.structs import replace

from stepwell.client import Client, Run, RunStatus
from stepwell.errors import AlreadyExists, Code, Denied, InvalidRequest, NotFound
from stepwell.v1 import schedule_service_pb2 as pb
from stepwell.v1.schedule_service_pb2_grpc import ScheduleServiceStub

pytestmark = pytest.mark.anyio

NEVER_SOON: dict[str, Any] = {"cron": "0 0 29 2 *", "workflow": "hello"}


async def test_every_part_of_a_schedule_comes_back(client: Client) -> None:
    await client.queues.put("db")
    made = await client.schedules.put(
        "daily",
        cron="30 9 * * 1-5",
        zone="Europe/Berlin",
        workflow="hello",
        version=(await client.workflows.get("hello")).version,
        input={"name": "Ann"},
        labels={"team": "shop"},
        queue="db",
        run_key="hello",
        overlap="queue",
        catch_up=timedelta(hours=1),
        jitter=timedelta(seconds=2.5),
        note="why",
        paused=True,
    )
    assert (made.created, made.paused, made.next_at, made.principal) == (
        True,
        True,
        None,
        "user:local",
    )
    assert (made.zone, made.input, made.labels) == (
        "Europe/Berlin",
        {"name": "Ann"},
        {"team": "shop"},
    )
    assert (made.queue, made.run_key, made.overlap) == ("db", "hello", "queue")
    assert (made.catch_up, made.jitter) == (timedelta(hours=1), timedelta(seconds=2.5))
    assert await client.schedules.list() == (replace(made, created=False),)

    shown = await client.schedules.get("daily", fires=3)
    assert len(shown.fires) == 3
    assert {f"{at.astimezone(ZoneInfo('Europe/Berlin')):%H:%M}" for at in shown.fires} == {"09:30"}
    assert shown.problem is None


async def test_a_schedule_starts_runs(client: Client) -> None:
    await client.schedules.put(
        "often", cron="* * * * * *", workflow="hello", input={"name": "Ann"}, overlap="allow"
    )
    runs: tuple[Run, ...] = ()
    async with asyncio.timeout(10):
        while len(runs) < 2:
            runs = (await client.list(filter='labels.schedule = "often"')).runs
    run = runs[-1]
    assert run.principal == "service:schedule/often"
    assert (await client.wait(run.id)).output == {"text": "hello Ann"}
    fired = datetime.fromisoformat(run.labels["fire"])
    assert timedelta(0) <= run.created_at - fired < timedelta(seconds=10)


async def test_a_schedule_is_paused_resumed_triggered_and_forgotten(client: Client) -> None:
    made = await client.schedules.put("s", **NEVER_SOON, input={"name": "Ann"})
    assert made.next_at is not None
    assert (made.next_at.month, made.next_at.day) == (2, 29)
    paused = await client.schedules.pause("s", "not now")
    assert (paused.paused, paused.next_at, paused.note) == (True, None, "not now")
    run = await client.schedules.trigger("s", request_id="1")
    assert (run.created, run.labels) == (True, {"schedule": "s"})
    assert (await client.wait(run.id)).status is RunStatus.COMPLETED
    assert not (await client.schedules.trigger("s", request_id="1")).created
    resumed = await client.schedules.resume("s")
    assert (resumed.paused, resumed.next_at) == (False, made.next_at)
    await client.schedules.delete("s")
    for gone in (client.schedules.get("s"), client.schedules.trigger("s")):
        with pytest.raises(NotFound) as refused:
            await gone
        assert refused.value.code is Code.SCHEDULE_NOT_FOUND


async def test_a_trigger_that_would_overlap_is_refused_with_the_run_that_goes_on(
    client: Client,
) -> None:
    await client.schedules.put("s", cron="0 0 29 2 *", workflow="hold")
    run = await client.schedules.trigger("s")
    with pytest.raises(AlreadyExists) as refused:
        await client.schedules.trigger("s")
    assert (refused.value.code, refused.value.detail) == (Code.RUN_KEY_TAKEN, {"run": run.id})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": ""}, "spec.cron"),
        ({"zone": "Berlin"}, "zone"),
        ({"catch_up": timedelta(seconds=1)}, "spec.catch_up"),
        ({"jitter": timedelta(days=2)}, "spec.jitter"),
        ({"labels": {"Team": "a"}}, "spec.labels"),
        ({"labels": {"schedule": "a"}}, "labels"),
        ({"queue": "A"}, "spec.queue"),
        ({"input": {"name": 7}}, "input"),
    ],
)
async def test_a_schedule_that_cannot_be_is_refused(
    client: Client, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await client.schedules.put("s", **NEVER_SOON | changes)
    assert list(refused.value.detail) == [field]


async def test_what_became_of_a_schedule_since_it_was_put_is_told(client: Client) -> None:
    await client.schedules.put("s", **NEVER_SOON)
    await client.workflows.put(
        "workflow: hello\ninput: { type: object, required: [a] }\nnodes: [{ id: a, transform: 1 }]"
    )
    problem = (await client.schedules.get("s")).problem
    assert problem is not None
    assert problem.reason == Code.INVALID_INPUT


async def test_who_shows_no_credential_changes_no_schedule(address: str) -> None:
    async with Client(address) as agent:
        with pytest.raises(Denied) as refused:
            await agent.schedules.put("s", **NEVER_SOON)
        assert refused.value.code is Code.POLICY_DENIED
        assert await agent.schedules.list() == ()


async def test_schedules_come_in_pages(client: Client, channel: grpc.aio.Channel) -> None:
    for name in ("b", "a"):
        await client.schedules.put(name, **NEVER_SOON)
    request = pb.ListSchedulesRequest(page_size=1)
    first = await ScheduleServiceStub(channel).ListSchedules(request)
    request.page_token = first.next_page_token
    second = await ScheduleServiceStub(channel).ListSchedules(request)
    assert [one.name for page in (first, second) for one in page.schedules] == ["a", "b"]
    assert second.next_page_token == ""
