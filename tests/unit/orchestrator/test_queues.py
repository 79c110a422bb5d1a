"""Queues, as callers make and change them while runs wait in them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.orchestrator.rig import Rig, on_virtual_time, until, until_async
from tests.unit.orchestrator.test_service import ANN, BOB, ONE, serving

from stepwell.engine.values import Failure
from stepwell.errors import Code, Denied, FailedPrecondition, InvalidRequest, NotFound
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Queue, RunStatus, Waiting
from stepwell.principals import Caller
from stepwell_storage.records import Ticket

AGENT = Caller(ANN.namespace, "agent:a")
PLACES = b"""
workflow: places
nodes: [{ id: a, tool: look, queue: db }, { id: b, tool: look, queue: db }]
"""
MINUTE = timedelta(minutes=1)


async def load(service: Service, name: str) -> tuple[int, int]:
    queue = await service.queues.get_queue(ANN, name)
    return queue.running, queue.waiting


@on_virtual_time
async def test_a_queue_is_made_shown_listed_changed_and_removed() -> None:
    rig = Rig()
    async with serving(rig) as service:
        made, is_new = await service.queues.put_queue(ANN, "db", concurrency=5, rate=10, per=MINUTE)
        assert is_new
        assert made == Queue(
            name="db",
            concurrency=5,
            rate=10,
            per_us=60_000_000,
            running=0,
            waiting=0,
            updated_at=rig.clock.now(),
        )
        assert await service.queues.get_queue(ANN, "db") == made
        await service.queues.put_queue(ANN, "api")
        assert [queue.name for queue in await service.queues.list_queues(ANN)] == ["api", "db"]
        changed, is_new = await service.queues.put_queue(ANN, "db", concurrency=1)
        assert (changed.concurrency, changed.rate, is_new) == (1, None, False)
        await service.queues.remove_queue(ANN, "db")
        with pytest.raises(NotFound, match="stepwell queues put db") as refused:
            await service.queues.get_queue(ANN, "db")
        assert refused.value.code is Code.QUEUE_NOT_FOUND


@on_virtual_time
async def test_queues_stay_in_their_namespace() -> None:
    async with serving(Rig()) as service:
        await service.queues.put_queue(ANN, "db")
        assert await service.queues.list_queues(BOB) == ()
        with pytest.raises(NotFound):
            await service.queues.remove_queue(BOB, "db")


@on_virtual_time
async def test_runs_wait_until_the_limit_is_raised_while_they_do() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.queues.put_queue(ANN, "db", concurrency=1)
        for _ in range(3):
            await service.start_run(ANN, "one", {"q": "?"}, queue="db")
        await rig.pass_time(MINUTE)
        assert (await load(service, "db"), len(rig.effects.calls)) == ((1, 2), 1)
        await service.queues.put_queue(ANN, "db", concurrency=2)
        await rig.pass_time(MINUTE)
        assert (await load(service, "db"), len(rig.effects.calls)) == ((2, 1), 2)
        await service.queues.put_queue(ANN, "db")
        await rig.pass_time(MINUTE)
        assert (await load(service, "db"), len(rig.effects.calls)) == ((3, 0), 3)


@on_virtual_time
async def test_a_concurrency_of_none_holds_back_what_comes() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.queues.put_queue(ANN, "db", concurrency=0)
        await service.start_run(ANN, "one", {"q": "?"}, queue="db")
        await rig.pass_time(MINUTE)
        assert (await load(service, "db"), rig.effects.calls) == ((0, 1), [])


@on_virtual_time
async def test_a_queue_that_is_in_use_is_not_removed() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.queues.put_queue(ANN, "db", concurrency=1)
        await service.start_run(ANN, "one", {"q": "?"}, queue="db")
        await rig.pass_time(MINUTE)
        with pytest.raises(FailedPrecondition, match="in use") as refused:
            await service.queues.remove_queue(ANN, "db")
        assert refused.value.code is Code.NOT_APPLICABLE
        (await rig.effects.next()).returns(1)
        await rig.pass_time(MINUTE)
        await service.queues.remove_queue(ANN, "db")


@on_virtual_time
async def test_a_step_that_is_tried_again_has_a_place_again() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.queues.put_queue(ANN, "db", concurrency=1)
        await service.put_workflow(
            ANN, b"{ workflow: two, nodes: [{ id: a, tool: look, queue: db }] }"
        )
        run, _ = await service.start_run(ANN, "two", {})
        (await rig.effects.next()).fails(Failure("TOOL_ERROR", "no"))
        await until_async(lambda: rig.status(run.id), "failed")
        assert await load(service, "db") == (0, 0)
        await service.controls.retry_step(ANN, run.id, "a")
        await rig.effects.next()
        assert await load(service, "db") == (1, 0)


@on_virtual_time
async def test_a_place_is_asked_for_under_the_lease_of_the_run_and_from_when_it_was_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    enter, tickets = rig.storage.queues.enter, list[Ticket]()

    async def seen(namespace: str, asked: Sequence[Ticket], *, now: int) -> Any:
        assert namespace == ANN.namespace
        tickets.extend(asked)
        return await enter(namespace, asked, now=now)

    monkeypatch.setattr(rig.storage.queues, "enter", seen)
    async with serving(rig) as service:
        await service.queues.put_queue(ANN, "db", concurrency=1)
        await service.put_workflow(ANN, PLACES)
        await rig.pass_time(MINUTE)
        run, _ = await service.start_run(ANN, "places", {})
        began = rig.clock.now()
        await rig.effects.next()
    again = rig.clock.now()
    async with rig.working("two"):
        await until(lambda: len(tickets) > 2)
    assert tickets[:2] == [Ticket("db", run.id, step, began, 1) for step in ("a", "b")]
    assert tickets[2:] == [Ticket("db", run.id, "b", again, 2)]


@on_virtual_time
async def test_a_run_that_asks_for_a_queue_that_is_not_there_is_refused() -> None:
    """A mistake in its name would let it run without a limit."""
    async with serving(Rig()) as service:
        with pytest.raises(NotFound) as refused:
            await service.start_run(ANN, "one", {"q": "?"}, queue="dbb")
        assert refused.value.code is Code.QUEUE_NOT_FOUND


@on_virtual_time
async def test_a_workflow_may_name_a_queue_that_nobody_has_made() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.put_workflow(
            ANN, ONE.replace(b"workflow: one", b"workflow: two\nqueue: none")
        )
        await service.start_run(ANN, "two", {"q": "?"})
        (await rig.effects.next()).returns(1)


@on_virtual_time
async def test_a_run_that_waits_for_its_place_says_so_wherever_it_is_shown() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.queues.put_queue(ANN, "db", concurrency=0)
        started, _ = await service.start_run(ANN, "one", {"q": "?"}, queue="db")
        await rig.pass_time(MINUTE)
        run = await service.get_run(ANN, started.id)
        (listed,) = (await service.list_runs(ANN)).runs
        place = (Waiting(step="", on="queue", about="db"),)
        assert [(it.status, it.waiting) for it in (started, run, listed)] == [
            (RunStatus.WAITING, place)
        ] * 3
        await service.queues.put_queue(ANN, "db")
        await rig.effects.next()
        run = await service.get_run(ANN, started.id)
        assert (run.status, run.waiting) == (RunStatus.RUNNING, ())


@on_virtual_time
async def test_a_step_that_waits_for_its_place_says_so_wherever_it_is_shown() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.queues.put_queue(ANN, "db", concurrency=1)
        await service.put_workflow(ANN, PLACES)
        run, _ = await service.start_run(ANN, "places", {})
        first = await rig.effects.next()
        await rig.pass_time(MINUTE)
        shown = await service.get_run(ANN, run.id)
        assert (shown.status, shown.waiting) == (RunStatus.RUNNING, ())
        steps = {it.id: (it.status, it.waiting) for it in await service.list_steps(ANN, run.id)}
        place = (Waiting(step="b", on="queue", about="db"),)
        assert steps == {"a": ("active", ()), "b": ("waiting", place)}
        await service.queues.put_queue(ANN, "db", concurrency=0)
        first.returns(1)
        await rig.pass_time(MINUTE)
        shown = await service.get_run(ANN, run.id)
        (listed,) = (await service.list_runs(ANN)).runs
        assert [(it.status, it.waiting) for it in (shown, listed)] == [
            (RunStatus.WAITING, place)
        ] * 2


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"concurrency": -1}, "concurrency"),
        ({"concurrency": 1_000_001}, "concurrency"),
        ({"rate": 10}, "rate"),
        ({"per": MINUTE}, "rate"),
        ({"rate": 0, "per": MINUTE}, "rate"),
        ({"rate": 1, "per": timedelta(0)}, "per"),
        ({"rate": 1, "per": timedelta(days=32)}, "per"),
    ],
)
@on_virtual_time
async def test_limits_that_are_none_are_refused(limits: dict[str, object], field: str) -> None:
    async with serving(Rig()) as service:
        with pytest.raises(InvalidRequest) as refused:
            await service.queues.put_queue(ANN, "db", **limits)  # type: ignore[arg-type]
        assert list(refused.value.detail) == [field]


@on_virtual_time
async def test_an_agent_does_not_change_its_own_limits() -> None:
    async with serving(Rig()) as service:
        await service.queues.put_queue(ANN, "db")
        with pytest.raises(Denied, match="stepwell queues put"):
            await service.queues.put_queue(AGENT, "db")
        with pytest.raises(Denied, match="stepwell queues remove"):
            await service.queues.remove_queue(AGENT, "db")
        assert len(await service.queues.list_queues(AGENT)) == 1
