"""The MCP server over the service: who asks, what is offered, how a call is answered.

There is no second path into the runtime: a tool call is a run of the built-in workflow
`call`, a workflow is a run, and a request that is given up leaves its run alone.
"""

import importlib.metadata
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    InputResponseRequestParams,
    InputResponses,
    ListToolsResult,
    PaginatedRequestParams,
)

from stepwell.engine.values import Json
from stepwell.errors import NotFound, StepwellError, Unavailable
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run
from stepwell.principals import Caller
from stepwell.tools.icons import Icon
from stepwell.vault.boxes import Boxes
from stepwell.vault.factor_key import passing_boxes
from stepwell_mcp.asking import Conversation
from stepwell_mcp.audience import CallAudience
from stepwell_mcp.callers import RequestContext, caller_of
from stepwell_mcp.changes import ListFeed, Sessions, telling
from stepwell_mcp.chosen import Chosen
from stepwell_mcp.completion import Completions
from stepwell_mcp.errors import refusals, unknown_tool
from stepwell_mcp.following import trace_of
from stepwell_mcp.icons import offered_icons
from stepwell_mcp.listening import Listening
from stepwell_mcp.log_levels import LogLevels
from stepwell_mcp.meta_tools import META_TOOLS, unwrapped
from stepwell_mcp.offers import workflow_called, wraps_input
from stepwell_mcp.progress import Patience, wait_reporting
from stepwell_mcp.prompts import Prompts
from stepwell_mcp.request_state import RequestStates, bound
from stepwell_mcp.resources import Resources
from stepwell_mcp.results import Structured, handle_of, json_result, refusal_result, run_result
from stepwell_mcp.run_tools import RUN_TOOLS, START, started
from stepwell_mcp.selection import Offering
from stepwell_mcp.task_events import TaskFeed
from stepwell_mcp.tasks import EXTENSION, Tasks, TaskUse
from stepwell_mcp.updates import UpdateFeed

McpServer: TypeAlias = Server[Any]
Answer: TypeAlias = CallToolResult | InputRequiredResult | dict[str, Any]
"""Of a call: its result, a question, or a task, which the SDK has no type for."""

DEFAULT_WAIT: Final = timedelta(seconds=20)
DEFAULT_TASK_AFTER: Final = timedelta(seconds=2)
INSTRUCTIONS: Final = """\
Stepwell runs tools and durable workflows. Every call is a run that is written to a log and \
survives a crash. A call that ends in time answers its result. A longer one answers a run id: \
follow it with run_get (wait_seconds waits for the end) and run_events, read a long output with \
run_result, stop it with run_cancel. run_start begins a call without waiting for it. A run may wait for a message, which run_signal sends, or for a person, whom you \
cannot answer for: tell the user. Giving up on a request does not stop its run, so look before you repeat a call."""


def build_server(
    service: Service,
    *,
    wait: timedelta = DEFAULT_WAIT,
    task_after: timedelta = DEFAULT_TASK_AFTER,
    offering: Offering | None = None,
    states: Boxes | None = None,
    website: str = "",
    icons: Sequence[Icon] = (),
) -> McpServer:
    """An MCP server that offers what the service has, to whoever asks (`callers`).

    A call that has not ended after `task_after` is a task for clients that take tasks; for others it
    answers a handle of its run after `wait`, or as soon then as its run waits for somebody.
    `offering` has the toolsets that clients may choose. `states` seals what newer clients carry from one
    round of a call to the next: without it no other process takes it. `website`
    is where people find its pages, `icons` what clients may show beside its name.
    """
    tasks = Tasks(service)
    chosen = Chosen(service, offering or Offering())
    levels = LogLevels()
    sealed = RequestStates(states or passing_boxes())
    patience = Patience(wait=wait, task_after=task_after)
    door = _Door(service, tasks, patience, chosen, levels, sealed)

    @asynccontextmanager
    async def lifespan(_: McpServer) -> AsyncIterator[Sessions]:
        async with telling(service) as sessions:
            yield sessions

    server = _Server(
        "stepwell",
        version=importlib.metadata.version("stepwell"),
        title="Stepwell",
        description="Durable, governed tools and workflows.",
        instructions=INSTRUCTIONS,
        website_url=website or None,
        icons=offered_icons(icons),
        # What is offered depends on who asks, and may change at any time.
        cache_hints={
            "tools/list": CacheHint(ttl_ms=0, scope="private"),
            "server/discover": CacheHint(ttl_ms=0, scope="private"),
        },
        lifespan=lifespan,
        get_tool_input_schema=chosen.input_schema,
        on_subscriptions_listen=Listening([ListFeed(), UpdateFeed(service), TaskFeed(tasks)]),
        on_list_tools=door.list_tools,
    )
    server.add_request_handler("tools/call", CallToolRequestParams, door.call_tool)
    tasks.serve(server)
    Resources(service, door.follow).serve(server)
    Prompts(service, door.follow).serve(server)
    Completions(service).serve(server)
    levels.serve(server)
    server.middleware.append(door.choose)
    return server


class _Server(Server[Sessions]):
    """Says to older clients too that they are told when a list changes."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """As the SDK makes them, whose callers pass no options; tasks are for newer clients only."""
        return super().create_initialization_options(
            notification_options
            or NotificationOptions(
                tools_changed=True, resources_changed=True, prompts_changed=True
            ),
            experimental_capabilities,
            {name: it for name, it in (extensions or self.extensions).items() if name != EXTENSION},
        )


class _Door:
    """The handlers of the server."""

    def __init__(
        self,
        service: Service,
        tasks: Tasks,
        patience: Patience,
        chosen: Chosen,
        levels: LogLevels,
        states: RequestStates,
    ) -> None:
        self._service = service
        self._tasks = tasks
        self._patience = patience
        self._chosen = chosen
        self._levels = levels
        self._states = states

    async def choose(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        """Refuses a choice that cannot be made, whatever is asked, and fills the lists of tools."""
        if ctx.request_id is None or ctx.method == "ping":
            return await call_next(ctx)
        with refusals():
            self._chosen.view(ctx)
        result = await call_next(ctx)
        if ctx.method != "tools/list":
            return result
        with refusals():
            return await self._chosen.fill(ctx, result)

    async def list_tools(
        self, context: RequestContext, params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        """An empty list, which `choose` fills."""
        await context.lifespan_context.add(context.session, caller_of(context), "tools")
        return ListToolsResult(tools=[])

    async def call_tool(self, context: RequestContext, params: CallToolRequestParams) -> Answer:
        with refusals():
            try:
                return await self._answer(
                    context,
                    params.name,
                    params.arguments or {},
                    state=params.request_state,
                    responses=params.input_responses,
                )
            except Unavailable:
                raise
            except StepwellError as error:
                return refusal_result(error)

    async def follow(
        self,
        context: RequestContext,
        params: InputResponseRequestParams,
        begin: Callable[[], Awaitable[Run]],
    ) -> Run | InputRequiredResult:
        """The run that a request begins, or has begun before its client was asked for more."""
        caller = caller_of(context)
        given = params.model_dump(mode="json", exclude={"meta", "request_state", "input_responses"})
        conversation = Conversation(
            self._service,
            self._states,
            context,
            partial(bound, caller, context.method, given),
            responses=params.input_responses,
        )
        if params.request_state:
            run = await conversation.go_on(params.request_state)
        else:
            run = await begin()
        return await self._follow(context, caller, run, conversation, TaskUse.NEVER)

    async def _answer(
        self,
        context: RequestContext,
        name: str,
        arguments: Mapping[str, Json],
        *,
        state: str | None = None,
        responses: InputResponses | None = None,
    ) -> Answer:
        caller = caller_of(context)
        structured = _structured(context)
        name, arguments = unwrapped(name, arguments)
        if name in META_TOOLS:
            about = await self._chosen.about(context, name, arguments)
            return json_result(about, Structured.NOTHING)
        self._chosen.demand(context, caller, name)
        is_start = name == START
        if is_start:
            name, arguments = started(arguments)
            self._chosen.demand(context, caller, name)
        elif tool := RUN_TOOLS.get(name):
            return json_result(await tool.call(self._service, caller, arguments), structured)
        spec = self._service.find_tool(caller, name)
        use = self._tasks.use(context, spec)
        conversation = Conversation(
            self._service,
            self._states,
            context,
            partial(bound, caller, name, arguments),
            responses=responses,
            shows_pages=use is TaskUse.NEVER,
        )
        if state:
            run = await conversation.go_on(state)
        else:
            run = await self._start(caller, name, arguments, trace=trace_of(context))
        if is_start:
            handle = handle_of(run, self._service.approvals.page)
            return json_result(msgspec.to_builtins(handle), structured, run=run.id)
        if use is TaskUse.AT_ONCE:
            return self._tasks.created(run)
        followed = await self._follow(context, caller, run, conversation, use)
        if isinstance(followed, InputRequiredResult):
            return followed
        if use is TaskUse.ALWAYS or (use is TaskUse.IN_TIME and not followed.status.ended):
            return self._tasks.created(followed)
        return run_result(followed, structured, spec, self._service.approvals.page)

    async def _start(
        self, caller: Caller, name: str, arguments: Mapping[str, Json], *, trace: str
    ) -> Run:
        tools = self._service.tool_names(caller)
        if name in tools:
            return await self._service.call_tool(caller, name, arguments, trace=trace)
        if name in RUN_TOOLS or name in META_TOOLS:
            raise unknown_tool(name)  # a workflow of this name is offered under another one
        try:
            workflow = await self._service.get_workflow(
                caller, workflow_called(name, tools | RUN_TOOLS.keys() | META_TOOLS)
            )
        except NotFound as error:
            raise unknown_tool(name) from error
        if not workflow.published:
            raise unknown_tool(name)
        given = arguments.get("input") if wraps_input(workflow.input_schema) else dict(arguments)
        run, _ = await self._service.start_run(
            caller,
            workflow.name,
            given,
            version=workflow.version,
            trace=trace,
        )
        return run

    async def _follow(
        self,
        context: RequestContext,
        caller: Caller,
        run: Run,
        conversation: Conversation,
        use: TaskUse,
    ) -> Run | InputRequiredResult:
        """The run when it has ended or the wait is over, with progress for who asked for it.

        Its tools may ask the client's user meanwhile; a newer client is asked by what it is
        answered.
        """
        if run.status.ended:
            return run
        audience = CallAudience()
        leave = self._service.relay.attend(caller.namespace, run.id, audience)
        try:
            return await wait_reporting(
                self._service,
                caller,
                run.id,
                self._patience,
                audience,
                conversation,
                context,
                is_task=use is not TaskUse.NEVER,
                levels=self._levels.wanted(context),
            )
        finally:
            leave()


def _structured(context: RequestContext) -> Structured:
    return Structured.of_version(context.protocol_version)
