"""Tells MCP clients that a list has changed, each in the way of its era.

Older clients are told on the stream of their session, of the lists that they have asked for; newer ones
on the stream of the `subscriptions/listen` that they have sent.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import anyio
from anyio.abc import TaskGroup, TaskStatus
from mcp.server.session import ServerSession
from mcp_types import SubscriptionFilter
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from stepwell.orchestrator.catalog import Kind
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import EventBatch
from stepwell.principals import Caller
from stepwell_mcp.callers import RequestContext, caller_of
from stepwell_mcp.listening import Tell
from stepwell_mcp.watching import Dirty, Watching

Listed: TypeAlias = Literal["tools", "resources", "prompts"]
"""A list that clients may be told of."""

CHANGED_BY: Final[Mapping[Kind, frozenset[Listed]]] = {
    "tools": frozenset({"tools", "resources"}),
    "workflows": frozenset({"tools", "resources"}),
    "datasources": frozenset({"resources"}),
    "policy": frozenset({"tools", "resources", "prompts"}),
    "resources": frozenset({"resources"}),
    "prompts": frozenset({"prompts"}),
}
"""The lists that a change of what is offered may change."""
ALL: Final = frozenset[Listed]({"tools", "resources", "prompts"})
FILTERS: Final[Mapping[Listed, str]] = {
    "tools": "toolsListChanged",
    "resources": "resourcesListChanged",
    "prompts": "promptsListChanged",
}

PATIENCE: Final = 1.0
"""Seconds that a list waits until its changes are seen; the database may be away."""

Telling: TypeAlias = Callable[[anyio.Event], Awaitable[None]]
"""Tells a client of something until it is cancelled; sets the event when it will miss nothing."""

_logger = logging.getLogger(__name__)


class ListFeed:
    """Tells newer clients of the lists that they want to hear of."""

    async def honored(
        self, context: RequestContext, asked: SubscriptionFilter
    ) -> Mapping[str, Any]:
        """All that are asked for."""
        given = asked.model_dump(by_alias=True)
        return {name: True for name in FILTERS.values() if given.get(name) is True}

    async def follow(
        self,
        context: RequestContext,
        honored: Mapping[str, Any],
        tell: Tell,
        *,
        task_status: TaskStatus[None],
    ) -> None:
        """Tells of each change; of many at once only once."""
        wanted = frozenset(listed for listed, name in FILTERS.items() if name in honored)
        changed: Dirty[Listed] = Dirty()

        def hear(kinds: frozenset[Kind] | None) -> None:
            changed.note(*(_lists(kinds) & wanted))

        async with context.lifespan_context.offers.following(caller_of(context).namespace, hear):
            task_status.started()
            while True:
                for listed in sorted(await changed.next()):
                    await tell(f"notifications/{listed}/list_changed", {})


class Sessions:
    """What lives as long as the server: what older clients are told of, and who reads for all."""

    def __init__(self, service: Service, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._told: dict[int, dict[str, anyio.CancelScope]] = {}
        self.offers: Watching[frozenset[Kind]] = Watching(
            tasks, lambda caller: service.catalog.watch(caller)
        )
        self.events: Watching[EventBatch] = Watching(
            tasks, partial(service.watch_events, cursor=None)
        )

    async def add(self, session: ServerSession, caller: Caller, listed: Listed) -> None:
        """Tells this client of changes of a list from now on, for as long as it is connected."""
        if session.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return

        async def tell(has_begun: anyio.Event) -> None:
            changed: Dirty[Listed] = Dirty()

            def hear(kinds: frozenset[Kind] | None) -> None:
                changed.note(*(_lists(kinds) & {listed}))

            async with self.offers.following(caller.namespace, hear):
                has_begun.set()
                while True:
                    await changed.next()
                    await _SENDERS[listed](session)

        await self.begin(session, listed, tell)

    async def begin(self, session: ServerSession, about: str, telling: Telling) -> None:
        """Tells this client of something from now on, once, for as long as it is connected."""
        told = self._of(session)
        if about in told:
            return
        scope = told[about] = anyio.CancelScope()
        has_begun = anyio.Event()
        self._tasks.start_soon(_told, telling, about, scope, has_begun)
        with anyio.move_on_after(PATIENCE):
            await has_begun.wait()

    def end(self, session: ServerSession, about: str) -> None:
        """Tells it of that no more."""
        scope = self._of(session).pop(about, None)
        if scope is not None:
            scope.cancel()

    def told_of(self, session: ServerSession) -> int:
        """Of how many things it is told."""
        return len(self._of(session))

    def _of(self, session: ServerSession) -> dict[str, anyio.CancelScope]:
        # The session is one request's; what lives as long as the client is its connection.
        connection = session._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        told = self._told.get(id(connection))
        if told is None:
            connection.exit_stack.callback(self._leave, id(connection))
            told = self._told[id(connection)] = {}
        return told

    def _leave(self, connection: int) -> None:
        for scope in self._told.pop(connection).values():
            scope.cancel()


@asynccontextmanager
async def telling(service: Service) -> AsyncIterator[Sessions]:
    """Sessions that are told of every change until this is left."""
    async with anyio.create_task_group() as tasks:
        try:
            yield Sessions(service, tasks)
        finally:
            tasks.cancel_scope.cancel()


def _lists(kinds: frozenset[Kind] | None) -> frozenset[Listed]:
    """The lists that have changed; all of them where something may have been missed."""
    if kinds is None:
        return ALL
    return frozenset[Listed]().union(*(CHANGED_BY[kind] for kind in kinds))


async def _told(
    telling: Telling, about: str, scope: anyio.CancelScope, has_begun: anyio.Event
) -> None:
    """Tells one client; one that has gone, or does not read, is none of the others' business."""
    with scope:
        try:
            await telling(has_begun)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            _logger.debug("a client left before it was told that %s changed", about)


_SENDERS: Final = {
    "tools": ServerSession.send_tool_list_changed,
    "resources": ServerSession.send_resource_list_changed,
    "prompts": ServerSession.send_prompt_list_changed,
}
