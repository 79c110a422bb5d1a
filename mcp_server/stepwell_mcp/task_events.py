"""`notifications/tasks`: how tasks stand, to clients that listen.

It is read from the log of events, so it does not matter which process works on a run.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

import anyio
from anyio.abc import TaskStatus
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, SubscriptionFilter

from stepwell.errors import StepwellError, Unavailable
from stepwell.orchestrator.views import EventBatch
from stepwell_mcp.callers import RequestContext, caller_of
from stepwell_mcp.listening import Tell
from stepwell_mcp.tasks import Tasks, askable_kinds, takes_tasks, tasks_required
from stepwell_mcp.watching import AGAIN, Dirty

ASKED: Final = "taskIds"
"""Where a filter has the tasks."""
METHOD: Final = "notifications/tasks"
MOST_TASKS: Final = 256
"""That one stream tells of."""
ENDED: Final = frozenset({"completed", "failed", "cancelled"})


class TaskFeed:
    """Tells of the tasks that a client names, and first how they stand."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    async def honored(
        self, context: RequestContext, asked: SubscriptionFilter
    ) -> Mapping[str, Any]:
        """Those of them that there are, for this caller.

        Raises:
            MCPError: the client does not take tasks, or names no tasks.
        """
        ids = _ids(asked)
        if not ids:
            return {}
        if not takes_tasks(context):
            raise tasks_required(f"{ASKED} is of tasks")
        caller = caller_of(context)
        known = [id for id in ids if await self._tasks.is_there(caller, id)]
        return {ASKED: known} if known else {}

    async def follow(
        self,
        context: RequestContext,
        honored: Mapping[str, Any],
        tell: Tell,
        *,
        task_status: TaskStatus[None],
    ) -> None:
        """Tells each state of each task once."""
        caller, askable = caller_of(context), askable_kinds(context)
        left = set(honored[ASKED])
        changed: Dirty[str] = Dirty()

        def hear(batch: EventBatch | None) -> None:
            changed.note(*(left if batch is None else {one.run for one in batch.events} & left))

        said: dict[str, object] = {}
        async with context.lifespan_context.events.following(caller.namespace, hear):
            changed.note(*left)
            task_status.started()
            while True:
                for id in await changed.next():
                    try:
                        state = await self._tasks.state(caller, id, askable)
                    except Unavailable:
                        changed.note(id)
                        await anyio.sleep(AGAIN)
                        continue
                    except (MCPError, StepwellError):  # retention has deleted it
                        left.discard(id)
                        continue
                    del state["resultType"]
                    news = {name: it for name, it in state.items() if name != "lastUpdatedAt"}
                    if said.get(id) != news:
                        said[id] = news
                        await tell(METHOD, state)
                    if state["status"] in ENDED:
                        left.discard(id)
                        said.pop(id)


def _ids(asked: SubscriptionFilter) -> Collection[str]:
    """The tasks that a filter names, each once.

    Raises:
        MCPError: it names something else.
    """
    ids: object = (asked.model_extra or {}).get(ASKED)
    if ids is None:
        return ()
    if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
        raise MCPError(INVALID_PARAMS, f"{ASKED} is a list of the ids of tasks")
    if len(ids) > MOST_TASKS:
        raise MCPError(INVALID_PARAMS, f"{ASKED} names more than {MOST_TASKS} tasks")
    return tuple(dict.fromkeys(ids))
