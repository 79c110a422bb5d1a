"""Schedules, as callers make them, look at them and hold them."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.unit.orchestrator.rig import Rig, on_virtual_time
from tests.unit.orchestrator.test_service import ANN, BOB, ONE, serving

from stepwell.engine.instants import instant, instant_text
from stepwell.engine.values import Failure
from stepwell.errors import AlreadyExists, Code, Denied, NotFound, StepwellError
from stepwell.orchestrator.schedule_rules import ScheduleSpec
from stepwell.orchestrator.views import RunStatus, Schedule
from stepwell.principals import Caller

AGENT = Caller(ANN.namespace, "agent:a")
HOURLY = ScheduleSpec(cron="0 * * * *", workflow="one", input={"q": "?"})
NOON = "1970-01-12T14:00:00Z"
"""The hour after the one at which the virtual clock begins, 13:46:40."""


@on_virtual_time
async def test_a_schedule_is_made_shown_listed_and_removed() -> None:
    rig = Rig()
    async with serving(rig) as service:
        made, is_new = await service.schedules.put_schedule(ANN, "hourly", HOURLY)
        now = rig.clock.now()
        assert is_new
        assert made == Schedule(
            name="hourly",
            spec=HOURLY,
            principal="user:ann",
            created_at=now,
            updated_at=now,
            paused=False,
            next_at=instant(NOON),
            last_at=None,
            last_run="",
            waiting=False,
        )
        assert await service.schedules.get_schedule(ANN, "hourly") == made
        assert await service.schedules.list_schedules(ANN) == (made,)
        assert await service.schedules.problem(ANN, "hourly") is None
        await service.schedules.remove_schedule(ANN, "hourly")
        with pytest.raises(NotFound, match="stepwell schedules list") as refused:
            await service.schedules.get_schedule(ANN, "hourly")
        assert refused.value.code is Code.SCHEDULE_NOT_FOUND


@on_virtual_time
async def test_every_part_of_a_schedule_is_kept() -> None:
    spec = ScheduleSpec(
        cron="30 9 * * 1-5",
        zone="Europe/Berlin",
        workflow="one",
        input={"q": [1, None, {"a": 0.5}]},
        labels={"team": "shop"},
        queue="db",
        run_key="nightly",
        overlap="cancel_other",
        catch_up=timedelta(hours=1),
        jitter=timedelta(seconds=1.5),
        note="the shop's report",
    )
    async with serving(Rig()) as service:
        await service.queues.put_queue(ANN, "db")
        version = (await service.get_workflow(ANN, "one")).version
        spec = replace(spec, version=version, input={"q": "a"})
        await service.schedules.put_schedule(ANN, "daily", spec)
        assert (await service.schedules.get_schedule(ANN, "daily")).spec == spec


@on_virtual_time
async def test_schedules_stay_in_their_namespace() -> None:
    async with serving(Rig()) as service:
        await service.schedules.put_schedule(ANN, "hourly", HOURLY)
        assert await service.schedules.list_schedules(BOB) == ()
        with pytest.raises(NotFound):
            await service.schedules.pause_schedule(BOB, "hourly")


@on_virtual_time
async def test_the_next_fires_are_told() -> None:
    async with serving(Rig()) as service:
        await service.schedules.put_schedule(ANN, "hourly", replace(HOURLY, zone="Asia/Kolkata"))
        fires = await service.schedules.next_fires(ANN, "hourly", 3)
        assert [instant_text(at) for at in fires] == [
            "1970-01-12T14:30:00Z",
            "1970-01-12T15:30:00Z",
            "1970-01-12T16:30:00Z",
        ]


@pytest.mark.parametrize(
    ("cron", "years"),
    [("0 0 29 2 *", [1972, 1976, 1980, 1984, 1988, 1992]), ("0 0 29 2 */7", [1976])],
)
@on_virtual_time
async def test_of_rare_fires_those_that_anybody_may_see_are_told(
    cron: str, years: list[int]
) -> None:
    """A thousand of them took most of a second, in which nobody else was answered."""
    async with serving(Rig()) as service:
        await service.schedules.put_schedule(ANN, "rare", replace(HOURLY, cron=cron))
        fires = await service.schedules.next_fires(ANN, "rare", 1000)
        assert [int(instant_text(at)[:4]) for at in fires] == years


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"cron": "0 0 30 2 *"}, Code.INVALID_REQUEST, "cron"),
        ({"cron": "hourly"}, Code.INVALID_REQUEST, "cron"),
        ({"zone": "Europe/Berln"}, Code.INVALID_REQUEST, "zone"),
        ({"catch_up": timedelta(seconds=9)}, Code.INVALID_REQUEST, "catch_up"),
        ({"catch_up": timedelta(days=367)}, Code.INVALID_REQUEST, "catch_up"),
        ({"jitter": timedelta(days=2)}, Code.INVALID_REQUEST, "jitter"),
        ({"jitter": timedelta(seconds=-1)}, Code.INVALID_REQUEST, "jitter"),
        ({"overlap": "allow", "run_key": "a"}, Code.INVALID_REQUEST, "run_key"),
        ({"labels": {"fire": "a"}}, Code.INVALID_REQUEST, "labels"),
        ({"input": {}}, Code.INVALID_INPUT, "input"),
        ({"workflow": "two"}, Code.WORKFLOW_NOT_FOUND, None),
        ({"version": "sha256:0"}, Code.WORKFLOW_NOT_FOUND, None),
        ({"queue": "none"}, Code.QUEUE_NOT_FOUND, None),
    ],
)
@on_virtual_time
async def test_what_could_not_fire_or_not_start_a_run_is_refused(
    changes: dict[str, object], code: Code, field: str | None
) -> None:
    async with serving(Rig()) as service:
        with pytest.raises(StepwellError) as refused:
            await service.schedules.put_schedule(ANN, "hourly", replace(HOURLY, **changes))
        assert refused.value.code is code
        assert list(refused.value.detail) == ([field] if field else [])
        assert await service.schedules.list_schedules(ANN) == ()


@on_virtual_time
async def test_agents_look_at_schedules_and_change_none() -> None:
    async with serving(Rig()) as service:
        schedules = service.schedules
        await schedules.put_schedule(ANN, "hourly", HOURLY)
        for change in (
            schedules.put_schedule(AGENT, "hourly", HOURLY),
            schedules.remove_schedule(AGENT, "hourly"),
            schedules.pause_schedule(AGENT, "hourly"),
            schedules.resume_schedule(AGENT, "hourly"),
            schedules.trigger_schedule(AGENT, "hourly"),
        ):
            with pytest.raises(Denied, match=r"`stepwell schedules \w+ hourly`"):
                await change
        assert len(await schedules.list_schedules(AGENT)) == 1


# --- changes ------------------------------------------------------------------------------


@on_virtual_time
async def test_a_schedule_that_is_put_again_keeps_its_past_and_its_next_fire() -> None:
    rig = Rig()
    async with serving(rig) as service:
        first, _ = await service.schedules.put_schedule(ANN, "hourly", HOURLY)
        await rig.pass_time(timedelta(hours=2))  # nobody lets it fire here
        changed = replace(HOURLY, note="why", overlap="allow")
        again, is_new = await service.schedules.put_schedule(ANN, "hourly", changed)
        assert not is_new
        assert again == replace(first, spec=changed, updated_at=rig.clock.now())


@on_virtual_time
async def test_other_times_begin_with_the_next_of_them() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.schedules.put_schedule(ANN, "hourly", HOURLY)
        await rig.pass_time(timedelta(hours=2))
        again, _ = await service.schedules.put_schedule(
            ANN, "hourly", replace(HOURLY, cron="30 * * * *")
        )
        assert again.next_at == instant("1970-01-12T16:30:00Z")


@on_virtual_time
async def test_a_schedule_that_is_paused_has_no_next_fire_until_it_is_resumed() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.schedules.put_schedule(ANN, "hourly", HOURLY)
        paused = await service.schedules.pause_schedule(ANN, "hourly", "the shop is closed")
        assert (paused.paused, paused.next_at, paused.spec.note) == (
            True,
            None,
            "the shop is closed",
        )
        again, _ = await service.schedules.put_schedule(ANN, "hourly", HOURLY)
        assert again.paused
        await rig.pass_time(timedelta(hours=2))
        resumed = await service.schedules.resume_schedule(ANN, "hourly")
        assert (resumed.paused, resumed.next_at) == (False, instant("1970-01-12T16:00:00Z"))
        assert resumed == await service.schedules.get_schedule(ANN, "hourly")


@on_virtual_time
async def test_why_a_schedule_is_paused_is_not_told_of_one_that_goes_on() -> None:
    async with serving(Rig()) as service:
        schedules = service.schedules
        own = replace(HOURLY, note="the shop's report")
        await schedules.put_schedule(ANN, "hourly", own)
        await schedules.pause_schedule(ANN, "hourly", "the shop is closed")
        still = await schedules.pause_schedule(ANN, "hourly", "for good")
        assert still.spec.note == "for good"
        assert (await schedules.pause_schedule(ANN, "hourly")).spec.note == "for good"
        assert (await schedules.resume_schedule(ANN, "hourly")).spec == own
        await schedules.pause_schedule(ANN, "hourly", "the shop is closed")
        changed, _ = await schedules.put_schedule(ANN, "hourly", replace(own, note="why"))
        assert (changed.paused, changed.spec.note) == (True, "why")
        assert (await schedules.resume_schedule(ANN, "hourly")).spec.note == "why"
        await schedules.pause_schedule(ANN, "hourly")
        assert (await schedules.resume_schedule(ANN, "hourly", "open")).spec.note == "open"


@on_virtual_time
async def test_a_schedule_is_put_paused_or_not() -> None:
    async with serving(Rig()) as service:
        made, _ = await service.schedules.put_schedule(ANN, "hourly", HOURLY, paused=True)
        assert made.paused
        again, _ = await service.schedules.put_schedule(ANN, "hourly", HOURLY, paused=False)
        assert (again.paused, again.next_at) == (False, instant(NOON))


@on_virtual_time
async def test_what_would_keep_the_next_fire_from_starting_a_run_is_told() -> None:
    async with serving(Rig()) as service:
        await service.schedules.put_schedule(ANN, "hourly", HOURLY)
        await service.put_workflow(ANN, ONE.replace(b"required: [q]", b"required: [q, r]"))
        problem = await service.schedules.problem(ANN, "hourly")
        assert isinstance(problem, Failure)
        assert problem.reason == Code.INVALID_INPUT


# --- by hand ------------------------------------------------------------------------------


@on_virtual_time
async def test_a_trigger_starts_a_run_now_and_once_for_each_request() -> None:
    rig = Rig()
    async with serving(rig) as service:
        spec = replace(HOURLY, labels={"team": "shop"}, overlap="allow")
        await service.schedules.put_schedule(ANN, "hourly", spec, paused=True)
        run, is_new = await service.schedules.trigger_schedule(ANN, "hourly", request_id="1")
        assert (run.status, run.principal) == (RunStatus.RUNNING, "service:schedule/hourly")
        assert (is_new, run.labels) == (True, {"team": "shop", "schedule": "hourly"})
        again, is_new = await service.schedules.trigger_schedule(ANN, "hourly", request_id="1")
        assert (again.id, is_new) == (run.id, False)
        other, is_new = await service.schedules.trigger_schedule(ANN, "hourly")
        assert (other.id == run.id, is_new) == (False, True)


@on_virtual_time
async def test_a_trigger_that_would_overlap_is_refused_or_cancels_the_other() -> None:
    async with serving(Rig()) as service:
        await service.schedules.put_schedule(ANN, "hourly", HOURLY)
        first, _ = await service.schedules.trigger_schedule(ANN, "hourly")
        with pytest.raises(AlreadyExists) as refused:
            await service.schedules.trigger_schedule(ANN, "hourly")
        assert refused.value.code is Code.RUN_KEY_TAKEN
        assert refused.value.detail == {"run": first.id}
        replacing = replace(HOURLY, overlap="cancel_other")
        await service.schedules.put_schedule(ANN, "hourly", replacing)
        await service.schedules.trigger_schedule(ANN, "hourly")
        assert (await service.get_run(ANN, first.id)).status is RunStatus.CANCELLED
