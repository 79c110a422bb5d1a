"""One MCP client on a stream of bytes: framing, bounds, and an orderly end.

The SDK's loop drops what it cannot parse and cancels what is in flight as soon as the client
stops sending. Here a bad line is answered, and the end waits for the answers.
"""

import contextlib
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Protocol, TypeAlias

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from msgspec import UNSET, Raw, Struct, UnsetType
from pydantic import ValidationError

from stepwell_mcp import choice
from stepwell_mcp.lines import MESSAGE_LIMIT, LineSplitter
from stepwell_mcp.selection import local_request
from stepwell_mcp.server import McpServer

MAX_IN_FLIGHT: Final = 256
"""How many requests of one client may wait for their answer."""
LISTEN: Final = "subscriptions/listen"
DRAIN: Final = timedelta(seconds=60)
"""How long the answers of a client that has stopped sending are waited for."""

Outgoing: TypeAlias = MemoryObjectSendStream[SessionMessage]
Incoming: TypeAlias = MemoryObjectSendStream[SessionMessage | Exception]

_logger = logging.getLogger(__name__)


class _Identified(Struct):
    """Whether there is an id, of whatever kind."""

    id: Raw | UnsetType = UNSET


class Pipe(Protocol):
    """Bytes to and from a client."""

    async def receive(self) -> bytes:
        """What came in, as soon as anything did.

        Raises:
            EndOfStream: the client stopped sending.
            BrokenResourceError: the client has gone.
        """
        ...

    async def send(self, item: bytes, /) -> None:
        """Sends all of it.

        Raises:
            BrokenResourceError: the client has gone.
        """
        ...


class Connection:
    """Serves one client until it stops sending, breaks, or `stop` is called."""

    def __init__(
        self,
        server: McpServer,
        pipe: Pipe,
        *,
        message_limit: int = MESSAGE_LIMIT,
        chosen: Mapping[str, str] | None = None,
    ) -> None:
        """`chosen` are the headers that say which tools the client has chosen (`selection`).

        A client of a socket says them itself, in a first line of its own.
        """
        self._asked = local_request(chosen or {})
        self._is_begun = False
        self._server = server
        self._pipe = pipe
        self._limit = message_limit
        self._in_flight: set[str] = set()
        self._answered = anyio.Event()
        self._receiving = anyio.CancelScope()

    async def run(self) -> None:
        """Serves the client; returns when everything it asked has been answered."""
        incoming, from_client = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, to_client = anyio.create_memory_object_stream[SessionMessage](0)
        options = self._server.create_initialization_options()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._receive, incoming, outgoing.clone())
                tasks.start_soon(self._send, to_client)
                await self._server.run(from_client, outgoing, options)
        except* (anyio.BrokenResourceError, anyio.ClosedResourceError):
            _logger.debug("an MCP client left without a word")

    def stop(self) -> None:
        """Takes no more requests; `run` returns after the answers of those in flight."""
        self._receiving.cancel()

    async def _receive(self, incoming: Incoming, outgoing: Outgoing) -> None:
        splitter = LineSplitter(self._limit)
        async with incoming, outgoing:
            with self._receiving:
                with contextlib.suppress(anyio.EndOfStream):
                    while True:
                        for line in splitter.feed(await self._pipe.receive()):
                            await self._accept(line, incoming, outgoing)
                await self._accept(splitter.end(), incoming, outgoing)
            with anyio.move_on_after(DRAIN.total_seconds()):
                while self._in_flight:
                    self._answered = anyio.Event()
                    await self._answered.wait()

    async def _accept(self, line: bytes | None, incoming: Incoming, outgoing: Outgoing) -> None:
        if line is not None and not line.strip():
            return
        if not self._is_begun:
            self._is_begun = True
            if line is not None and (chosen := choice.read_line(line)) is not None:
                self._asked = local_request(chosen)
                await self._pipe.send(choice.UNDERSTOOD)
                return
        message = self._parse(line)
        if isinstance(message, JSONRPCError) and message.id is None:
            await outgoing.send(SessionMessage(message))
        elif isinstance(message, JSONRPCRequest) and (refusal := self._refusal(message)):
            await outgoing.send(SessionMessage(refusal))
        else:
            self._note(message)
            metadata = ServerMessageMetadata(request_context=self._asked)
            await incoming.send(SessionMessage(message, metadata=metadata))

    def _parse(self, line: bytes | None) -> JSONRPCMessage:
        """The message of a line, or the error that answers it."""
        if line is None:
            return _error(
                None, INVALID_REQUEST, f"a message may have {self._limit} bytes, this one has more"
            )
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            # The SDK takes a request whose id it cannot use for a notification, and never answers.
            if isinstance(message, JSONRPCNotification) and _has_id(line):
                return _error(
                    None, INVALID_REQUEST, "the id of a request must be a string or an integer"
                )
        except (ValidationError, msgspec.DecodeError, UnicodeDecodeError):
            return _complaint(line)
        return message

    def _refusal(self, request: JSONRPCRequest) -> JSONRPCError | None:
        if str(request.id) in self._in_flight:
            return _error(request.id, INVALID_REQUEST, "a request with this id is in flight")
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            return _error(
                request.id,
                INTERNAL_ERROR,
                f"{MAX_IN_FLIGHT} requests of this client are in flight; send more after answers",
            )
        return None

    def _note(self, message: JSONRPCMessage) -> None:
        """Keeps count of what must still be answered. The SDK takes the ids 1 and "1" for one."""
        if isinstance(message, JSONRPCRequest):
            if message.method != LISTEN:  # it is answered when the client leaves, not before
                self._in_flight.add(str(message.id))
        elif (
            isinstance(message, JSONRPCNotification)
            and message.method == "notifications/cancelled"
            and message.params
        ):
            # A cancelled request is never answered.
            self._settle(message.params.get("requestId"))

    def _settle(self, request: object) -> None:
        self._in_flight.discard(str(request))
        self._answered.set()

    async def _send(self, to_client: MemoryObjectReceiveStream[SessionMessage]) -> None:
        async with to_client:
            async for item in to_client:
                message = item.message
                text = message.model_dump_json(by_alias=True, exclude_unset=True)
                await self._pipe.send(text.encode() + b"\n")
                if isinstance(message, JSONRPCResponse | JSONRPCError):
                    self._settle(message.id)


def _error(request: RequestId | None, code: int, message: str) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=request, error=ErrorData(code=code, message=message))


def _has_id(line: bytes) -> bool:
    return msgspec.json.decode(line, type=_Identified).id is not UNSET


def _complaint(line: bytes) -> JSONRPCError:
    """What is wrong with a line that is no message."""
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _error(None, PARSE_ERROR, f"this line is not JSON: {error}")
    except RecursionError:
        return _error(None, PARSE_ERROR, "this line is nested too deeply to be read")
    return _error(
        None, INVALID_REQUEST, "this line is JSON but no JSON-RPC 2.0 request or notification"
    )
