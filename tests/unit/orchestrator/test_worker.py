"""Runs are taken over, kept, and given back."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from tests.unit.orchestrator.rig import LEASE, NAMESPACE, Rig, on_virtual_time, until, until_async

from stepwell.engine.events import Event, RunCancelled
from stepwell.engine.inputs import Cancel, Expire, Resolve, Signal
from stepwell.engine.state import RunState
from stepwell.engine.values import Data
from stepwell.errors import Unavailable
from stepwell.orchestrator import worker as worker_module
from stepwell.orchestrator.letters import letter_to
from stepwell.orchestrator.worker import Worker
from stepwell_storage.errors import Full
from stepwell_storage.errors import Unavailable as StorageUnavailable
from stepwell_storage.records import Append, Lease, Letter

ONE = """
workflow: one
nodes: [{ id: look, tool: look }]
output: "=look.output"
"""
PAY = """
workflow: paying
nodes: [{ id: pay, tool: pay }]
"""
PURE = """
workflow: pure
nodes: [{ id: sum, transform: "=1 + 1" }]
"""


@on_virtual_time
async def test_a_run_is_worked_on_until_its_end() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        run = await rig.start(worker, graph)
        (await rig.effects.next()).returns(7)
        ended = await worker.wait_ended(NAMESPACE, run, timeout=5)
        assert ended is not None
        assert ended.output.value == 7
        assert await rig.status(run) == "completed"
        assert worker.open_runs == 0


@on_virtual_time
async def test_who_waits_for_the_end_of_a_run_is_told_when_it_leaves_our_hands() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        run = await rig.start(worker, graph)
        waiting = asyncio.ensure_future(worker.wait_ended(NAMESPACE, run, timeout=3600))
        await rig.effects.next()
        owned = worker.find(NAMESPACE, run)
        assert owned is not None
        began = asyncio.get_running_loop().time()
        owned.drop()
        assert await waiting is None
        assert asyncio.get_running_loop().time() == began


@on_virtual_time
async def test_a_run_without_effects_has_ended_when_it_is_accepted() -> None:
    rig = Rig()
    graph = await rig.put(PURE)
    async with rig.working() as worker:
        run = await rig.start(worker, graph)
        assert await rig.status(run) == "completed"
        assert worker.open_runs == 0


@on_virtual_time
async def test_a_run_whose_caller_went_away_is_worked_on_all_the_same() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        asked = asyncio.ensure_future(rig.start(worker, graph))
        await asyncio.sleep(0)  # the append is queued, and not committed
        asked.cancel()
        (await rig.effects.next()).returns(1)
        await until(lambda: worker.open_runs == 0)
        assert await rig.status("01930000-0000-7000-8000-000000000001") == "completed"


@on_virtual_time
async def test_a_run_that_cannot_be_written_is_not_begun() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        rig.storage.log.refusal = Full()
        with pytest.raises(Full):
            await rig.start(worker, graph)
        assert worker.open_runs == 0
        assert rig.effects.calls == []


@on_virtual_time
async def test_a_run_that_was_written_without_an_answer_is_worked_on() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        rig.storage.log.is_mute = True
        with pytest.raises(StorageUnavailable):
            await rig.start(worker, graph)
        rig.storage.log.is_mute = False
        (await rig.effects.next()).returns(1)
        await until(lambda: worker.open_runs == 0)
        assert await rig.status("01930000-0000-7000-8000-000000000001") == "completed"


@on_virtual_time
async def test_a_run_that_was_claimed_without_an_answer_is_worked_on() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        run = await rig.start(worker, graph)
    async with rig.working("two", alone=False) as worker:
        rig.storage.claims.is_mute = True
        await asyncio.sleep(1)
        assert worker.open_runs == 0
        rig.storage.claims.is_mute = False
        await until(lambda: worker.find(NAMESPACE, run))
        assert rig.owned(worker, run).epoch == 2


@on_virtual_time
async def test_a_run_that_was_let_go_of_without_an_answer_is_forgotten() -> None:
    rig = Rig()
    graph = await rig.put("{ workflow: hold, nodes: [{ id: hold, signal: go }] }")
    async with rig.working() as worker:
        rig.storage.claims.is_mute = True
        run = await rig.start(worker, graph)
        await asyncio.sleep(2 * LEASE.total_seconds() / 3 + 1)
        assert worker.open_runs == 1
        rig.storage.claims.is_mute = False
        await until(lambda: worker.open_runs == 0)
        assert await rig.status(run) == "waiting"


@on_virtual_time
async def test_what_was_open_goes_on_before_the_block_of_a_lone_worker_begins() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        run = await rig.start(worker, graph)
        await rig.effects.next()
    async with rig.working("two") as worker:
        assert rig.owned(worker, run).epoch == 2
        (await rig.effects.next()).returns(1)
        await until(lambda: worker.open_runs == 0)
    assert (await rig.kinds(run))[-1] == "run_completed"


@on_virtual_time
async def test_a_run_of_a_process_that_died_is_taken_over_when_its_lease_has_expired() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    dead = rig.worker("dead")
    dies = asyncio.ensure_future(_work_for_ever(dead))
    await asyncio.sleep(0)
    run = await rig.start(dead, graph)
    rig.storage.claims.refusal = Full()  # it cannot give anything back
    dies.cancel()
    await asyncio.wait([dies])
    rig.storage.claims.refusal = None
    async with rig.working("two", alone=False) as worker:
        await asyncio.sleep(LEASE.total_seconds() / 2)
        assert worker.find(NAMESPACE, run) is None
        await until(lambda: worker.find(NAMESPACE, run))


@on_virtual_time
async def test_a_process_that_slept_through_its_leases_lets_go_of_what_others_have_taken() -> None:
    rig = Rig()
    graph = await rig.put("{ workflow: hold, nodes: [{ id: hold, signal: go }] }")
    lease = LEASE // timedelta(microseconds=1)
    async with rig.working(alone=False) as worker:
        run = await rig.start(worker, graph)
        rig.storage.claims.is_awake.clear()
        await asyncio.sleep(2 * LEASE.total_seconds())
        now = rig.clock.now()
        (taken,) = await rig.storage.claims.claim(
            "two", now=now, expires_at=now + 100 * lease, limit=10
        )
        assert taken.run == run
        assert worker.find(NAMESPACE, run) is not None
        rig.storage.claims.is_awake.set()
        await until(lambda: worker.find(NAMESPACE, run) is None)


@on_virtual_time
async def test_a_log_that_cannot_be_read_when_it_is_claimed_is_read_at_the_next_beat() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        run = await rig.start(worker, graph)
    async with rig.working("two", alone=False) as worker:
        rig.storage.log.refusal = StorageUnavailable()
        await asyncio.sleep(LEASE.total_seconds())
        assert worker.find(NAMESPACE, run) is None
        rig.storage.log.refusal = None
        await until(lambda: worker.find(NAMESPACE, run))


@on_virtual_time
async def test_a_lone_worker_does_not_begin_over_a_store_that_refuses() -> None:
    rig = Rig()
    rig.storage.claims.refusal = Full()
    with pytest.raises(Unavailable, match="Free some space"):
        async with rig.working():
            raise AssertionError("the block has begun")


@on_virtual_time
async def test_leases_live_on_while_their_worker_works() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working("one", alone=False) as one, rig.working("two", alone=False) as two:
        run = await rig.start(one, graph)
        await asyncio.sleep(10 * LEASE.total_seconds())
        assert two.find(NAMESPACE, run) is None
        assert rig.owned(one, run).epoch == 1


@on_virtual_time
async def test_a_database_that_was_away_for_all_costs_nobody_a_run() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working("one", alone=False) as one, rig.working("two", alone=False) as two:
        run = await rig.start(one, graph)
        rig.storage.claims.refusal = StorageUnavailable()
        await rig.pass_time(2 * LEASE)  # nobody could extend a lease
        rig.storage.claims.refusal = None
        await rig.pass_time(2 * LEASE)
        assert two.find(NAMESPACE, run) is None
        assert rig.owned(one, run).epoch == 1


@on_virtual_time
async def test_a_worker_stops_although_its_leases_cannot_be_given_back() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        await rig.start(worker, graph)
        rig.storage.claims.refusal = Full()
    assert worker.open_runs == 0


@on_virtual_time
async def test_what_the_block_of_a_worker_raises_comes_out_as_it_is() -> None:
    rig = Rig()
    run = rig.new_id()
    with pytest.raises(LookupError, match="on purpose"):
        await _work_and_raise(rig, run)
    async with rig.working("two") as worker:
        assert rig.owned(worker, run).epoch == 2


@on_virtual_time
async def test_a_run_accepted_while_its_worker_stops_is_left_to_the_next_one() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        asked = asyncio.ensure_future(rig.start(worker, graph))
        await asyncio.sleep(0)
    run = await asked
    assert rig.effects.calls == []
    async with rig.working("two") as worker:
        assert rig.owned(worker, run).epoch == 2


@on_virtual_time
async def test_a_defect_in_one_run_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        broken = await rig.start(worker, graph)
        defect = Expire(at=0, step="nowhere", attempt=1)
        monkeypatch.setattr(RunState, "awaits", lambda state, command: True)
        assert not rig.owned(worker, broken).give(defect)
        monkeypatch.undo()
        sound = await rig.start(worker, graph)
        assert "broke over Expire" in caplog.text
        assert worker.find(NAMESPACE, broken) is None
        (await rig.effects.next()).returns(1)
        await until(lambda: worker.open_runs == 0)
        assert await rig.status(sound) == "completed"
        assert await rig.status(broken) == "failed"


@on_virtual_time
async def test_a_log_that_cannot_be_folded_leaves_the_other_runs_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        unreadable = await rig.start(worker, graph)
        run = await rig.start(worker, await rig.put(PAY))
    monkeypatch.delitem(rig.workflows._graphs, (NAMESPACE, graph.name, graph.version))
    monkeypatch.setitem(rig.storage.log._database[NAMESPACE].definitions, graph.name, {})
    async with rig.working("two") as worker:
        assert worker.open_runs == 1
        assert rig.owned(worker, run).epoch == 2
        cancel = Cancel(at=rig.clock.now(), principal="user:ann", reason="enough")
        assert not await worker.cancel_unreadable(NAMESPACE, run, cancel)
        assert await worker.cancel_unreadable(NAMESPACE, unreadable, cancel)
        assert await rig.status(unreadable) == "cancelled"
    assert "cannot go on with this version" in caplog.text


@on_virtual_time
async def test_letters_to_a_run_that_cannot_be_read_keep_none_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They were older than the others', and were all that one look has room for."""
    monkeypatch.setattr(worker_module, "LETTER_BATCH", 3)
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        unreadable = await rig.start(worker, graph)
        run = await rig.start(worker, await rig.put(PAY))
    monkeypatch.delitem(rig.workflows._graphs, (NAMESPACE, graph.name, graph.version))
    monkeypatch.setitem(rig.storage.log._database[NAMESPACE].definitions, graph.name, {})
    fetch, limits = rig.storage.inbox.fetch, set[int]()

    async def counted(owner: str, *, limit: int) -> list[tuple[str, Letter]]:
        limits.add(limit)
        return await fetch(owner, limit=limit)

    monkeypatch.setattr(rig.storage.inbox, "fetch", counted)
    async with rig.working("two"):
        for number in range(7):
            said = Signal(at=rig.clock.now(), name="go", payload=Data(value=7))
            await rig.storage.inbox.send(NAMESPACE, letter_to(unreadable, f"m{number}", said))
        cancel = Cancel(at=rig.clock.now(), principal="user:ann", reason="enough")
        await rig.storage.inbox.send(NAMESPACE, letter_to(run, "z1", cancel))
        await until_async(lambda: rig.status(run), "cancelled")
        assert await rig.storage.inbox.is_waiting(NAMESPACE, unreadable, "m0")
        await rig.pass_time(LEASE)
        assert max(limits) == 7 + 3


@on_virtual_time
async def test_a_run_that_cannot_be_read_is_cancelled_by_a_letter_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        unreadable = await rig.start(worker, graph)
    monkeypatch.delitem(rig.workflows._graphs, (NAMESPACE, graph.name, graph.version))
    monkeypatch.setitem(rig.storage.log._database[NAMESPACE].definitions, graph.name, {})
    async with rig.working("two"):
        cancel = Cancel(at=rig.clock.now(), principal="user:ann", reason="enough")
        await rig.storage.inbox.send(NAMESPACE, letter_to(unreadable, "c1", cancel))
        await until_async(lambda: rig.status(unreadable), "cancelled")
        assert not await rig.storage.inbox.is_waiting(NAMESPACE, unreadable, "c1")
        end = (await rig.log(unreadable))[-1]
        assert isinstance(end, RunCancelled)
        assert end.reason == "enough"


@on_virtual_time
async def test_a_call_that_was_begun_and_never_came_back_waits_for_a_person() -> None:
    rig = Rig()
    graph = await rig.put(PAY)
    async with rig.working() as worker:
        run = await rig.start(worker, graph)
        await rig.effects.next()
    async with rig.working("two") as worker:
        await until_async(lambda: rig.status(run), "waiting")
        assert (await rig.kinds(run))[-1] == "approval_requested"
        answer = Resolve(at=rig.clock.now(), step="pay", verdict="done", value=Data(value=5))
        assert await rig.owned(worker, run).record(answer)
    assert await rig.status(run) == "completed"
    assert len(rig.effects.calls) == 1


@on_virtual_time
async def test_a_lease_is_extended_three_times_in_its_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    beats: list[int] = []
    heartbeat = rig.storage.claims.heartbeat

    async def counted(owner: str, *, expires_at: int) -> int:
        beats.append(rig.clock.now())
        assert timedelta(microseconds=expires_at - rig.clock.now()) == LEASE
        return await heartbeat(owner, expires_at=expires_at)

    monkeypatch.setattr(rig.storage.claims, "heartbeat", counted)
    async with rig.working():
        await rig.pass_time(LEASE + timedelta(seconds=1))
    gaps = {round((later - at) / 1e6, 3) for at, later in pairwise(beats)}
    assert gaps == {LEASE.total_seconds() / 3}


@on_virtual_time
async def test_a_run_goes_on_with_the_version_that_it_began_with() -> None:
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        run = await rig.start(worker, graph)
        await rig.effects.next()
    newer = await rig.put(ONE.replace("look.output", "[look.output]"))
    assert newer.version != graph.version
    async with rig.working("two") as worker:
        assert rig.owned(worker, run).state.graph.version == graph.version
        (await rig.effects.next()).returns(1)
        ended = await worker.wait_ended(NAMESPACE, run, timeout=5)
        assert ended is not None
        assert ended.output.value == 1


@on_virtual_time
async def test_a_worker_that_looks_for_what_it_holds_takes_up_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One run is in its hands, of another it does not know yet that its start is written."""
    rig = Rig()
    graph = await rig.put(ONE)
    append, history = rig.storage.log.append, rig.journal.history
    late: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    folded: list[str] = []

    def answered_late(it: Append) -> asyncio.Future[int]:
        append(it)
        return late

    async def counted(namespace: str, run: str, **how: Any) -> list[Event]:
        folded.append(run)
        return await history(namespace, run, **how)

    monkeypatch.setattr(rig.journal, "history", counted)
    async with rig.working() as worker:
        await rig.start(worker, graph)
        await rig.effects.next()
        monkeypatch.setattr(rig.storage.log, "append", answered_late)
        beginning = asyncio.ensure_future(rig.start(worker, graph))
        rig.storage.claims.refusal = StorageUnavailable()
        await rig.pass_time(LEASE / 2)
        rig.storage.claims.refusal = None
        await rig.pass_time(2 * LEASE)
        assert (folded, len(rig.effects.calls)) == ([], 1)
        late.set_result(1)
        assert rig.owned(worker, await beginning).epoch == 1
        await until(lambda: len(rig.effects.calls) == 2)


@on_virtual_time
async def test_a_run_that_came_back_under_a_newer_lease_is_folded_anew() -> None:
    """Another held it meanwhile, so what we know of it is old."""
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        run = await rig.start(worker, graph)
        first = await rig.effects.next()
        old = rig.owned(worker, run)
        kept = rig.storage.claims._database[NAMESPACE].runs[run]
        kept.owner, kept.expires_at = None, rig.clock.now()
        rig.storage.claims._database.bell.ring()
        await until(lambda: worker.find(NAMESPACE, run) is not old)
        again = rig.owned(worker, run)
        assert (again.epoch, worker.open_runs) == (2, 1)
        await until(lambda: first.is_cancelled)
        (await rig.effects.next()).returns(1)
        await until_async(lambda: rig.status(run), "completed")


@on_virtual_time
async def test_a_run_that_is_found_to_be_ours_in_two_ways_is_taken_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer to a claim is under way while the worker looks for what it holds."""
    rig = Rig()
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        run = await rig.start(worker, graph)
        await rig.effects.next()
    claim, heartbeat = rig.storage.claims.claim, rig.storage.claims.heartbeat
    answers, refusals = asyncio.Event(), [StorageUnavailable()]

    async def answered_late(owner: str, **how: Any) -> list[Lease]:
        leases = await claim(owner, **how)
        await answers.wait()
        return leases

    async def refused_once(owner: str, *, expires_at: int) -> int:
        if refusals:
            raise refusals.pop()
        return await heartbeat(owner, expires_at=expires_at)

    monkeypatch.setattr(rig.storage.claims, "claim", answered_late)
    monkeypatch.setattr(rig.storage.claims, "heartbeat", refused_once)
    async with rig.working("two", alone=False) as worker:
        await until(lambda: len(rig.effects.calls) == 2)
        owned = rig.owned(worker, run)
        answers.set()
        await rig.pass_time(LEASE)
        assert worker.find(NAMESPACE, run) is owned
        assert [call.is_cancelled for call in rig.effects.calls] == [True, False]


async def _work_and_raise(rig: Rig, run: str) -> None:
    graph = await rig.put(ONE)
    async with rig.working() as worker:
        await worker.start(NAMESPACE, run, graph, rig.given())
        raise LookupError("on purpose")


async def _work_for_ever(worker: Worker) -> None:
    async with worker.working(alone=False):
        await asyncio.Future()
