"""A text that a database cannot keep is refused at the door, whichever database there is."""

from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace
from tests.unit.orchestrator.rig import Rig, on_virtual_time
from tests.unit.orchestrator.test_service import ANN, serving

from stepwell.errors import Code, InvalidRequest
from stepwell.orchestrator.schedule_rules import ScheduleSpec
from stepwell.orchestrator.service import Service

BAD = "a\0b"
DAILY = ScheduleSpec(cron="0 7 * * *", workflow="one", input={"q": "?"})
Q = {"q": "?"}

Ask = Callable[[Service, str], Awaitable[object]]
ASKS: dict[str, tuple[str, Ask]] = {
    "label": ("labels.team", lambda it, run: it.start_run(ANN, "one", Q, labels={"team": BAD})),
    "name of a label": (
        "labels.a?b",
        lambda it, run: it.start_run(ANN, "one", Q, labels={BAD: ""}),
    ),
    "workflow": ("workflow", lambda it, run: it.start_run(ANN, BAD, Q)),
    "version": ("version", lambda it, run: it.start_run(ANN, "one", Q, version=BAD)),
    "request id": ("request_id", lambda it, run: it.start_run(ANN, "one", Q, request_id=BAD)),
    "run key": ("run_key", lambda it, run: it.start_run(ANN, "one", Q, run_key=BAD)),
    "queue of a run": ("queue", lambda it, run: it.start_run(ANN, "one", Q, queue=BAD)),
    "surrogate": ("run_key", lambda it, run: it.start_run(ANN, "one", Q, run_key="\ud800")),
    "run": ("run", lambda it, run: it.get_run(ANN, BAD)),
    "run of a control": ("run", lambda it, run: it.controls.cancel_run(ANN, BAD)),
    "message": ("name", lambda it, run: it.controls.signal_run(ANN, run, BAD)),
    "id of a message": ("id", lambda it, run: it.controls.signal_run(ANN, run, "go", id=BAD)),
    "fork": (
        "labels.team",
        lambda it, run: it.controls.fork_run(ANN, run, "a", labels={"team": BAD}),
    ),
    "get workflow": ("name", lambda it, run: it.get_workflow(ANN, BAD)),
    "datasource": ("name", lambda it, run: it.datasources.add(ANN, BAD, "sqlite:///x")),
    "remove datasource": ("name", lambda it, run: it.datasources.remove(ANN, BAD)),
    "put queue": ("name", lambda it, run: it.queues.put_queue(ANN, BAD)),
    "get queue": ("name", lambda it, run: it.queues.get_queue(ANN, BAD)),
    "remove queue": ("name", lambda it, run: it.queues.remove_queue(ANN, BAD)),
    "put schedule": ("name", lambda it, run: it.schedules.put_schedule(ANN, BAD, DAILY)),
    "get schedule": ("name", lambda it, run: it.schedules.get_schedule(ANN, BAD)),
    "remove schedule": ("name", lambda it, run: it.schedules.remove_schedule(ANN, BAD)),
    "label of a schedule": (
        "labels.team",
        lambda it, run: it.schedules.put_schedule(ANN, "s", replace(DAILY, labels={"team": BAD})),
    ),
    "key of a run": ("run", lambda it, run: it.keys.destroy_run(ANN, BAD)),
    "subject": ("subject", lambda it, run: it.keys.destroy_subject(ANN, BAD)),
    "page of keys": ("after", lambda it, run: it.keys.list_keys(ANN, after=f"{BAD}/1")),
}


@pytest.mark.parametrize(("field", "ask"), ASKS.values(), ids=ASKS)
@on_virtual_time
async def test_a_text_that_no_database_keeps_is_refused_by_the_name_of_its_field(
    field: str, ask: Ask
) -> None:
    async with serving(Rig()) as service:
        run, _ = await service.start_run(ANN, "one", {"q": "?"})
        with pytest.raises(InvalidRequest) as refused:
            await ask(service, run.id)
    assert refused.value.code is Code.INVALID_REQUEST
    assert refused.value.message.startswith(f"{field} has a NUL character")
    assert list(refused.value.detail) == [field]


@on_virtual_time
async def test_what_a_run_is_given_may_hold_any_character() -> None:
    async with serving(Rig()) as service:
        run, _ = await service.start_run(ANN, "one", {"q": BAD})
        assert (await service.get_run(ANN, run.id)).id == run.id
