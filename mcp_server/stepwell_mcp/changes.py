"""Tells MCP clients that a list has changed, each in the way of its era.

Older clients are told on the stream of their session, of the lists that they have asked for; newer ones
on the stream of the `subscriptions/listen` that they have sent.
"""

import logging
from collections.abc import AsyncIterator, Mapping
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
    """What lives as long as the server: the sessions of older clients, and who reads for all."""

    def __init__(self, service: Service, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._told: dict[tuple[int, Listed], ServerSession] = {}
        self.offers: Watching[frozenset[Kind]] = Watching(
            tasks, lambda caller: service.catalog.watch(caller)
        )
        self.events: Watching[EventBatch] = Watching(
            tasks, partial(service.watch_events, cursor=None)
        )

    async def add(self, session: ServerSession, caller: Caller, listed: Listed = "tools") -> None:
        """Tells this client of changes of a list from now on, for as long as it is connected."""
        if session.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return
        # The session is one request's; what lives as long as the client is its connection.
        connection = session._connection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        key = id(connection), listed
        if key in self._told:
            return
        self._told[key] = session
        scope = anyio.CancelScope()

        def leave() -> None:
            self._told.pop(key, None)
            scope.cancel()

        connection.exit_stack.callback(leave)
        has_begun = anyio.Event()
        self._tasks.start_soon(self._tell, session, caller.namespace, listed, scope, has_begun)
        with anyio.move_on_after(PATIENCE):
            await has_begun.wait()

    async def _tell(
        self,
        session: ServerSession,
        namespace: str,
        listed: Listed,
        scope: anyio.CancelScope,
        has_begun: anyio.Event,
    ) -> None:
        """Tells one client; one that has gone, or does not read, is none of the others' business."""
        changed: Dirty[Listed] = Dirty()

        def hear(kinds: frozenset[Kind] | None) -> None:
            changed.note(*(_lists(kinds) & {listed}))

        with scope:
            async with self.offers.following(namespace, hear):
                has_begun.set()
                while True:
                    await changed.next()
                    try:
                        await _SENDERS[listed](session)
                    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                        _logger.debug("a client left before it was told that %s changed", listed)
                        return


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


_SENDERS: Final = {
    "tools": ServerSession.send_tool_list_changed,
    "resources": ServerSession.send_resource_list_changed,
    "prompts": ServerSession.send_prompt_list_changed,
}
