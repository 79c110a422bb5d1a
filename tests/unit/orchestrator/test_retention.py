"""How long ended runs are kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from tests.unit.orchestrator.rig import Rig, on_virtual_time
from tests.unit.orchestrator.test_service import ANN, BOB, serving

from stepwell.errors import Denied, InvalidRequest, NotFound
from stepwell.orchestrator.background import Background
from stepwell.orchestrator.retention import BATCH, PAUSE, RetentionLoop
from stepwell.orchestrator.service import Service
from stepwell.principals import Caller
from stepwell_storage.errors import Unavailable

AGENT = Caller(ANN.namespace, "agent:a")
EVERY = timedelta(minutes=1)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
QUICK = b"workflow: quick\nnodes: [{ id: add, transform: '=1 + 1' }]\n"


@asynccontextmanager
async def forgetful(rig: Rig) -> AsyncIterator[Service]:
    """A service whose old runs are deleted."""
    loop = RetentionLoop(rig.storage, clock=rig.clock, every=EVERY)
    async with serving(rig) as service, Background(retention=loop.run):
        await service.put_workflow(ANN, QUICK)
        yield service


async def end_runs(service: Service, count: int) -> None:
    for _ in range(count):
        await service.start_run(ANN, "quick", {})
    await asyncio.sleep(1)


async def left(service: Service) -> int:
    return len((await service.list_runs(ANN, page_size=1000)).runs)


@on_virtual_time
async def test_runs_are_kept_for_ever_unless_somebody_says_otherwise() -> None:
    rig = Rig()
    async with forgetful(rig) as service:
        assert await service.retention.get_retention(ANN) is None
        await end_runs(service, 1)
        await rig.pass_time(HOUR)
        assert await left(service) == 1


@on_virtual_time
async def test_a_run_is_deleted_when_its_time_is_over_and_not_before() -> None:
    rig = Rig()
    async with forgetful(rig) as service:
        await service.retention.set_retention(ANN, HOUR)
        assert await service.retention.get_retention(ANN) == HOUR
        await end_runs(service, 1)
        run = (await service.list_runs(ANN)).runs[0].id
        await rig.pass_time(timedelta(minutes=59))
        assert await left(service) == 1
        await rig.pass_time(timedelta(minutes=2))
        with pytest.raises(NotFound):
            await service.get_run(ANN, run)


@on_virtual_time
async def test_a_run_that_has_not_ended_is_kept_however_old_it_is() -> None:
    rig = Rig()
    async with forgetful(rig) as service:
        await service.retention.set_retention(ANN, EVERY)
        await service.start_run(ANN, "one", {"q": "?"})
        await rig.pass_time(HOUR)
        assert await left(service) == 1


@on_virtual_time
async def test_many_runs_are_deleted_a_few_at_a_time() -> None:
    rig = Rig()
    async with forgetful(rig) as service:
        await service.retention.set_retention(ANN, EVERY)
        await end_runs(service, 2 * BATCH + 1)
        await rig.pass_time(EVERY / 2)
        seen = set()
        while (count := await left(service)) > 0:
            seen.add(count)
            await asyncio.sleep(PAUSE / 10)
        assert seen == {2 * BATCH + 1, BATCH + 1, 1}


@on_virtual_time
async def test_no_retention_keeps_what_is_there_for_ever_again() -> None:
    rig = Rig()
    async with forgetful(rig) as service:
        await service.retention.set_retention(ANN, HOUR)
        await end_runs(service, 1)
        await service.retention.set_retention(ANN, None)
        await rig.pass_time(2 * HOUR)
        assert await left(service) == 1


@on_virtual_time
async def test_namespaces_keep_their_runs_as_long_as_each_likes() -> None:
    async with forgetful(Rig()) as service:
        await service.retention.set_retention(BOB, DAY)
        assert await service.retention.get_retention(ANN) is None


@on_virtual_time
async def test_runs_that_cannot_be_deleted_now_are_deleted_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig()

    async def refuse(**_: object) -> int:
        raise Unavailable("nobody is there")

    async with forgetful(rig) as service:
        await service.retention.set_retention(ANN, EVERY)
        await end_runs(service, 1)
        monkeypatch.setattr(rig.storage.retention, "purge", refuse)
        await rig.pass_time(HOUR)
        assert await left(service) == 1
        assert "old runs cannot be deleted, trying again: nobody is there" in caplog.messages
        monkeypatch.undo()
        await rig.pass_time(2 * EVERY)
        assert await left(service) == 0


@pytest.mark.parametrize("keep", [timedelta(0), timedelta(seconds=59), timedelta(days=36_501)])
@on_virtual_time
async def test_a_time_too_short_or_too_long_is_refused(keep: timedelta) -> None:
    async with serving(Rig()) as service:
        with pytest.raises(InvalidRequest, match="from 1m to 36500d"):
            await service.retention.set_retention(ANN, keep)


@on_virtual_time
async def test_an_agent_does_not_decide_how_long_its_log_is_kept() -> None:
    async with serving(Rig()) as service:
        with pytest.raises(Denied, match="stepwell retention set"):
            await service.retention.set_retention(AGENT, HOUR)
        assert await service.retention.get_retention(AGENT) is None
