"""A run in the hands of its owner: told, committed, then carried out."""

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

from stepwell.engine.commands import CallModel
from stepwell.engine.events import RunFailed
from stepwell.engine.inputs import Answer, Cancel, ModelAnswered, Pause, Publish, Resolve, Resume
from stepwell.engine.values import NOTHING, Data, Failure
from stepwell.orchestrator.owned import NotWritten
from stepwell_storage.errors import Full
from stepwell_storage.errors import Unavailable as StorageUnavailable
from stepwell_storage.records import Append

TWO = """
workflow: two
nodes:
  - { id: a, tool: look }
  - { id: b, tool: look, needs: [a] }
"""
PAY = """
workflow: paying
nodes: [{ id: pay, tool: pay }]
"""
RETRY = """
workflow: retrying
nodes: [{ id: a, tool: look, retry: { max: 1, initial: 10s } }]
"""
TIMED = """
workflow: timed
nodes:
  - { id: a, tool: look, timeout: 5s }
  - { id: b, tool: look }
"""
AGENT = """
workflow: asking
agents: { a: { model: small } }
nodes: [{ id: ask, agent: a, with: { message: hello } }]
"""
BUSY = Failure("TOOL_ERROR", "busy", retryable=True)


@on_virtual_time
async def test_what_follows_is_carried_out_only_after_the_commit() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TWO))
        rig.storage.log.refusal = StorageUnavailable()
        (await rig.effects.next()).returns(1)
        await asyncio.sleep(PATIENCE)
        assert len(rig.effects.calls) == 1
        rig.storage.log.refusal = None
        (await rig.effects.next()).returns(2)
        await until(lambda: worker.open_runs == 0)
    assert await rig.kinds(run) == [
        "run_started",
        "step_scheduled",
        "tool_call",
        "step_completed",
        "step_scheduled",
        "tool_call",
        "step_completed",
        "run_completed",
    ]


@on_virtual_time
async def test_what_was_written_without_an_answer_is_written_once() -> None:
    """A connection may break between a commit and its answer; meanwhile more happens."""
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TWO))
        owned = rig.owned(worker, run)
        rig.storage.log.is_mute = True
        (await rig.effects.next()).returns(1)
        await asyncio.sleep(0.1)
        assert owned.give(Publish(at=0, type="meanwhile", payload=NOTHING))
        await asyncio.sleep(PATIENCE)
        rig.storage.log.is_mute = False
        (await rig.effects.next()).returns(2)
        await until(lambda: worker.open_runs == 0)
    assert (await rig.kinds(run))[2:6] == [
        "tool_call",
        "step_completed",
        "step_scheduled",
        "custom",
    ]
    assert (await rig.storage.claims.last(NAMESPACE, run)).epoch == 1


@on_virtual_time
async def test_an_end_is_told_after_its_commit_and_not_lost_when_the_store_refuses_it() -> None:
    """The end follows from a deadline that passed while the store took nothing at all."""
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TIMED))
        waiting = asyncio.ensure_future(worker.wait_ended(NAMESPACE, run, PATIENCE))
        await until(lambda: len(rig.effects.calls) == 2)
        rig.storage.log.refusal = Full()
        rig.effects.calls[1].returns(1)
        await asyncio.sleep(6)
        rig.storage.log.kinds, rig.storage.log.refused = frozenset({"run_failed"}), 0
        await until(lambda: rig.storage.log.refused > 1)
        assert not waiting.done()
        rig.storage.log.refusal = None
        ended = await waiting
    assert ended is not None
    assert ended.failure is not None
    assert ended.failure.reason == "STEP_TIMEOUT"
    assert (await rig.kinds(run))[-1] == "run_failed"


@on_virtual_time
async def test_a_call_that_may_not_be_repeated_is_made_after_the_commit_that_says_so() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(PAY))
        call = await rig.effects.next()
        assert (await rig.kinds(run))[-1] == "tool_call_started"
        call.returns(1)
        await until(lambda: worker.open_runs == 0)
    assert (await rig.kinds(run))[-1] == "run_completed"


@on_virtual_time
async def test_a_call_that_became_due_before_a_pause_and_was_not_begun_is_made_after_it() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TWO))
        owned = rig.owned(worker, run)
        rig.storage.log.refusal = StorageUnavailable()
        (await rig.effects.next()).returns(1)
        await asyncio.sleep(0.1)
        assert owned.give(Pause(at=rig.clock.now()))
        rig.storage.log.refusal = None
        await until_async(lambda: rig.status(run), "paused")
        await asyncio.sleep(1)
        assert len(rig.effects.calls) == 1
        assert owned.is_at_rest
        assert await owned.record(Resume(at=rig.clock.now()))
        assert (await rig.effects.next()).command.step == "b"


@on_virtual_time
async def test_a_call_that_may_not_be_repeated_is_not_begun_in_a_pause() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(PAY))
        owned = rig.owned(worker, run)
        assert owned.give(Pause(at=rig.clock.now()))
        await asyncio.sleep(1)
        assert rig.effects.calls == []
        assert await owned.record(Resume(at=rig.clock.now()))
        assert (await rig.effects.next()).command.step == "pay"
        assert (await rig.kinds(run)).count("tool_call_started") == 1


@on_virtual_time
async def test_a_failed_attempt_is_followed_by_another_after_its_wait() -> None:
    rig = Rig()
    async with rig.working() as worker:
        await rig.start(worker, await rig.put(RETRY))
        (await rig.effects.next()).fails(BUSY)
        failed_at = rig.clock.now()
        call = await rig.effects.next()
        assert call.command.attempt == 2
        assert rig.clock.now() - failed_at >= 5_000_000  # a jitter of 0 halves the wait
        call.returns(1)
        await until(lambda: worker.open_runs == 0)


@on_virtual_time
async def test_a_timer_armed_while_the_clock_was_wrong_goes_by_the_clock_that_was_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    right = rig.clock.now
    async with rig.working() as worker:
        await rig.start(worker, await rig.put(RETRY))
        (await rig.effects.next()).fails(BUSY)
        failed_at = right()
        await asyncio.sleep(1)
        monkeypatch.setattr(rig.clock, "now", lambda: right() - 3_600_000_000)
        await asyncio.sleep(8)
        monkeypatch.undo()
        await until(lambda: len(rig.effects.calls) == 2)
        assert right() - failed_at < 20_000_000


@on_virtual_time
async def test_cancel_stops_the_calls_in_flight() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TIMED))
        await until(lambda: len(rig.effects.calls) == 2)
        cancel = Cancel(at=rig.clock.now(), principal="user:bob", reason="enough")
        assert await rig.owned(worker, run).record(cancel)
        assert await rig.status(run) == "cancelled"
        await until(lambda: all(call.is_cancelled for call in rig.effects.calls))
        assert worker.open_runs == 0


@on_virtual_time
async def test_a_call_that_is_still_being_stopped_says_nothing_of_the_one_that_came_after() -> None:
    rig = Rig()
    graph = await rig.put("{ workflow: w, nodes: [{ id: pay, tool: pay, timeout: 5s }] }")
    async with rig.working() as worker:
        run = await rig.start(worker, graph)
        owned = rig.owned(worker, run)
        first = await rig.effects.next()
        rig.effects.cleans_up.clear()
        await until(lambda: first.is_cancelled)
        at = rig.clock.now()
        assert await owned.record(Resolve(at=at, principal="user:a", step="pay", verdict="retry"))
        await until(lambda: len(rig.effects.calls) == 2)
        rig.effects.cleans_up.set()
        await asyncio.sleep(1)
        assert (await rig.kinds(run))[-1] == "tool_call_started"
        second = rig.effects.calls[-1]
        assert await owned.record(Cancel(at=rig.clock.now()))
        await until(lambda: second.is_cancelled)


@on_virtual_time
async def test_an_attempt_whose_time_is_over_is_stopped() -> None:
    rig = Rig()
    source = TIMED.replace("timeout: 5s", "timeout: 5s, retry: { max: 1 }")
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(source))
        await until(lambda: len(rig.effects.calls) == 3)
        first, other, again = rig.effects.calls
        assert (first.is_cancelled, other.is_cancelled) == (True, False)
        assert again.command.attempt == 2
        assert rig.owned(worker, run)._in_flight.keys() == {other.command.id, again.command.id}


@on_virtual_time
async def test_an_owner_whose_lease_is_lost_lets_go_and_stops_its_calls() -> None:
    rig = Rig()
    async with rig.working("one", alone=False) as one:
        run = await rig.start(one, await rig.put(TIMED))
        await until(lambda: len(rig.effects.calls) == 2)
        async with rig.working("two") as two:
            await until(lambda: two.find(NAMESPACE, run))
            mine = rig.effects.calls[:2]
            mine[0].returns("too late")
            await until(lambda: one.open_runs == 0)
            assert mine[1].is_cancelled
            assert "tool_call" not in await rig.kinds(run)


@on_virtual_time
async def test_a_report_that_comes_twice_is_recorded_once() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TWO))
        call = await rig.effects.next()
        call.returns(1)
        await until(lambda: len(rig.effects.calls) == 2)
        report = call.answer.result()
        assert report is not None
        assert not rig.owned(worker, run).give(report)
        assert (await rig.kinds(run)).count("tool_call") == 1


@on_virtual_time
async def test_a_defect_in_an_effect_fails_the_step_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TWO))
        (await rig.effects.next()).answer.set_exception(RuntimeError("on purpose"))
        await until(lambda: worker.open_runs == 0)
    assert await rig.status(run) == "failed"
    assert "on purpose" in str((await rig.log(run))[-1])
    assert "could not be carried out" in caplog.text


@on_virtual_time
async def test_an_exit_in_an_effect_fails_its_run_and_no_other() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TWO))
        (await rig.effects.next()).answer.set_exception(SystemExit(3))
        await until(lambda: worker.open_runs == 0)
        assert await rig.status(run) == "failed"
        assert "SystemExit: 3" in str((await rig.log(run))[-1])
        await rig.start(worker, await rig.put(PAY))
        (await rig.effects.next()).returns(1)
        await until(lambda: worker.open_runs == 0)


@on_virtual_time
async def test_a_call_that_cancels_itself_has_failed() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TWO))
        (await rig.effects.next()).answer.cancel()
        await until(lambda: worker.open_runs == 0)
    assert "look cancelled itself" in str((await rig.log(run))[-1])


UNWRITABLE = Failure("TOOL_ERROR", "bad \ud800")


@on_virtual_time
async def test_a_run_with_an_event_that_has_no_bytes_ends_and_says_that_it_is_a_defect() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TIMED))
        waiting = asyncio.ensure_future(worker.wait_ended(NAMESPACE, run, PATIENCE))
        await until(lambda: len(rig.effects.calls) == 2)
        rig.effects.calls[0].fails(UNWRITABLE)
        await until(lambda: worker.open_runs == 0)
        assert await waiting is None  # the state is not to be trusted, the log is
        assert rig.effects.calls[1].is_cancelled
    (*_, last) = await rig.log(run)
    assert isinstance(last, RunFailed)
    assert last.failure.reason == "INTERNAL"
    assert "broke over what it had to write" in last.failure.message
    assert "UnicodeEncodeError" in last.failure.message
    async with rig.working("two") as worker:
        assert worker.open_runs == 0


@on_virtual_time
async def test_a_run_that_breaks_while_an_append_is_under_way_keeps_that_and_ends() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TIMED))
        await until(lambda: len(rig.effects.calls) == 2)
        rig.storage.log.refusal = StorageUnavailable()
        rig.effects.calls[1].returns(1)
        await until(lambda: rig.storage.log.refused > 0)
        rig.effects.calls[0].fails(UNWRITABLE)
        await asyncio.sleep(1)
        rig.storage.log.refusal = None
        await until(lambda: worker.open_runs == 0)
    assert await rig.status(run) == "failed"


@on_virtual_time
async def test_nobody_is_told_that_a_run_was_told_before_the_commit() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TWO))
        owned = rig.owned(worker, run)
        rig.storage.log.refusal = Full()
        note = Publish(at=rig.clock.now(), type="note", payload=NOTHING)
        with pytest.raises(NotWritten):
            await owned.ask(note)
        with pytest.raises(Full):
            await owned.ask(note)
        rig.storage.log.refusal = None
        await until(lambda: owned.committed == owned.state.sequence)
        assert (await rig.kinds(run))[-1] == "custom"
        assert await owned.ask(note)


@on_virtual_time
async def test_a_run_that_is_dropped_takes_nothing_more() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TWO))
        owned = rig.owned(worker, run)
        owned.drop()
        assert owned.is_at_rest is False
        assert not await owned.record(Cancel(at=rig.clock.now()))
        assert worker.open_runs == 0
    assert await rig.status(run) == "running"


@on_virtual_time
async def test_a_letter_is_to_be_dropped_only_where_it_teaches_nothing() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TWO))
        owned = rig.owned(worker, run)
        note = Publish(at=rig.clock.now(), type="note", payload=NOTHING)
        assert owned.take("m1", note) is True
        assert owned.take("m1", note) is True
        assert owned.take("m2", Resume(at=rig.clock.now())) is False
        await until(lambda: owned.committed == owned.state.sequence)
        assert (await rig.kinds(run)).count("custom") == 1


@on_virtual_time
async def test_a_letter_to_a_run_that_is_lost_or_broken_is_left_to_the_next_owner() -> None:
    rig = Rig()
    async with rig.working() as worker:
        note = Publish(at=rig.clock.now(), type="note", payload=NOTHING)
        lost = rig.owned(worker, await rig.start(worker, await rig.put(TWO)))
        lost.drop()
        assert lost.take("m1", note) is True
        broken = rig.owned(worker, await rig.start(worker, await rig.put(TWO)))
        rig.storage.log.refusal = StorageUnavailable()
        (await rig.effects.next()).fails(UNWRITABLE)
        await until(lambda: rig.storage.log.refused > 0)
        assert broken.take("m1", note) is True
        assert not broken.has_ended
        rig.storage.log.refusal = None
        await until(lambda: worker.open_runs == 0)
        assert "custom" not in await rig.kinds(broken.state.run)


@on_virtual_time
async def test_a_run_whose_place_in_a_queue_cannot_be_asked_for_ends_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()

    async def defect(*_: object, **__: object) -> bool:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(rig.storage.queues, "enter", defect)
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TWO.replace("{ id: a", "{ queue: db, id: a")))
        await until(lambda: worker.open_runs == 0)
    (*_, last) = await rig.log(run)
    assert isinstance(last, RunFailed)
    assert last.failure.reason == "INTERNAL"
    assert "the run broke over its place in a queue (RuntimeError)" in last.failure.message


@on_virtual_time
async def test_a_model_is_asked_for_the_run_and_its_answer_is_taken() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(AGENT))
        call = await rig.effects.next()
        assert isinstance(call.command, CallModel)
        call.answer.set_result(
            ModelAnswered(
                at=rig.clock.now(),
                step="ask",
                attempt=1,
                call=1,
                model="small",
                messages=NOTHING,
                answer=Answer(text=Data(value="hi"), final=Data(value="hi")),
            )
        )
        await until(lambda: worker.open_runs == 0)
        assert await rig.status(run) == "completed"


@on_virtual_time
async def test_the_log_says_who_told_a_run_and_else_whose_it_is() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TWO))
        owned = rig.owned(worker, run)
        said = Publish(at=rig.clock.now(), principal="user:bob", type="note", payload=NOTHING)
        assert await owned.record(said)
        (await rig.effects.next()).returns(1)
        await until(lambda: len(rig.effects.calls) == 2)
        records = await rig.storage.log.read(NAMESPACE, run)
        by = {it.kind: it.principal for it in records}
        assert (by["custom"], by["tool_call"]) == ("user:bob", "user:ann")


@on_virtual_time
async def test_what_a_run_did_not_learn_is_told_as_the_refusal_of_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It had ended already; who asks must not take what was not told for something that is kept."""
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(TWO))
        owned = rig.owned(worker, run)
        held = asyncio.Event()

        def refused_later(it: Append) -> asyncio.Future[int]:
            async def refuse() -> int:
                await held.wait()
                raise Full

            return asyncio.ensure_future(refuse())

        monkeypatch.setattr(rig.storage.log, "append", refused_later)
        ending = asyncio.ensure_future(owned.ask(Cancel(at=rig.clock.now())))
        late = asyncio.ensure_future(
            owned.ask(Publish(at=rig.clock.now(), type="note", payload=NOTHING))
        )
        patient = asyncio.ensure_future(
            owned.record(Publish(at=rig.clock.now(), type="note", payload=NOTHING))
        )
        await asyncio.sleep(0.1)
        assert [ending.done(), late.done()] == [False, False]
        held.set()
        with pytest.raises(NotWritten):
            await ending
        with pytest.raises(Full):
            await late
        assert not patient.done()
        monkeypatch.undo()
        assert await patient is False
        assert await rig.status(run) == "cancelled"
