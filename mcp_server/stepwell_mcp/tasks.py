"""Calls as tasks, for clients with the extension `io.modelcontextprotocol/tasks`: a task is a run.

A task is its caller's own: of another's there is nothing to be seen, not even that it is there.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Final

import mcp_types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from stepwell.engine.events import ToolCall
from stepwell.errors import Code, FailedPrecondition, NotFound
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run, RunStatus
from stepwell.principals import Caller
from stepwell.tools.port import ToolSpec
from stepwell.tools.questions import KINDS
from stepwell_mcp.callers import RequestContext, caller_of, http_headers
from stepwell_mcp.errors import refusals
from stepwell_mcp.questions import can_be_asked, page_request, reply_of, request_of
from stepwell_mcp.results import Structured, instant, run_result, waiting_words

EXTENSION: Final = "io.modelcontextprotocol/tasks"
POLL: Final = timedelta(seconds=1)
"""How often a client is told to look at a task."""
SLOW_POLL: Final = timedelta(seconds=5)
"""How often it is told to look at one that waits for somebody."""
PAGE: Final = "url"
"""The kind of question that shows a page."""
MOST_SHOWN: Final = 10_000
"""Pages of which it is remembered that they were shown."""
FIRST_EVENTS: Final = 50
"""Events of a direct call among which the call is."""
BROKEN: Final = frozenset(
    {Code.INTERNAL, Code.TOOL_CRASHED, Code.DATA_DAMAGED, Code.LEASE_LOST, Code.STORAGE_UNAVAILABLE}
)
"""Why a run failed that has nothing to say to its caller: its task has failed as well. Whatever
else a run fails of is the result of its task, for a model to read."""


class TaskUse(Enum):
    """When a call becomes a task."""

    AT_ONCE = auto()
    ALWAYS = auto()
    """After a moment, in which the client may be asked something first."""
    IN_TIME = auto()
    NEVER = auto()


class TaskParams(RequestParams):
    """What names a task."""

    task_id: str = Field(max_length=256)


class UpdateParams(TaskParams):
    """Answers to what a task asks, by the key that the question has in it."""

    input_responses: dict[str, Any] = Field(default_factory=dict)


class Tasks:
    """The methods of the extension, over the runs of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._pages_shown: dict[tuple[str, str], None] = {}

    def serve(self, server: Server[Any]) -> None:
        """Adds the methods to a server, and says that they are there."""
        server.extensions[EXTENSION] = {}
        server.add_request_handler("tasks/get", TaskParams, self.get)
        server.add_request_handler("tasks/update", UpdateParams, self.update)
        server.add_request_handler("tasks/cancel", TaskParams, self.cancel)

    def use(self, context: RequestContext, spec: ToolSpec | None) -> TaskUse:
        """When a call of a tool becomes a task; None is a workflow.

        Raises:
            MCPError: the tool answers nothing else, and the client takes no tasks.
        """
        use = "auto" if spec is None else spec.task
        if use == "never":
            return TaskUse.NEVER
        if not takes_tasks(context):
            if use == "required":
                raise tasks_required(f"the tool {spec.name if spec else ''} answers tasks only")
            return TaskUse.NEVER
        return {"auto": TaskUse.IN_TIME, "required": TaskUse.ALWAYS}.get(use, TaskUse.AT_ONCE)

    def created(self, run: Run) -> dict[str, Any]:
        """What a call is answered that has become a task."""
        return {"resultType": "task", **self._task(run, "working")}

    async def get(self, context: RequestContext, params: TaskParams) -> dict[str, Any]:
        """`tasks/get`: how a task stands, with its result or what it asks."""
        _admit(context, params)
        with refusals():
            caller = caller_of(context)
            return await self.state(caller, params.task_id, askable_kinds(context))

    async def update(self, context: RequestContext, params: UpdateParams) -> dict[str, Any]:
        """`tasks/update`: answers what a task asks; what it does not ask is left aside.

        Nothing is answered where one of the answers is none.
        """
        _admit(context, params)
        with refusals():
            caller = caller_of(context)
            run = await self._own(caller, params.task_id)
            given = params.input_responses
            replies = [
                (question.id, reply_of(question.id, question, given[question.id]))
                for question in run.questions
                if question.id in given
            ]
            for id, (action, content) in replies:
                with too_late(Code.NOT_APPLICABLE, Code.RUN_ENDED):
                    await self._service.questions.answer(
                        caller, run.id, id, action=action, content=content
                    )
            for one in run.waiting:
                if one.approval and one.approval in given:
                    self._note_shown(run.id, one.approval)
        return {"resultType": "complete"}

    async def cancel(self, context: RequestContext, params: TaskParams) -> dict[str, Any]:
        """`tasks/cancel`: stops the run; of one that has ended there is nothing to stop."""
        _admit(context, params)
        with refusals():
            caller = caller_of(context)
            run = await self._own(caller, params.task_id)
            with too_late(Code.RUN_ENDED):
                await self._service.controls.cancel_run(caller, run.id, "its task was cancelled")
        return {"resultType": "complete"}

    async def state(self, caller: Caller, task: str, askable: frozenset[str]) -> dict[str, Any]:
        """A task with its result or what it asks, as a client reads it that answers these kinds.

        Raises:
            MCPError: there is none, for this caller.
            StepwellError: as `Service.get_run`.
        """
        run = await self._own(caller, task)
        told: dict[str, Any] = {}
        match run.status:
            case RunStatus.CANCELLED:
                status = "cancelled"
            case RunStatus.FAILED if run.failure is not None and run.failure.reason in BROKEN:
                status = "failed"
                told["error"] = {
                    "code": mcp_types.INTERNAL_ERROR,
                    "message": run.failure.message,
                    "data": {"code": run.failure.reason, "run": run.id},
                }
            case RunStatus.COMPLETED | RunStatus.FAILED:
                status = "completed"
                told["result"] = await self._result(caller, run)
            case _:
                asked = self._asked(run, askable)
                status = "input_required" if asked else "working"
                if asked:
                    told["inputRequests"] = asked
        base = self._task(run, status)
        if run.status.ended:
            base["ttlMs"] = await self._ttl(caller, run)
        return {"resultType": "complete", **base, **told}

    async def is_there(self, caller: Caller, task: str) -> bool:
        """Whether there is a task, for this caller.

        Raises:
            StepwellError: as `Service.get_run`.
        """
        try:
            await self._own(caller, task)
        except MCPError:
            return False
        return True

    async def _own(self, caller: Caller, task: str) -> Run:
        try:
            return await self._service.get_run(caller, task, is_own=True)
        except NotFound as error:
            raise MCPError(
                INVALID_PARAMS,
                f"there is no task {task!r}; its id is in the answer of the call that became it",
                {"code": Code.RUN_NOT_FOUND.value, "retryable": False, "detail": {}},
            ) from error

    def _task(self, run: Run, status: str) -> dict[str, Any]:
        """What all tasks have. They are kept for ever, but where retention is set."""
        is_waiting = run.status in (RunStatus.WAITING, RunStatus.PAUSED)
        task: dict[str, Any] = {
            "taskId": run.id,
            "status": status,
            "createdAt": instant(run.created_at).isoformat(),
            "lastUpdatedAt": instant(run.updated_at).isoformat(),
            "ttlMs": None,
            "pollIntervalMs": _milliseconds(SLOW_POLL if is_waiting else POLL),
        }
        if words := _words(self._service, run):
            task["statusMessage"] = words
        return task

    async def _ttl(self, caller: Caller, run: Run) -> int | None:
        """How long after its creation a task that has ended is there at least."""
        keep = await self._service.retention.get_retention(caller)
        if keep is None or run.ended_at is None:
            return None
        return _milliseconds(keep) + (run.ended_at - run.created_at) // 1000

    async def _result(self, caller: Caller, run: Run) -> dict[str, Any]:
        """What the call would have been answered, had it been waited for."""
        spec = await self._called(caller, run) if run.workflow == "call" else None
        result = run_result(run, Structured.ANYTHING, spec, self._service.approvals.page)
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)

    async def _called(self, caller: Caller, run: Run) -> ToolSpec | None:
        """The tool that a direct call has called."""
        batch = await self._service.list_events(caller, run=run.id, limit=FIRST_EVENTS)
        for one in batch.events:
            if isinstance(one.event, ToolCall):
                return self._service.find_tool(caller, one.event.tool)
        return None

    def _asked(self, run: Run, askable: frozenset[str]) -> Mapping[str, Any]:
        """What a client is to ask: questions by their id, pages by the approval that they are of."""
        asked = {
            question.id: request_of(run, question)
            for question in run.questions
            if question.kind in askable
        }
        for one in run.waiting if PAGE in askable else ():
            page = self._service.approvals.page(one.approval) if one.approval else ""
            if page and (run.id, one.approval) not in self._pages_shown:
                why = one.reason or "policy holds it"
                message = f"The call of {one.tool} waits for your approval: {why}."
                asked[one.approval] = page_request(message, page, one.approval)
        return {
            id: request.model_dump(by_alias=True, mode="json", exclude_none=True)
            for id, request in asked.items()
        }

    def _note_shown(self, run: str, approval: str) -> None:
        """The client has seen to a page; it is asked again at most after a restart of ours."""
        while len(self._pages_shown) >= MOST_SHOWN:
            del self._pages_shown[next(iter(self._pages_shown))]
        self._pages_shown[run, approval] = None


def takes_tasks(context: RequestContext) -> bool:
    """Whether the client of this request takes a task for an answer."""
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return False
    capabilities = context.session.client_capabilities
    return EXTENSION in ((capabilities and capabilities.extensions) or {})


def tasks_required(why: str) -> MCPError:
    """What a client is told that takes no tasks where nothing else is given."""
    return MCPError(
        MISSING_REQUIRED_CLIENT_CAPABILITY,
        f"{why}, and this client does not declare the extension {EXTENSION}",
        {"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
    )


def _admit(context: RequestContext, params: TaskParams) -> None:
    """Lets in who speaks of tasks, and names the same one everywhere.

    Raises:
        MCPError: the method is not of this version of the protocol; the client does not declare
            the extension; the header `Mcp-Name` names another task than the body.
    """
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        raise MCPError(METHOD_NOT_FOUND, "Method not found", context.method)
    if not takes_tasks(context):
        raise tasks_required(f"{context.method} is of tasks")
    headers = http_headers(context)
    if headers is None:
        return
    if decode_header_value(headers.get(MCP_NAME_HEADER)) != params.task_id:
        raise MCPError(
            HEADER_MISMATCH,
            f"{MCP_NAME_HEADER} header does not match the request body's 'taskId' parameter",
        )


def askable_kinds(context: RequestContext) -> frozenset[str]:
    """The kinds of questions that the client of this request answers."""
    return frozenset(kind for kind in KINDS if can_be_asked(context, kind))


@contextmanager
def too_late(*codes: Code) -> Iterator[None]:
    """Whoever comes too late has nothing to mend: the task tells what has become of it."""
    try:
        yield
    except FailedPrecondition as error:
        if error.code not in codes:
            raise


def _words(service: Service, run: Run) -> str:
    if run.status is RunStatus.CANCELLED:
        return run.reason or "The run was cancelled."
    if run.failure is not None:
        return run.failure.message
    return waiting_words(run, service.approvals.page)


def _milliseconds(time: timedelta) -> int:
    return time // timedelta(milliseconds=1)
