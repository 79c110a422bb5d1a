"""Who waits for a new day goes on when it has come."""

from datetime import timedelta

from tests.unit.orchestrator.rig import NAMESPACE, Rig, on_virtual_time, until
from tests.unit.orchestrator.test_service import ANN, serving

from stepwell.engine.commands import CallTool, tool_call_id
from stepwell.engine.due import put_back
from stepwell.engine.inputs import BudgetShort, Cancel
from stepwell.engine.values import Failure
from stepwell.orchestrator.background import Background
from stepwell.orchestrator.budget_loop import BudgetLoop
from stepwell.orchestrator.owned import OwnedRun
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.spending import Spending, account_of, begun_at
from stepwell.orchestrator.views import RunStatus
from stepwell.orchestrator.worker import Worker
from stepwell_storage.records import BudgetRow, Used

DAY = "namespace/day"
MINUTE = timedelta(minutes=1)


async def paused_for(rig: Rig, service: Service, scope: str) -> str:
    """A run whose next call is more than the scope has left."""
    run, _ = await service.start_run(ANN, "one", {"q": "?"})
    call = await rig.effects.next()
    command = call.command
    assert isinstance(command, CallTool)
    owned = service._worker.find(ANN.namespace, run.id)
    assert owned is not None
    put_back(owned.state, command)
    call.answer.set_result(
        BudgetShort(
            at=rig.clock.now(),
            step=command.step,
            attempt=command.attempt,
            call=command.call,
            resource=command.tool,
            scope=scope,
            unit="calls",
            limit=1,
            taken=1,
            wanted=1,
        )
    )
    await until(lambda: owned.state.is_paused)
    return run.id


@on_virtual_time
async def test_who_waits_for_a_day_goes_on_when_the_next_one_has_begun() -> None:
    rig = Rig()
    async with serving(rig) as service:
        await service.budgets.set_budget(ANN, DAY, {"calls": 1})
        loop = BudgetLoop(rig.storage, service.budgets, clock=rig.clock, every=MINUTE)
        async with Background(budgets=loop.run):
            waiting = await paused_for(rig, service, DAY)
            other = await paused_for(rig, service, f"run:{waiting}")
            await rig.pass_time(timedelta(hours=10))
            shown = await service.get_run(ANN, waiting)
            assert shown.status is RunStatus.PAUSED
            assert [(it.on, it.about) for it in shown.waiting] == [("budget", DAY)]

            await rig.pass_time(timedelta(minutes=15))
            assert (await service.get_run(ANN, waiting)).status is RunStatus.RUNNING
            assert (await service.get_run(ANN, other)).status is RunStatus.PAUSED
            (await rig.effects.next()).returns(7)
            ended = await service.wait_run(ANN, waiting, timedelta(seconds=5))
            assert ended.status is RunStatus.COMPLETED


LIMITED = "{ workflow: limited, nodes: [{ id: a, tool: look, on_error: continue }, { id: b, tool: look }] }"


async def limited(rig: Rig, worker: Worker) -> OwnedRun:
    """A run with two calls in flight, whose budget of nine has been reserved for them."""
    run = await rig.start(worker, await rig.put(LIMITED), limits={"calls": 9})
    assert rig.spending is not None
    owned = rig.owned(worker, run)
    for step, calls in (("a", 2), ("b", 3)):
        id = tool_call_id(step, 1, "")
        assert await rig.spending.reserve(NAMESPACE, owned.state, id, {"calls": calls}) is None
    assert await load(rig, run) == [Used(f"run:{run}", "calls", 0, 5)]
    return owned


async def load(rig: Rig, run: str) -> list[Used]:
    return await rig.storage.budgets.used(NAMESPACE, [f"run:{run}"])


@on_virtual_time
async def test_the_budget_of_a_run_is_its_own_from_when_it_began() -> None:
    rig = Rig()
    await rig.pass_time(MINUTE)
    async with rig.working() as worker:
        began = rig.clock.now()
        run = await rig.start(worker, await rig.put(LIMITED), limits={"calls": 9})
        assert await rig.storage.budgets.of_run(NAMESPACE, run) == [
            BudgetRow(f"run:{run}", "calls", 9, "user:ann", began, run)
        ]


@on_virtual_time
async def test_what_was_reserved_is_spent_call_by_call_and_free_again_at_the_end() -> None:
    rig = Rig()
    rig.spending = Spending(rig.storage, clock=rig.clock, poll=MINUTE)
    async with rig.working() as worker:
        owned = await limited(rig, worker)
        run = owned.state.run
        await until(lambda: len(rig.effects.calls) == 2)
        rig.effects.calls[0].returns(1)
        await until(lambda: owned.committed == owned.state.sequence > 3)
        assert await load(rig, run) == [Used(f"run:{run}", "calls", 1, 3)]
        assert await owned.record(Cancel(at=rig.clock.now()))
        assert await load(rig, run) == [Used(f"run:{run}", "calls", 1, 0)]


@on_virtual_time
async def test_nothing_stays_reserved_for_a_run_that_breaks() -> None:
    rig = Rig()
    rig.spending = Spending(rig.storage, clock=rig.clock, poll=MINUTE)
    async with rig.working() as worker:
        owned = await limited(rig, worker)
        run = owned.state.run
        await until(lambda: len(rig.effects.calls) == 2)
        rig.effects.calls[0].fails(Failure("TOOL_ERROR", "bad \ud800"))
        await until(lambda: worker.open_runs == 0)
        assert (owned.state.has_ended, await rig.status(run)) == (False, "failed")
        assert [it.reserved for it in await load(rig, run)] == [0]


def test_days_and_months_are_those_of_utc() -> None:
    at = 1_772_373_909_000_000  # 2026-03-01 14:05:09
    assert account_of(DAY, at) == "namespace/2026-03-01"
    assert account_of("namespace/month", at) == "namespace/2026-03"
    assert account_of("principal:user:ann/day", at) == "principal:user:ann/2026-03-01"
    assert account_of("principal:*/day", at) == ""
    assert begun_at(DAY, at) == begun_at("namespace/month", at) == 1_772_323_200_000_000
    assert begun_at("namespace/month", at + 86_400_000_000) == 1_772_323_200_000_000
