"""What happens to bad input, through the whole stack: each mistake gets its stable code and a
message that says what to do, at the gRPC door and at the MCP door.
"""

import math
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import mcp
import pytest
from mcp.client._memory import InMemoryTransport
from mcp_types.version import LATEST_MODERN_VERSION
from tests.permitting import permit_direct_calls

from stepwell.bootstrap import open_runtime
from stepwell.client import Client, Event, Run, RunStatus
from stepwell.config import load_settings
from stepwell.engine.events import LlmCall, ToolCall
from stepwell.errors import Code, Denied, InvalidRequest, StepwellError
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_AGENT, LOCAL_USER
from stepwell_mcp.server import build_server
from stepwell_server.grpc_server import GrpcServer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_loop")]

SOON = timedelta(seconds=10)
UNKNOWN = "00000000-0000-7000-8000-000000000000"

TOOLS = '''
import asyncio
import sys

from stepwell import tool


@tool
async def explode(fuse: str) -> str:
    """Raises."""
    raise RuntimeError(f"the fuse was {fuse}")


@tool
def explode_apart() -> str:
    """Raises in a worker process."""
    raise RuntimeError("far away")


@tool
def leave() -> None:
    """Ends its worker process."""
    import os

    os._exit(3)


@tool
async def give_object() -> object:
    """Returns what cannot be JSON."""
    return object()


@tool
def give_object_apart() -> object:
    """Returns what cannot be JSON, from a worker process."""
    return object()


@tool(output_schema={"type": "object", "required": ["total"]})
async def give_less() -> dict[str, int]:
    """Returns less than it promises."""
    return {}


class Wordless(BaseException):
    def __str__(self) -> str:
        raise self


@tool
async def leave_daemon() -> None:
    """Exits."""
    sys.exit(3)


@tool
async def interrupt() -> None:
    """Raises what a user's Ctrl-C raises."""
    raise KeyboardInterrupt


@tool
async def say_nothing() -> None:
    """Raises what has no text."""
    raise Wordless


@tool
async def cancel_itself() -> None:
    """Cancels the task that it runs in."""
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


@tool
async def half_a_character(give: bool) -> str:
    """Returns or raises what UTF-8 has no bytes for."""
    if give:
        return "bad \\ud800"
    raise ValueError("bad \\ud800")


@tool
async def hold() -> None:
    """Ends when it is cancelled."""
    await asyncio.Event().wait()
'''

SCRIPT = """
conversations:
  - when: repaired
    turns:
      - text: "{ not JSON"
      - json: { total: none }
      - json: { total: 3 }
  - when: hopeless
    turns: [{ text: "{" }, { text: "{" }, { text: "{" }]
  - when: wrong arguments
    turns:
      - tools: [{ name: explode, raw_arguments: "{ fuse:" }]
      - tools: [{ name: explode, arguments: { fuze: short } }]
      - tools: [{ name: nothing, arguments: {} }]
      - json: { total: 4 }
  - when: endless
    turns:
      - tools: [{ name: explode, arguments: { fuse: one } }]
      - tools: [{ name: explode, arguments: { fuse: two } }]
      - tools: [{ name: explode, arguments: { fuse: three } }]
      - tools: [{ name: explode, arguments: { fuse: four } }]
  - when: database
    turns:
      - tools: [{ name: db_query, arguments: { datasource: shop, sql: SELECT 1 } }]
      - json: { total: 5 }
"""

GREET = """\
workflow: greet
input: { type: object, required: [name], properties: { name: { type: string } } }
nodes:
  - { id: greeting, transform: "='Hello, ' + input.name" }
output: "=greeting.output"
"""

ASK = """\
workflow: ask
input: { type: object, required: [question], properties: { question: { type: string } } }
agents:
  clerk:
    model: scripted
    tools: [explode, db_query]
    output: { type: object, required: [total], properties: { total: { type: integer } } }
    limits: { turns: 4 }
nodes:
  - { id: ask, agent: clerk, with: { message: "=input.question" } }
output: "=ask.output"
"""

RELEASE = """\
workflow: release
nodes:
  - { id: paid, signal: paid }
  - { id: ok, approval: Ship it? }
  - { id: ship, tool: hold, needs: [paid, ok], timeout: 1h }
"""

EACH = """\
workflow: each
input: { type: object }
nodes:
  - { id: items, transform: "=input.items" }
  - { id: each, map: "=items.output", do: { tool: explode, with: { fuse: "=item" } } }
"""

MISTAKEN = """\
workflow: mistaken
input: { type: object, properties: { name: { type: string } } }
nodes:
  - { id: one, tool: explod, with: { fuse: "=input.nmae" } }
  - { id: two, transform: "=three.output", timout: 3s }
  - { id: two, transform: 1 }
  - { id: four, transform: "=1 +" }
"""


class Stack(NamedTuple):
    """Both doors of one runtime."""

    service: Service
    client: Client
    mcp: mcp.Client
    address: str


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """The real thing on a SQLite home, with the workflows and tools above."""
    async with _open(tmp_path / "home") as opened:
        yield opened


@asynccontextmanager
async def _open(home: Path) -> AsyncIterator[Stack]:
    home.mkdir(exist_ok=True)
    (home / "tools.py").write_text(TOOLS)
    (home / "script.yaml").write_text(SCRIPT)
    overrides = {
        "tools.paths": ["tools.py"],
        "models.scripted": "fake:script.yaml",
    }
    async with open_runtime(load_settings(home, {}, overrides)) as runtime:
        service = runtime.service
        await permit_direct_calls(service)
        server = GrpcServer(service, host="127.0.0.1", port=0, owner_token="owner")
        port = await server.start()
        address = f"127.0.0.1:{port}"
        transport = InMemoryTransport(build_server(service, wait=SOON))
        try:
            async with (
                Client(address, token="owner") as client,
                mcp.Client(transport, mode=LATEST_MODERN_VERSION) as mcp_client,
            ):
                for source in (GREET, ASK, RELEASE, EACH):
                    await client.workflows.put(source)
                yield Stack(service, client, mcp_client, address)
        finally:
            await server.stop(timedelta(0))


# --- requests that are refused --------------------------------------------------------------


class Mistake(NamedTuple):
    """A request, the code of its refusal, and what its message has to tell."""

    name: str
    ask: Callable[[Client], Awaitable[object]]
    code: Code
    says: str


MISTAKES = (
    Mistake(
        "a workflow that is not there",
        lambda client: client.run("great"),
        Code.WORKFLOW_NOT_FOUND,
        "did you mean 'greet'? `stepwell workflows list`",
    ),
    Mistake(
        "a version that is not there",
        lambda client: client.workflows.get("greet", "sha256:" + "0" * 64),
        Code.WORKFLOW_NOT_FOUND,
        "`stepwell workflows list`",
    ),
    Mistake(
        "an input that does not fit",
        lambda client: client.run("greet", {"name": 7}),
        Code.INVALID_INPUT,
        "name",
    ),
    Mistake(
        "an input that lacks something",
        lambda client: client.run("greet", {}),
        Code.INVALID_INPUT,
        "name",
    ),
    Mistake(
        "a run that is not there",
        lambda client: client.get(UNKNOWN),
        Code.RUN_NOT_FOUND,
        "`stepwell runs`",
    ),
    Mistake("no run at all", lambda client: client.get("a b"), Code.INVALID_REQUEST, "name"),
    Mistake(
        "a tool that is not there",
        lambda client: client.call("explod"),
        Code.TOOL_NOT_FOUND,
        "`stepwell tools list`",
    ),
    Mistake(
        "arguments that do not fit",
        lambda client: client.call("explode", {"fuse": 7}),
        Code.INVALID_ARGUMENTS,
        "fuse",
    ),
    Mistake(
        "a datasource that is not there",
        lambda client: client.datasources.delete("shop"),
        Code.DATASOURCE_NOT_FOUND,
        "`stepwell datasource list`",
    ),
    Mistake(
        "a database that is not there",
        lambda client: client.datasources.create("shop", "sqlite:////nowhere/shop.db"),
        Code.INVALID_REQUEST,
        "/nowhere/shop.db",
    ),
    Mistake(
        "a cursor that nobody gave",
        lambda client: client.events(cursor="garbage"),
        Code.INVALID_CURSOR,
        "leave it out to begin at the beginning",
    ),
    Mistake(
        "a page token that nobody gave",
        lambda client: client.list(page_token="garbage"),
        Code.INVALID_CURSOR,
        "leave it out to begin at the beginning",
    ),
    Mistake(
        "a filter over a field that is not there",
        lambda client: client.list(filter="state = failed", status=RunStatus.RUNNING),
        Code.INVALID_REQUEST,
        "column 1: there is no field 'state'; did you mean status?",
    ),
    Mistake(
        "a filter that is none",
        lambda client: client.list(filter="labels.team =", workflow="greet"),
        Code.INVALID_REQUEST,
        "column 14: a value is expected here",
    ),
    Mistake(
        "a message that is too large",
        lambda client: client.run("greet", {"name": "x" * 5 * 1024 * 1024}),
        Code.LIMIT_EXCEEDED,
        "larger than max",
    ),
)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
async def test_a_mistaken_request_is_refused(stack: Stack, mistake: Mistake) -> None:
    with pytest.raises(StepwellError) as refused:
        await mistake.ask(stack.client)

    assert refused.value.code is mistake.code
    assert mistake.says in refused.value.message
    assert not refused.value.retryable
    assert (await stack.client.list()).runs == ()


async def test_a_malformed_definition_is_told_every_problem_with_its_place(stack: Stack) -> None:
    problems = await stack.client.workflows.check(MISTAKEN)
    with pytest.raises(InvalidRequest) as refused:
        await stack.client.workflows.put(MISTAKEN)

    assert [(problem.line, problem.path) for problem in problems] == [
        (4, "nodes[0].tool"),
        (4, "nodes[0].with.fuse"),
        (5, "nodes[1].transform"),
        (5, "nodes[1].timout"),
        (6, "nodes[2].id"),
        (7, "nodes[3].transform"),
    ]
    assert [problem.hint for problem in problems[:2]] == [
        "did you mean `explode`?",
        "did you mean `name`?",
    ]
    assert refused.value.code is Code.INVALID_DEFINITION
    assert set(refused.value.detail) == {problem.path for problem in problems}


async def test_what_is_no_yaml_is_told_where(stack: Stack) -> None:
    (problem,) = await stack.client.workflows.check("workflow: a\nnodes: [\n")

    assert problem.line > 1
    assert problem.message


async def test_a_request_id_serves_one_request(stack: Stack) -> None:
    first = await stack.client.run("greet", {"name": "Ada"}, request_id="r")
    with pytest.raises(StepwellError) as refused:
        await stack.client.run("greet", {"name": "Bob"}, request_id="r")

    assert refused.value.code is Code.REQUEST_ID_REUSED
    assert "take a new one" in refused.value.message
    assert [run.id for run in (await stack.client.list()).runs] == [first.id]


async def test_a_run_that_has_ended_is_not_cancelled(stack: Stack) -> None:
    run = await stack.client.run("greet", {"name": "Ada"})
    await stack.client.wait(run.id, SOON)
    for ask in (stack.client.cancel(run.id), stack.client.publish(run.id, "note")):
        with pytest.raises(StepwellError) as refused:
            await ask
        assert refused.value.code is Code.RUN_ENDED
        assert "completed" in refused.value.message

    assert (await stack.client.get(run.id)).status is RunStatus.COMPLETED


class Steering(NamedTuple):
    """A wish about a run that waits for a message and asks a person; why it cannot be."""

    name: str
    ask: Callable[[Client, str], Awaitable[object]]
    code: Code
    says: str


async def _pause_twice(client: Client, run: str) -> None:
    await client.pause(run)
    await client.pause(run)


STEERED = (
    Steering("pause it twice", _pause_twice, Code.NOT_APPLICABLE, "is paused already"),
    Steering(
        "resume what is not paused",
        lambda client, run: client.resume(run),
        Code.NOT_APPLICABLE,
        "is not paused",
    ),
    Steering(
        "try a run again that has not failed",
        lambda client, run: client.retry(run),
        Code.NOT_APPLICABLE,
        "when its run has failed",
    ),
    Steering(
        "fork from a step that never ran",
        lambda client, run: client.fork(run, "ship"),
        Code.STEP_NOT_FOUND,
        "never ran, so there is nothing to go on from; `stepwell show",
    ),
    Steering(
        "give an input to a step that takes none",
        lambda client, run: client.fork(run, "paid", input={"cents": 5}),
        Code.NOT_APPLICABLE,
        "takes no input that could be another",
    ),
    Steering(
        "answer a step that asks nothing",
        lambda client, run: client.resolve(run, "paid", "approve"),
        Code.NOT_APPLICABLE,
        "does not ask anything; steps of the run that do: ok",
    ),
    Steering(
        "answer a step that is not there",
        lambda client, run: client.resolve(run, "okay", "approve"),
        Code.STEP_NOT_FOUND,
        "has no step 'okay'; it has paid, ok",
    ),
    Steering(
        "answer something else than what is asked",
        lambda client, run: client.resolve(run, "ok", "done"),
        Code.INVALID_REQUEST,
        "asks for approve or deny",
    ),
    Steering(
        "answer about a call that nobody asks about",
        lambda client, run: client.resolve(run, "ok", "approve", call="1.0"),
        Code.NOT_APPLICABLE,
        "does not ask about the call '1.0'",
    ),
    Steering(
        "send a message that no step waits for",
        lambda client, run: client.signal(run, "pai"),
        Code.NOT_APPLICABLE,
        "its steps wait for paid; did you mean 'paid'?",
    ),
    Steering(
        "send a message without a name",
        lambda client, run: client.signal(run, ""),
        Code.INVALID_REQUEST,
        "signal",
    ),
)


@pytest.mark.parametrize("wish", STEERED, ids=lambda wish: wish.name)
async def test_what_cannot_be_done_with_a_run_is_refused(stack: Stack, wish: Steering) -> None:
    run = await _waiting(stack.client)
    with pytest.raises(StepwellError) as refused:
        await wish.ask(stack.client, run)

    assert refused.value.code is wish.code
    assert wish.says in refused.value.message
    assert not refused.value.retryable
    assert len((await stack.client.list()).runs) == 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, run: client.signal(run, "paid"),
        lambda client, run: client.resolve(run, "ok", "approve"),
        lambda client, run: client.pause(run),
        lambda client, run: client.resume(run),
        lambda client, run: client.cancel(run),
    ],
    ids=["signal", "resolve", "pause", "resume", "cancel"],
)
async def test_a_run_that_has_ended_is_told_nothing(
    stack: Stack, ask: Callable[[Client, str], Awaitable[object]]
) -> None:
    run = await _waiting(stack.client)
    await stack.client.resolve(run, "ok", "deny")
    with pytest.raises(StepwellError) as refused:
        await ask(stack.client, run)

    assert refused.value.code is Code.RUN_ENDED
    assert "has ended (failed)" in refused.value.message


async def test_a_step_that_the_run_did_not_fail_over_is_not_tried_again(stack: Stack) -> None:
    run = await _waiting(stack.client)
    await stack.client.resolve(run, "ok", "deny")
    for step, code, says in (
        ("paid", Code.NOT_APPLICABLE, "failed over the step 'ok', not over 'paid'"),
        ("shop", Code.STEP_NOT_FOUND, "has no step 'shop'"),
    ):
        with pytest.raises(StepwellError) as refused:
            await stack.client.retry(run, step)
        assert refused.value.code is code
        assert says in refused.value.message


async def test_an_agent_never_answers_for_a_person_nor_goes_on_behind_an_answer(
    stack: Stack,
) -> None:
    run = await _waiting(stack.client)
    async with Client(stack.address) as agent:
        with pytest.raises(Denied) as refused:
            await agent.resolve(run, "ok", "approve")
        with pytest.raises(Denied, match=r"this call is by agent:local.*`stepwell fork`"):
            await agent.fork(run, "paid")
    tools = {tool.name for tool in (await stack.mcp.list_tools()).tools}

    assert refused.value.code is Code.POLICY_DENIED
    assert "answered by a person, and this call is by agent:local" in refused.value.message
    assert "`stepwell resolve`" in refused.value.message
    assert {name for name in tools if name.startswith("run_")} == {
        "run_start",
        "run_get",
        "run_result",
        "run_events",
        "run_signal",
        "run_cancel",
    }
    assert (await stack.client.get(run)).status is RunStatus.WAITING


@pytest.mark.parametrize("items", [None, 7, "abc", {"a": 1}])
async def test_a_map_over_what_is_no_list_fails_its_run(stack: Stack, items: Any) -> None:
    run = await _ended(stack.client, await stack.client.run("each", {"items": items}))
    with pytest.raises(StepwellError) as refused:
        await stack.client.retry(run.id)

    assert run.failure is not None
    assert run.failure.reason == Code.EXPRESSION_ERROR
    assert "node each: `map` needs a list, and was given" in run.failure.message
    assert refused.value.code is Code.NOT_APPLICABLE
    assert "fork the run from an earlier step" in refused.value.message


async def _waiting(client: Client) -> str:
    """A run that has come to what it waits for."""
    run = (await client.run("release")).id
    async for _ in client.watch(run):
        if len((await client.get(run)).waiting_for) == 2:
            return run
    raise AssertionError("it has ended")


async def test_a_cursor_of_another_log_is_refused(stack: Stack, tmp_path: Path) -> None:
    async with _open(tmp_path / "other") as other:
        await other.client.run("greet", {"name": "Ada"})
        foreign = (await other.client.events()).cursor

    for ask in (stack.client.events(cursor=foreign), anext(stack.client.watch(cursor=foreign))):
        with pytest.raises(InvalidRequest) as refused:
            await ask
        assert refused.value.code is Code.CURSOR_EXPIRED
        assert "read from the beginning" in refused.value.message


async def test_a_cursor_beyond_a_log_that_was_restored_is_refused(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    async with _open(home):
        pass
    shutil.copytree(home, copy)
    async with _open(home) as stack:
        run = await stack.client.run("greet", {"name": "Ada"})
        await stack.client.wait(run.id, SOON)
        stale = (await stack.client.events()).cursor

    async with _open(copy) as restored:
        with pytest.raises(InvalidRequest) as refused:
            await restored.client.events(cursor=stale)

    assert refused.value.code is Code.CURSOR_EXPIRED
    assert "restored from an older copy" in refused.value.message


# --- runs that fail -------------------------------------------------------------------------


async def _ended(client: Client, run: Run) -> Run:
    return await client.wait(run.id, SOON)


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "says"),
    [
        ("explode", {"fuse": "short"}, Code.TOOL_ERROR, "RuntimeError: the fuse was short"),
        ("explode_apart", {}, Code.TOOL_ERROR, "RuntimeError: far away"),
        ("give_object", {}, Code.INVALID_RESULT, "return dicts, lists"),
        ("give_object_apart", {}, Code.INVALID_RESULT, "return dicts, lists"),
        ("give_less", {}, Code.INVALID_RESULT, "total"),
        ("leave_daemon", {}, Code.TOOL_ERROR, "SystemExit: 3"),
        ("interrupt", {}, Code.TOOL_ERROR, "KeyboardInterrupt"),
        ("say_nothing", {}, Code.TOOL_ERROR, "Wordless"),
        ("cancel_itself", {}, Code.TOOL_ERROR, "cancel_itself cancelled itself"),
        ("half_a_character", {"give": False}, Code.TOOL_ERROR, "ValueError: bad ?"),
        ("half_a_character", {"give": True}, Code.INVALID_RESULT, "return dicts, lists"),
        (
            "db_query",
            {"datasource": "shop", "sql": "SELECT 1"},
            Code.DATASOURCE_NOT_FOUND,
            "there is no datasource 'shop'",
        ),
    ],
)
async def test_a_tool_that_fails_fails_its_run_and_nothing_else(
    stack: Stack, tool: str, arguments: dict[str, Any], code: Code, says: str
) -> None:
    run = await _ended(stack.client, await stack.client.call(tool, arguments))
    answer = await stack.mcp.call_tool(tool, arguments)
    after = await _ended(stack.client, await stack.client.run("greet", {"name": "Ada"}))

    assert run.status is RunStatus.FAILED
    assert run.failure is not None
    assert run.failure.reason == code
    assert says in run.failure.message
    assert answer.is_error
    assert _text(answer).startswith(f"{code}: ")
    assert says in _text(answer)
    assert after.output == "Hello, Ada"


async def test_a_tool_that_ends_its_process_is_asked_about_and_not_called_again(
    stack: Stack,
) -> None:
    run = await stack.client.call("leave", {})
    async for _ in stack.client.watch(run.id):
        if (await stack.client.get(run.id)).waiting_for:
            break
    ((asked,),) = [step.waiting_for for step in await stack.client.steps(run.id)]
    told = await stack.mcp.call_tool("run_get", {"run": run.id})
    await stack.client.resolve(run.id, "call", "fail")
    ended = await _ended(stack.client, run)

    assert "lost its process, so nobody knows whether it took effect" in asked.message["text"]
    assert told.structured_content["status"] == "waiting"
    assert "only a person can answer" in told.structured_content["next"]
    assert ended.failure is not None
    assert ended.failure.reason == Code.OUTCOME_UNKNOWN


async def test_a_model_that_answers_malformed_json_is_told_so_and_mends_it(stack: Stack) -> None:
    run = await _ended(stack.client, await stack.client.run("ask", {"question": "repaired"}))
    calls = _calls(await _events(stack.client, run))

    assert run.output == {"total": 3}
    assert "it is not JSON" in calls[0].problem
    assert "total" in calls[1].problem
    assert calls[2].problem == ""


async def test_a_model_that_never_mends_its_answer_fails_the_step(stack: Stack) -> None:
    run = await _ended(stack.client, await stack.client.run("ask", {"question": "hopeless"}))

    assert run.failure is not None
    assert run.failure.reason == Code.MODEL_OUTPUT_INVALID
    assert "after 2 repairs" in run.failure.message
    assert "it is not JSON" in run.failure.message


async def test_a_model_that_calls_tools_wrongly_is_told_so_and_goes_on(stack: Stack) -> None:
    run = await _ended(stack.client, await stack.client.run("ask", {"question": "wrong arguments"}))
    events = await _events(stack.client, run)
    failures = [event.fact.failure for event in events if isinstance(event.fact, ToolCall)]

    assert run.output == {"total": 4}
    assert "not valid JSON" in _calls(events)[0].tools.value[0]["problem"]
    assert [failure and failure.reason for failure in failures] == [
        Code.INVALID_ARGUMENTS,
        Code.TOOL_NOT_FOUND,
    ]


async def test_a_model_that_never_answers_runs_out_of_turns(stack: Stack) -> None:
    run = await _ended(stack.client, await stack.client.run("ask", {"question": "endless"}))

    assert run.failure is not None
    assert run.failure.reason == Code.TURNS_EXCEEDED
    assert "raise `limits.turns`" in run.failure.message


async def test_a_model_without_a_script_says_how_to_bind_one(stack: Stack) -> None:
    await stack.client.workflows.put(ASK.replace("scripted", "large").replace("ask", "big"))
    run = await _ended(stack.client, await stack.client.run("big", {"question": "anything"}))

    assert run.failure is not None
    assert run.failure.reason == Code.MODEL_NOT_CONFIGURED
    assert "STEPWELL_MODELS__LARGE" in run.failure.message


# --- the MCP door ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "says"),
    [
        ("greet", {"name": 7}, Code.INVALID_INPUT, "name"),
        ("explode", {"fuze": "short"}, Code.INVALID_ARGUMENTS, "fuze"),
        ("run_get", {"run": UNKNOWN}, Code.RUN_NOT_FOUND, "the answer of the call that began it"),
        (
            "run_events",
            {"run": UNKNOWN},
            Code.RUN_NOT_FOUND,
            "the answer of the call that began it",
        ),
        ("run_cancel", {"id": UNKNOWN}, Code.INVALID_ARGUMENTS, "it takes run, reason"),
        (
            "run_signal",
            {"run": UNKNOWN, "name": "paid"},
            Code.RUN_NOT_FOUND,
            "the answer of the call that began it",
        ),
        (
            "run_signal",
            {"run": UNKNOWN, "name": "Paid!"},
            Code.INVALID_ARGUMENTS,
            "it takes run, name, payload, id",
        ),
    ],
)
async def test_a_mistake_over_mcp_is_a_result_that_a_model_can_read(
    stack: Stack, tool: str, arguments: dict[str, Any], code: Code, says: str
) -> None:
    answer = await stack.mcp.call_tool(tool, arguments)

    assert answer.is_error
    assert _text(answer).startswith(f"{code}: ")
    assert says in _text(answer)


async def test_arguments_over_the_limit_are_refused_over_mcp(stack: Stack) -> None:
    answer = await stack.mcp.call_tool("explode", {"fuse": "x" * 4_500_000})
    assert answer.is_error
    assert "LIMIT_EXCEEDED" in str(answer.structured_content or answer.content)
    assert "the limit is 4194304" in str(answer.content)


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan, [{"a": math.nan}], "\ud800"])
async def test_what_the_log_could_not_hold_as_it_is_is_no_argument(stack: Stack, odd: Any) -> None:
    """A person would be shown null, and approve it; `1e400` is an infinity to some readers."""
    for arguments in ({"fuse": odd}, {"fuse": "x", "more": odd}):
        with pytest.raises(InvalidRequest, match="cannot be JSON"):
            await stack.service.call_tool(LOCAL_AGENT, "explode", arguments)
    answer = await stack.mcp.call_tool("explode", {"fuse": 1.5, "more": None})
    assert "INVALID_ARGUMENTS" in _text(answer)


async def test_a_garbage_cursor_and_an_ended_run_are_told_over_mcp(stack: Stack) -> None:
    run = (await stack.service.start_run(LOCAL_USER, "greet", {"name": "Ada"}))[0].id
    await stack.client.wait(run, SOON)
    cursor = await stack.mcp.call_tool("run_events", {"run": run, "cursor": "garbage"})
    ended = await stack.mcp.call_tool("run_cancel", {"run": run})
    late = await stack.mcp.call_tool("run_signal", {"run": run, "name": "paid"})

    assert _text(cursor).startswith("INVALID_CURSOR: ")
    assert _text(ended).startswith("RUN_ENDED: ")
    assert _text(late).startswith("RUN_ENDED: ")


def _text(answer: Any) -> str:
    text: str = answer.content[0].text
    return text


async def _events(client: Client, run: Run) -> tuple[Event, ...]:
    return (await client.events(run.id)).events


def _calls(events: tuple[Event, ...]) -> list[LlmCall]:
    return [event.fact for event in events if isinstance(event.fact, LlmCall)]
