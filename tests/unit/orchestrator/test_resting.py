"""Runs that only wait are let go of, and taken up when their time or a letter comes."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from tests.unit.orchestrator.rig import LEASE, NAMESPACE, Rig, on_virtual_time, until, until_async

from stepwell.engine.inputs import Signal
from stepwell.engine.values import Data
from stepwell.orchestrator.letters import letter_to
from stepwell_storage.records import Letter, Rest

HOLD = "{ workflow: hold, nodes: [{ id: hold, signal: go }], output: '=hold.output' }"
NAP = "{ workflow: nap, nodes: [{ id: nap, wait: 3600300ms }] }"
SHORT = "{ workflow: short, nodes: [{ id: nap, wait: 2s }] }"
ONE = "{ workflow: one, nodes: [{ id: look, tool: look }] }"
HOUR = timedelta(hours=1, milliseconds=300)
"""Not a multiple of the time between two looks around."""


@on_virtual_time
async def test_a_run_that_waits_for_a_message_is_held_by_nobody_after_a_while() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(HOLD))
        assert await rig.status(run) == "waiting"
        await until(lambda: worker.open_runs == 0)
        assert await rig.storage.claims.next_wake() is None
        said = Signal(at=rig.clock.now(), principal="user:ann", name="go", payload=Data(value=7))
        assert await rig.storage.inbox.send(NAMESPACE, letter_to(run, "m1", said))
        await until_async(lambda: rig.status(run), "completed")
        assert (await rig.log(run))[-1].output.value == 7  # type: ignore[union-attr]
        assert not await rig.storage.inbox.is_waiting(NAMESPACE, run, "m1")


@on_virtual_time
async def test_a_run_that_naps_is_taken_up_when_its_time_has_come() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(NAP))
        wakes = rig.clock.now() + HOUR // timedelta(microseconds=1)
        await until(lambda: worker.open_runs == 0)
        assert await rig.storage.claims.next_wake() == wakes
    async with rig.working("two") as worker:
        assert worker.open_runs == 0
        await rig.pass_time(HOUR - timedelta(seconds=30))
        await until_async(lambda: rig.status(run), "completed")
        assert wakes <= rig.clock.now() < wakes + 10_000


@on_virtual_time
async def test_a_run_that_goes_on_soon_is_kept() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(SHORT))
        await until_async(lambda: rig.status(run), "completed")
        assert (await rig.storage.claims.last(NAMESPACE, run)).epoch == 1


@on_virtual_time
async def test_a_run_with_a_call_in_flight_is_kept_however_long_it_takes() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(ONE))
        call = await rig.effects.next()
        await rig.pass_time(HOUR)
        assert worker.open_runs == 1
        call.returns(1)
        await until_async(lambda: rig.status(run), "completed")


@on_virtual_time
async def test_a_worker_that_is_told_to_drain_hands_over_what_has_nothing_in_flight() -> None:
    rig = Rig()
    async with rig.working() as one:
        resting = await rig.start(one, await rig.put(HOLD))
        busy = await rig.start(one, await rig.put(ONE))
        call = await rig.effects.next()
        async with rig.working("two", alone=False) as two:
            draining = rig.spawn(one.drain(60))
            await until(lambda: two.find(NAMESPACE, resting) is not None)
            assert one.open_runs == 1
            call.returns(1)
            await draining
            assert await rig.status(busy) == "completed"
            assert one.open_runs == 0


@on_virtual_time
async def test_a_run_that_is_drained_goes_on_where_it_was_with_the_next_step() -> None:
    rig = Rig()
    two_steps = "{workflow: two, nodes: [{id: a, tool: look}, {id: b, tool: look, needs: [a]}]}"
    async with rig.working() as one:
        run = await rig.start(one, await rig.put(two_steps))
        call = await rig.effects.next()
        async with rig.working("two", alone=False) as two:
            draining = rig.spawn(one.drain(60))
            call.returns(1)
            await draining
            (await rig.effects.next()).returns(2)
            await until_async(lambda: rig.status(run), "completed")
            assert two.open_runs == 0
    assert [made.command.step for made in rig.effects.calls] == ["a", "b"]


@on_virtual_time
async def test_a_worker_takes_over_what_a_dead_one_held_within_the_lease() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    began = rig.clock.now()
    await rig.storage.log.append(await rig.orphan(graph, owner="dead"))
    async with rig.working("two", alone=False) as two:
        await until(lambda: two.open_runs == 1)
        assert rig.clock.now() - began < LEASE / timedelta(microseconds=1) + 1_000_000


@on_virtual_time
async def test_a_letter_that_nobody_can_read_is_dropped_and_takes_nobody_with_it() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(HOLD))
        await until(lambda: worker.open_runs == 0)
        body = b'{"payload": {"value": %s}}' % (b"[" * 100_000 + b"]" * 100_000)
        deep = Letter("m1", run, "signal", "agent:a", body, rig.clock.now())
        said = Signal(at=rig.clock.now(), principal="user:ann", name="go", payload=Data(value=7))
        assert await rig.storage.inbox.send(NAMESPACE, deep)
        assert await rig.storage.inbox.send(NAMESPACE, letter_to(run, "m2", said))
        await until_async(lambda: rig.status(run), "completed")


@on_virtual_time
async def test_whoever_tells_a_run_while_it_is_let_go_of_is_not_told_that_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    told: list[asyncio.Task[bool]] = []
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(HOLD))
        owned = rig.owned(worker, run)
        park = rig.storage.claims.park

        async def park_slowly(owner: str, rests: Sequence[Rest]) -> list[Rest]:
            parked = await park(owner, rests)
            signal = Signal(at=rig.clock.now(), name="go", payload=Data(value=7))
            told.append(asyncio.ensure_future(owned.ask(signal)))
            await asyncio.sleep(1)
            return parked

        monkeypatch.setattr(rig.storage.claims, "park", park_slowly)
        await until(lambda: worker.open_runs == 0)
        assert [await it for it in told] == [False]
        assert (await rig.kinds(run))[-1] == "step_scheduled"
