"""A gRPC failure as the error that the server meant."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from grpc.aio import AioRpcError

from stepwell.errors import (
    AlreadyExists,
    Code,
    Denied,
    FailedPrecondition,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    StepwellError,
    Unavailable,
)

DETAILS_KEY = "grpc-status-details-bin"

_CLASSES: Mapping[StatusCode, type[StepwellError]] = MappingProxyType(
    {
        StatusCode.INVALID_ARGUMENT: InvalidRequest,
        StatusCode.OUT_OF_RANGE: InvalidRequest,
        StatusCode.NOT_FOUND: NotFound,
        StatusCode.PERMISSION_DENIED: Denied,
        StatusCode.ALREADY_EXISTS: AlreadyExists,
        StatusCode.FAILED_PRECONDITION: FailedPrecondition,
        StatusCode.RESOURCE_EXHAUSTED: LimitExceeded,
        StatusCode.UNAVAILABLE: Unavailable,
    }
)

_CLASS_OF_CODE: Mapping[Code, type[StepwellError]] = MappingProxyType(
    {Code.STORAGE_FULL: Unavailable}  # RESOURCE_EXHAUSTED, but no limit of ours
)

_CODES = frozenset(code.value for code in Code)

_Detail = TypeVar("_Detail", bound=Message)


def to_error(failure: AioRpcError, target: str) -> StepwellError:
    """The error that a failed call stands for; one of the transport's own is explained."""
    status = _status(failure)
    info = _detail(status, error_details_pb2.ErrorInfo)
    if info is None or info.reason not in _CODES:
        return _of_transport(failure, target)
    code = Code(info.reason)
    kind = _CLASS_OF_CODE.get(code) or _CLASSES.get(failure.code(), StepwellError)
    return kind(
        status.message,
        code=code,
        detail=_fields(status, info),
        retryable=_detail(status, error_details_pb2.RetryInfo) is not None,
    )


def not_running(target: str) -> Unavailable:
    """The error for a server that cannot be reached."""
    return Unavailable(
        f"nothing answers at {target}; start the daemon with: stepwell up",
        code=Code.DAEMON_NOT_RUNNING,
    )


def _of_transport(failure: AioRpcError, target: str) -> StepwellError:
    """What gRPC itself has to say, without details from our server."""
    said = failure.details() or failure.code().name
    match failure.code():
        case StatusCode.UNAVAILABLE:
            error = not_running(target)
            error.detail["transport"] = said
            return error
        case StatusCode.CANCELLED | StatusCode.UNKNOWN:
            # What is left of a call whose server was killed, or stopped without a word.
            return Unavailable(
                f"{target} went away in the middle of the call; whether it did what was asked "
                "is not known",
                code=Code.DAEMON_NOT_RUNNING,
                detail={"transport": said},
            )
        case StatusCode.DEADLINE_EXCEEDED:
            return Unavailable(
                f"{target} did not answer in time; whether it did what was asked is not known",
                code=Code.DEADLINE_EXCEEDED,
            )
        case StatusCode.RESOURCE_EXHAUSTED:
            return LimitExceeded(f"{target} refused the call: {said}")
        case StatusCode.UNIMPLEMENTED:
            return FailedPrecondition(
                f"{target} does not know this call; the server is older than this client, "
                "or is not Stepwell",
                code=Code.INVALID_REQUEST,
            )
        case _:
            return StepwellError(f"the call to {target} failed: {said}")


def _status(failure: AioRpcError) -> status_pb2.Status:
    for key, value in failure.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_pb2.Status()


def _detail(status: status_pb2.Status, kind: type[_Detail]) -> _Detail | None:
    for packed in status.details:
        found = kind()
        if packed.Unpack(found):
            return found
    return None


def _fields(status: status_pb2.Status, info: error_details_pb2.ErrorInfo) -> dict[str, str]:
    """What the error says of single fields, and the id of the request in the server's log."""
    fields = dict(info.metadata)
    if bad := _detail(status, error_details_pb2.BadRequest):
        fields |= {violation.field: violation.description for violation in bad.field_violations}
    if request := _detail(status, error_details_pb2.RequestInfo):
        fields["request_id"] = request.request_id
    return fields
