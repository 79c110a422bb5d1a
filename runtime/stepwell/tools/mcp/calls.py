"""The calls of one server that are in flight: what is sent, what comes back, who is asked meanwhile."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

import mcp_types
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_REQUEST,
    ClientRequest,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
)
from msgspec import Struct
from pydantic import TypeAdapter, ValidationError

from stepwell.engine.values import Data
from stepwell.engine.wording import bounded
from stepwell.errors import Code
from stepwell.tools.asking import Line, current_line
from stepwell.tools.mcp.describe import seen
from stepwell.tools.port import CallContext, ToolFailed, ToolSpec
from stepwell.tools.questions import Question, Reply, check_question
from stepwell.tools.secrets import Redactor

MOST_ROUNDS: Final = 10
"""How often a server may ask for more before it answers a call."""
REPORT_EVERY: Final = 0.1
"""Seconds between two reports of progress that are passed on; those between are left out."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What a server is asked for: by which tool of ours, how, and what its answer is to us.

    `name` is what it is called at the server. `request` makes the request, given what every round of
    it has besides; `value` takes the answer and how many bytes it may have.
    """

    spec: ToolSpec
    name: str
    request: Callable[[dict[str, Any]], ClientRequest]
    answer: TypeAdapter[Any]
    value: Callable[[Any, int], Data]


class ServerLost(ToolFailed):
    """The connection ended while the call was in flight; nobody knows what became of it."""

    code = Code.TOOL_CRASHED


class _InFlight:
    """A call that was sent, and the time that it has."""

    def __init__(self, tool: str, context: CallContext, line: Line | None) -> None:
        self.tool = tool
        self.context = context
        self.line = line
        self._asking: set[asyncio.Task[Mapping[str, Reply]]] = set()

    async def ask(self, line: Line, question: Question) -> Reply | None:
        """Asks for as long as the call is under way; None when it is not any more."""
        key = line.name(question)
        task = asyncio.ensure_future(line.ask({key: question}))
        self._asking.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self._asking.discard(task)
            task.cancel()  # whoever asked may be gone, without having been told of the end
        return None if task.cancelled() else task.result()[key]

    def end(self) -> None:
        """Nobody waits for what the server asks any more."""
        for task in self._asking:
            task.cancel()


class Calls:
    """Makes the calls of one server, and knows whose question is whose."""

    def __init__(self, server: str, *, redactor: Redactor, limit: int) -> None:
        """`limit` is how many bytes one result may have."""
        self._server = server
        self._redactor = redactor
        self._limit = limit
        self._open: dict[object, _InFlight] = {}

    async def make(self, client: Client, wanted: Wanted, context: CallContext) -> Data:
        """Makes a call; cancellation is passed on, and so is progress.

        Raises:
            ToolFailed: TOOL_TIMEOUT; TOOL_ERROR, what the server says; INVALID_RESULT.
            ServerLost: the connection ended.
        """
        key, line = object(), current_line()
        call = self._open[key] = _InFlight(wanted.spec.name, context, line)
        seconds = None if wanted.spec.timeout is None else wanted.spec.timeout / 1e6
        try:
            async with asyncio.timeout(seconds) as scope:
                if line is not None:
                    line.runs_within(scope)
                result = await self._answer(client, wanted, call)
            data = wanted.value(result, self._limit)
            return Data(self._redactor.json(data.value))
        except TimeoutError as error:
            raise ToolFailed(
                f"{wanted.spec.name} did not end within {seconds:g} s and was cancelled",
                code=Code.TOOL_TIMEOUT,
            ) from error
        except MCPError as error:
            raise self._refusal(wanted, error) from error
        except ValidationError as error:
            raise ToolFailed(
                f"what {self._server} answered to {wanted.name} is no result of MCP: "
                f"{error.error_count()} problems",
                code=Code.INVALID_RESULT,
                retryable=False,
            ) from error
        except ToolFailed as error:
            raise self._told(error) from error.__cause__
        finally:
            self._open.pop(key, None)
            call.end()

    async def elicit(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult | ErrorData:
        """Asks for a server that asks on the session, as older ones do, and not within a call."""
        if len(self._open) != 1:
            return _no(f"{len(self._open)} calls are in flight, so that nobody knows who is asked")
        (call,) = self._open.values()
        return await self._ask(call, params)

    async def _answer(self, client: Client, wanted: Wanted, call: "_InFlight") -> Any:
        responses: mcp_types.InputResponses | None = None
        state: str | None = None
        for _ in range(MOST_ROUNDS):
            more = {"inputResponses": responses, "requestState": state}
            result: Any = await client.session.send_request(
                wanted.request({**more, "_meta": _meta(call.context)}),
                wanted.answer,
                progress_callback=_Reports(call.line, self._redactor),
            )
            if not isinstance(result, InputRequiredResult):
                return result
            responses = await self._fulfil(call, result.input_requests or {})
            state = result.request_state
        raise ToolFailed(
            f"{wanted.spec.name} asked {MOST_ROUNDS} times for more and never answered",
            retryable=False,
        )

    async def _fulfil(
        self, call: "_InFlight", requests: mcp_types.InputRequests
    ) -> mcp_types.InputResponses:
        responses: mcp_types.InputResponses = {}
        for key, request in requests.items():
            if not isinstance(request, ElicitRequest):
                raise ToolFailed(
                    f"{call.tool} wants {request.method} of its caller, which is not to be "
                    "had here",
                    retryable=False,
                )
            response = await self._ask(call, request.params)
            if isinstance(response, ErrorData):
                raise ToolFailed(f"{call.tool}: {response.message}", retryable=False)
            responses[key] = response
        if not requests:  # a server that only wants to be asked again
            await asyncio.sleep(REPORT_EVERY)
        return responses

    async def _ask(
        self, call: "_InFlight", params: ElicitRequestParams
    ) -> ElicitResult | ErrorData:
        message = self._redactor.text(seen(params.message))
        if isinstance(params, ElicitRequestFormParams):
            question = Question(message, schema=dict(params.requested_schema))
        else:
            question = Question(message, "url", url=params.url)
        if call.line is None:
            return _no("its run keeps no questions")
        try:
            check_question("question", question)
            reply = await call.ask(call.line, question)
        except (TypeError, ToolFailed) as error:
            return _no(str(error))
        if reply is None:
            return _no("the call is over")
        return ElicitResult.model_validate({"action": reply.action, "content": reply.content})

    def _refusal(self, wanted: Wanted, error: MCPError) -> ToolFailed:
        if error.error.code == CONNECTION_CLOSED:
            return ServerLost(
                f"the MCP server {self._server!r} ended the connection while {wanted.spec.name} was "
                "in flight; nobody knows whether it was done"
            )
        words = bounded(self._redactor.text(error.error.message))
        return ToolFailed(
            f"{self._server} refused {wanted.name}: {words}",
            code=Code.TOOL_ERROR,
            retryable=False,
            detail={"code": str(error.error.code)},
        )

    def _told(self, error: ToolFailed) -> ToolFailed:
        """The failure without any secret."""
        return type(error)(
            self._redactor.text(error.message),
            code=error.code,
            retryable=error.retryable,
            detail={name: self._redactor.text(text) for name, text in error.detail.items()},
        )


class _Reports:
    """Passes the progress of one call on, and no more of it than somebody can read."""

    def __init__(self, line: Line | None, redactor: Redactor) -> None:
        self._line = line
        self._redactor = redactor
        self._next = 0.0

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        now = asyncio.get_running_loop().time()
        if self._line is None or now < self._next:
            return
        self._next = now + REPORT_EVERY
        words = bounded(self._redactor.text(seen(message or "")), 500)
        self._line.report(progress, total, words)


def _meta(context: CallContext) -> Any:
    """What a call is told besides its arguments; servers that know it can tell a repeat."""
    trace = {"traceparent": context.traceparent} if context.traceparent else {}
    return {"stepwell/idempotency-key": context.key, **trace}


def _no(why: str) -> ErrorData:
    return ErrorData(
        code=INVALID_REQUEST, message=f"Stepwell cannot ask the user for this call: {why}"
    )
