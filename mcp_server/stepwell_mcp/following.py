"""Requests other than calls that are answered by a run: how it is followed, and what came of it."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, InputRequiredResult, InputResponseRequestParams

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run, RunStatus
from stepwell.telemetry.traceparent import TRACEPARENT, clean
from stepwell.telemetry.tracing import current_traceparent
from stepwell_mcp.callers import RequestContext
from stepwell_mcp.results import advice, shown


class Follow(Protocol):
    """Follows the run that a request begins, or had begun when it was asked for more."""

    def __call__(
        self,
        context: RequestContext,
        params: InputResponseRequestParams,
        begin: Callable[[], Awaitable[Run]],
    ) -> Awaitable[Run | InputRequiredResult]:
        """The run when it has ended or the wait is over, or what the client is asked."""
        ...


def trace_of(context: RequestContext) -> str:
    """The trace that a request belongs to: the SDK's span of it, or what came with it."""
    given = (context.meta or {}).get(TRACEPARENT)
    return current_traceparent() or clean(given if isinstance(given, str) else "")


def output_of(service: Service, run: Run) -> Json:
    """What a run gave that was to answer a request.

    Raises:
        MCPError: it gave nothing, or not yet; the message says why.
    """
    if run.status is RunStatus.COMPLETED:
        return shown(run.output)
    if run.failure is not None:
        failure = run.failure
        raise MCPError(
            INTERNAL_ERROR,
            f"{failure.reason}: {failure.message}",
            {
                "code": failure.reason,
                "retryable": failure.retryable,
                "detail": failure.detail,
                "run": run.id,
            },
        )
    if run.status is RunStatus.CANCELLED:
        raise _unanswered(run, Code.RUN_CANCELLED, "the run was cancelled")
    raise _unanswered(run, Code.DEADLINE_EXCEEDED, advice(run, service.approvals.page))


def _unanswered(run: Run, code: Code, why: str) -> MCPError:
    data: dict[str, Json] = {"code": code.value, "retryable": False, "detail": {}, "run": run.id}
    return MCPError(INTERNAL_ERROR, why, data)
