"""Tells clients when a resource that they follow holds something else, each in the way of its era.

Resources of tools files say so themselves. Those of runs are followed in the log, and what is offered
in the database, so it does not matter which process changes them.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeAlias

import anyio
from anyio.abc import TaskStatus
from mcp_types import SubscriptionFilter

from stepwell.errors import LimitExceeded, NotFound
from stepwell.orchestrator.catalog import Kind
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import EventBatch
from stepwell.principals import Caller
from stepwell_mcp import own_resources
from stepwell_mcp.callers import RequestContext, caller_of
from stepwell_mcp.changes import Sessions
from stepwell_mcp.listening import Tell
from stepwell_mcp.own_resources import EVENTS, RESULT, RUN, SCHEMA, TOOL, WORKFLOW
from stepwell_mcp.watching import Dirty

ASKED: Final = "resourceSubscriptions"
"""Where a filter has the URIs."""
METHOD: Final = "notifications/resources/updated"
MOST_URIS: Final = 100
"""Resources that one stream, or one session, follows."""

_CHANGED_BY: Final[Mapping[str, Kind]] = {
    WORKFLOW.name: "workflows",
    TOOL.name: "tools",
    SCHEMA.name: "datasources",
}

Note: TypeAlias = Callable[[str], None]
"""Takes the URI of a resource that may hold something else now; it must not wait."""


class UpdateFeed:
    """Tells newer clients of the resources that they name."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def honored(
        self, context: RequestContext, asked: SubscriptionFilter
    ) -> Mapping[str, Any]:
        """Those of them that there are, for this caller.

        Raises:
            LimitExceeded: they are too many.
        """
        uris = tuple(dict.fromkeys(asked.resource_subscriptions or ()))
        _check(len(uris))
        caller = caller_of(context)
        known = [uri for uri in uris if await _is_there(self._service, caller, uri)]
        return {ASKED: known} if known else {}

    async def follow(
        self,
        context: RequestContext,
        honored: Mapping[str, Any],
        tell: Tell,
        *,
        task_status: TaskStatus[None],
    ) -> None:
        """Tells of each change; of many at once only once."""
        sessions, caller = context.lifespan_context, caller_of(context)
        changed: Dirty[str] = Dirty()
        async with _following(self._service, sessions, caller, honored[ASKED], changed.note):
            task_status.started()
            while True:
                for uri in sorted(await changed.next()):
                    await tell(METHOD, {"uri": uri})


async def subscribe(service: Service, context: RequestContext, uri: str) -> None:
    """Tells an older client of a resource from now on, for as long as it is connected.

    Raises:
        NotFound: RESOURCE_NOT_FOUND.
        LimitExceeded: it follows too many.
    """
    sessions: Sessions = context.lifespan_context
    session, caller = context.session, caller_of(context)
    await find(service, caller, uri)
    _check(sessions.told_of(session) + 1)

    async def tell(has_begun: anyio.Event) -> None:
        changed: Dirty[str] = Dirty()
        async with _following(service, sessions, caller, [uri], changed.note):
            has_begun.set()
            while True:
                await changed.next()
                await session.send_resource_updated(uri)

    await sessions.begin(session, uri, tell)


async def find(service: Service, caller: Caller, uri: str) -> None:
    """Whether there is a resource of this URI, for a caller.

    Raises:
        NotFound: RESOURCE_NOT_FOUND.
        InsufficientScope: his access token does not cover it.
    """
    if own_resources.is_own(uri):
        await own_resources.find(service, caller, uri)
    else:
        service.resources.follow(caller, uri)


async def _is_there(service: Service, caller: Caller, uri: str) -> bool:
    try:
        await find(service, caller, uri)
    except NotFound:
        return False
    return True


def _check(uris: int) -> None:
    if uris > MOST_URIS:
        raise LimitExceeded(
            f"{uris} resources cannot be followed at once, {MOST_URIS} can; follow fewer"
        )


@asynccontextmanager
async def _following(
    service: Service, sessions: Sessions, caller: Caller, uris: Iterable[str], note: Note
) -> AsyncIterator[None]:
    """Notes each of these URIs that holds something else, until this is left."""
    wanted = frozenset(uris)
    runs = {uri: run for uri in wanted if (run := _run_of(uri)) is not None}
    offers = {uri: kind for uri in wanted if (kind := _kind_of(uri)) is not None}

    def say(uri: str) -> None:
        if uri in wanted:
            note(uri)

    def hear(batch: EventBatch | None) -> None:
        for uri, run in runs.items():
            if batch is None or _is_changed(uri, run, batch):
                note(uri)

    def hear_of_offers(kinds: frozenset[Kind] | None) -> None:
        for uri, kind in offers.items():
            if kinds is None or kind in kinds:
                note(uri)

    async with AsyncExitStack() as stack:
        stack.callback(service.resources.on_updated(say))
        if runs:
            await stack.enter_async_context(sessions.events.following(caller.namespace, hear))
        if offers:
            await stack.enter_async_context(
                sessions.offers.following(caller.namespace, hear_of_offers)
            )
        yield


def _run_of(uri: str) -> str | None:
    """The run whose resource this is; None when it is none of a run."""
    for own in (RUN, EVENTS, RESULT):
        if (values := own.template.match(uri)) is not None:
            return values["run"]
    return None


def _kind_of(uri: str) -> Kind | None:
    """By what change of what is offered a resource changes."""
    for own in (WORKFLOW, TOOL, SCHEMA):
        if own.template.match(uri) is not None:
            return _CHANGED_BY[own.name]
    return None


def _is_changed(uri: str, run: str, batch: EventBatch) -> bool:
    """Whether events have changed a resource of a run; its result comes with its last one."""
    kinds = {event.kind for event in batch.events if event.run == run}
    return "run_completed" in kinds if RESULT.template.match(uri) is not None else bool(kinds)
