"""What can go wrong, as a caller sees it: one code for gRPC, MCP and the event log.

A code is stable; a message is for people and may change. Each front end owns one table
from code to its own status. An error's default message is its class docstring.
"""

from collections.abc import Mapping
from enum import StrEnum


class Code(StrEnum):
    """The reason of a failure: `ErrorInfo.reason` in gRPC, `code` in MCP, `reason` in an event."""

    INVALID_REQUEST = "INVALID_REQUEST"
    INVALID_DEFINITION = "INVALID_DEFINITION"
    INVALID_POLICY = "INVALID_POLICY"
    INVALID_INPUT = "INVALID_INPUT"
    INVALID_ARGUMENTS = "INVALID_ARGUMENTS"
    INVALID_CURSOR = "INVALID_CURSOR"
    CURSOR_EXPIRED = "CURSOR_EXPIRED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    INSUFFICIENT_SCOPE = "INSUFFICIENT_SCOPE"
    ISSUER_UNAVAILABLE = "ISSUER_UNAVAILABLE"
    WORKFLOW_NOT_FOUND = "WORKFLOW_NOT_FOUND"
    RUN_NOT_FOUND = "RUN_NOT_FOUND"
    STEP_NOT_FOUND = "STEP_NOT_FOUND"
    TOOL_NOT_FOUND = "TOOL_NOT_FOUND"
    DATASOURCE_NOT_FOUND = "DATASOURCE_NOT_FOUND"
    RESOURCE_NOT_FOUND = "RESOURCE_NOT_FOUND"
    PROMPT_NOT_FOUND = "PROMPT_NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    RUN_KEY_TAKEN = "RUN_KEY_TAKEN"
    QUEUE_NOT_FOUND = "QUEUE_NOT_FOUND"
    POLICY_NOT_FOUND = "POLICY_NOT_FOUND"
    BUDGET_NOT_FOUND = "BUDGET_NOT_FOUND"
    SCHEDULE_NOT_FOUND = "SCHEDULE_NOT_FOUND"
    KEY_NOT_FOUND = "KEY_NOT_FOUND"
    API_KEY_NOT_FOUND = "API_KEY_NOT_FOUND"
    FACTOR_NOT_FOUND = "FACTOR_NOT_FOUND"
    FACTOR_REQUIRED = "FACTOR_REQUIRED"
    FACTOR_WRONG = "FACTOR_WRONG"
    FACTOR_LOCKED = "FACTOR_LOCKED"
    KEY_DESTROYED = "KEY_DESTROYED"
    DATA_DAMAGED = "DATA_DAMAGED"
    RUN_ENDED = "RUN_ENDED"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    RUN_CANCELLED = "RUN_CANCELLED"
    LEASE_LOST = "LEASE_LOST"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    STORAGE_FULL = "STORAGE_FULL"
    STORAGE_UNAVAILABLE = "STORAGE_UNAVAILABLE"
    HOME_IN_USE = "HOME_IN_USE"
    PORT_IN_USE = "PORT_IN_USE"
    DAEMON_NOT_RUNNING = "DAEMON_NOT_RUNNING"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    MISSING_EXTRA = "MISSING_EXTRA"
    INVALID_CONFIG = "INVALID_CONFIG"
    POLICY_DENIED = "POLICY_DENIED"
    EXPRESSION_ERROR = "EXPRESSION_ERROR"
    STEP_TIMEOUT = "STEP_TIMEOUT"
    APPROVAL_NOT_FOUND = "APPROVAL_NOT_FOUND"
    APPROVAL_DENIED = "APPROVAL_DENIED"
    APPROVAL_EXPIRED = "APPROVAL_EXPIRED"
    CHILD_FAILED = "CHILD_FAILED"
    TOOL_ERROR = "TOOL_ERROR"
    TOOL_TIMEOUT = "TOOL_TIMEOUT"
    TOOL_CRASHED = "TOOL_CRASHED"
    TOOL_SUSPENDED = "TOOL_SUSPENDED"
    TOOL_UNAVAILABLE = "TOOL_UNAVAILABLE"
    TOOL_RATE_LIMITED = "TOOL_RATE_LIMITED"
    NETWORK_REFUSED = "NETWORK_REFUSED"
    SECRET_NOT_FOUND = "SECRET_NOT_FOUND"  # noqa: S105 - a name
    INVALID_RESULT = "INVALID_RESULT"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    QUERY_REFUSED = "QUERY_REFUSED"
    QUERY_FAILED = "QUERY_FAILED"
    PREVIEW_NOT_FOUND = "PREVIEW_NOT_FOUND"
    PREVIEW_STALE = "PREVIEW_STALE"
    MODEL_NOT_CONFIGURED = "MODEL_NOT_CONFIGURED"
    MODEL_RATE_LIMITED = "MODEL_RATE_LIMITED"
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
    MODEL_REFUSED = "MODEL_REFUSED"
    MODEL_ERROR = "MODEL_ERROR"
    MODEL_CONTEXT_EXCEEDED = "MODEL_CONTEXT_EXCEEDED"
    MODEL_OUTPUT_INVALID = "MODEL_OUTPUT_INVALID"
    TURNS_EXCEEDED = "TURNS_EXCEEDED"
    INTERNAL = "INTERNAL"


class StepwellError(Exception):
    """Something went wrong inside Stepwell."""

    code: Code = Code.INTERNAL
    retryable: bool = False

    def __init__(
        self,
        message: str | None = None,
        *,
        code: Code | None = None,
        detail: Mapping[str, str] | None = None,
        retryable: bool | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.code = code or type(self).code
        self.detail = dict(detail or {})
        self.retryable = type(self).retryable if retryable is None else retryable
        super().__init__(self.message)


class InvalidRequest(StepwellError):
    """The request is not valid; `detail` maps each field to what is wrong with it."""

    code = Code.INVALID_REQUEST


class NotFound(StepwellError):
    """There is no such thing, or the caller may not know that there is."""

    code = Code.RUN_NOT_FOUND


class Denied(StepwellError):
    """The caller may not do this; the message says who may."""

    code = Code.POLICY_DENIED


class AlreadyExists(StepwellError):
    """Something else has this name already."""

    code = Code.ALREADY_EXISTS


class FailedPrecondition(StepwellError):
    """The thing is not in a state in which this can be done."""

    code = Code.RUN_ENDED


class LimitExceeded(StepwellError):
    """A limit was reached; the message names it and the setting that raises it."""

    code = Code.LIMIT_EXCEEDED


class KeyDestroyed(StepwellError):
    """The data was erased: the key that it was encrypted with has been destroyed."""

    code = Code.KEY_DESTROYED


class DataDamaged(StepwellError):
    """What is stored is not what was written; restore it from a backup."""

    code = Code.DATA_DAMAGED


class Unavailable(StepwellError):
    """The database cannot be used at the moment; nothing was changed, try again."""

    code = Code.STORAGE_UNAVAILABLE
    retryable = True


class SetupError(StepwellError):
    """Stepwell cannot start like this; the message says what to change."""

    code = Code.INVALID_CONFIG
