"""The use cases, as both doors call them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from tests.unit.orchestrator.rig import NAMESPACE, Rig, on_virtual_time, until
from tests.unit.orchestrator.unread import Unread

from stepwell.engine.commands import CallTool
from stepwell.engine.values import Data, Json
from stepwell.errors import (
    AlreadyExists,
    Code,
    FailedPrecondition,
    InvalidRequest,
    LimitExceeded,
    NotFound,
)
from stepwell.errors import Unavailable as StepwellUnavailable
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run, RunStatus
from stepwell.principals import Caller
from stepwell.tools.port import CallContext, ToolSpec
from stepwell.tools.registry import ToolRegistry
from stepwell_storage.errors import Full, Unavailable
from stepwell_storage.records import Append, Letter

ANN = Caller(NAMESPACE, "user:ann")
BOB = Caller("elsewhere", "user:bob")
SOON = timedelta(seconds=5)
UNKNOWN = "00000000-0000-7000-8000-000000000000"
ONE = b"""
workflow: one
description: Looks once.
input: { type: object, required: [q], properties: { q: { type: string } } }
nodes: [{ id: look, tool: look, with: { q: "=input.q" } }]
output: { answer: "=look.output" }
"""


class Look:
    """A tool that anybody may call; the rig's effects answer for it."""

    spec = ToolSpec(
        name="look",
        description="Looks.",
        input_schema={"type": "object", "required": ["q"], "properties": {"q": {}}},
    )

    async def call(self, arguments: dict[str, Json], context: CallContext) -> Data:
        raise NotImplementedError


class CountedIds:
    """Ids that count up."""

    def __init__(self, rig: Rig) -> None:
        self.new_id = rig.new_id


@asynccontextmanager
async def serving(rig: Rig) -> AsyncIterator[Service]:
    """A service that has the workflow `one`."""
    tools = ToolRegistry()
    tools.add(Look())
    async with rig.working() as worker:
        service = Service(
            rig.storage,
            worker=worker,
            workflows=rig.workflows,
            journal=rig.journal,
            tools=tools,
            reader=Unread(),
            clock=rig.clock,
            ids=CountedIds(rig),
        )
        await service.put_workflow(ANN, ONE)
        yield service


@on_virtual_time
async def test_a_run_is_started_waited_for_and_shown() -> None:
    rig = Rig()
    async with serving(rig) as service:
        run, is_new = await service.start_run(ANN, "one", {"q": "?"}, labels={"team": "shop"})
        assert (run.status, is_new, run.labels) == (RunStatus.RUNNING, True, {"team": "shop"})
        assert (await service.wait_run(ANN, run.id, SOON)).status is RunStatus.RUNNING
        (await rig.effects.next()).returns(7)
        ended = await service.wait_run(ANN, run.id, SOON)
        assert ended.status is RunStatus.COMPLETED
        assert ended.output == Data(value={"answer": 7})
        assert await service.get_run(ANN, run.id) == ended
        (step,) = await service.list_steps(ANN, run.id)
        assert (step.id, step.status) == ("look", "completed")


@on_virtual_time
async def test_nothing_is_told_of_a_start_but_what_is_committed() -> None:
    """Even when the first call fails before the one who asked is awake again."""
    rig = Rig()
    async with serving(rig) as service:
        rig.effects.at_once = RuntimeError("on purpose")
        run, _ = await service.start_run(ANN, "one", {"q": "?"})
        assert run.status is RunStatus.RUNNING
        await until(lambda: service._worker.open_runs == 0)
        assert (await service.get_run(ANN, run.id)).status is RunStatus.FAILED


@pytest.mark.parametrize(
    ("workflow", "input", "code"),
    [
        ("two", {}, Code.WORKFLOW_NOT_FOUND),
        ("one", {}, Code.INVALID_INPUT),
        ("one", {"q": 1}, Code.INVALID_INPUT),
        ("call", {"tool": "hide", "arguments": {}}, Code.TOOL_NOT_FOUND),
        ("call", {"tool": "look", "arguments": {}}, Code.INVALID_ARGUMENTS),
        ("call", {"tool": "look"}, Code.INVALID_INPUT),
    ],
)
@on_virtual_time
async def test_a_run_that_cannot_be_is_refused(workflow: str, input: Json, code: Code) -> None:
    async with serving(Rig()) as service:
        with pytest.raises((InvalidRequest, NotFound)) as refused:
            await service.start_run(ANN, workflow, input)
        assert refused.value.code is code
        assert (await service.list_runs(ANN)).runs == ()


@on_virtual_time
async def test_a_request_that_comes_again_is_the_same_run() -> None:
    rig = Rig()
    async with serving(rig) as service:
        run, _ = await service.start_run(ANN, "one", {"q": "?"}, request_id="r1")
        again, is_new = await service.start_run(ANN, "one", {"q": "?"}, request_id="r1")
        assert (again.id, is_new) == (run.id, False)
        with pytest.raises(AlreadyExists) as refused:
            await service.start_run(ANN, "one", {"q": "!"}, request_id="r1")
        assert refused.value.code is Code.REQUEST_ID_REUSED
        assert len((await service.list_runs(ANN)).runs) == 1


@on_virtual_time
async def test_a_request_that_comes_again_after_a_newer_version_is_the_same_run() -> None:
    rig = Rig()
    async with serving(rig) as service:
        run, _ = await service.start_run(ANN, "one", {"q": "?"}, request_id="r1")
        await service.put_workflow(ANN, ONE.replace(b"Looks once", b"Looks again"))
        again, is_new = await service.start_run(ANN, "one", {"q": "?"}, request_id="r1")
        assert (again.id, again.version, is_new) == (run.id, run.version, False)


@on_virtual_time
async def test_a_tool_is_called_as_a_run() -> None:
    rig = Rig()
    async with serving(rig) as service:
        run = await service.call_tool(ANN, "look", {"q": [1, None]})
        call = await rig.effects.next()
        assert isinstance(call.command, CallTool)
        assert call.command.arguments.value == {"q": [1, None]}
        call.returns("seen")
        ended = await service.wait_run(ANN, run.id, SOON)
        assert (ended.workflow, ended.output) == ("call", Data(value="seen"))


@on_virtual_time
async def test_a_run_is_cancelled_once() -> None:
    rig = Rig()
    async with serving(rig) as service:
        run, _ = await service.start_run(ANN, "one", {"q": "?"})
        cancelled = await service.controls.cancel_run(ANN, run.id, "enough")
        assert (cancelled.status, cancelled.reason) == (RunStatus.CANCELLED, "enough")
        with pytest.raises(FailedPrecondition) as refused:
            await service.controls.cancel_run(ANN, run.id)
        assert refused.value.code is Code.RUN_ENDED


@on_virtual_time
async def test_a_cancel_that_meets_the_commit_of_an_end_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    async with serving(rig) as service:
        run, _ = await service.start_run(ANN, "one", {"q": "?"})
        log = HeldLog(rig)
        monkeypatch.setattr(rig.storage.log, "append", log.append)
        (await rig.effects.next()).returns(7)
        await until(lambda: log.held)
        held = [asyncio.ensure_future(service.controls.cancel_run(ANN, run.id)) for _ in range(2)]
        await asyncio.sleep(1)
        assert not any(cancel.done() for cancel in held)
        await log.let_go()
        for cancel in held:
            with pytest.raises(FailedPrecondition) as refused:
                await cancel
            assert refused.value.code is Code.RUN_ENDED


@on_virtual_time
async def test_an_event_of_a_service_is_in_the_log_of_the_run() -> None:
    rig = Rig()
    async with serving(rig) as service:
        run, _ = await service.start_run(ANN, "one", {"q": "?"})
        await service.controls.publish_event(ANN, run.id, "note", {"seen": True})
        batch = await service.list_events(ANN, run=run.id)
        assert [event.kind for event in batch.events][-1] == "custom"
        assert batch.events[-1].principal == ANN.principal


@on_virtual_time
async def test_a_run_that_nobody_takes_up_keeps_what_it_is_to_be_told() -> None:
    rig = Rig()
    async with serving(rig) as service:
        run, _ = await service.start_run(ANN, "one", {"q": "?"})
        rig.owned(service._worker, run.id).drop()
        with pytest.raises(StepwellUnavailable) as refused:
            await service.controls.cancel_run(ANN, run.id, "enough")
        assert refused.value.code is Code.LEASE_LOST
    async with rig.working("two") as worker:
        await until(lambda: worker.open_runs == 0)
    assert await rig.status(run.id) == "cancelled"


@on_virtual_time
async def test_a_run_of_another_process_is_told_by_letter() -> None:
    rig = Rig()
    async with serving(rig) as service, rig.working("two", alone=False) as other:
        graph = await rig.workflows.graph(NAMESPACE, "one")
        run = await rig.start(other, graph, {"q": "?"})
        paused = await service.controls.pause_run(ANN, run, "lunch")
        assert paused.status is RunStatus.PAUSED
        with pytest.raises(FailedPrecondition, match="is paused already"):
            await service.controls.pause_run(ANN, run)
        assert (await service.controls.resume_run(ANN, run)).status is RunStatus.RUNNING
        assert (await service.controls.cancel_run(ANN, run)).status is RunStatus.CANCELLED
        with pytest.raises(FailedPrecondition) as refused:
            await service.controls.cancel_run(ANN, run)
        assert refused.value.code is Code.RUN_ENDED


@on_virtual_time
async def test_of_two_who_answer_one_question_by_letter_the_second_is_told_so() -> None:
    rig = Rig()
    graph = await rig.put("{ workflow: ask, nodes: [{ id: ok, approval: really? }] }")
    async with serving(rig) as service, rig.working("two", alone=False) as other:
        run = await rig.start(other, graph)
        first, second = await asyncio.gather(
            service.controls.resolve_step(ANN, run, "ok", "approve"),
            service.controls.resolve_step(ANN, run, "ok", "deny"),
            return_exceptions=True,
        )
        assert isinstance(first, Run)
        assert isinstance(second, FailedPrecondition)
        assert second.code is Code.RUN_ENDED
    assert await rig.status(run) == "completed"


@on_virtual_time
async def test_what_comes_by_letter_after_the_end_of_a_run_is_not_told_to_be_done() -> None:
    rig = Rig()
    async with serving(rig) as service, rig.working("two", alone=False) as other:
        run = await rig.start(other, await rig.workflows.graph(NAMESPACE, "one"), {"q": "?"})
        cancelled, published = await asyncio.gather(
            service.controls.cancel_run(ANN, run),
            service.controls.publish_event(ANN, run, "note", None),
            return_exceptions=True,
        )
        assert isinstance(cancelled, Run)
        assert isinstance(published, FailedPrecondition)
        assert published.code is Code.RUN_ENDED


@on_virtual_time
async def test_what_went_with_the_end_of_a_run_that_goes_on_is_not_told_to_be_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The letters of a run go with its end, and it may be tried again before anybody looks."""
    rig = Rig()

    async def sent_and_gone(namespace: str, letter: Letter) -> bool:
        return True

    async with serving(rig) as service, rig.working("two", alone=False) as other:
        run = await rig.start(other, await rig.workflows.graph(NAMESPACE, "one"), {"q": "?"})
        monkeypatch.setattr(rig.storage.inbox, "send", sent_and_gone)
        with pytest.raises(FailedPrecondition, match="taken up again") as refused:
            await service.controls.pause_run(ANN, run)
        assert refused.value.code is Code.RUN_ENDED


@on_virtual_time
async def test_a_message_that_comes_again_by_letter_is_told_to_be_there() -> None:
    rig = Rig()
    graph = await rig.put("{ workflow: hear, nodes: [{ id: a, signal: x }, { id: b, signal: y }] }")
    async with serving(rig) as service, rig.working("two", alone=False) as other:
        run = await rig.start(other, graph)
        for _ in range(2):
            told = await service.controls.signal_run(ANN, run, "x", id="m1")
            assert told.status is RunStatus.WAITING
        assert (await rig.kinds(run)).count("signal_received") == 1


@on_virtual_time
async def test_a_full_disk_is_told_as_such_and_nothing_is_begun() -> None:
    rig = Rig()
    async with serving(rig) as service:
        rig.storage.log.refusal = Full()
        with pytest.raises(StepwellUnavailable) as refused:
            await service.start_run(ANN, "one", {"q": "?"})
        assert refused.value.code is Code.STORAGE_FULL
        rig.storage.log.refusal = None
        assert (await service.list_runs(ANN)).runs == ()
        run, _ = await service.start_run(ANN, "one", {"q": "?"})
        assert run.status is RunStatus.RUNNING


@on_virtual_time
async def test_a_database_that_is_away_is_told_as_such() -> None:
    rig = Rig()
    async with serving(rig) as service:
        rig.storage.log.refusal = Unavailable()
        with pytest.raises(StepwellUnavailable) as refused:
            await service.start_run(ANN, "one", {"q": "?"})
        assert refused.value.code is Code.STORAGE_UNAVAILABLE
        assert refused.value.retryable


@pytest.mark.parametrize("run", [UNKNOWN, "", "what", "A" * 36, "-" * 36])
@on_virtual_time
async def test_a_run_that_is_not_there_is_not_found_by_anything(run: str) -> None:
    async with serving(Rig()) as service:
        for asked in (
            service.get_run(ANN, run),
            service.wait_run(ANN, run, SOON),
            service.controls.cancel_run(ANN, run),
            service.list_steps(ANN, run),
            service.list_events(ANN, run=run),
            service.controls.publish_event(ANN, run, "note", None),
        ):
            with pytest.raises(NotFound) as refused:
                await asked
            assert refused.value.code is Code.RUN_NOT_FOUND


@on_virtual_time
async def test_namespaces_do_not_see_each_other() -> None:
    rig = Rig()
    async with serving(rig) as service:
        run, _ = await service.start_run(ANN, "one", {"q": "?"})
        with pytest.raises(NotFound):
            await service.get_run(BOB, run.id)
        with pytest.raises(NotFound):
            await service.start_run(BOB, "one", {"q": "?"})
        assert (await service.list_runs(BOB)).runs == ()
        assert (await service.list_workflows(BOB)) == ()
        assert (await service.list_events(BOB)).events == ()


@on_virtual_time
async def test_the_list_of_runs_has_pages_and_filters() -> None:
    rig = Rig()
    async with serving(rig) as service:
        ids = []
        for _ in range(5):
            ids.append((await service.start_run(ANN, "one", {"q": "?"}))[0].id)
            await asyncio.sleep(0.001)
        await service.controls.cancel_run(ANN, ids[2])
        first = await service.list_runs(ANN, page_size=3)
        rest = await service.list_runs(ANN, page_size=3, page_token=first.next_token)
        assert [run.id for run in (*first.runs, *rest.runs)] == ids[::-1]
        assert rest.next_token == ""
        found = await service.list_runs(ANN, filter='status = "cancelled"')
        assert [run.id for run in found.runs] == [ids[2]]
        with pytest.raises(InvalidRequest) as refused:
            await service.list_runs(ANN, page_token=first.next_token, filter='workflow = "one"')
        assert refused.value.code is Code.INVALID_CURSOR


@on_virtual_time
async def test_a_version_that_is_put_again_is_the_newest_and_not_new() -> None:
    async with serving(Rig()) as service:
        other = ONE.replace(b"Looks once", b"Looks again")
        first = await service.get_workflow(ANN, "one")
        second, is_new = await service.put_workflow(ANN, other)
        assert is_new
        assert (await service.get_workflow(ANN, "one")).version == second.version
        again, is_new = await service.put_workflow(ANN, ONE)
        assert (again.version, is_new) == (first.version, False)
        assert (await service.get_workflow(ANN, "one")).source == ONE
        assert (await service.get_workflow(ANN, "one", second.version)).source == other
        assert [it.version for it in await service.list_workflows(ANN)] == [first.version]


@on_virtual_time
async def test_a_datasource_has_one_name() -> None:
    async with serving(Rig()) as service:
        added = await service.datasources.add(ANN, "shop", "sqlite:///shop.db")
        assert await service.datasources.list(ANN) == (added,)
        with pytest.raises(AlreadyExists):
            await service.datasources.add(ANN, "shop", "sqlite:///other.db")
        await service.datasources.remove(ANN, "shop")
        assert await service.datasources.list(ANN) == ()
        with pytest.raises(NotFound) as refused:
            await service.datasources.remove(ANN, "shop")
        assert refused.value.code is Code.DATASOURCE_NOT_FOUND


class HeldLog:
    """Keeps appends from the log until they are let go."""

    def __init__(self, rig: Rig) -> None:
        self._append = rig.storage.log.append
        self.held: list[tuple[Append, asyncio.Future[int]]] = []

    def append(self, append: Append) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.held.append((append, future))
        return future

    async def let_go(self) -> None:
        for append, future in self.held:
            future.set_result(await self._append(append))


@pytest.mark.parametrize("levels", [129, 900, 980])
@on_virtual_time
async def test_what_lies_too_deep_is_refused_before_anybody_writes_it(levels: int) -> None:
    """What could still be written on this stack, but not be read on another, is among these."""
    rig = Rig()
    await rig.put("{ workflow: free, input: { type: object }, nodes: [{ id: ok, approval: '?' }] }")
    deep: Json = None
    for _ in range(levels):
        deep = [deep]
    async with serving(rig) as service:
        run, _ = await service.start_run(ANN, "free", {})
        wishes = (
            service.start_run(ANN, "free", {"deep": deep}),
            service.controls.signal_run(ANN, run.id, "go", deep),
            service.controls.publish_event(ANN, run.id, "note", deep),
            service.controls.resolve_step(ANN, run.id, "ok", "approve", value=deep),
            service.controls.fork_run(ANN, run.id, "ok", input=deep),
        )
        for wish in wishes:
            with pytest.raises(LimitExceeded, match="128 levels"):
                await wish
        assert (await service.get_run(ANN, run.id)).status is RunStatus.WAITING


@on_virtual_time
async def test_what_is_as_deep_as_may_be_is_taken_and_read_again() -> None:
    rig = Rig()
    await rig.put(
        "{ workflow: free, input: { type: object },"
        " nodes: [{ id: ok, approval: '?' }, { id: hear, signal: go, needs: [ok] }] }"
    )
    deep: Json = {}
    for _ in range(127):
        deep = {"deep": deep}
    async with serving(rig) as service:
        run, _ = await service.start_run(ANN, "free", deep)
        await service.controls.signal_run(ANN, run.id, "go", deep)
    async with rig.working("two") as worker:
        state = await worker.fold(NAMESPACE, run.id)
    assert (state.input.value, list(state.signals["go"])) == (deep, [Data(value=deep)])
