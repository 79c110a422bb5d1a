"""What happens to every call before and after its handler.

One interceptor does it all, because each costs a call about 6 % of its time: it finds out who
is calling, checks the request against the rules in the protos, and turns every error into a
status with details. Health and reflection are not ours and pass untouched.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeAlias

import grpc
import protovalidate
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2
from grpc import aio

from stepwell.clock import IdSource
from stepwell.errors import Code, InvalidRequest, LimitExceeded, StepwellError
from stepwell.principals import Caller
from stepwell_server.authentication import Authenticator
from stepwell_server.status import DETAILS_KEY, STATUS, internal, to_status

logger = logging.getLogger(__name__)

OURS = "/stepwell."
WAITING = ("/WaitRun",)
"""How the methods end that wait, besides those that stream."""

Context: TypeAlias = aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic for the type checker only

_caller: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """Who made the call that is being handled."""
    return _caller.get()


class SlowReader(LimitExceeded):
    """Nothing was read from the stream for too long; resume from the last cursor."""

    retryable = True


class TooManyWaits(LimitExceeded):
    """The server has as many calls that wait or watch as it takes; the others are served."""

    retryable = True


class Undecodable:
    """Stands for a request that is no message of its kind."""


class Gate(aio.ServerInterceptor):
    """Authenticates, validates, maps errors, and cuts off whoever reads nothing for `patience`.

    At most `max_waits` calls wait or watch at a time, so that they leave room for the others.
    `on_storage_trouble` is told when a call failed because of the database.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        *,
        ids: IdSource,
        patience: timedelta,
        max_waits: int,
        on_storage_trouble: Callable[[], None],
    ) -> None:
        self._authenticator = authenticator
        self._ids = ids
        self._patience = patience
        self._max_waits = max_waits
        self._waits = 0
        self._on_storage_trouble = on_storage_trouble
        self._validator = protovalidate.Validator()
        self._handlers: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], "Awaitable[Handler | None]"],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """The handler of the method, with everything around it."""
        method = handler_call_details.method
        if method in self._handlers:
            return self._handlers[method]
        handler = await continuation(handler_call_details)
        if handler is not None and method.startswith(OURS):
            handler = self._handlers[method] = self._around(method, handler)
        return handler

    def _around(self, method: str, handler: Handler) -> Handler:
        """The same handler behind the gate. None of our methods streams its requests."""
        streams = handler.response_streaming
        answer: Any = self._streaming(handler) if streams else handler.unary_unary
        place = self._waiting if streams or method.endswith(WAITING) else nullcontext

        async def guarded(request: Message | Undecodable, context: Context) -> Any:
            # A cancelled call passes through here: grpc.aio wants to see CancelledError.
            try:
                await self._admit(request, context)
                with place():
                    return await answer(request, context)
            except Exception as error:  # noqa: BLE001 - nothing else may reach the caller
                await _abort(context, self._status(method, error))

        make: Any = (
            grpc.unary_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
        )
        wrapped: Handler = make(
            guarded, _lenient(handler.request_deserializer), handler.response_serializer
        )
        return wrapped

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        if self._waits >= self._max_waits:
            raise TooManyWaits(
                f"{self._max_waits} calls wait or watch at this server already, which is the "
                "most there may be; end some of them, or ask with GetRun from time to time"
            )
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1

    def _streaming(self, handler: Handler) -> Callable[[Message, Context], Awaitable[None]]:
        """The handler of a stream, which writes what the method yields.

        A write waits for room at the reader's end, for ever if nobody looks at the time.
        """
        inner: Any = handler.unary_stream

        async def write_all(request: Message, context: Context) -> None:
            async with aclosing(inner(request, context)) as messages:
                async for message in messages:
                    try:
                        async with asyncio.timeout(self._patience.total_seconds()):
                            await context.write(message)
                    except TimeoutError as error:
                        raise SlowReader from error

        return write_all

    async def _admit(self, request: Message | Undecodable, context: Context) -> None:
        metadata = context.invocation_metadata() or ()
        _caller.set(await self._authenticator.authenticate(metadata, context.peer()))
        if isinstance(request, Undecodable):
            raise InvalidRequest(
                "the request cannot be decoded: its bytes are not those of the message that this "
                "method takes; generate the client anew from the protos of this server"
            )
        violations = self._validator.collect_violations(request)
        if violations:
            raise _invalid(violations)

    def _status(self, method: str, error: Exception) -> status_pb2.Status:
        if isinstance(error, StepwellError):
            if error.code in (Code.STORAGE_UNAVAILABLE, Code.STORAGE_FULL):
                self._on_storage_trouble()
            if error.code is not Code.INTERNAL:
                return to_status(error)
        request_id = self._ids.new_id()
        logger.error("%s failed, request id %s", method, request_id, exc_info=error)
        return internal(request_id)


def _lenient(deserialize: Any) -> Callable[[bytes], Message | Undecodable]:
    """The same, but gRPC does not get to see a failure: it would answer UNKNOWN, and log a trace."""

    def read(data: bytes) -> Message | Undecodable:
        try:
            message: Message = deserialize(data)
        except DecodeError:
            return Undecodable()
        return message

    return read


async def _abort(context: Context, status: status_pb2.Status) -> None:
    code = _BY_NUMBER[status.code]
    details = ((DETAILS_KEY, status.SerializeToString()),)
    await context.abort(code, status.message, trailing_metadata=details)


_BY_NUMBER = {code.value[0]: code for code in STATUS.values()}


def _invalid(violations: list[protovalidate.Violation]) -> InvalidRequest:
    fields: dict[str, str] = {}
    for violation in violations:
        field = _path(violation)
        message = violation.proto.message
        fields[field] = f"{fields[field]}; {message}" if field in fields else message
    summary = "; ".join(f"{field}: {message}" for field, message in fields.items())
    return InvalidRequest(f"the request is not valid: {summary}", detail=fields)


def _path(violation: protovalidate.Violation) -> str:
    """The field as a caller would write it, or `request` for a rule about several."""
    field = violation.proto.field
    return ".".join(element.field_name for element in field.elements) if field else "request"
