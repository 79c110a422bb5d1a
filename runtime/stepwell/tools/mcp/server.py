"""One MCP server: connected for as long as the daemon runs, and again whenever it was lost.

Every call shares its session. What it offers is put into the registry when it is listed; when it is
away its tools stay, and a call waits a while for it to come back.
"""

import asyncio
import importlib.metadata
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, Literal, Protocol

import mcp_types
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp_types import PaginatedRequestParams
from msgspec import Struct

from stepwell.config import McpServerSettings
from stepwell.engine.wording import bounded
from stepwell.errors import Code, StepwellError
from stepwell.tools.mcp import shelved
from stepwell.tools.mcp.calls import Calls
from stepwell.tools.mcp.describe import Offered, offered, prefix_of, recalled
from stepwell.tools.mcp.lines import MESSAGE_LIMIT
from stepwell.tools.mcp.program import Order, Program
from stepwell.tools.mcp.shelved import Shelved
from stepwell.tools.mcp.tool import McpTool, call_of
from stepwell.tools.network import Grants, Guard, guarded_client, host_of
from stepwell.tools.outcomes import described
from stepwell.tools.port import ToolFailed
from stepwell.tools.rate import Rate
from stepwell.tools.registry import ToolRegistry
from stepwell.tools.secrets import Redactor, Secrets
from stepwell.tools.shelf import Shelf

MOST_TOOLS: Final = 1000
"""Tools of one server that are offered."""
MOST_PAGES: Final = 100
"""Pages of a list that are read."""
FIRST_DELAY: Final = timedelta(seconds=0.5)
LONGEST_DELAY: Final = timedelta(seconds=60)
STEADY: Final = timedelta(seconds=30)
"""A server that was there this long has its first delay again."""
PATIENCE: Final = timedelta(seconds=15)
"""How long a call waits for a server that is away."""
LIST_AGAIN: Final = timedelta(seconds=1)
"""The least time between two lists of a server that says again and again that they change."""
LOOK_AGAIN: Final = 2.0
"""Seconds until suspended tools are compared with their pins again."""
CHANGED: Final = (
    mcp_types.ToolListChangedNotification,
    mcp_types.ResourceListChangedNotification,
    mcp_types.PromptListChangedNotification,
)
"""What a server says that has another list now."""
TROUBLES: Final = 20
"""Tools that were refused, of which it is told why."""

Status = Literal["starting", "ready", "waiting", "stopped"]

_logger = logging.getLogger(__name__)


class Admission(Protocol):
    """Says whether definitions are the ones that were pinned."""

    async def admit(self, server: str, tools: Sequence[Offered]) -> Mapping[str, str]:
        """Pins definitions at their first sight; the names of suspended tools, and why."""
        ...

    async def known(self, server: str) -> list[dict[str, Any]]:
        """What is pinned of a server: the `described` of each tool, with its `upstream` name."""
        ...


class Health(Struct, frozen=True, kw_only=True):
    """How a server is. `since` is in UTC microseconds, `words` the end of its standard error."""

    name: str
    transport: Literal["stdio", "http"]
    status: Status
    tools: tuple[str, ...] = ()
    suspended: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    product: str = ""
    protocol: str = ""
    starts: int = 0
    problem: str = ""
    words: str = ""
    garbage: int = 0


class McpServer:
    """A server of the settings, and its tools."""

    def __init__(
        self,
        name: str,
        settings: McpServerSettings,
        *,
        registry: ToolRegistry,
        admission: Admission,
        secrets: Secrets,
        shelf: Shelf,
    ) -> None:
        self.name = name
        self._settings = settings
        self._registry = registry
        self._admission = admission
        self._secrets = secrets
        self._redactor = Redactor()
        self._calls = Calls(name, redactor=self._redactor, limit=settings.max_result)
        self._shelved = Shelved(
            name,
            self,
            shelf=shelf,
            registry=registry,
            rate=settings.rate,
            timeout=self._timeout,
            labels=frozenset(settings.labels),
            keeps_names=settings.names != "prefix",
        )
        self._tools: dict[str, McpTool] = {}
        self._rates: dict[str, Rate] = {}
        self._found: dict[str, Offered] = {}
        self._has_suspended = False
        self._refused: tuple[str, ...] = ()
        self._client: Client | None = None
        self._program: Program | None = None
        self._status: Status = "starting"
        self._problem = ""
        self._starts = 0
        self._ready = asyncio.Event()
        self._tried = asyncio.Event()
        self._news = asyncio.Event()
        self._lost = asyncio.Event()

    # --- for others -----------------------------------------------------------------------

    @property
    def tried(self) -> asyncio.Event:
        """Set once it was connected, or could not be."""
        return self._tried

    @property
    def health(self) -> Health:
        """How it is now."""
        names = tuple(sorted(self._tools))
        client, program = self._client, self._program
        info = client.server_info if client else None
        return Health(
            name=self.name,
            transport="http" if self._settings.url else "stdio",
            status=self._status,
            tools=names,
            suspended=tuple(name for name in names if self._registry.suspension(name)),
            refused=self._refused,
            product=bounded(f"{info.name} {info.version}", 200) if info else "",
            protocol=client.protocol_version if client else "",
            starts=self._starts,
            problem=self._problem,
            words=self._redactor.text(program.words) if program else "",
            garbage=program.garbage if program else 0,
        )

    async def session(self, tool: str) -> Client:
        """The client of the server, once it is there.

        Raises:
            ToolFailed: TOOL_UNAVAILABLE, it is away, and was for as long as a call waits.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await self._ready.wait()
        if self._client is None:
            raise ToolFailed(
                f"{tool} cannot be called: the MCP server {self.name!r} is not connected "
                f"({self._problem or 'it is being started'}); `stepwell tools servers` tells more",
                code=Code.TOOL_UNAVAILABLE,
            )
        return self._client

    def list_again(self) -> None:
        """Has its tools listed again, if it is there."""
        self._news.set()

    def lost(self) -> None:
        """Says that the connection is of no use any more."""
        self._lost.set()
        self._news.set()

    @property
    def calls(self) -> Calls:
        """The calls in flight."""
        return self._calls

    async def recall(self) -> bool:
        """Offers what was pinned of the server, before it is there; False when nothing was."""
        known = await self._admission.known(self.name)
        with self._registry.changing():
            for pinned in known:
                upstream = pinned["upstream"]
                if self._is_wanted(upstream):
                    tool = recalled(
                        pinned["described"],
                        upstream=upstream,
                        timeout=self._timeout,
                        labels=frozenset(self._settings.labels),
                    )
                    with suppress(StepwellError):
                        self._check(tool)
                        self._offer(tool)
        return bool(self._tools)

    async def run(self) -> None:
        """Stays connected; ends when it is cancelled."""
        delay = FIRST_DELAY
        clock = asyncio.get_running_loop().time
        try:
            while True:
                began = clock()
                try:
                    self._starts += 1
                    await self._serve()
                    self._problem = "it ended the connection"
                except Exception as error:  # noqa: BLE001 - what it was is told by its health
                    _go_on_being_cancelled(error)
                    self._problem = self._redactor.text(_reason(error))
                self._gone()
                _logger.warning("the MCP server %s is away: %s", self.name, self._problem)
                if clock() - began > STEADY.total_seconds():
                    delay = FIRST_DELAY
                await asyncio.sleep(delay.total_seconds())
                delay = min(delay * 2, LONGEST_DELAY)
        finally:
            self._gone("stopped")

    # --- one connection -------------------------------------------------------------------

    async def _serve(self) -> None:
        self._lost.clear()
        self._news.clear()
        async with self._connected() as client:
            await self._list(client)
            self._client, self._status, self._problem = client, "ready", ""
            self._ready.set()
            self._tried.set()
            async with asyncio.TaskGroup() as tasks:
                aside = [tasks.create_task(self._listen(client))]
                if self._program is not None:
                    aside.append(tasks.create_task(self._watch(self._program)))
                try:
                    await self._follow(client)
                finally:
                    for task in aside:
                        task.cancel()

    async def _follow(self, client: Client) -> None:
        """Lists again whenever the server says that its tools have changed, until it is lost."""
        while True:
            try:
                # What is suspended may be approved in another process, which tells nobody here.
                async with asyncio.timeout(LOOK_AGAIN if self._has_suspended else None):
                    await self._news.wait()
            except TimeoutError:
                await self._judge()
                continue
            if self._lost.is_set():
                return
            self._news.clear()
            await self._list(client)
            with suppress(TimeoutError):
                async with asyncio.timeout(LIST_AGAIN.total_seconds()):
                    await self._lost.wait()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Client]:
        async with AsyncExitStack() as stack:
            client = Client(
                self._transport(stack),
                cache=None,
                client_info=mcp_types.Implementation(
                    name="stepwell", version=importlib.metadata.version("stepwell")
                ),
                message_handler=self._heard,
                elicitation_callback=self._calls.elicit,
            )
            async with asyncio.timeout(self._settings.start_timeout.total_seconds()):
                await stack.enter_async_context(client)
            yield client

    def _transport(self, stack: AsyncExitStack) -> Any:
        settings = self._settings
        if settings.url:
            self._program = None
            url = self._value(settings.url)
            guard = Guard(
                Grants(hosts=(host_of(url),), networks=settings.networks),
                whose=f"the MCP server {self.name!r}",
            )
            headers = {name: self._value(text) for name, text in settings.headers.items()}
            http = guarded_client(guard, headers=headers, timeout=settings.timeout.total_seconds())
            stack.push_async_exit(http.__aexit__)
            return streamable_http_client(url, http_client=http, max_sse_event_size=MESSAGE_LIMIT)
        self._program = Program(
            Order(
                command=settings.command,
                args=tuple(self._value(text) for text in settings.args),
                env={name: self._value(text) for name, text in settings.env.items()},
                cwd=settings.cwd,
            )
        )
        return self._program.running()

    def _value(self, text: str) -> str:
        return self._secrets.resolve(text, self._redactor)

    async def _watch(self, program: Program) -> None:
        await program.ended.wait()
        self.lost()

    async def _heard(self, message: object) -> None:
        if isinstance(message, mcp_types.ResourceUpdatedNotification):
            self._shelved.updated(message.params.uri)
        elif isinstance(message, CHANGED):
            self._news.set()

    async def _listen(self, client: Client) -> None:
        """Asks a server of 2026 to say when its lists change; older ones do so by themselves."""
        can = client.server_capabilities
        tools, resources, prompts = (
            bool(of and of.list_changed) for of in (can.tools, can.resources, can.prompts)
        )
        if not (tools or resources or prompts):
            return
        with suppress(ListenNotSupportedError, SubscriptionLost, MCPError, TimeoutError):
            async with client.listen(
                tools_list_changed=tools,
                resources_list_changed=resources,
                prompts_list_changed=prompts,
            ) as changes:
                async for _ in changes:
                    self._news.set()

    def _gone(self, status: Status = "waiting") -> None:
        self._client = None
        self._status = status
        self._ready.clear()
        self._tried.set()

    # --- what it offers -------------------------------------------------------------------

    @property
    def _timeout(self) -> int:
        return self._settings.timeout // timedelta(microseconds=1)

    def _is_wanted(self, name: str) -> bool:
        return not self._settings.tools or name in self._settings.tools

    async def _list(self, client: Client) -> None:
        """Puts what the server offers now into the registry, and takes out what it has left."""
        async with asyncio.timeout(self._settings.start_timeout.total_seconds()):
            listed, refused = await _listed(client)
        found: dict[str, Offered] = {}
        for number, tool in enumerate(listed, 1):
            if not number % 20:
                await asyncio.sleep(0)  # compiling a schema takes a millisecond
            if self._is_wanted(tool.name):
                one = self._offered(tool)
                try:
                    self._check(one)
                except StepwellError as error:
                    refused.append(bounded(f"{tool.name}: {error.message}", 300))
                else:
                    found[one.spec.name] = one
        besides = await shelved.listed(client)
        completes = client.server_capabilities.completions is not None
        refused += self._shelved.put(besides, completes=completes)
        self._found, self._refused = found, tuple(refused[:TROUBLES])
        await self._judge()

    async def _judge(self) -> None:
        """Offers what was listed, but for what is not as it was pinned."""
        found = self._found
        suspended = await self._admission.admit(self.name, tuple(found.values()))
        with self._registry.changing():
            for one in found.values():
                self._offer(one, suspended.get(one.spec.name, ""))
            for name in self._tools.keys() - found.keys():
                del self._tools[name]
                self._registry.withdraw(name)
        self._has_suspended = bool(suspended)

    def _offered(self, tool: mcp_types.Tool) -> Offered:
        return offered(
            tool,
            prefix=prefix_of(self.name) if self._settings.names == "prefix" else "",
            timeout=self._timeout,
            labels=frozenset(self._settings.labels),
        )

    def _check(self, found: Offered) -> None:
        """Whether a tool can be offered.

        Raises:
            StepwellError: it cannot; the message says why.
        """
        name = found.spec.name
        there = self._registry.get(name)
        if there is not None and there is not self._tools.get(name):
            raise StepwellError(
                'another tool has this name; set `names = "prefix"` for the server '
                f"{self.name!r} in config.toml",
                code=Code.ALREADY_EXISTS,
            )
        self._registry.check(found.spec)

    def _offer(self, found: Offered, suspended: str = "") -> None:
        name = found.spec.name
        rate = self._rates.setdefault(name, Rate(self._settings.rate))
        tool = McpTool(found.spec, self, rate=rate, wanted=partial(call_of, found))
        self._registry.replace(tool)
        self._tools[name] = tool
        if suspended:
            self._registry.suspend(name, suspended)
        else:
            self._registry.resume(name)


async def _listed(client: Client) -> tuple[list[mcp_types.Tool], list[str]]:
    """The tools of a server, as many as are offered, and what is to be said of the others."""
    found: list[mcp_types.Tool] = []
    cursor: str | None = None
    if client.server_capabilities.tools is None:
        return [], ["the server has no tools"]
    for _ in range(MOST_PAGES):
        page = await client.session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        found += page.tools
        cursor = page.next_cursor
        if not cursor or len(found) > MOST_TOOLS:
            break
    refused = []
    if cursor or len(found) > MOST_TOOLS:
        refused.append(
            f"the server has more than {MOST_TOOLS} tools, which are all that is offered; name "
            "those that you want in `tools`"
        )
    return found[:MOST_TOOLS], refused


def _go_on_being_cancelled(error: Exception) -> None:
    """Raises what an error has taken the place of: a connection that fails as it is given up."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


def _reason(error: BaseException) -> str:
    """What went wrong with a connection, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, StepwellError):
        return error.message
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, MCPError):
        return bounded(f"it answered: {error.error.message}", 500)
    return bounded(described(error), 500)
