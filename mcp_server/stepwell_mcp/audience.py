"""Who waits for a call, and what they are told and asked meanwhile: progress, and questions of tools.

An older client is asked on its session, while its request is open. A newer one gets the question as the
answer to its request, and sends the request again with what its user said.
"""

import asyncio
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeAlias

import anyio
import mcp_types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from stepwell.errors import InvalidRequest
from stepwell.principals import Caller
from stepwell.tools.relay import Message, Progress, Question, Reply

PATIENCE: Final = timedelta(minutes=10)
"""How long a user may take to answer what a tool asks."""
MOST_ASKED: Final = 1000
"""Questions that may wait for the request to be sent again."""
KEY: Final = "question"

RequestContext: TypeAlias = ServerRequestContext[Any, Any]


class Asked:
    """A question that a client was given as an answer, and that waits for what its user says."""

    def __init__(self, run: str, caller: Caller, question: Question) -> None:
        self.run = run
        self.caller = caller
        self.question = question
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()


class Questions:
    """The questions of newer clients, by the state that they send back."""

    def __init__(self) -> None:
        self._asked: dict[str, Asked] = {}

    def put(self, asked: Asked) -> InputRequiredResult:
        """The answer that asks."""
        while len(self._asked) >= MOST_ASKED:
            del self._asked[next(iter(self._asked))]
        state = secrets.token_urlsafe(24)
        self._asked[state] = asked
        return InputRequiredResult(
            input_requests={KEY: _request(asked.question)}, request_state=state
        )

    def answered(
        self, caller: Caller, state: str, responses: mcp_types.InputResponses | None
    ) -> str:
        """Hands on what the user said; tells which run waits for it.

        Raises:
            InvalidRequest: the state is none of ours, or of somebody else, or was used.
        """
        asked = self._asked.get(state)
        if asked is None or asked.caller != caller:
            raise InvalidRequest(
                "the question that this answers waits no more: call the tool again without "
                "requestState, after a look at what its run has done"
            )
        del self._asked[state]
        response = (responses or {}).get(KEY)
        if not asked.reply.done():
            said = isinstance(response, ElicitResult)
            asked.reply.set_result(_reply(response) if said else Reply("cancel"))
        return asked.run


class CallAudience:
    """One request of a client that waits for a run."""

    def __init__(self, context: RequestContext, caller: Caller, run: str) -> None:
        self._context = context
        self._caller = caller
        self._run = run
        self._listener: Callable[[Progress | Message], None] | None = None
        self.is_asking = False
        """A user is being asked; the request stays open for it."""
        self.asked: asyncio.Future[Asked] = asyncio.get_running_loop().create_future()
        """What a newer client is to be asked, once a tool asks."""

    def listen(self, listener: Callable[[Progress | Message], None]) -> None:
        """Hands what tools say to `listener` from now on."""
        self._listener = listener

    def heard(self, said: Progress | Message) -> None:
        """Takes note of what a tool says."""
        if self._listener is not None:
            self._listener(said)

    async def ask(self, question: Question) -> Reply | None:
        """Asks the client's user; None when this client asks nobody."""
        if not _can_ask(self._context, question):
            return None
        if self._context.protocol_version in MODERN_PROTOCOL_VERSIONS:
            if self.asked.done():
                return None
            asked = Asked(self._run, self._caller, question)
            self.asked.set_result(asked)
            waiting = asked.reply
            with anyio.move_on_after(PATIENCE.total_seconds()):
                return await asyncio.shield(waiting)
            return None
        self.is_asking = True
        try:
            return await self._ask_on_session(question)
        finally:
            self.is_asking = False

    async def _ask_on_session(self, question: Question) -> Reply | None:
        session, related = self._context.session, self._context.request_id
        try:
            with anyio.fail_after(PATIENCE.total_seconds()):
                if question.url:
                    number = secrets.token_hex(8)
                    result = await session.elicit_url(
                        question.message, question.url, number, related
                    )
                else:
                    result = await session.elicit_form(
                        question.message, question.schema or {}, related
                    )
        except (MCPError, ValidationError, TimeoutError):
            return None
        return _reply(result)


def _can_ask(context: RequestContext, question: Question) -> bool:
    """Whether this client says that it asks its user such things."""
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    if elicitation is None:
        return False
    if question.url:
        return elicitation.url is not None
    return elicitation.form is not None or elicitation.url is None


def _request(question: Question) -> ElicitRequest:
    message = f"The tool {question.tool} asks: {question.message}"
    if question.url:
        return ElicitRequest(params=ElicitRequestURLParams(message=message, url=question.url))
    return ElicitRequest(
        params=ElicitRequestFormParams(message=message, requested_schema=question.schema or {})
    )


def _reply(result: Any) -> Reply:
    content = None if result.content is None else dict(result.content)
    return Reply(result.action, content)
