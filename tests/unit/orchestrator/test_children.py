"""Runs that are steps of other runs."""

import asyncio

import pytest
from tests.unit.orchestrator.rig import (
    NAMESPACE,
    PATIENCE,
    Rig,
    on_virtual_time,
    until,
    until_async,
)

from stepwell.engine.commands import child_run
from stepwell.engine.events import Parent, RunFailed, RunStarted, StepFailed
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Cancel, Expire
from stepwell.engine.state import RunState
from stepwell.engine.values import Data, Failure
from stepwell_storage.errors import Missing, Unavailable

CHILD = """
workflow: child
input: { type: object, required: [n], properties: { n: { type: integer } } }
nodes: [{ id: look, tool: look, with: { n: "=input.n" } }]
output: "=look.output"
"""
PARENT = """
workflow: parent
nodes: [{ id: sub, workflow: child, with: { n: 1 } }]
output: "=sub.output"
"""
CALLED = """
workflow: called
nodes: [{ id: first, tool: look }, { id: sub, workflow: child, with: { n: 1 }, needs: [first] }]
"""
MANY = """
workflow: many
nodes: [{ id: each, map: [1, 2, 3], do: { workflow: child, with: { n: "=item" } } }]
output: "=each.output"
"""
IMPATIENT = """
workflow: impatient
nodes:
  - { id: sub, workflow: child, with: { n: 1 }, timeout: 10s, on_error: continue }
  - { id: more, tool: look, needs: [sub] }
"""


@on_virtual_time
async def test_a_parent_goes_on_with_the_output_of_its_child() -> None:
    rig = Rig()
    await rig.put(CHILD)
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(PARENT))
        call = await rig.effects.next()
        child = child_run(run, "sub", 1)
        row = await rig.storage.runs.get(NAMESPACE, child)
        assert (row.workflow, row.parent) == ("child", run)
        call.returns({"found": 7})
        await until_async(lambda: rig.status(run), "completed")
        assert (await rig.log(run))[-1].output.value == {"found": 7}  # type: ignore[union-attr]


@on_virtual_time
async def test_a_child_is_a_run_of_whoever_runs_its_parent_and_knows_where_it_comes_from() -> None:
    rig = Rig()
    child = await rig.put(CHILD)
    async with rig.working() as worker:
        limits = {"calls": 5}
        run = await rig.start(worker, await rig.put(CALLED), trace="00-1", limits=limits)
        (await rig.effects.next()).returns(1)
        await until(lambda: len(rig.effects.calls) == 2)
        id = child_run(run, "sub", 1)
        first, *_ = await rig.log(id)
        assert first == RunStarted(
            at=first.at,
            workflow="child",
            version=child.version,
            principal="user:ann",
            input=Data(value={"n": 1}),
            parent=Parent(run, "sub", 1, depth=1),
            trace="00-1",
            shares=(run,),
            called=("look",),
        )
        assert (await rig.storage.runs.get(NAMESPACE, id)).principal == "user:ann"
        assert {it.principal for it in await rig.storage.log.read(NAMESPACE, id)} == {"user:ann"}


@on_virtual_time
async def test_a_map_of_children_gives_their_outputs() -> None:
    rig = Rig()
    await rig.put(CHILD)
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(MANY))
        for _ in range(3):
            call = await rig.effects.next()
            call.returns(call.command.arguments.value["n"] * 10)  # type: ignore[union-attr]
        await until_async(lambda: rig.status(run), "completed")
        assert (await rig.log(run))[-1].output.value == [10, 20, 30]  # type: ignore[union-attr]


@on_virtual_time
async def test_a_child_that_failed_fails_its_step_with_the_reason() -> None:
    rig = Rig()
    await rig.put(CHILD)
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(PARENT))
        (await rig.effects.next()).fails(Failure("TOOL_ERROR", "no luck"))
        await until_async(lambda: rig.status(run), "failed")
        failed = next(event for event in await rig.log(run) if isinstance(event, StepFailed))
        assert failed.failure.reason == "CHILD_FAILED"
        assert failed.failure.detail == {"run": child_run(run, "sub", 1), "reason": "TOOL_ERROR"}
        assert "no luck" in failed.failure.message


@on_virtual_time
async def test_a_child_is_cancelled_with_its_parent() -> None:
    rig = Rig()
    await rig.put(CHILD)
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(PARENT))
        call = await rig.effects.next()
        assert await rig.owned(worker, run).record(Cancel(at=rig.clock.now()))
        await until_async(lambda: rig.status(child_run(run, "sub", 1)), "cancelled")
        await until(lambda: call.is_cancelled)


@on_virtual_time
async def test_a_child_is_cancelled_with_a_parent_that_a_defect_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    await rig.put(CHILD)
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(PARENT))
        await rig.effects.next()
        defect = Expire(at=0, step="nowhere", attempt=1)
        with monkeypatch.context() as broken:
            broken.setattr(RunState, "awaits", lambda state, command: True)
            assert not rig.owned(worker, run).give(defect)
        await until_async(lambda: rig.status(child_run(run, "sub", 1)), "cancelled")
        assert await rig.status(run) == "failed"


@on_virtual_time
async def test_a_child_that_another_process_holds_is_cancelled_too() -> None:
    rig = Rig()
    await rig.put(CHILD)
    async with rig.working("one", alone=False) as one:
        run = await rig.start(one, await rig.put(PARENT))
        await rig.effects.next()
        child = child_run(run, "sub", 1)
        async with rig.working("two", alone=False) as two:
            await rig.give_away(one, child)
            await until(lambda: two.find(NAMESPACE, child) is not None)
            assert await rig.owned(one, run).record(Cancel(at=rig.clock.now()))
            await until_async(lambda: rig.status(child), "cancelled")


@on_virtual_time
async def test_a_parent_that_was_taken_over_finds_the_child_that_ended_meanwhile() -> None:
    rig = Rig()
    await rig.put(CHILD)
    async with rig.working("one", alone=False) as one:
        run = await rig.start(one, await rig.put(PARENT))
        (await rig.effects.next()).returns(5)
        await until_async(lambda: rig.status(child_run(run, "sub", 1)), "completed")
    async with rig.working("two"):
        await until_async(lambda: rig.status(run), "completed")
    assert len(rig.effects.calls) == 1


@on_virtual_time
async def test_a_child_whose_workflow_is_not_there_fails_its_step() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(PARENT))
        await until_async(lambda: rig.status(run), "failed")
        ended = (await rig.log(run))[-1]
        assert isinstance(ended, RunFailed)
        assert ended.failure.reason == "WORKFLOW_NOT_FOUND"
        assert "there is no workflow" in ended.failure.message


@on_virtual_time
async def test_a_workflow_that_calls_itself_ends_at_the_limit() -> None:
    rig = Rig()
    endless = await rig.put(
        "{workflow: endless, nodes: [{id: again, workflow: endless, with: {}}]}"
    )
    async with rig.working() as worker:
        run = await rig.start(worker, endless)
        await until_async(lambda: rig.status(run), "failed")
        ended = (await rig.log(run))[-1]
        assert isinstance(ended, RunFailed)
        assert "limits.child_depth" in ended.failure.message


@on_virtual_time
async def test_a_child_that_ends_as_it_begins_is_told_to_its_parent() -> None:
    rig = Rig()
    await rig.put(
        "{ workflow: child, input: { type: object }, nodes: [{ id: made, transform: 7 }] }"
    )
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(PARENT))
        await until_async(lambda: rig.status(run), "completed")
        assert (await rig.log(run))[-1].output.value == {"made": 7}  # type: ignore[union-attr]


@on_virtual_time
async def test_a_child_is_not_started_when_its_step_has_ended_meanwhile() -> None:
    rig = Rig()
    await rig.put(CHILD)
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(IMPATIENT))
        rig.storage.log.refusal = Unavailable()
        rig.storage.log.kinds = frozenset({"run_started"})
        assert (await rig.effects.next()).command.step == "more"
        rig.storage.log.refusal = None
        await asyncio.sleep(PATIENCE)
        with pytest.raises(Missing):
            await rig.status(child_run(run, "sub", 1))


@on_virtual_time
async def test_a_child_that_was_being_started_when_its_step_ended_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    await rig.put(CHILD)
    parent = await rig.put(IMPATIENT)
    found = rig.workflows.graph

    async def found_late(namespace: str, name: str, version: str | None = None) -> Graph:
        await asyncio.sleep(20)
        return await found(namespace, name, version)

    monkeypatch.setattr(rig.workflows, "graph", found_late)
    async with rig.working() as worker:
        run = await rig.start(worker, parent)
        assert (await rig.effects.next()).command.step == "more"
        await asyncio.sleep(PATIENCE)
        assert await rig.status(child_run(run, "sub", 1)) == "cancelled"


@on_virtual_time
async def test_a_child_that_an_owner_of_before_started_is_stopped_when_nobody_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    await rig.put(CHILD)
    parent = await rig.put(IMPATIENT)
    found, turn = rig.workflows.graph, asyncio.Event()
    turns = [turn, asyncio.Event()]

    async def found_in_turn(namespace: str, name: str, version: str | None = None) -> Graph:
        if name == "child":
            await turns.pop(0).wait()
        return await found(namespace, name, version)

    monkeypatch.setattr(rig.workflows, "graph", found_in_turn)
    async with rig.working() as first, rig.working("two", alone=False) as second:
        run = await rig.start(first, parent)
        kept = rig.storage.claims._database[NAMESPACE].runs[run]
        await asyncio.sleep(1)
        kept.expires_at = rig.clock.now()
        await until(lambda: second.find(NAMESPACE, run))
        over = Expire(at=rig.clock.now(), step="sub", attempt=1)
        assert rig.owned(second, run).give(over)
        assert (await rig.effects.next()).command.step == "more"
        assert first.find(NAMESPACE, run) is not None
        turn.set()
        await until(lambda: first.find(NAMESPACE, run) is None)
        child = child_run(run, "sub", 1)
        await until_async(lambda: rig.status(child), "cancelled")
