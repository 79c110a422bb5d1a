"""The table of this door: what a refused request is in JSON-RPC."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from stepwell.errors import Code, NotFound, StepwellError

JSONRPC_CODES: Final[dict[Code, int]] = {
    Code.INVALID_REQUEST: INVALID_PARAMS,
    Code.INVALID_DEFINITION: INVALID_PARAMS,
    Code.INVALID_POLICY: INVALID_PARAMS,
    Code.INVALID_INPUT: INVALID_PARAMS,
    Code.INVALID_ARGUMENTS: INVALID_PARAMS,
    Code.INVALID_CURSOR: INVALID_PARAMS,
    Code.CURSOR_EXPIRED: INVALID_PARAMS,
    Code.UNAUTHENTICATED: INVALID_PARAMS,
    Code.WORKFLOW_NOT_FOUND: INVALID_PARAMS,
    Code.RUN_NOT_FOUND: INVALID_PARAMS,
    Code.STEP_NOT_FOUND: INVALID_PARAMS,
    Code.TOOL_NOT_FOUND: INVALID_PARAMS,
    Code.DATASOURCE_NOT_FOUND: INVALID_PARAMS,
    Code.QUEUE_NOT_FOUND: INVALID_PARAMS,
    Code.POLICY_NOT_FOUND: INVALID_PARAMS,
    Code.BUDGET_NOT_FOUND: INVALID_PARAMS,
    Code.RESOURCE_NOT_FOUND: INVALID_PARAMS,
    Code.PROMPT_NOT_FOUND: INVALID_PARAMS,
    Code.SCHEDULE_NOT_FOUND: INVALID_PARAMS,
    Code.ALREADY_EXISTS: INVALID_PARAMS,
    Code.REQUEST_ID_REUSED: INVALID_PARAMS,
    Code.KEY_NOT_FOUND: INVALID_PARAMS,
    Code.API_KEY_NOT_FOUND: INVALID_PARAMS,
    Code.FACTOR_NOT_FOUND: INVALID_PARAMS,
    Code.KEY_DESTROYED: INVALID_PARAMS,
    Code.RUN_KEY_TAKEN: INVALID_PARAMS,
    Code.RUN_ENDED: INVALID_PARAMS,
    Code.NOT_APPLICABLE: INVALID_PARAMS,
    Code.UNAUTHENTICATED: INVALID_REQUEST,
    Code.INSUFFICIENT_SCOPE: INVALID_REQUEST,
    Code.ISSUER_UNAVAILABLE: INTERNAL_ERROR,
    Code.DATA_DAMAGED: INTERNAL_ERROR,
    Code.RUN_CANCELLED: INTERNAL_ERROR,
    Code.LEASE_LOST: INTERNAL_ERROR,
    Code.DEADLINE_EXCEEDED: INTERNAL_ERROR,
    Code.LIMIT_EXCEEDED: INTERNAL_ERROR,
    Code.STORAGE_FULL: INTERNAL_ERROR,
    Code.STORAGE_UNAVAILABLE: INTERNAL_ERROR,
    Code.HOME_IN_USE: INTERNAL_ERROR,
    Code.PORT_IN_USE: INTERNAL_ERROR,
    Code.DAEMON_NOT_RUNNING: INTERNAL_ERROR,
    Code.DEADLINE_EXCEEDED: INTERNAL_ERROR,
    Code.MISSING_EXTRA: INTERNAL_ERROR,
    Code.INVALID_CONFIG: INTERNAL_ERROR,
    Code.POLICY_DENIED: INTERNAL_ERROR,
    Code.EXPRESSION_ERROR: INTERNAL_ERROR,
    Code.STEP_TIMEOUT: INTERNAL_ERROR,
    Code.APPROVAL_NOT_FOUND: INVALID_PARAMS,
    Code.FACTOR_REQUIRED: INTERNAL_ERROR,
    Code.FACTOR_WRONG: INTERNAL_ERROR,
    Code.FACTOR_LOCKED: INTERNAL_ERROR,
    Code.APPROVAL_DENIED: INTERNAL_ERROR,
    Code.APPROVAL_EXPIRED: INTERNAL_ERROR,
    Code.CHILD_FAILED: INTERNAL_ERROR,
    Code.TOOL_ERROR: INTERNAL_ERROR,
    Code.TOOL_TIMEOUT: INTERNAL_ERROR,
    Code.TOOL_CRASHED: INTERNAL_ERROR,
    Code.TOOL_SUSPENDED: INTERNAL_ERROR,
    Code.TOOL_UNAVAILABLE: INTERNAL_ERROR,
    Code.TOOL_RATE_LIMITED: INTERNAL_ERROR,
    Code.NETWORK_REFUSED: INTERNAL_ERROR,
    Code.SECRET_NOT_FOUND: INTERNAL_ERROR,
    Code.INVALID_RESULT: INTERNAL_ERROR,
    Code.OUTCOME_UNKNOWN: INTERNAL_ERROR,
    Code.QUERY_REFUSED: INTERNAL_ERROR,
    Code.PREVIEW_NOT_FOUND: INVALID_PARAMS,
    Code.PREVIEW_STALE: INVALID_PARAMS,
    Code.QUERY_FAILED: INTERNAL_ERROR,
    Code.MODEL_NOT_CONFIGURED: INTERNAL_ERROR,
    Code.MODEL_RATE_LIMITED: INTERNAL_ERROR,
    Code.MODEL_UNAVAILABLE: INTERNAL_ERROR,
    Code.MODEL_REFUSED: INTERNAL_ERROR,
    Code.MODEL_ERROR: INTERNAL_ERROR,
    Code.MODEL_CONTEXT_EXCEEDED: INTERNAL_ERROR,
    Code.MODEL_OUTPUT_INVALID: INTERNAL_ERROR,
    Code.TURNS_EXCEEDED: INTERNAL_ERROR,
    Code.INTERNAL: INTERNAL_ERROR,
}
"""JSON-RPC knows little: the parameters are wrong, the request is, or it is not the caller's fault."""


OLD_RESOURCE_NOT_FOUND: Final = -32002
"""What revisions before 2026-07-28 say of a URI that has no resource."""

_logger = logging.getLogger(__name__)


class _Refusals:
    """The block of `refusals`: less work for each call than a generator."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, StepwellError):
            raise protocol_error(error) from error
        if isinstance(error, Exception) and not isinstance(error, MCPError):
            # The SDK would show the exception's text to older clients.
            _logger.error("a request failed", exc_info=error)
            raise MCPError(
                INTERNAL_ERROR,
                "Stepwell failed to answer this request; its log says why",
                {"code": Code.INTERNAL.value, "retryable": False, "detail": {}},
            ) from error


_REFUSALS: Final = _Refusals()


def refusals() -> AbstractContextManager[None]:
    """Makes what goes wrong a protocol error; what we did not foresee stays in our log."""
    return _REFUSALS


def protocol_error(error: StepwellError) -> MCPError:
    """The JSON-RPC error for a request that has no result; `data` carries our own code."""
    return MCPError(
        JSONRPC_CODES[error.code],
        error.message,
        {"code": error.code.value, "retryable": error.retryable, "detail": error.detail},
    )


def unknown_tool(name: str) -> MCPError:
    """The JSON-RPC error that the protocol wants for a tool that is not in the list."""
    return MCPError(
        INVALID_PARAMS,
        f"there is no tool or workflow {name!r}; tools/list names all there are",
        {"code": Code.TOOL_NOT_FOUND.value, "retryable": False, "detail": {"name": name}},
    )


def not_chosen(name: str) -> MCPError:
    """The error for a tool that may be there, and that the client's own choice leaves out."""
    return MCPError(
        INVALID_PARAMS,
        f"there is no tool or workflow {name!r} among those that this client has chosen (by its URL, "
        "X-MCP- headers, or flags of `stepwell mcp`); tools/list names all there are",
        {"code": Code.TOOL_NOT_FOUND.value, "retryable": False, "detail": {"name": name}},
    )


def not_read_only(name: str) -> MCPError:
    """The error for a tool that may change something, for a client that has chosen to read only."""
    return MCPError(
        INVALID_PARAMS,
        f"{name} may change something, and this client has chosen tools that read only (by its URL, "
        "X-MCP-Readonly, --read-only, or its toolset); tools/list names those",
        {"code": Code.TOOL_NOT_FOUND.value, "retryable": False, "detail": {"name": name}},
    )


@contextmanager
def missing(uri: str, protocol: str) -> Iterator[None]:
    """Says of a URI without a resource that there is none, in the words of the client's revision."""
    try:
        yield
    except NotFound as error:
        if error.code is not Code.RESOURCE_NOT_FOUND:
            raise
        raise MCPError(
            INVALID_PARAMS if protocol in MODERN_PROTOCOL_VERSIONS else OLD_RESOURCE_NOT_FOUND,
            error.message,
            {"uri": uri, "code": error.code.value, "retryable": False, "detail": error.detail},
        ) from error
