"""RunService, from a client to the engine and back."""

from datetime import timedelta

import pytest

from stepwell.client import Client, Run, RunStatus, StepStatus
from stepwell.errors import AlreadyExists, Code, FailedPrecondition, InvalidRequest, NotFound

pytestmark = pytest.mark.anyio

SOON = timedelta(seconds=5)
UNKNOWN = "00000000-0000-7000-8000-000000000000"


async def test_a_run_ends_with_its_output(client: Client) -> None:
    started = await client.run("hello", {"name": "Ada"}, labels={"team": "a"})
    run = await client.wait(started.id, SOON)

    assert started.created
    assert (run.status, run.output) == (RunStatus.COMPLETED, {"text": "hello Ada"})
    assert (run.workflow, run.principal, run.labels) == ("hello", "user:local", {"team": "a"})
    assert run.version == (await client.workflows.get("hello")).version
    assert run.ended_at is not None
    assert run.created_at <= run.ended_at
    assert await client.get(f"runs/{run.id}") == run


async def test_a_tool_is_called_as_a_run_of_the_workflow_call(client: Client) -> None:
    started = await client.call("add", {"a": 2, "b": 40})
    run = await client.wait(started.id, SOON)

    assert (run.workflow, run.status, run.output) == ("call", RunStatus.COMPLETED, 42)


async def test_the_same_request_id_starts_one_run(client: Client) -> None:
    first = await client.run("hello", {"name": "Ada"}, request_id="r-1")
    again = await client.run("hello", {"name": "Ada"}, request_id="r-1")

    assert (again.id, again.created) == (first.id, False)
    with pytest.raises(AlreadyExists) as refused:
        await client.run("hello", {"name": "Bob"}, request_id="r-1")
    assert refused.value.code is Code.REQUEST_ID_REUSED


async def test_a_run_keeps_the_version_that_it_was_started_with(client: Client) -> None:
    old = (await client.workflows.get("hello")).version
    await client.workflows.put("workflow: hello\nnodes:\n  - { id: a, transform: new }\n")

    run = await client.run("hello", {"name": "Ada"}, version=old)

    assert (run.version, run.output) == (old, {"text": "hello Ada"})


async def test_an_input_that_does_not_fit_is_refused(client: Client) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await client.run("hello", {"name": 7})

    assert refused.value.code is Code.INVALID_INPUT
    assert "name" in refused.value.detail["input"]


async def test_arguments_that_do_not_fit_are_refused(client: Client) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await client.call("add", {"a": "two"})

    assert refused.value.code is Code.INVALID_ARGUMENTS


async def test_what_is_not_there_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound) as refused:
        await client.run("nope")
    assert refused.value.code is Code.WORKFLOW_NOT_FOUND
    with pytest.raises(NotFound) as refused:
        await client.call("nope")
    assert refused.value.code is Code.TOOL_NOT_FOUND
    for ask in (client.get, client.wait, client.steps, client.cancel, client.events):
        with pytest.raises(NotFound) as refused:
            await ask(UNKNOWN)
        assert refused.value.code is Code.RUN_NOT_FOUND


async def test_a_run_that_goes_on_is_given_as_it_is_when_the_time_is_over(client: Client) -> None:
    run = await client.run("hold")

    assert (await client.wait(run.id, timedelta(0))).status is RunStatus.RUNNING


async def test_a_cancelled_run_tells_why_and_stays_cancelled(client: Client) -> None:
    run = await client.run("hold")
    await client.cancel(run.id, "enough")

    ended = await client.wait(run.id, SOON)
    assert (ended.status, ended.reason) == (RunStatus.CANCELLED, "enough")
    with pytest.raises(FailedPrecondition) as refused:
        await client.cancel(run.id)
    assert refused.value.code is Code.RUN_ENDED


async def test_the_steps_of_a_run_are_listed(client: Client) -> None:
    run = await client.run("hello", {"name": "Ada"})
    await client.wait(run.id, SOON)

    (step,) = await client.steps(run.id)
    assert (step.id, step.node, step.attempt) == ("greet", "greet", 1)
    assert (step.status, step.output) == (StepStatus.COMPLETED, "hello Ada")


async def test_runs_are_listed_newest_first_in_pages_without_their_outputs(client: Client) -> None:
    started = [(await client.run("hello", {"name": "Ada"})).id for _ in range(5)]

    listed: list[Run] = []
    token = ""
    while True:
        page = await client.list(page_size=2, page_token=token)
        listed += page.runs
        if not (token := page.next_page_token):
            break

    assert [run.id for run in listed] == started[::-1]
    assert {run.output for run in listed} == {None}


async def test_runs_are_listed_by_status_and_workflow(client: Client) -> None:
    done = await client.run("hello", {"name": "Ada"})
    held = await client.run("hold")

    assert [run.id for run in (await client.list(workflow="hello")).runs] == [done.id]
    assert [run.id for run in (await client.list(status=RunStatus.RUNNING)).runs] == [held.id]
    assert (await client.list(status=RunStatus.PAUSED)).runs == ()


async def test_a_page_token_of_another_list_is_refused(client: Client) -> None:
    for _ in range(2):
        await client.run("hello", {"name": "Ada"})
    token = (await client.list(page_size=1)).next_page_token

    for asked in (client.list(page_token=token, workflow="hello"), client.list(page_token="x")):
        with pytest.raises(InvalidRequest) as refused:
            await asked
        assert refused.value.code is Code.INVALID_CURSOR


async def test_an_output_that_is_too_large_for_a_message_is_given_by_reference(
    client: Client,
) -> None:
    document = """
        workflow: large
        input: { type: object, properties: { text: { type: string } } }
        nodes:
          - { id: twice, transform: ["=input.text", "=input.text"] }
        output: "=twice.output"
    """
    await client.workflows.put(document)
    run = await client.run("large", {"text": "x" * 1_900_000})

    run = await client.wait(run.id, SOON)
    assert (run.status, run.output) == (RunStatus.COMPLETED, None)
    assert run.output_ref is not None
    assert run.output_ref.size == 2 * 1_900_002 + 3
