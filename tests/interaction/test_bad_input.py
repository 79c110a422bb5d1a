"""What happens to bad input, through the whole stack: each mistake gets its stable code and a
message that says what to do, at the gRPC door and at the MCP door.
"""

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

from stepwell.bootstrap import open_runtime
from stepwell.client import Client, Event, Run, RunStatus
from stepwell.config import load_settings
from stepwell.engine.events import LlmCall, ToolCall
from stepwell.errors import Code, InvalidRequest, StepwellError
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_USER
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
        server = GrpcServer(service, host="127.0.0.1", port=0, owner_token="owner")
        port = await server.start()
        transport = InMemoryTransport(build_server(service, wait=SOON))
        try:
            async with (
                Client(f"127.0.0.1:{port}", token="owner") as client,
                mcp.Client(transport, mode=LATEST_MODERN_VERSION) as mcp_client,
            ):
                for source in (GREET, ASK):
                    await client.workflows.put(source)
                yield Stack(service, client, mcp_client)
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
        ("leave", {}, Code.OUTCOME_UNKNOWN, "lost its process"),
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
            "`stepwell datasource list`",
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


async def test_a_garbage_cursor_and_an_ended_run_are_told_over_mcp(stack: Stack) -> None:
    run = (await stack.service.start_run(LOCAL_USER, "greet", {"name": "Ada"}))[0].id
    await stack.client.wait(run, SOON)
    cursor = await stack.mcp.call_tool("run_events", {"run": run, "cursor": "garbage"})
    ended = await stack.mcp.call_tool("run_cancel", {"run": run})

    assert _text(cursor).startswith("INVALID_CURSOR: ")
    assert _text(ended).startswith("RUN_ENDED: ")


def _text(answer: Any) -> str:
    text: str = answer.content[0].text
    return text


async def _events(client: Client, run: Run) -> tuple[Event, ...]:
    return (await client.events(run.id)).events


def _calls(events: tuple[Event, ...]) -> list[LlmCall]:
    return [event.fact for event in events if isinstance(event.fact, LlmCall)]
