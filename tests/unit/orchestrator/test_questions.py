"""Questions of tools, from whoever asks to whoever answers, across owners of the run."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.orchestrator.rig import NAMESPACE, Call, Rig, on_virtual_time, until, until_async

from stepwell.engine.events import QuestionAnswered
from stepwell.engine.inputs import Asked, Cancel
from stepwell.engine.values import Data
from stepwell.errors import Denied, FailedPrecondition, InvalidRequest
from stepwell.orchestrator.approvals import NO_FACTORS
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.controls import Controls
from stepwell.orchestrator.questions import Questions
from stepwell.orchestrator.views import OpenQuestion, Run, run_of_row
from stepwell.orchestrator.worker import Worker
from stepwell.principals import Caller
from stepwell.tools.port import ToolFailed

LOOK = "{ workflow: one, nodes: [{ id: look, tool: look }] }"
PAY = "{ workflow: one, nodes: [{ id: pay, tool: pay }] }"
FORM = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ANN = Caller(NAMESPACE, "user:ann")
BOT = Caller(NAMESPACE, "agent:bot")

Answers = Mapping[str, QuestionAnswered]


class Desk:
    """Where runs of one worker are seen and answered."""

    def __init__(self, rig: Rig, worker: Worker) -> None:
        self.rig = rig
        self.worker = worker
        audit = Audit(rig.storage, rig.clock)
        self.controls = Controls(
            rig.storage,
            worker=worker,
            journal=rig.journal,
            clock=rig.clock,
            ids=rig,
            get_run=self.get_run,
            audit=audit,
            factors=NO_FACTORS,
        )
        self.questions = Questions(
            journal=rig.journal,
            get_run=self.get_run,
            tell=self.controls.tell,
            audit=audit,
            clock=rig.clock,
        )

    async def get_run(self, caller: Caller, run: str) -> Run:
        view = run_of_row(await self.rig.storage.runs.get(caller.namespace, run))
        asked = await self.questions.of(caller.namespace, view)
        return Run(**{**{n: getattr(view, n) for n in view.__struct_fields__}, "questions": asked})

    async def asked(self, run: str) -> list[str]:
        return [it.key for it in (await self.get_run(ANN, run)).questions]

    async def answer(self, run: str, question: str = "", **given: Any) -> Run:
        values = {"action": "accept", "content": {"n": 7}, **given}
        return await self.questions.answer(values.pop("caller", ANN), run, question, **values)


def asks(call: Call, *keys: str, decision: str | None = None) -> asyncio.Task[Answers]:
    """A call in flight asks."""
    assert call.ask is not None
    asked = tuple(
        Asked(key=key, id=f"{key}-id", question=Data(value={"message": key, "schema": FORM}))
        for key in keys
    )
    waiting = call.ask(asked, decision)

    async def wait() -> Answers:
        return await waiting

    return asyncio.get_running_loop().create_task(wait())


@asynccontextmanager
async def one_call(source: str = LOOK) -> AsyncIterator[tuple[Rig, Desk, str, Call]]:
    """A run whose only call is in flight."""
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put(source))
        yield rig, Desk(rig, worker), run, await rig.effects.next()


# --- one owner ----------------------------------------------------------------------------


@on_virtual_time
async def test_a_call_waits_for_what_a_person_says_and_goes_on_with_it() -> None:
    async with one_call() as (rig, desk, run, call):
        waiting = asks(call, "sure")
        await until_async(lambda: rig.status(run), "waiting")
        (asked,) = (await desk.get_run(ANN, run)).questions
        assert asked == OpenQuestion(
            id="sure-id",
            step="look",
            call="",
            key="sure",
            kind="form",
            tool="look",
            message="sure",
            schema=FORM,
            asked_at=asked.asked_at,
        )
        await desk.answer(run)
        said = (await waiting)["sure"]
        assert (said.action, said.content.value, said.by) == ("accept", {"n": 7}, "user:ann")
        assert await rig.status(run) == "running"
        call.returns(1)
        await until_async(lambda: rig.status(run), "completed")


@on_virtual_time
async def test_several_things_are_answered_in_any_order() -> None:
    async with one_call() as (_, desk, run, call):
        waiting = asks(call, "a", "b")
        await until_async(lambda: desk.asked(run), ["a", "b"])
        with pytest.raises(InvalidRequest, match="name one of a-id, b-id"):
            await desk.answer(run)
        await desk.answer(run, "b-id", action="decline")
        assert not waiting.done()
        await desk.answer(run, "a-id")
        answers = await waiting
        assert {key: it.action for key, it in answers.items()} == {"a": "accept", "b": "decline"}
        assert answers["b"].content.value is None


@on_virtual_time
async def test_only_one_of_two_answers_at_once_is_heard() -> None:
    async with one_call() as (_, desk, run, call):
        waiting = asks(call, "sure")
        await until_async(lambda: desk.asked(run), ["sure"])
        both = await asyncio.gather(
            desk.answer(run), desk.answer(run, action="decline"), return_exceptions=True
        )
        assert sum(isinstance(it, FailedPrecondition) for it in both) == 1
        assert (await waiting)["sure"].action == "accept"


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"action": "maybe"}, InvalidRequest, "'maybe' is no answer"),
        ({"content": {"n": "x"}}, InvalidRequest, "does not fit the form"),
        ({"content": 7}, InvalidRequest, "is an object with its fields"),
        ({"content": None}, InvalidRequest, "does not fit the form"),
        ({"caller": BOT}, Denied, "answered by user:ann, whose run it is, or by a user"),
        ({"question": "other"}, FailedPrecondition, "waits for no answer"),
    ],
)
def test_what_is_no_answer_is_refused(given: Any, error: Any, told: str) -> None:
    @on_virtual_time
    async def refused() -> None:
        async with one_call() as (_, desk, run, call):
            waiting = asks(call, "sure")
            await until_async(lambda: desk.asked(run), ["sure"])
            with pytest.raises(error, match=told):
                await desk.answer(run, **given)
            assert not waiting.done()

    refused()


@on_virtual_time
async def test_a_call_that_asks_too_much_is_told_so() -> None:
    async with one_call() as (_, __, ___, call):
        with pytest.raises(ToolFailed, match="may ask 100 questions"):
            await asks(call, *map(str, range(101)))


@on_virtual_time
async def test_a_call_whose_run_is_cancelled_waits_no_more() -> None:
    async with one_call() as (rig, desk, run, call):
        asks(call, "sure")
        await until_async(lambda: desk.asked(run), ["sure"])
        rig.owned(desk.worker, run).give(Cancel(at=rig.clock.now(), principal="user:ann"))
        await until(lambda: call.is_cancelled)
        with pytest.raises(FailedPrecondition, match="has ended"):
            await desk.answer(run)


@on_virtual_time
async def test_in_a_pause_an_answer_is_kept_until_the_run_goes_on() -> None:
    async with one_call() as (rig, desk, run, call):
        waiting = asks(call, "sure")
        await until_async(lambda: desk.asked(run), ["sure"])
        await desk.controls.pause_run(ANN, run)
        await desk.answer(run)
        await rig.pass_time(timedelta(seconds=60))
        assert not waiting.done()
        await desk.controls.resume_run(ANN, run)
        assert (await waiting)["sure"].action == "accept"


@on_virtual_time
async def test_a_call_that_may_not_be_repeated_is_begun_again_before_it_hears_the_answer() -> None:
    async with one_call(PAY) as (rig, desk, run, call):
        waiting = asks(call, "sure", decision="allow: tools")
        await until_async(lambda: desk.asked(run), ["sure"])
        await desk.answer(run)
        await waiting
        assert (await rig.kinds(run))[2:] == [
            "tool_call_started",
            "question_asked",
            "question_answered",
            "tool_call_started",
        ]


# --- owners that come and go --------------------------------------------------------------


async def taken_over(rig: Rig, desk: Desk, run: str) -> None:
    """Another owner has the run; the call of the first one is gone."""
    epoch = (await rig.storage.claims.last(NAMESPACE, run)).epoch
    await rig.give_away(desk.worker, run)
    await until(lambda: desk.worker.find(NAMESPACE, run) is not None)
    assert (await rig.storage.claims.last(NAMESPACE, run)).epoch > epoch


@pytest.mark.parametrize("source", [LOOK, PAY])
def test_a_question_outlives_its_owner_and_is_asked_once(source: str) -> None:
    @on_virtual_time
    async def outlives() -> None:
        async with one_call(source) as (rig, desk, run, call):
            decision = "allow: tools" if source is PAY else None
            asks(call, "sure", decision=decision)
            await until_async(lambda: desk.asked(run), ["sure"])
            await taken_over(rig, desk, run)
            assert len(rig.effects.calls) == 1  # nobody makes it again before it is answered
            assert await desk.asked(run) == ["sure"]
            await desk.answer(run)
            await until(lambda: len(rig.effects.calls) == 2)
            repeat = rig.effects.calls[1]
            answers = await asks(repeat, "sure", decision=decision)
            assert answers["sure"].content.value == {"n": 7}
            repeat.returns(1)
            await until_async(lambda: rig.status(run), "completed")
            assert (await rig.kinds(run)).count("question_asked") == 1

    outlives()


@on_virtual_time
async def test_a_run_that_waits_for_an_answer_after_a_takeover_is_held_by_nobody() -> None:
    async with one_call() as (rig, desk, run, call):
        asks(call, "sure")
        await until_async(lambda: desk.asked(run), ["sure"])
        await taken_over(rig, desk, run)
        await until(lambda: desk.worker.open_runs == 0)
        await desk.answer(run)  # by a letter
        await until(lambda: len(rig.effects.calls) == 2)


@on_virtual_time
async def test_of_two_answers_of_one_person_by_letter_the_second_is_told_that_it_was_too_late() -> (
    None
):
    async with one_call() as (rig, desk, run, call):
        asks(call, "sure")
        await until_async(lambda: desk.asked(run), ["sure"])
        await taken_over(rig, desk, run)
        await until(lambda: desk.worker.open_runs == 0)
        both = await asyncio.gather(
            desk.answer(run), desk.answer(run, content={"n": 8}), return_exceptions=True
        )
        assert sum(isinstance(it, FailedPrecondition) for it in both) == 1


@on_virtual_time
async def test_a_worker_that_drains_lets_go_of_a_call_that_only_waits_for_an_answer() -> None:
    rig = Rig()
    async with rig.working("one") as one:
        run = await rig.start(one, await rig.put(PAY))
        call = await rig.effects.next()
        asks(call, "sure", decision="allow: tools")
        await until_async(lambda: Desk(rig, one).asked(run), ["sure"])
        begun = rig.clock.now()
        await one.drain(3600)
        assert rig.clock.now() - begun < 1_000_000
        assert one.open_runs == 0
    async with rig.working("two") as two:
        desk = Desk(rig, two)
        await desk.answer(run)
        await until(lambda: len(rig.effects.calls) == 2)
        repeat = rig.effects.calls[1]
        assert (await asks(repeat, "sure", decision="allow: tools"))["sure"].action == "accept"
