"""Who waits for a new day goes on when it has come."""

from datetime import timedelta

from tests.unit.orchestrator.rig import Rig, on_virtual_time, until
from tests.unit.orchestrator.test_service import ANN, serving

from stepwell.engine.commands import CallTool
from stepwell.engine.due import put_back
from stepwell.engine.inputs import BudgetShort
from stepwell.orchestrator.background import Background
from stepwell.orchestrator.budget_loop import BudgetLoop
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.spending import account_of, begun_at
from stepwell.orchestrator.views import RunStatus

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


def test_days_and_months_are_those_of_utc() -> None:
    at = 1_772_373_909_000_000  # 2026-03-01 14:05:09
    assert account_of(DAY, at) == "namespace/2026-03-01"
    assert account_of("namespace/month", at) == "namespace/2026-03"
    assert account_of("principal:user:ann/day", at) == "principal:user:ann/2026-03-01"
    assert account_of("principal:*/day", at) == ""
    assert begun_at(DAY, at) == begun_at("namespace/month", at) == 1_772_323_200_000_000
    assert begun_at("namespace/month", at + 86_400_000_000) == 1_772_323_200_000_000
