"""`subscriptions/listen`: one stream of what a newer client wants to hear of.

A stream has feeds. Each takes its part of what the client asks for, and tells what becomes of that
until the client leaves. Nothing is told twice to a client that reads slowly, and nothing is kept for one
that does not read: a feed tells where things stand.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeAlias, cast

import anyio
from anyio.abc import TaskStatus
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import (
    INVALID_REQUEST,
    ServerNotification,
    SubscriptionFilter,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)
from pydantic import BaseModel

from stepwell.errors import LimitExceeded
from stepwell.principals import Caller
from stepwell_mcp.callers import RequestContext, caller_of
from stepwell_mcp.errors import refusals

MOST_STREAMS: Final = 1024
MOST_OF_ONE: Final = 256
"""Streams of one principal, so that nobody keeps the others from listening."""
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"

Tell: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Sends a notification: its method, and its parameters."""


class Feed(Protocol):
    """Something that a client can hear of."""

    async def honored(
        self, context: RequestContext, asked: SubscriptionFilter
    ) -> Mapping[str, Any]:
        """What of it this client is told, as it is spelled in the filter; nothing is empty.

        Raises:
            MCPError, StepwellError: the client may not ask so.
        """
        ...

    async def follow(
        self,
        context: RequestContext,
        honored: Mapping[str, Any],
        tell: Tell,
        *,
        task_status: TaskStatus[None],
    ) -> None:
        """Tells it until it is cancelled; says that it has begun when it will miss nothing."""
        ...


class Listening:
    """The handler of the method."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = feeds
        self._streams: Counter[tuple[str, str]] = Counter()

    async def __call__(
        self, context: RequestContext, params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serves one stream, until the client leaves."""
        if context.request_id is None:
            raise MCPError(INVALID_REQUEST, "subscriptions/listen requires a request id")
        with refusals(), self._place(caller_of(context)):
            parts = [
                (feed, await feed.honored(context, params.notifications)) for feed in self._feeds
            ]
            await self._serve(context, [(feed, part) for feed, part in parts if part])
        return SubscriptionsListenResult(_meta={SUBSCRIPTION_ID_META_KEY: context.request_id})

    @contextmanager
    def _place(self, caller: Caller) -> Iterator[None]:
        """One of the places that there are.

        Raises:
            LimitExceeded: there are no more, or none for this principal.
        """
        who = caller.namespace, caller.principal
        if self._streams.total() >= MOST_STREAMS:
            raise LimitExceeded(f"{MOST_STREAMS} streams listen already; ask again later")
        if self._streams[who] >= MOST_OF_ONE:
            raise LimitExceeded(
                f"{MOST_OF_ONE} streams of {caller.principal} listen already; one can hear of many things"
            )
        self._streams[who] += 1
        try:
            yield
        finally:
            self._streams[who] -= 1
            if not self._streams[who]:
                del self._streams[who]

    async def _serve(
        self, context: RequestContext, parts: Sequence[tuple[Feed, Mapping[str, Any]]]
    ) -> None:
        is_acknowledged = anyio.Event()

        async def tell(method: str, params: Mapping[str, Any]) -> None:
            await is_acknowledged.wait()
            await _notify(context, method, params)

        async with anyio.create_task_group() as tasks:
            for feed, part in parts:
                await tasks.start(_following, feed, context, part, tell)
            honored = {name: it for _, part in parts for name, it in part.items()}
            await _notify(context, ACKNOWLEDGED, {"notifications": honored})
            is_acknowledged.set()
            await anyio.sleep_forever()


class _Notification(BaseModel):
    """A notification that the SDK has no type for."""

    method: str
    params: dict[str, Any]


async def _following(
    feed: Feed,
    context: RequestContext,
    honored: Mapping[str, Any],
    tell: Tell,
    *,
    task_status: TaskStatus[None],
) -> None:
    await feed.follow(context, honored, tell, task_status=task_status)


async def _notify(context: RequestContext, method: str, params: Mapping[str, Any]) -> None:
    meta = {SUBSCRIPTION_ID_META_KEY: context.request_id}
    said = _Notification(method=method, params={**params, "_meta": meta})
    await context.session.send_notification(
        cast("ServerNotification", said), related_request_id=context.request_id
    )
