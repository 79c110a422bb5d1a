"""What tools ask, as MCP has it: which client can be asked, the requests, and what the answers say."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import mcp_types
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    CreateMessageResultWithTools,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    ListRootsRequest,
    ListRootsResult,
)
from pydantic import BaseModel, ValidationError

from stepwell.engine.values import Json
from stepwell.errors import InvalidRequest
from stepwell.orchestrator.questions import check_answer
from stepwell.orchestrator.views import OpenQuestion, Run
from stepwell.tools.questions import Action
from stepwell_mcp.callers import RequestContext

InputRequest = ElicitRequest | CreateMessageRequest | ListRootsRequest

CLIENT_KINDS: Final = frozenset({"sampling", "roots"})
"""What the client answers itself, and no person can."""
NO_FIELDS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}
"""The schema of a form that asks for nothing but yes or no."""
DIRECT: Final = "call"
"""The workflow that a direct call is a run of."""

_CAPABILITIES: Final[Mapping[str, dict[str, Any]]] = {
    "form": {"elicitation": {"form": {}}},
    "url": {"elicitation": {"url": {}}},
    "sampling": {"sampling": {}},
    "roots": {"roots": {}},
}


def can_be_asked(context: RequestContext, kind: str) -> bool:
    """Whether the client of a request says that it answers such questions, or lets its user."""
    capabilities = context.session.client_capabilities
    if capabilities is None:
        return False
    if kind == "sampling":
        return capabilities.sampling is not None
    if kind == "roots":
        return capabilities.roots is not None
    elicitation = capabilities.elicitation
    if elicitation is None:
        return False
    if kind == "url":
        return elicitation.url is not None
    return elicitation.form is not None or elicitation.url is None


def not_declared(kinds: Iterable[str]) -> MCPError:
    """What a client is told that does not declare what a call needs of it."""
    wanted: dict[str, Any] = {}
    for kind in kinds:
        wanted |= _CAPABILITIES[kind]
    return MCPError(
        MISSING_REQUIRED_CLIENT_CAPABILITY,
        f"this call needs a client that declares {', '.join(sorted(wanted))}",
        {"requiredCapabilities": wanted},
    )


def by_key(run: Run) -> dict[str, OpenQuestion]:
    """What a run asks, by the names that a client answers under: their keys, where these differ."""
    named: dict[str, OpenQuestion] = {}
    for question in run.questions:
        name = question.key if question.key not in named else f"{question.key}-{question.id}"
        named[name] = question
    return named


def request_of(run: Run, question: OpenQuestion) -> InputRequest:
    """A question as a request to the client.

    Raises:
        ValidationError: what the tool asks of the client is nothing that MCP has.
    """
    if question.kind == "sampling":
        return CreateMessageRequest(
            params=CreateMessageRequestParams.model_validate(dict(question.params))
        )
    if question.kind == "roots":
        return ListRootsRequest()
    # A direct call is shown by the client; of any other the user may not know who asks.
    message = question.message
    if run.workflow != DIRECT:
        message = f"The tool {question.tool} asks: {message}"
    if question.kind == "url":
        return page_request(message, question.url, question.id)
    return ElicitRequest(
        params=ElicitRequestFormParams(
            message=message, requested_schema=dict(question.schema or NO_FIELDS)
        )
    )


def page_request(message: str, url: str, id: str) -> ElicitRequest:
    """Asks the user to visit a page."""
    return ElicitRequest(params=ElicitRequestURLParams(message=message, url=url, elicitation_id=id))


def result_type(kind: str) -> type[BaseModel]:
    """What the client answers to a question of this kind."""
    match kind:
        case "sampling":
            return CreateMessageResult
        case "roots":
            return ListRootsResult
        case _:
            return ElicitResult


def reply_of(key: str, question: OpenQuestion, response: object) -> tuple[Action, Json]:
    """What the client says to a question, as the run takes it.

    Whoever has several answers looks at all of them so before he gives the first.

    Raises:
        InvalidRequest: it is no answer to a question of this kind, or does not fit its form.
        LimitExceeded: it is too large, or too deep.
    """
    action, content = _reply_of(key, question, response)
    check_answer(question, action, content)
    return action, content


def _reply_of(key: str, question: OpenQuestion, response: object) -> tuple[Action, Json]:
    if isinstance(response, Mapping):
        try:
            response = result_type(question.kind).model_validate(response)
        except ValidationError as error:
            raise _no_answer(key, question) from error
    match question.kind, response:
        case "form" | "url", ElicitResult():
            return response.action, None if response.content is None else dict(response.content)
        case "sampling", CreateMessageResult() | CreateMessageResultWithTools():
            return "accept", _plain(response)
        case "roots", ListRootsResult():
            return "accept", _plain(response)
        case _:
            raise _no_answer(key, question)


def _plain(result: BaseModel) -> dict[str, Json]:
    plain: dict[str, Json] = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    for of_protocol in ("resultType", "_meta"):
        plain.pop(of_protocol, None)
    return plain


def _no_answer(key: str, question: OpenQuestion) -> InvalidRequest:
    return InvalidRequest(
        f"inputResponses[{key!r}] is no answer to a request of the kind {question.kind!r}"
    )


InputResponses = mcp_types.InputResponses
