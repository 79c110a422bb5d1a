"""Errors as gRPC shows them: a status code, and `google.rpc` details that programs can read.

The code follows from the error's own code by one table. Message and details travel in the
trailers, which gRPC refuses above 8 KiB, so long texts and long lists are cut: 800 bytes of
message take up to 2.4 kB there (every byte may be escaped), and again 800 of the details.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from stepwell.errors import Code, InvalidRequest, StepwellError

DOMAIN = "stepwell"
DETAILS_KEY = "grpc-status-details-bin"
MAX_MESSAGE = 800
MAX_FIELDS = 8
MAX_FIELD = 100
MAX_DESCRIPTION = 200
"""Bytes of UTF-8, but for `MAX_FIELDS`."""

RETRY_DELAY = Duration(seconds=1)

STATUS: Mapping[Code, StatusCode] = MappingProxyType(
    {
        Code.INVALID_REQUEST: StatusCode.INVALID_ARGUMENT,
        Code.INVALID_DEFINITION: StatusCode.INVALID_ARGUMENT,
        Code.INVALID_POLICY: StatusCode.INVALID_ARGUMENT,
        Code.INVALID_INPUT: StatusCode.INVALID_ARGUMENT,
        Code.INVALID_ARGUMENTS: StatusCode.INVALID_ARGUMENT,
        Code.INVALID_CURSOR: StatusCode.INVALID_ARGUMENT,
        Code.CURSOR_EXPIRED: StatusCode.OUT_OF_RANGE,
        Code.UNAUTHENTICATED: StatusCode.UNAUTHENTICATED,
        Code.INSUFFICIENT_SCOPE: StatusCode.PERMISSION_DENIED,
        Code.ISSUER_UNAVAILABLE: StatusCode.UNAVAILABLE,
        Code.WORKFLOW_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.RUN_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.STEP_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.TOOL_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.DATASOURCE_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.QUEUE_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.POLICY_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.BUDGET_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.RESOURCE_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.PROMPT_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.SCHEDULE_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.ALREADY_EXISTS: StatusCode.ALREADY_EXISTS,
        Code.REQUEST_ID_REUSED: StatusCode.ALREADY_EXISTS,
        Code.KEY_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.API_KEY_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.FACTOR_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.FACTOR_REQUIRED: StatusCode.PERMISSION_DENIED,
        Code.FACTOR_WRONG: StatusCode.PERMISSION_DENIED,
        Code.FACTOR_LOCKED: StatusCode.PERMISSION_DENIED,
        Code.KEY_DESTROYED: StatusCode.FAILED_PRECONDITION,
        Code.DATA_DAMAGED: StatusCode.DATA_LOSS,
        Code.RUN_KEY_TAKEN: StatusCode.ALREADY_EXISTS,
        Code.RUN_ENDED: StatusCode.FAILED_PRECONDITION,
        Code.NOT_APPLICABLE: StatusCode.FAILED_PRECONDITION,
        Code.RUN_CANCELLED: StatusCode.FAILED_PRECONDITION,
        Code.LEASE_LOST: StatusCode.FAILED_PRECONDITION,
        Code.LIMIT_EXCEEDED: StatusCode.RESOURCE_EXHAUSTED,
        Code.STORAGE_FULL: StatusCode.RESOURCE_EXHAUSTED,
        Code.STORAGE_UNAVAILABLE: StatusCode.UNAVAILABLE,
        Code.HOME_IN_USE: StatusCode.FAILED_PRECONDITION,
        Code.PORT_IN_USE: StatusCode.FAILED_PRECONDITION,
        Code.DAEMON_NOT_RUNNING: StatusCode.UNAVAILABLE,
        Code.DEADLINE_EXCEEDED: StatusCode.DEADLINE_EXCEEDED,
        Code.MISSING_EXTRA: StatusCode.FAILED_PRECONDITION,
        Code.INVALID_CONFIG: StatusCode.FAILED_PRECONDITION,
        Code.POLICY_DENIED: StatusCode.PERMISSION_DENIED,
        Code.EXPRESSION_ERROR: StatusCode.FAILED_PRECONDITION,
        Code.STEP_TIMEOUT: StatusCode.DEADLINE_EXCEEDED,
        Code.APPROVAL_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.APPROVAL_DENIED: StatusCode.PERMISSION_DENIED,
        Code.APPROVAL_EXPIRED: StatusCode.DEADLINE_EXCEEDED,
        Code.CHILD_FAILED: StatusCode.UNKNOWN,
        Code.TOOL_ERROR: StatusCode.UNKNOWN,
        Code.TOOL_TIMEOUT: StatusCode.DEADLINE_EXCEEDED,
        Code.TOOL_CRASHED: StatusCode.INTERNAL,
        Code.TOOL_SUSPENDED: StatusCode.FAILED_PRECONDITION,
        Code.TOOL_UNAVAILABLE: StatusCode.UNAVAILABLE,
        Code.TOOL_RATE_LIMITED: StatusCode.RESOURCE_EXHAUSTED,
        Code.NETWORK_REFUSED: StatusCode.PERMISSION_DENIED,
        Code.SECRET_NOT_FOUND: StatusCode.FAILED_PRECONDITION,
        Code.INVALID_RESULT: StatusCode.UNKNOWN,
        Code.OUTCOME_UNKNOWN: StatusCode.UNKNOWN,
        Code.QUERY_REFUSED: StatusCode.PERMISSION_DENIED,
        Code.PREVIEW_NOT_FOUND: StatusCode.NOT_FOUND,
        Code.PREVIEW_STALE: StatusCode.FAILED_PRECONDITION,
        Code.QUERY_FAILED: StatusCode.UNKNOWN,
        Code.MODEL_NOT_CONFIGURED: StatusCode.FAILED_PRECONDITION,
        Code.MODEL_RATE_LIMITED: StatusCode.RESOURCE_EXHAUSTED,
        Code.MODEL_UNAVAILABLE: StatusCode.UNAVAILABLE,
        Code.MODEL_REFUSED: StatusCode.FAILED_PRECONDITION,
        Code.MODEL_ERROR: StatusCode.UNKNOWN,
        Code.MODEL_CONTEXT_EXCEEDED: StatusCode.RESOURCE_EXHAUSTED,
        Code.MODEL_OUTPUT_INVALID: StatusCode.UNKNOWN,
        Code.TURNS_EXCEEDED: StatusCode.RESOURCE_EXHAUSTED,
        Code.INTERNAL: StatusCode.INTERNAL,
    }
)


def to_status(error: StepwellError) -> status_pb2.Status:
    """The `google.rpc.Status` of an error.

    It holds ErrorInfo always, BadRequest with a violation for each field of an
    `InvalidRequest`, and RetryInfo where trying again may help. What else the error's
    `detail` says is ErrorInfo's metadata.
    """
    info = error_details_pb2.ErrorInfo(reason=error.code, domain=DOMAIN)
    details: list[Message] = [info]
    fields = _fields(error.detail)
    if isinstance(error, InvalidRequest) and fields:
        bad = error_details_pb2.BadRequest()
        for field, description in fields.items():
            bad.field_violations.add(field=field, description=description)
        details.append(bad)
    else:
        info.metadata.update(fields)
    if error.retryable:
        details.append(error_details_pb2.RetryInfo(retry_delay=RETRY_DELAY))
    return _status(STATUS[error.code], error.message, details)


def internal(request_id: str) -> status_pb2.Status:
    """The status of what nobody foresaw; the server's log tells more under the id."""
    message = f"the server failed to do this; its log says why under the request id {request_id}"
    info = error_details_pb2.ErrorInfo(reason=Code.INTERNAL, domain=DOMAIN)
    request = error_details_pb2.RequestInfo(request_id=request_id)
    return _status(StatusCode.INTERNAL, message, [info, request])


def _status(code: StatusCode, message: str, details: Iterable[Message]) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message=_cut(message, MAX_MESSAGE))
    for detail in details:
        status.details.add().Pack(detail)
    return status


def _fields(detail: Mapping[str, str]) -> dict[str, str]:
    shown = list(detail.items())[:MAX_FIELDS]
    fields = {_cut(key, MAX_FIELD): _cut(text, MAX_DESCRIPTION) for key, text in shown}
    if len(detail) > MAX_FIELDS:
        fields["..."] = f"and {len(detail) - MAX_FIELDS} more"
    return fields


def _cut(text: str, length: int) -> str:
    """The text, or its beginning and an ellipsis in at most `length` bytes."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= length:
        return encoded.decode()
    return encoded[: length - 3].decode(errors="ignore") + "…"
