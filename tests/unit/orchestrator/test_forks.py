"""Runs that go on from where another was, and runs that are taken up again after they failed."""

from datetime import timedelta

import pytest
from tests.unit.orchestrator.rig import LEASE, NAMESPACE, Rig, on_virtual_time, until_async
from tests.unit.orchestrator.test_service import ANN, serving

from stepwell.engine.values import Failure
from stepwell.errors import AlreadyExists, Code, FailedPrecondition, NotFound
from stepwell.orchestrator.views import RunStatus

CHAIN = b"""
workflow: chain
nodes:
  - { id: a, tool: look, with: { q: first } }
  - { id: b, tool: look, with: { q: "=a.output" } }
output: { a: "=a.output", b: "=b.output" }
"""

UNDOING = b"""
workflow: undoing
nodes:
  - { id: a, tool: look, with: { q: first }, compensate: { tool: look, with: { q: back } } }
  - { id: b, tool: look, with: { q: "=a.output" } }
"""


def leased_for(rig: Rig, run: str) -> timedelta:
    """How long the run belongs to its owner, from now on."""
    expires_at = rig.storage.claims._database[NAMESPACE].runs[run].expires_at
    assert expires_at is not None
    return timedelta(microseconds=expires_at - rig.clock.now())


@on_virtual_time
async def test_a_fork_shares_the_log_and_does_the_step_with_its_new_input() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.put_workflow(ANN, CHAIN)
        run, _ = await service.start_run(ANN, "chain", {})
        (await rig.effects.next()).returns("A")
        (await rig.effects.next()).returns("B")
        await until_async(lambda: rig.status(run.id), "completed")
        before = await rig.log(run.id)
        fork, created = await service.controls.fork_run(ANN, run.id, "b", input={"q": "mine"})
        assert created
        assert leased_for(rig, fork.id) == LEASE
        call = await rig.effects.next()
        assert call.command.arguments.value == {"q": "mine"}  # type: ignore[union-attr]
        call.returns("C")
        await until_async(lambda: rig.status(fork.id), "completed")
        done = await service.get_run(ANN, fork.id)
        assert done.output is not None
        assert done.output.value == {"a": "A", "b": "C"}
        assert done.forked_from == run.id
        assert await rig.log(run.id) == before
        assert (await rig.kinds(fork.id))[:2] == ["run_forked", "step_scheduled"]
        assert [step.id for step in await service.list_steps(ANN, fork.id)] == ["a", "b"]


@on_virtual_time
async def test_a_fork_of_a_fork_finds_the_step_where_it_ran() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.put_workflow(ANN, CHAIN)
        run, _ = await service.start_run(ANN, "chain", {})
        (await rig.effects.next()).returns("A")
        (await rig.effects.next()).returns("B")
        await until_async(lambda: rig.status(run.id), "completed")
        first, _ = await service.controls.fork_run(ANN, run.id, "b")
        (await rig.effects.next()).returns("C")
        await until_async(lambda: rig.status(first.id), "completed")
        second, _ = await service.controls.fork_run(ANN, first.id, "a")
        assert second.forked_from == run.id
        third, _ = await service.controls.fork_run(ANN, first.id, "b")
        assert third.forked_from == first.id
        assert await rig.kinds(third.id) == ["run_forked", "step_scheduled"]


@on_virtual_time
async def test_a_fork_is_taken_over_like_any_run() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.put_workflow(ANN, CHAIN)
        run, _ = await service.start_run(ANN, "chain", {})
        (await rig.effects.next()).returns("A")
        (await rig.effects.next()).returns("B")
        fork, _ = await service.controls.fork_run(ANN, run.id, "b")
        await rig.effects.next()
    async with rig.working("two"):
        (await rig.effects.next()).returns("again")
        await until_async(lambda: rig.status(fork.id), "completed")


@on_virtual_time
async def test_a_fork_from_a_step_that_never_ran_says_so() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.put_workflow(ANN, CHAIN)
        run, _ = await service.start_run(ANN, "chain", {})
        with pytest.raises(NotFound) as refused:
            await service.controls.fork_run(ANN, run.id, "b")
        assert refused.value.code is Code.STEP_NOT_FOUND


@on_virtual_time
async def test_the_same_request_forks_once() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.put_workflow(ANN, CHAIN)
        run, _ = await service.start_run(ANN, "chain", {})
        fork, _ = await service.controls.fork_run(ANN, run.id, "a", request_id="r")
        again, created = await service.controls.fork_run(ANN, run.id, "a", request_id="r")
        assert (again.id, created) == (fork.id, False)
        with pytest.raises(AlreadyExists):
            await service.controls.fork_run(ANN, run.id, "a", input={"q": 1}, request_id="r")


@on_virtual_time
async def test_a_run_that_failed_is_taken_up_again() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.put_workflow(ANN, CHAIN)
        run, _ = await service.start_run(ANN, "chain", {})
        (await rig.effects.next()).fails(Failure("TOOL_ERROR", "no"))
        await until_async(lambda: rig.status(run.id), "failed")
        again = await service.controls.retry_step(ANN, run.id, "a")
        assert again.status is RunStatus.RUNNING
        assert leased_for(rig, run.id) == LEASE
        (await rig.effects.next()).returns("A", attempt=2)
        (await rig.effects.next()).returns("B")
        await until_async(lambda: rig.status(run.id), "completed")
        with pytest.raises(FailedPrecondition, match="is completed"):
            await service.controls.retry_step(ANN, run.id, "a")


@on_virtual_time
async def test_no_two_open_runs_have_the_same_key() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.put_workflow(ANN, CHAIN)
        run, _ = await service.start_run(ANN, "chain", {}, run_key="order-7")
        with pytest.raises(AlreadyExists) as refused:
            await service.start_run(ANN, "chain", {}, run_key="order-7")
        assert refused.value.code is Code.RUN_KEY_TAKEN
        assert refused.value.detail == {"run": run.id}
        same, created = await service.start_run(
            ANN, "chain", {}, run_key="order-7", on_conflict="use_existing"
        )
        assert (same.id, created) == (run.id, False)
        other, created = await service.start_run(
            ANN, "chain", {}, run_key="order-7", on_conflict="cancel_existing"
        )
        assert created
        assert await rig.status(run.id) == "cancelled"
        assert other.run_key == "order-7"


@on_virtual_time
async def test_a_fork_does_not_share_what_has_been_undone() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.put_workflow(ANN, UNDOING)
        run, _ = await service.start_run(ANN, "undoing", {})
        (await rig.effects.next()).returns("A")
        (await rig.effects.next()).fails(Failure("TOOL_ERROR", "no"))
        (await rig.effects.next()).returns("undone")
        await until_async(lambda: rig.status(run.id), "failed")
        with pytest.raises(FailedPrecondition, match="undone since: a; fork it from the first"):
            await service.controls.fork_run(ANN, run.id, "b")
        fork, _ = await service.controls.fork_run(ANN, run.id, "a")
        assert fork.status is RunStatus.RUNNING


@on_virtual_time
async def test_a_direct_call_is_made_again_instead_of_forked_with_other_arguments() -> None:
    rig = Rig()
    async with serving(rig) as service:
        run = await service.call_tool(ANN, "look", {"q": 1})
        with pytest.raises(FailedPrecondition, match="call the tool again"):
            await service.controls.fork_run(ANN, run.id, "call", input={"tool": "nowhere"})
