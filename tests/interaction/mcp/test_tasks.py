"""Calls as tasks, through every door, for clients that take tasks and for those that do not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    ElicitResult,
    SubscriptionsAcknowledgedNotification,
    TextContent,
)
from mcp_types.version import LATEST_MODERN_VERSION
from tests.interaction.mcp.conftest import DOORS, PATIENT
from tests.interaction.mcp.task_client import (
    EXTENSION,
    Heard,
    ListenRequest,
    TakesTasks,
    TaskAnswer,
    TaskRequest,
    ask,
    call,
    ended,
    listening,
    until,
)
from tests.permitting import permit_direct_calls

from stepwell.bootstrap import open_runtime
from stepwell.config import load_settings
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run
from stepwell.principals import LOCAL_USER
from stepwell_mcp.server import build_server

pytestmark = pytest.mark.anyio

Connect: TypeAlias = Callable[..., AbstractAsyncContextManager[Client]]
AT_ONCE = timedelta(milliseconds=50)
PAGE = "http://127.0.0.1:7421"

TOOLS = '''
import asyncio
import os

from stepwell import Question, ask, ask_all, tool

GATES = {}
FORM = {
    "type": "object",
    "required": ["sure"],
    "properties": {"sure": {"type": "boolean"}},
}


@tool(read_only=True, task="eager")
async def make_sure(what: str) -> str:
    """Asks before it does anything."""
    reply = await ask(f"{what}?", schema=FORM)
    return f"{reply.action}: {reply.content}"


@tool(read_only=True, task="eager")
async def ask_twice() -> str:
    """Asks two things at once."""
    replies = await ask_all({"a": Question("A?", schema=FORM), "b": Question("B?", schema=FORM)})
    return ", ".join(sorted(f"{key} {reply.action}" for key, reply in replies.items()))


@tool(read_only=True, task="eager")
async def look_around() -> str:
    """Asks the client which folders are open."""
    reply = (await ask_all({"roots": Question(kind="roots")}))["roots"]
    return reply.action


@tool(read_only=True)
async def greet(name: str) -> str:
    """Greets."""
    return f"Hello, {name}!"


@tool
async def pass_gate(gate: str) -> str:
    """Waits until the gate is open."""
    await GATES.setdefault(gate, asyncio.Event()).wait()
    return f"passed {gate}"


@tool(read_only=True, task="never")
async def open_gate(gate: str) -> str:
    """Opens a gate."""
    GATES.setdefault(gate, asyncio.Event()).set()
    return "open"


@tool(read_only=True, task="eager")
async def measure(length: int) -> dict[str, int]:
    """Measures at its leisure."""
    return {"length": length}


@tool(read_only=True, task="required")
async def fail(why: str) -> str:
    """Fails."""
    raise ValueError(why)


@tool(read_only=True, task="eager")
def crash() -> str:
    """Takes its process down."""
    os._exit(3)


@tool
async def order(tea: str) -> str:
    """Buys tea."""
    return f"bought {tea}"
'''


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """The real service over memory, with the tools above, which all may be called."""
    async with opened(tmp_path) as service:
        await permit_direct_calls(service)
        yield service


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Service]:
    tools = home / "tools.py"
    tools.write_text(TOOLS)
    overrides = {"storage.url": "memory:", "tools.paths": [str(tools)]}
    async with open_runtime(load_settings(home, {}, overrides)) as runtime:
        yield runtime.service


@pytest.fixture(params=DOORS)
def connect(request: pytest.FixtureRequest, service: Service, tmp_path: Path) -> Connect:
    """Connects a client that takes tasks through the door."""
    return door(DOORS[request.param], service, tmp_path)


def door(open_door: Any, service: Service, home: Path) -> Connect:
    @asynccontextmanager
    async def connected(**options: Any) -> AsyncIterator[Client]:
        server = build_server(service, wait=PATIENT, task_after=AT_ONCE)
        given = {"extensions": [TakesTasks()], **options}
        async with open_door(server, home, LATEST_MODERN_VERSION, **given) as client:
            yield client

    return connected


async def test_a_call_that_ends_in_time_is_answered_its_result(connect: Connect) -> None:
    async with connect() as client:
        answer = await call(client, "greet", {"name": "Ada"})
    assert isinstance(answer, CallToolResult)
    assert answer.structured_content == "Hello, Ada!"


async def test_a_call_that_takes_longer_becomes_a_task_with_the_result_of_the_call(
    connect: Connect,
) -> None:
    async with connect() as client:
        task = await call(client, "pass_gate", {"gate": "east"})
        working = await ask(client, "tasks/get", task["taskId"])
        await call(client, "open_gate", {"gate": "east"})
        done = await ended(client, task["taskId"])
    assert task["resultType"] == "task"
    assert {"taskId", "status", "createdAt", "lastUpdatedAt", "ttlMs"} <= task.keys()
    assert (task["status"], task["ttlMs"], task["pollIntervalMs"]) == ("working", None, 1000)
    assert (working["status"], working["resultType"]) == ("working", "complete")
    assert done["status"] == "completed"
    assert done["result"]["structuredContent"] == "passed east"
    assert done["result"]["content"] == [{"type": "text", "text": "passed east"}]
    assert done["result"]["resultType"] == "complete"


async def test_an_eager_tool_answers_a_task_at_once_and_one_that_never_does_a_result(
    connect: Connect,
) -> None:
    async with connect() as client:
        task = await call(client, "measure", {"length": 3})
        done = await ended(client, task["taskId"])
        opened_gate = await call(client, "open_gate", {"gate": "west"})
    assert done["result"]["structuredContent"] == {"length": 3}
    assert opened_gate.structured_content == "open"


async def test_a_tool_that_fails_completes_its_task_and_one_that_crashes_fails_it(
    connect: Connect,
) -> None:
    async with connect() as client:
        failed = await ended(client, (await call(client, "fail", {"why": "rain"}))["taskId"])
        crashed = await ended(client, (await call(client, "crash"))["taskId"])
    assert (failed["status"], failed["result"]["isError"]) == ("completed", True)
    assert failed["result"]["content"][0]["text"].startswith("TOOL_ERROR")
    assert (crashed["status"], crashed["error"]["data"]["code"]) == ("failed", "TOOL_CRASHED")
    assert "result" not in crashed


async def test_a_task_is_cancelled_for_good_and_may_be_again(connect: Connect) -> None:
    async with connect() as client:
        task = (await call(client, "pass_gate", {"gate": "north"}))["taskId"]
        acknowledged = await ask(client, "tasks/cancel", task)
        done = await ended(client, task)
        again = await ask(client, "tasks/cancel", task)
    assert acknowledged["resultType"] == again["resultType"] == "complete"
    assert not {"taskId", "status"} & acknowledged.keys()
    assert (done["status"], done["statusMessage"]) == ("cancelled", "its task was cancelled")


async def test_a_task_says_how_long_it_is_kept_where_runs_are_not_kept_for_ever(
    connect: Connect, service: Service
) -> None:
    await service.retention.set_retention(LOCAL_USER, timedelta(hours=1))
    async with connect() as client:
        task = await call(client, "measure", {"length": 7})
        done = await ended(client, task["taskId"])
    assert task["ttlMs"] is None
    assert isinstance(done["ttlMs"], int)
    assert 3_600_000 <= done["ttlMs"] < 3_700_000


async def first_run(service: Service) -> Run:
    async with asyncio.timeout(5):
        while not (found := (await service.list_runs(LOCAL_USER)).runs):
            await anyio.sleep(0.001)
    return found[0]


async def test_a_request_that_is_given_up_leaves_its_run_alone(
    connect: Connect, service: Service
) -> None:
    async with connect() as client:
        giving_up = anyio.CancelScope()
        found: list[Run] = []

        async def call_in_vain() -> None:
            with giving_up:
                await call(client, "pass_gate", {"gate": "south"})

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call_in_vain)
            found.append(await first_run(service))
            giving_up.cancel()
        [run] = found
        await call(client, "open_gate", {"gate": "south"})
        done = await ended(client, run.id)
    assert done["status"] == "completed"


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
async def test_of_tasks_nobody_hears_who_does_not_take_them(connect: Connect, method: str) -> None:
    async with connect() as client:
        task = (await call(client, "measure", {"length": 1}))["taskId"]
    async with connect(extensions=[]) as client:
        with pytest.raises(MCPError) as refused:
            await ask(client, method, task)
        with pytest.raises(MCPError) as required:
            await client.call_tool("fail", {"why": "hail"})
        measured = await client.call_tool("measure", {"length": 2})
    for error in (refused.value, required.value):
        assert error.code == MISSING_REQUIRED_CLIENT_CAPABILITY
        assert error.data == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    assert measured.structured_content == {"length": 2}


async def test_a_task_that_is_not_there_is_not_found(connect: Connect) -> None:
    async with connect() as client:
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            with pytest.raises(MCPError) as refused:
                await ask(client, method, "no-such-task")
            assert refused.value.code == INVALID_PARAMS
            assert refused.value.message.startswith("there is no task 'no-such-task'")


async def test_a_task_of_another_principal_is_as_one_that_is_not_there(
    connect: Connect, service: Service
) -> None:
    foreign = await service.call_tool(LOCAL_USER, "greet", {"name": "Eve"})
    unknown = foreign.id[:-1] + ("0" if foreign.id[-1] != "0" else "1")
    said = []
    async with connect() as client:
        for id in (foreign.id, unknown):
            for method in ("tasks/get", "tasks/update", "tasks/cancel"):
                with pytest.raises(MCPError) as refused:
                    await ask(client, method, id)
                told = refused.value
                said.append((told.code, told.message.replace(id, "ID"), told.data))
    assert len(set(map(str, said))) == 1
    assert (await service.get_run(LOCAL_USER, foreign.id)).status != "cancelled"


async def test_the_methods_of_the_extension_are_not_there_for_older_clients(
    service: Service, tmp_path: Path
) -> None:
    server = build_server(service, task_after=AT_ONCE)
    async with DOORS["memory"](server, tmp_path, "legacy") as client:
        assert client.server_capabilities.extensions is None
        with pytest.raises(MCPError) as refused:
            await ask(client, "tasks/get", "any")
        assert refused.value.code == METHOD_NOT_FOUND


async def test_the_header_names_the_task_that_the_body_names(
    service: Service, tmp_path: Path
) -> None:
    async with door(DOORS["http"], service, tmp_path)() as client:
        task = (await call(client, "measure", {"length": 1}))["taskId"]

        class Misnamed(TaskRequest):
            name_param = "other"

        request = Misnamed(method="tasks/get", params={"taskId": task, "other": "another"})
        with pytest.raises(MCPError) as refused:
            await client.session.send_request(request, TaskAnswer)
    assert refused.value.code == HEADER_MISMATCH


# --- listening ----------------------------------------------------------------------------


async def test_a_client_that_listens_is_told_how_its_tasks_stand(connect: Connect) -> None:
    heard = Heard()
    async with connect(extensions=[TakesTasks(heard.note)]) as client:
        task = (await call(client, "pass_gate", {"gate": "spring"}))["taskId"]
        async with listening(client, task):
            working = await heard.until(lambda state: state["status"] == "working")
            await call(client, "open_gate", {"gate": "spring"})
            done = await heard.until(lambda state: state["status"] == "completed")
        polled = await ask(client, "tasks/get", task)
    told = [state for state in (working, done) if state.pop("_meta")]
    assert told[0]["taskId"] == task
    assert polled.items() >= told[1].items()
    assert [state["status"] for state in heard.states] == ["working", "completed"]


async def test_a_client_that_listens_late_is_told_how_its_task_has_ended(connect: Connect) -> None:
    heard = Heard()
    async with connect(extensions=[TakesTasks(heard.note)]) as client:
        task = (await call(client, "measure", {"length": 4}))["taskId"]
        await ended(client, task)
        async with listening(client, task):
            done = await heard.until(lambda state: True)
    assert done["result"]["structuredContent"] == {"length": 4}


async def test_nobody_is_told_of_the_tasks_of_another(connect: Connect, service: Service) -> None:
    foreign = (await service.call_tool(LOCAL_USER, "measure", {"length": 5})).id
    honored: list[Any] = []
    heard = Heard()

    async def note(message: object) -> None:
        if isinstance(message, SubscriptionsAcknowledgedNotification):
            honored.append(message.params.notifications.model_dump(exclude_none=True))

    options: dict[str, Any] = {"message_handler": note}
    async with connect(extensions=[TakesTasks(heard.note)], **options) as client:
        own = (await call(client, "measure", {"length": 6}))["taskId"]
        async with listening(client, foreign, "no-such-task", own):
            await heard.until(lambda state: state["status"] == "completed")
    assert honored == [{"taskIds": [own]}]
    assert {state["taskId"] for state in heard.states} == {own}


@pytest.mark.parametrize(
    ("extensions", "asked", "code"),
    [
        ([], ["any"], MISSING_REQUIRED_CLIENT_CAPABILITY),
        ([TakesTasks()], "any", INVALID_PARAMS),
        ([TakesTasks()], [3], INVALID_PARAMS),
        ([TakesTasks()], [str(number) for number in range(257)], INVALID_PARAMS),
    ],
)
async def test_who_may_not_listen_so_is_told_why(
    connect: Connect, extensions: list[TakesTasks], asked: object, code: int
) -> None:
    request = ListenRequest(
        method="subscriptions/listen", params={"notifications": {"taskIds": asked}}
    )
    async with connect(extensions=extensions) as client:
        with anyio.fail_after(5), pytest.raises(MCPError) as refused:
            await client.session.send_request(request, TaskAnswer)
    assert refused.value.code == code


# --- questions ----------------------------------------------------------------------------


def asks(state: dict[str, Any]) -> bool:
    return bool(state["status"] == "input_required")


def asking(connect: Connect, heard: Heard | None = None) -> AbstractAsyncContextManager[Client]:
    """A client whose user can be asked."""
    extensions = [TakesTasks(None if heard is None else heard.note)]
    return connect(extensions=extensions, elicitation_callback=nobody_answers)


async def test_a_task_asks_and_goes_on_with_the_answer(connect: Connect) -> None:
    async with asking(connect) as client:
        task = (await call(client, "make_sure", {"what": "Delete it"}))["taskId"]
        state = await until(client, task, asks)
        [(key, request)] = state["inputRequests"].items()
        answers = {key: {"action": "accept", "content": {"sure": True}}, "unknown": {"ignored": 1}}
        acknowledged = await ask(client, "tasks/update", task, inputResponses=answers)
        done = await ended(client, task)
        late = await ask(client, "tasks/update", task, inputResponses=answers)
    assert (request["method"], request["params"]["mode"]) == ("elicitation/create", "form")
    assert request["params"]["message"] == "Delete it?"
    assert request["params"]["requestedSchema"]["required"] == ["sure"]
    assert acknowledged["resultType"] == late["resultType"] == "complete"
    assert done["result"]["structuredContent"] == "accept: {'sure': True}"


async def test_a_task_that_asks_several_things_asks_those_that_are_left(connect: Connect) -> None:
    async with asking(connect) as client:
        task = (await call(client, "ask_twice"))["taskId"]
        both = await until(client, task, lambda state: len(state.get("inputRequests", ())) == 2)
        first, second = both["inputRequests"]
        misfit = {
            first: {"action": "decline"},
            second: {"action": "accept", "content": {"sure": 7}},
        }
        with pytest.raises(MCPError, match="does not fit the form"):
            await ask(client, "tasks/update", task, inputResponses=misfit)
        assert await ask(client, "tasks/get", task) == both
        await ask(client, "tasks/update", task, inputResponses={first: {"action": "decline"}})
        left = await ask(client, "tasks/get", task)
        await ask(client, "tasks/update", task, inputResponses={second: {"action": "cancel"}})
        done = await ended(client, task)
    assert (left["status"], list(left["inputRequests"])) == ("input_required", [second])
    assert done["result"]["structuredContent"] in ("a decline, b cancel", "a cancel, b decline")


@pytest.mark.parametrize(
    "answer", [3, {}, {"action": "perhaps"}, {"action": "accept", "content": {"sure": "yes"}}]
)
async def test_what_is_no_answer_is_refused_and_the_task_still_asks(
    connect: Connect, answer: Any
) -> None:
    async with asking(connect) as client:
        task = (await call(client, "make_sure", {"what": "Sell"}))["taskId"]
        [key] = (await until(client, task, asks))["inputRequests"]
        with pytest.raises(MCPError) as refused:
            await ask(client, "tasks/update", task, inputResponses={key: answer})
        state = await ask(client, "tasks/get", task)
        await ask(client, "tasks/cancel", task)
    assert refused.value.code == INVALID_PARAMS
    assert list(state["inputRequests"]) == [key]


async def test_a_client_that_cannot_be_asked_is_told_that_its_task_waits(connect: Connect) -> None:
    async with connect() as client:
        task = (await call(client, "make_sure", {"what": "Sell"}))["taskId"]
        state = await until(client, task, lambda state: "statusMessage" in state)
        await ask(client, "tasks/cancel", task)
    assert (state["status"], "inputRequests" in state) == ("working", False)
    assert "asks" in state["statusMessage"]


async def test_a_client_is_asked_nothing_that_it_does_not_declare(connect: Connect) -> None:
    async with asking(connect) as client:
        task = (await call(client, "look_around"))["taskId"]
        state = await until(client, task, lambda state: "statusMessage" in state)
        await ask(client, "tasks/cancel", task)
    assert (state["status"], "inputRequests" in state) == ("working", False)


async def test_a_client_that_listens_is_told_what_its_task_asks(connect: Connect) -> None:
    heard = Heard()
    async with asking(connect, heard) as client:
        task = (await call(client, "make_sure", {"what": "Buy"}))["taskId"]
        async with listening(client, task):
            [key] = (await heard.until(asks))["inputRequests"]
            answers = {key: {"action": "decline"}}
            await ask(client, "tasks/update", task, inputResponses=answers)
            done = await heard.until(lambda state: state["status"] == "completed")
    assert done["result"]["structuredContent"] == "decline: None"


# --- held calls ---------------------------------------------------------------------------


async def nobody_answers(*_: Any) -> ElicitResult:
    raise NotImplementedError


async def test_a_held_call_is_a_task_at_once_that_says_whom_it_waits_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as service:
        server = build_server(service, wait=PATIENT, task_after=PATIENT)
        options: dict[str, Any] = {"extensions": [TakesTasks()]}
        with anyio.fail_after(5):
            async with DOORS["memory"](
                server, tmp_path, LATEST_MODERN_VERSION, **options
            ) as client:
                task = await call(client, "order", {"tea": "green"})
                state = await ask(client, "tasks/get", task["taskId"])
    assert (task["resultType"], state["status"]) == ("task", "working")
    assert "Only a person can approve it" in state["statusMessage"]
    assert state["pollIntervalMs"] == 5000


async def test_a_client_that_opens_pages_is_given_the_page_of_the_approval_once(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as service:
        service.approvals.page = lambda id: f"{PAGE}/approvals/{id}"
        server = build_server(service, task_after=PATIENT)
        options: dict[str, Any] = {
            "extensions": [TakesTasks()],
            "elicitation_callback": nobody_answers,
        }
        async with DOORS["memory"](server, tmp_path, LATEST_MODERN_VERSION, **options) as client:
            task = (await call(client, "order", {"tea": "green"}))["taskId"]
            asking = await ask(client, "tasks/get", task)
            [(key, request)] = asking["inputRequests"].items()
            seen = {key: {"action": "accept"}}
            acknowledged = await ask(client, "tasks/update", task, inputResponses=seen)
            after = await ask(client, "tasks/get", task)
            [approval] = (await service.approvals.list(LOCAL_USER)).approvals
            await service.approvals.decide(LOCAL_USER, key, verdict="deny", reason="no tea")
            done = await ended(client, task)
    assert (asking["status"], key) == ("input_required", approval.id)
    assert request["method"] == "elicitation/create"
    assert (request["params"]["mode"], request["params"]["url"]) == (
        "url",
        f"{PAGE}/approvals/{key}",
    )
    assert acknowledged["resultType"] == "complete"
    assert (after["status"], "inputRequests" in after) == ("working", False)
    assert (done["status"], done["result"]["isError"]) == ("completed", True)
    assert "no tea" in done["result"]["content"][0]["text"]


async def test_a_client_without_tasks_is_told_soon_that_its_call_waits_for_somebody(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as service:
        server = build_server(service, wait=timedelta(hours=1), task_after=AT_ONCE)
        with anyio.fail_after(5):
            async with DOORS["memory"](server, tmp_path, "legacy") as client:
                told = await client.call_tool("order", {"tea": "green"})
    assert told.structured_content is not None
    assert told.structured_content["status"] == "waiting"
    assert isinstance(told.content[0], TextContent)
