"""A client that takes tasks: the SDK's own, with the extension and its methods."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Literal

import anyio
from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, NotificationBinding, ResultClaim
from mcp_types import CallToolResult, Request, Result
from pydantic import BaseModel, ConfigDict

EXTENSION = "io.modelcontextprotocol/tasks"
ENDED = ("completed", "failed", "cancelled")
BOUND = 10.0


class TaskAnswer(Result):
    """A result of any shape, as it came in."""

    model_config = ConfigDict(extra="allow")


class CreatedTask(Result):
    """What a call is answered that has become a task."""

    model_config = ConfigDict(extra="allow")
    result_type: Literal["task"] = "task"


class Told(BaseModel):
    """What a notification says of a task."""

    model_config = ConfigDict(extra="allow")


class TaskRequest(Request[dict[str, Any], str]):
    """A request of the extension, with the header that names its task."""

    name_param: ClassVar[str | None] = "taskId"


class TakesTasks(ClientExtension):
    """Says that the client takes tasks; hands notifications of them to `told`."""

    identifier = EXTENSION

    def __init__(self, told: Callable[[dict[str, Any]], None] | None = None) -> None:
        self._told = told

    def claims(self) -> list[ResultClaim[Any]]:
        async def resolve(created: CreatedTask, context: ClaimContext) -> CallToolResult:
            raise NotImplementedError

        return [ResultClaim(result_type="task", model=CreatedTask, resolve=resolve)]

    def notifications(self) -> list[NotificationBinding[Any]]:
        async def heard(params: Told) -> None:
            if self._told is not None:
                self._told(params.model_dump())

        return [NotificationBinding(method="notifications/tasks", params_type=Told, handler=heard)]


async def call(client: Client, tool: str, arguments: dict[str, Any] | None = None) -> Any:
    """What a call is answered: a result, or a task as a dictionary."""
    answer = await client.session.call_tool(tool, arguments or {}, allow_claimed=True)
    return answer.model_dump(by_alias=True) if isinstance(answer, CreatedTask) else answer


async def ask(client: Client, method: str, task: str, **params: Any) -> dict[str, Any]:
    """Asks something about a task."""
    request = TaskRequest(method=method, params={"taskId": task, **params})
    answer = await client.session.send_request(request, TaskAnswer)
    return answer.model_dump(by_alias=True)


async def until(
    client: Client, task: str, holds: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The task as soon as something holds of it."""
    with anyio.fail_after(BOUND):
        while True:
            state = await ask(client, "tasks/get", task)
            if holds(state):
                return state
            await anyio.sleep(0.01)


async def ended(client: Client, task: str) -> dict[str, Any]:
    """The task once it has ended."""
    return await until(client, task, lambda state: state["status"] in ENDED)


class ListenRequest(Request[dict[str, Any], str]):
    """Opens a stream, of whatever is asked for."""


@asynccontextmanager
async def listening(client: Client, *tasks: str) -> AsyncIterator[None]:
    """The server is asked to tell of tasks, until the end of the block."""
    params = {"notifications": {"taskIds": list(tasks)}}
    request = ListenRequest(method="subscriptions/listen", params=params)
    async with anyio.create_task_group() as group:
        group.start_soon(client.session.send_request, request, TaskAnswer)
        yield
        group.cancel_scope.cancel()


class Heard:
    """What a client was told of tasks, in order."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []
        self._event = anyio.Event()

    def note(self, state: dict[str, Any]) -> None:
        self.states.append(state)
        self._event.set()

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first state of which something holds."""
        with anyio.fail_after(BOUND):
            while True:
                self._event = anyio.Event()
                for state in self.states:
                    if holds(state):
                        return state
                await self._event.wait()
