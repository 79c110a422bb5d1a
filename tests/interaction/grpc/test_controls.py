"""Steering a run that is there: what waits, what goes on, and what is done anew."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest

from stepwell.client import Client, Run, RunStatus, StepStatus, Waiting, WaitingOn
from stepwell.engine.events import RunForked, RunStarted, SignalReceived
from stepwell.errors import (
    AlreadyExists,
    Code,
    FailedPrecondition,
    InvalidRequest,
)
from stepwell.v1 import run_service_pb2
from stepwell.v1.run_service_pb2_grpc import RunServiceStub

pytestmark = pytest.mark.anyio

SOON = timedelta(seconds=5)

GO = """
workflow: go
nodes:
  - { id: go, signal: paid }
  - { id: sum, tool: add, with: { a: "=go.output.a", b: 1 } }
output: "=sum.output"
"""
ASK = """
workflow: ask
input: { type: object, properties: { what: { type: string } } }
nodes:
  - { id: ok, approval: "='Refund ' + input.what + '?'" }
output: "=ok.output"
"""
PAY = """
workflow: pay
nodes: [{ id: pay, tool: pay, timeout: 20ms }]
output: "=pay.output"
"""
FLAKY = """
workflow: flaky
nodes:
  - { id: first, tool: add, with: { a: 1, b: 1 } }
  - { id: second, tool: flaky, with: { n: "=first.output" } }
output: "=second.output"
"""


async def begun(client: Client, source: str, given: Any = None, **options: Any) -> Run:
    name = (await client.workflows.put(source)).name
    return await client.run(name, given, **options)


async def seen(client: Client, run: Run, is_there: Callable[[Run], bool]) -> Run:
    """The run as soon as it is as wanted, which every event of it may make it."""
    async for _ in client.watch(run.id):
        found = await client.get(run.id)
        if is_there(found):
            return found
    raise AssertionError(f"the run ended before: {await client.get(run.id)}")


async def waiting(client: Client, source: str, given: Any = None) -> Run:
    """A run that has come to what it waits for."""
    run = await begun(client, source, given)
    return await seen(client, run, lambda found: bool(found.waiting_for))


async def signals(client: Client, run: Run) -> list[SignalReceived]:
    """The messages that came to a run."""
    told = (event.fact for event in (await client.events(run.id)).events)
    return [fact for fact in told if isinstance(fact, SignalReceived)]


# --- pause and resume -----------------------------------------------------------------------


async def test_a_paused_run_begins_nothing_until_it_is_resumed(client: Client) -> None:
    run = await waiting(client, GO)
    paused = await client.pause(run.id, "lunch")
    told = await client.signal(run.id, "paid", {"a": 2})
    resumed = await client.resume(run.id)
    ended = await client.wait(run.id, SOON)

    assert (paused.status, told.status) == (RunStatus.PAUSED, RunStatus.PAUSED)
    assert resumed.status is not RunStatus.PAUSED
    assert (ended.status, ended.output) == (RunStatus.COMPLETED, 3)


# --- messages -------------------------------------------------------------------------------


async def test_a_run_says_for_which_message_it_waits_and_goes_on_with_it(client: Client) -> None:
    run = await waiting(client, GO)
    (step,) = await client.steps(run.id)
    await client.signal(run.id, "paid", {"a": 41})

    assert run.status is RunStatus.WAITING
    assert run.waiting_for == (Waiting(step="go", on=WaitingOn.SIGNAL, about="paid"),)
    assert (step.status, step.waiting_for) == (StepStatus.WAITING, run.waiting_for)
    assert (await client.wait(run.id, SOON)).output == 42


async def test_a_message_that_is_sent_twice_under_one_id_comes_once(client: Client) -> None:
    run = await begun(client, "workflow: two\nnodes: [{ id: a, signal: m }, { id: b, signal: m }]")
    for _ in range(2):
        await client.signal(run.id, "m", 1, id="first")
    await client.signal(run.id, "m", 2, id="second")

    assert (await client.wait(run.id, SOON)).output == {"a": 1, "b": 2}
    assert [signal.id for signal in await signals(client, run)] == ["first", "second"]


async def test_a_message_without_an_id_gets_one(client: Client) -> None:
    """So that a call which is made again by itself says nothing twice."""
    run = await waiting(client, GO)
    await client.signal(run.id, "paid", {"a": 1})

    (signal,) = await signals(client, run)
    assert signal.id


async def test_a_run_that_waits_for_a_time_says_until_when(client: Client) -> None:
    run = await waiting(client, "workflow: nap\nnodes: [{ id: nap, wait: 1h }]")
    (one,) = run.waiting_for

    assert (run.status, one.step, one.on) == (RunStatus.WAITING, "nap", WaitingOn.TIMER)
    assert one.until == run.created_at + timedelta(hours=1)


# --- what a person is asked -----------------------------------------------------------------


async def test_a_person_approves_what_a_step_asks(client: Client) -> None:
    run = await waiting(client, ASK, {"what": "5 euros"})
    (step,) = await client.steps(run.id)
    await client.resolve(run.id, "ok", "approve", reason="fine", value={"limit": 7})
    ended = await client.wait(run.id, SOON)

    assert run.waiting_for == (Waiting(step="ok", on=WaitingOn.HUMAN, about="approval"),)
    assert step.waiting_for[0].message == "Refund 5 euros?"
    assert ended.output == {
        "approved": True,
        "by": "user:local",
        "reason": "fine",
        "value": {"limit": 7},
    }


async def test_what_a_person_denies_fails(client: Client) -> None:
    run = await waiting(client, ASK, {"what": "all"})
    await client.resolve(run.id, "ok", "deny", reason="too much")
    ended = await client.wait(run.id, SOON)

    assert ended.failure is not None
    assert ended.failure.reason == Code.APPROVAL_DENIED
    assert "too much" in ended.failure.message


async def test_a_fork_does_the_step_with_another_input_and_keeps_what_was_before(
    client: Client,
) -> None:
    run = await begun(client, FLAKY, labels={"team": "a"})
    await client.wait(run.id, SOON)
    fork = await client.fork(run.id, "second", input={"n": 40})
    ended = await client.wait(fork.id, SOON)
    first = (await client.events(fork.id)).events[0].fact

    assert (fork.created, fork.forked_from, fork.labels) == (True, run.id, {"team": "a"})
    assert (ended.status, ended.output) == (RunStatus.COMPLETED, 40)
    assert isinstance(first, RunForked)
    assert (first.run, first.step, first.edited, first.input.value) == (
        run.id,
        "second",
        True,
        {"n": 40},
    )
    assert [step.id for step in await client.steps(fork.id)] == ["first", "second"]
    assert (await client.get(run.id)).status is RunStatus.FAILED


async def test_the_same_request_forks_once(client: Client) -> None:
    run = await waiting(client, GO)
    fork = await client.fork(run.id, "go", labels={"try": "2"}, request_id="f-1")
    again = await client.fork(run.id, "go", labels={"try": "2"}, request_id="f-1")

    assert (again.id, again.created, again.labels) == (fork.id, False, {"try": "2"})
    with pytest.raises(AlreadyExists) as refused:
        await client.fork(run.id, "go", request_id="f-1")
    assert refused.value.code is Code.REQUEST_ID_REUSED


# --- how a run is started -------------------------------------------------------------------


async def test_no_two_runs_that_go_on_have_the_same_key(client: Client) -> None:
    run = await begun(client, GO, run_key="order-7")
    with pytest.raises(AlreadyExists) as refused:
        await client.run("go", run_key="order-7")
    same = await client.run("go", run_key="order-7", on_conflict="use_existing")
    other = await client.run("go", run_key="order-7", on_conflict="cancel_existing")

    assert refused.value.code is Code.RUN_KEY_TAKEN
    assert refused.value.detail == {"run": run.id}
    assert (same.id, same.created, same.run_key) == (run.id, False, "order-7")
    assert (other.id != run.id, other.created) == (True, True)
    assert (await client.get(run.id)).status is RunStatus.CANCELLED


async def test_a_step_that_is_a_run_and_that_run_know_each_other(client: Client) -> None:
    await client.workflows.put(GO)
    parent = await begun(client, "workflow: top\nnodes: [{ id: inner, workflow: go }]")
    async for batch in client.watch(parent.id):
        if any(event.kind == "step_started" for event in batch.events):
            break
    (step,) = await client.steps(parent.id)
    child = await client.get(step.child)

    assert (step.status, child.workflow, child.parent) == (StepStatus.ACTIVE, "go", parent.id)
    await client.signal(child.id, "paid", {"a": 1})
    assert (await client.wait(parent.id, SOON)).output == {"inner": 2}


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(TRACE, TRACE), ("x" * 100, ""), ("00-" + "0" * 32 + "-b7ad6b7169203331-01", ""), (None, "")],
)
async def test_the_trace_of_a_request_goes_into_the_log(
    client: Client, channel: grpc.aio.Channel, sent: str | None, kept: str
) -> None:
    request = run_service_pb2.StartRunRequest(workflow="hello")
    metadata = (("traceparent", sent),) if sent else ()
    answer = await RunServiceStub(channel).StartRun(request, metadata=metadata)

    first = (await client.events(answer.run.name)).events[0].fact
    assert isinstance(first, RunStarted)
    assert first.trace == kept


# --- lists ----------------------------------------------------------------------------------


async def test_runs_are_listed_by_a_filter_beside_status_and_workflow(client: Client) -> None:
    await client.workflows.put(GO)
    shop = await client.run("go", labels={"team": "shop"})
    await client.run("go", labels={"team": "ops"})
    paused = await client.run("go", labels={"team": "shop"})
    await client.pause(paused.id)
    await client.run("hello", {"name": "Ada"}, labels={"team": "shop"})
    of_shop = 'labels.team = "shop"'

    async def found(**asked: Any) -> list[str]:
        return [run.id for run in (await client.list(**asked)).runs]

    assert await found(filter=of_shop, workflow="go") == [paused.id, shop.id]
    assert await found(filter=of_shop, status=RunStatus.PAUSED) == [paused.id]
    assert await found(filter='created_at > "2999-01-01T00:00:00Z"') == []
    assert await found(filter=f"{of_shop} AND status = paused", workflow='"; x') == []


# --- what tools ask -----------------------------------------------------------------------

GREET = "{ workflow: greet, nodes: [{ id: greet, tool: greet }], output: =greet.output }"


async def greeting(client: Client) -> Run:
    """A run whose tool asks who is there."""
    return await seen(client, await begun(client, GREET), lambda it: bool(it.questions))


async def test_what_a_tool_asks_is_seen_and_answered_once(client: Client) -> None:
    run = await greeting(client)
    (question,) = run.questions
    assert run.status is RunStatus.WAITING
    assert (question.step, question.key, question.kind, question.tool, question.message) == (
        "greet",
        "who",
        "form",
        "greet",
        "Who is there?",
    )
    assert question.schema is not None
    assert question.schema["required"] == ["name"]
    assert question.expires_at is not None
    assert question.expires_at > question.asked_at
    (waiting,) = run.waiting_for
    assert (waiting.on, waiting.about, waiting.question) == (WaitingOn.INPUT, "form", question.id)
    (step,) = await client.steps(run.id)
    assert step.status is StepStatus.WAITING
    assert step.waiting_for[0].message["message"] == "Who is there?"
    with pytest.raises(InvalidRequest, match="does not fit the form"):
        await client.answer(run.id, content={"name": 7})
    await client.answer(run.id, question.id, content={"name": "Ada"})
    with pytest.raises(FailedPrecondition):
        await client.answer(run.id, question.id, content={"name": "Eve"})
    assert (await client.wait(run.id, timeout=SOON)).output == "hello Ada"


async def test_who_would_not_answer_a_tool_says_so(client: Client) -> None:
    run = await greeting(client)
    await client.answer(run.id, action="decline")
    assert (await client.wait(run.id, timeout=SOON)).output == "decline"


async def test_a_list_of_runs_leaves_out_what_they_ask(client: Client) -> None:
    run = await greeting(client)
    (listed,) = (await client.list()).runs
    assert (listed.id, listed.questions) == (run.id, ())
    await client.cancel(run.id)
