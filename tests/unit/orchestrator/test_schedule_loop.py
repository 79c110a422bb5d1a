"""Schedules that fire, in two processes at once unless a test says otherwise. In virtual time.

The clock begins at 13:46:40 on 1970-01-12.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.unit.orchestrator.rig import NAMESPACE, Rig, on_virtual_time, until
from tests.unit.orchestrator.test_service import ANN, ONE, serving

from stepwell.engine.instants import instant
from stepwell.orchestrator.schedule_loop import ScheduleLoop
from stepwell.orchestrator.schedule_rules import ScheduleSpec
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run, RunStatus
from stepwell_storage.errors import Full, Unavailable

POLL = timedelta(seconds=0.5)
MINUTE = timedelta(minutes=1)
STEP = timedelta(minutes=5)
QUICK = b"workflow: quick\nnodes: [{ id: add, transform: '=1 + 1' }]\noutput: =add.output\n"
"""Its runs end at once; those of `one` go on until the tool is answered."""
SLOW = ScheduleSpec(
    cron="*/5 * * * *", workflow="one", input={"q": "?"}, catch_up=timedelta(days=1)
)
BRISK = ScheduleSpec(cron="*/5 * * * *", workflow="quick", catch_up=timedelta(days=1))


def loop(rig: Rig, service: Service) -> ScheduleLoop:
    return ScheduleLoop(rig.storage, service.schedules, clock=rig.clock, poll=POLL)


@asynccontextmanager
async def firing(rig: Rig, service: Service, processes: int = 2) -> AsyncIterator[ScheduleLoop]:
    """Loops over one store; the last of them."""
    loops = [loop(rig, service) for _ in range(processes)]
    tasks = [asyncio.create_task(one.run()) for one in loops]
    try:
        yield loops[-1]
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def scheduled(rig: Rig, spec: ScheduleSpec) -> AsyncIterator[Service]:
    """A service with the schedule `s`, which does not fire yet."""
    async with serving(rig) as service:
        await service.put_workflow(ANN, QUICK)
        await service.schedules.put_schedule(ANN, "s", spec)
        yield service


async def runs(service: Service) -> list[Run]:
    """The runs of the schedule, oldest first."""
    page = await service.list_runs(ANN, filter='labels.schedule = "s"')
    return list(reversed(page.runs))


async def fires(service: Service) -> list[str]:
    """The fires that started them, by the clock."""
    return [run.labels["fire"][11:16] for run in await runs(service)]


# --- on time ------------------------------------------------------------------------------


@on_virtual_time
async def test_each_fire_starts_one_run_whoever_looks() -> None:
    rig = Rig()
    async with scheduled(rig, BRISK) as service, firing(rig, service, processes=3):
        await rig.pass_time(3 * STEP)
        assert await fires(service) == ["13:50", "13:55", "14:00"]


@on_virtual_time
async def test_a_run_tells_which_schedule_and_which_fire_started_it() -> None:
    rig = Rig()
    spec = replace(BRISK, labels={"team": "shop"})
    async with scheduled(rig, spec) as service, firing(rig, service):
        await rig.pass_time(STEP)
        (run,) = await runs(service)
        assert run.principal == "service:schedule/s"
        assert run.labels == {"team": "shop", "schedule": "s", "fire": "1970-01-12T13:50:00Z"}
        assert run.created_at - instant("1970-01-12T13:50:00Z") < 1000
        schedule = await service.schedules.get_schedule(ANN, "s")
        assert (schedule.last_run, schedule.last_at) == (run.id, instant("1970-01-12T13:50:00Z"))
        assert schedule.next_at == instant("1970-01-12T13:55:00Z")


@on_virtual_time
async def test_a_schedule_is_found_that_is_put_while_the_loop_sleeps() -> None:
    rig = Rig()
    async with scheduled(rig, replace(BRISK, cron="0 0 1 1 *")) as service, firing(rig, service):
        await rig.pass_time(MINUTE)
        await service.schedules.put_schedule(ANN, "s", replace(BRISK, cron="* * * * *"))
        await rig.pass_time(2 * MINUTE)
        assert await fires(service) == ["13:48", "13:49"]


@on_virtual_time
async def test_a_schedule_may_fire_every_second() -> None:
    rig = Rig()
    async with scheduled(rig, replace(BRISK, cron="* * * * * *")) as service, firing(rig, service):
        await rig.pass_time(timedelta(seconds=30.2))
        assert len(await runs(service)) == 30


@on_virtual_time
async def test_a_paused_schedule_does_not_fire_and_makes_up_for_nothing() -> None:
    rig = Rig()
    async with scheduled(rig, BRISK) as service, firing(rig, service):
        await service.schedules.pause_schedule(ANN, "s")
        await rig.pass_time(3 * STEP)
        await service.schedules.resume_schedule(ANN, "s")
        await rig.pass_time(STEP)
        assert await fires(service) == ["14:05"]


@on_virtual_time
async def test_a_loop_knows_whether_anything_is_to_come() -> None:
    rig = Rig()
    async with scheduled(rig, BRISK) as service, firing(rig, service, processes=1) as one:
        assert not one.is_expecting
        await until(lambda: one.is_expecting)
        await service.schedules.pause_schedule(ANN, "s")
        await until(lambda: not one.is_expecting)


# --- after a while without a process ------------------------------------------------------


@on_virtual_time
async def test_missed_fires_are_made_up_for_one_by_one_where_runs_may_overlap() -> None:
    rig = Rig()
    async with scheduled(rig, replace(SLOW, overlap="allow")) as service:
        await rig.pass_time(3 * STEP)
        async with firing(rig, service):
            await rig.pass_time(MINUTE)
            assert await fires(service) == ["13:50", "13:55", "14:00"]


@on_virtual_time
async def test_fires_that_were_missed_for_too_long_start_no_run() -> None:
    rig = Rig()
    spec = replace(SLOW, overlap="allow", catch_up=STEP)
    async with scheduled(rig, spec) as service:
        await rig.pass_time(4 * STEP)
        async with firing(rig, service):
            await rig.pass_time(MINUTE)
            assert await fires(service) == ["14:05"]


@on_virtual_time
async def test_by_default_only_a_fire_of_the_last_minute_is_made_up_for() -> None:
    rig = Rig()
    spec = ScheduleSpec(cron="*/5 * * * *", workflow="quick")
    async with scheduled(rig, spec) as service:
        await rig.pass_time(timedelta(minutes=3, seconds=50))  # 13:50:30
        async with firing(rig, service):
            await rig.pass_time(MINUTE)
            assert await fires(service) == ["13:50"]
        await rig.pass_time(STEP)  # 13:56:30
        async with firing(rig, service):
            await rig.pass_time(MINUTE)
            assert await fires(service) == ["13:50"]


@on_virtual_time
async def test_a_year_of_missed_seconds_is_passed_over_at_once() -> None:
    rig = Rig()
    spec = ScheduleSpec(cron="* * * * * *", workflow="quick", catch_up=timedelta(seconds=10))
    async with scheduled(rig, spec) as service:
        row = await rig.storage.schedules.get(NAMESPACE, "s")
        year_ago = rig.clock.now() - timedelta(days=365) // timedelta(microseconds=1)
        await rig.storage.schedules.put(NAMESPACE, replace(row, next_at=year_ago))
        async with firing(rig, service):
            await rig.pass_time(POLL)
            assert len(await runs(service)) == 11


# --- when the run before goes on ----------------------------------------------------------


@on_virtual_time
async def test_skip_starts_no_run_while_the_one_before_goes_on() -> None:
    rig = Rig()
    async with scheduled(rig, SLOW) as service, firing(rig, service):
        await rig.pass_time(3 * STEP)
        assert await fires(service) == ["13:50"]
        (await rig.effects.next()).returns(1)
        await rig.pass_time(STEP)
        assert await fires(service) == ["13:50", "14:05"]


@on_virtual_time
async def test_queue_lets_one_fire_wait_for_the_run_before() -> None:
    rig = Rig()
    spec = replace(SLOW, overlap="queue", catch_up=MINUTE)
    async with scheduled(rig, spec) as service, firing(rig, service):
        await rig.pass_time(3 * STEP)
        assert await fires(service) == ["13:50"]
        assert (await service.schedules.get_schedule(ANN, "s")).waiting
        (await rig.effects.next()).returns(1)
        await rig.pass_time(MINUTE)
        assert await fires(service) == ["13:50", "13:55"]
        assert not (await service.schedules.get_schedule(ANN, "s")).waiting
        (await rig.effects.next()).returns(1)
        await rig.pass_time(STEP)
        assert await fires(service) == ["13:50", "13:55", "14:05"]


@on_virtual_time
async def test_a_fire_that_waits_still_does_so_after_a_restart() -> None:
    rig = Rig()
    async with scheduled(rig, replace(SLOW, overlap="queue", catch_up=MINUTE)) as service:
        async with firing(rig, service):
            await rig.pass_time(2 * STEP)
        await rig.pass_time(STEP)
        (await rig.effects.next()).returns(1)
        async with firing(rig, service):
            await rig.pass_time(MINUTE)
            assert await fires(service) == ["13:50", "13:55"]


@on_virtual_time
async def test_one_that_waits_does_not_hold_up_the_others() -> None:
    rig = Rig()
    async with scheduled(rig, replace(SLOW, overlap="queue")) as service, firing(rig, service):
        brisk = replace(BRISK, cron="1-59/5 * * * *")
        await service.schedules.put_schedule(ANN, "other", brisk)
        await rig.pass_time(4 * STEP)
        page = await service.list_runs(ANN, filter='labels.schedule = "other"')
        at = [run.created_at - instant(run.labels["fire"]) for run in page.runs]
        assert len(at) == 4
        assert max(at) < 1000


@on_virtual_time
async def test_allow_starts_runs_beside_each_other() -> None:
    rig = Rig()
    spec = replace(SLOW, overlap="allow")
    async with scheduled(rig, spec) as service, firing(rig, service):
        await rig.pass_time(3 * STEP)
        assert await fires(service) == ["13:50", "13:55", "14:00"]
        assert {run.status for run in await runs(service)} == {RunStatus.RUNNING}


@on_virtual_time
async def test_cancel_other_starts_a_run_in_the_place_of_the_one_before() -> None:
    rig = Rig()
    spec = replace(SLOW, overlap="cancel_other")
    async with scheduled(rig, spec) as service, firing(rig, service):
        await rig.pass_time(2 * STEP)
        first, second = await runs(service)
        assert (first.status, second.status) == (RunStatus.CANCELLED, RunStatus.RUNNING)
        assert first.reason == "another run was started with the key 'schedule/s'"


@on_virtual_time
async def test_of_missed_fires_that_would_cancel_each_other_only_the_last_starts_a_run() -> None:
    rig = Rig()
    async with scheduled(rig, replace(SLOW, overlap="cancel_other")) as service:
        await rig.pass_time(5 * STEP)
        async with firing(rig, service):
            await rig.pass_time(MINUTE)
            assert await fires(service) == ["14:10"]


@on_virtual_time
async def test_two_schedules_of_one_run_key_do_not_overlap() -> None:
    rig = Rig()
    async with scheduled(rig, replace(SLOW, run_key="shop")) as service, firing(rig, service):
        await service.schedules.put_schedule(
            ANN, "other", replace(BRISK, cron="1-59/5 * * * *", run_key="shop")
        )
        await rig.pass_time(2 * STEP)
        assert len((await service.list_runs(ANN)).runs) == 1


# --- trouble ------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", [Full(), Unavailable()])
@on_virtual_time
async def test_a_fire_is_made_up_for_when_the_database_can_be_used_again(
    refusal: Full | Unavailable,
) -> None:
    rig = Rig()
    async with scheduled(rig, BRISK) as service, firing(rig, service):
        rig.storage.log.refusal = refusal
        await rig.pass_time(STEP)
        rig.storage.log.refusal = None
        await rig.pass_time(MINUTE)
        assert await fires(service) == ["13:50"]


@on_virtual_time
async def test_schedules_that_cannot_be_read_are_read_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig()

    async def refuse(**_: object) -> None:
        raise Unavailable("nobody is there")

    async with scheduled(rig, BRISK) as service, firing(rig, service):
        monkeypatch.setattr(rig.storage.schedules, "due", refuse)
        await rig.pass_time(STEP)
        monkeypatch.undo()
        await rig.pass_time(MINUTE)
        assert await fires(service) == ["13:50"]
        assert "the schedules cannot be read, trying again: nobody is there" in caplog.messages


@on_virtual_time
async def test_a_fire_that_can_start_no_run_is_told_and_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    async with scheduled(rig, replace(SLOW, overlap="allow")) as service:
        await service.put_workflow(ANN, ONE.replace(b"required: [q]", b"required: [q, r]"))
        async with firing(rig, service, processes=1):
            await rig.pass_time(STEP)
            assert "the schedule s starts no run: INVALID_INPUT" in caplog.text
            await service.put_workflow(ANN, ONE)
            await rig.pass_time(STEP)
            assert await fires(service) == ["13:55"]


@on_virtual_time
async def test_a_schedule_that_a_newer_version_wrote_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    async with scheduled(rig, BRISK) as service, firing(rig, service):
        row = await rig.storage.schedules.get(NAMESPACE, "s")
        await rig.storage.schedules.put(NAMESPACE, replace(row, name="new", spec=b'{"cron": 7}'))
        await rig.pass_time(2 * STEP)
        assert await fires(service) == ["13:50", "13:55"]
        assert "the schedule new cannot fire with this version" in caplog.messages


@on_virtual_time
async def test_a_process_that_ended_between_the_run_and_the_next_fire_starts_none_twice() -> None:
    rig = Rig()
    async with scheduled(rig, BRISK) as service:
        row = await rig.storage.schedules.get(NAMESPACE, "s")
        await rig.pass_time(STEP)
        await service.schedules.fire(NAMESPACE, row, BRISK)
        async with firing(rig, service):
            await rig.pass_time(MINUTE)
            assert await fires(service) == ["13:50"]
            schedule = await service.schedules.get_schedule(ANN, "s")
            assert schedule.next_at == instant("1970-01-12T13:55:00Z")


@on_virtual_time
async def test_a_fire_is_not_started_again_because_its_schedule_was_changed() -> None:
    rig = Rig()
    async with scheduled(rig, BRISK) as service:
        row = await rig.storage.schedules.get(NAMESPACE, "s")
        await rig.pass_time(STEP)
        await service.schedules.fire(NAMESPACE, row, BRISK)
        await service.schedules.put_schedule(ANN, "s", replace(BRISK, labels={"a": "b"}))
        async with firing(rig, service):
            await rig.pass_time(STEP)
            assert await fires(service) == ["13:50", "13:55"]


@on_virtual_time
async def test_a_process_that_slept_through_a_fire_starts_none_twice() -> None:
    rig = Rig()
    async with scheduled(rig, replace(SLOW, overlap="cancel_other")) as service:
        old = await rig.storage.schedules.get(NAMESPACE, "s")
        async with firing(rig, service):
            await rig.pass_time(STEP)
        await loop(rig, service)._deal((NAMESPACE, "s"), old)
        (run,) = await runs(service)
        assert run.status is RunStatus.RUNNING
