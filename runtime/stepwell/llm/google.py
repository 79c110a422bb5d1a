"""Google's models by the Gemini API.

The SDK would call Python functions and ask for continuations by itself; both are off, so that
one call here is one request.
"""

import asyncio
from typing import Any, Final

import httpx2
import msgspec
from google.genai import Client, errors, types
from msgspec import Struct

from stepwell.engine.messages import Message, Usage
from stepwell.engine.values import Json
from stepwell.llm.answers import MADE_ID, AnswerReader, notes, with_kept
from stepwell.llm.failures import (
    KEY_REFUSED,
    NO_SUCH_MODEL,
    RATE_LIMITED,
    REFUSED,
    UNAVAILABLE,
    Kind,
    by_status,
    failure,
    retry_after,
    timed_out,
    unreachable,
    unusable,
)
from stepwell.llm.port import Finish, ModelError, ModelReply, ModelRequest
from stepwell.llm.provider import CONNECT_TIMEOUT, Endpoint, Provider
from stepwell.llm.tool_names import ToolNames

_ERRORS: Final = (errors.APIError, httpx2.HTTPError, TimeoutError)

_BY_CODE: Final[dict[str | None, Kind]] = {
    "API_KEY_INVALID": KEY_REFUSED,
    "UNAUTHENTICATED": KEY_REFUSED,
    "PERMISSION_DENIED": KEY_REFUSED,
    "NOT_FOUND": NO_SUCH_MODEL,
    "RESOURCE_EXHAUSTED": RATE_LIMITED,
    "UNAVAILABLE": UNAVAILABLE,
    "INTERNAL": UNAVAILABLE,
    "DEADLINE_EXCEEDED": UNAVAILABLE,
}
"""By the `reason` in an error's details, or its `status`."""

_FINISH: Final[dict[str | None, Finish]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "LANGUAGE": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "ESCALATION": "refusal",
    "MODEL_ARMOR": "refusal",
}


class _Wire(Struct, frozen=True, rename="camel"):
    pass


class _FunctionCall(_Wire, frozen=True):
    name: str
    args: Json = msgspec.field(default_factory=dict)
    id: str = ""


class _Part(_Wire, frozen=True):
    text: str | None = None
    thought: bool = False
    function_call: _FunctionCall | None = None
    thought_signature: str | None = None


class _Content(_Wire, frozen=True):
    parts: list[_Part] | None = None


class _Candidate(_Wire, frozen=True):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None


class _Feedback(_Wire, frozen=True):
    block_reason: str | None = None
    block_reason_message: str | None = None


class _Usage(_Wire, frozen=True):
    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None


class _Answer(_Wire, frozen=True):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    model_version: str = ""


class GoogleGemini:
    """Google's Gemini API."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        # Ours, because the SDK's choice of an HTTP library depends on what else is installed.
        self._http = httpx2.AsyncClient(event_hooks={"request": [_connect_soon]})
        self._client = Client(
            vertexai=False,
            api_key=endpoint.api_key,
            http_options=types.HttpOptions(
                base_url=endpoint.base_url,
                timeout=round(endpoint.timeout.total_seconds() * 1000),
                httpx_async_client=self._http,
            ),
        )

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        """Asks once, without streaming.

        Raises:
            ModelError: as `stepwell.llm.port.Model.complete`.
        """
        names = ToolNames(request)
        contents, config = _contents(request, self._endpoint, names), _config(request, names)
        try:
            async with asyncio.timeout(self._endpoint.timeout.total_seconds()):
                answer = await self._client.aio.models.generate_content(
                    model=model, contents=contents, config=config
                )
        except _ERRORS as error:
            raise _failure_of(error, self._endpoint) from error
        body = answer.sdk_http_response and answer.sdk_http_response.body
        reader = AnswerReader(request, self._endpoint, names)
        return _read(body or "", model, self._endpoint, reader)

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._http.aclose()
        self._client.close()


def connect(endpoint: Endpoint) -> Provider:
    """A new client of this endpoint."""
    return GoogleGemini(endpoint)


async def _connect_soon(request: httpx2.Request) -> None:
    """The SDK knows one time-out for everything; a connection has to stand sooner."""
    request.extensions["timeout"]["connect"] = CONNECT_TIMEOUT


def _config(request: ModelRequest, names: ToolNames) -> types.GenerateContentConfig:
    system = [message.text for message in request.messages if message.role == "system"]
    declarations = [
        types.FunctionDeclaration(
            name=names.outward(tool.name),
            description=tool.description,
            parameters_json_schema=tool.schema,
        )
        for tool in request.tools
    ]
    return types.GenerateContentConfig(
        system_instruction="\n\n".join(system) or None,
        max_output_tokens=request.max_tokens,
        tools=[types.Tool(function_declarations=declarations)] if declarations else None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        automatic_continuation=False,
        response_mime_type=None if request.output is None else "application/json",
        response_json_schema=request.output,
        should_return_http_response=True,
    )


def _contents(
    request: ModelRequest, endpoint: Endpoint, names: ToolNames
) -> list[types.ContentUnion]:
    """The conversation; the results of parallel calls have to stand in one content."""
    called = {
        tool.id: names.outward(tool.name) for message in request.messages for tool in message.tools
    }
    shown: list[dict[str, Json]] = []
    for message in request.messages:
        if message.role == "system":
            continue
        parts = _parts(message, endpoint, names, called)
        role = "model" if message.role == "assistant" else "user"
        if shown and shown[-1]["role"] == role:
            shown[-1]["parts"] += parts
        elif parts:
            shown.append({"role": role, "parts": parts})
    # By way of JSON, because there alone the SDK takes signatures as they came.
    return [types.Content.model_validate_json(msgspec.json.encode(content)) for content in shown]


def _parts(
    message: Message, endpoint: Endpoint, names: ToolNames, called: dict[str, str]
) -> list[Json]:
    text: list[dict[str, Json]] = [{"text": message.text}] if message.text else []
    if message.role == "tool":
        response = {"error" if message.is_error else "output": message.text}
        name = called.get(message.call, message.call)
        return [
            {"functionResponse": _given_id(message.call) | {"name": name, "response": response}}
        ]
    if message.role == "assistant":
        calls = [
            {
                "functionCall": _given_id(tool.id)
                | {"name": names.outward(tool.name), "args": tool.arguments}
            }
            for tool in message.tools
        ]
        parts = [*text, *calls]
        for note in notes(message, endpoint):
            if "part" in note:
                parts[note["part"]]["thoughtSignature"] = note["signature"]
        return with_kept(parts, message, endpoint)
    return list(text)


def _given_id(call: str) -> dict[str, Json]:
    """The id, where Google gave it: it matches its own, and others by name and order."""
    return {} if call.startswith(f"{MADE_ID}-") else {"id": call}


def _read(content: str, model: str, endpoint: Endpoint, reader: AnswerReader) -> ModelReply:
    try:
        answer = msgspec.json.decode(content, type=_Answer)
    except msgspec.DecodeError as error:
        raise unusable(endpoint, str(error)) from error
    if not answer.candidates:
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason:
            message = feedback.block_reason_message or "the request was blocked"
            raise failure(REFUSED, endpoint, f"{message} ({feedback.block_reason})")
        raise unusable(endpoint, "it has no candidates")
    candidate = answer.candidates[0]
    finish = _FINISH.get(candidate.finish_reason)
    if finish is None:
        reason = f"it stopped for the reason {candidate.finish_reason!r}"
        raise unusable(endpoint, f"{reason}: {candidate.finish_message or 'no more is known'}")
    for part in (candidate.content and candidate.content.parts) or ():
        _read_part(part, reader)
    if finish == "refusal" and not reader.parts:
        reader.text(candidate.finish_message or "")
    return reader.reply(
        finish, model=answer.model_version or model, usage=_usage(answer.usage_metadata)
    )


def _read_part(part: _Part, reader: AnswerReader) -> None:
    if part.function_call is not None:
        call = part.function_call
        reader.tool(call.name, call.args, given_id=call.id)
    elif part.text and not part.thought:
        reader.text(part.text)
    elif part.thought_signature:
        item = {"text": part.text or "", "thoughtSignature": part.thought_signature}
        reader.keep(item | {"thought": True} if part.thought else item)
        return
    if part.thought_signature:
        reader.note({"part": reader.parts - 1, "signature": part.thought_signature})


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    reasoning = usage.thoughts_token_count or 0
    return Usage(
        input=(usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
        output=(usage.candidates_token_count or 0) + reasoning,
        cache_read=usage.cached_content_token_count or 0,
        reasoning=reasoning,
    )


class _Detail(Struct, frozen=True, rename="camel"):
    reason: str = ""
    retry_delay: str = ""


class _ErrorBody(Struct, frozen=True):
    details: list[_Detail] = []


class _ErrorAnswer(Struct, frozen=True):
    error: _ErrorBody = _ErrorBody()


def _failure_of(error: BaseException, endpoint: Endpoint) -> ModelError:
    match error:
        case errors.APIError():
            message = str(error.message or error)
            details = _details(error.details)
            known = [_BY_CODE[detail.reason] for detail in details if detail.reason in _BY_CODE]
            kind = known[0] if known else _BY_CODE.get(error.status)
            headers = error.response.headers if error.response is not None else {}
            return failure(
                kind or by_status(error.code, message),
                endpoint,
                message,
                retry_after=_delay(details) or retry_after(headers),
            )
        case httpx2.TimeoutException() | TimeoutError():
            return timed_out(endpoint)
        case _:
            return unreachable(endpoint, error)


def _details(body: Any) -> list[_Detail]:
    try:
        return msgspec.convert(body, _ErrorAnswer).error.details
    except msgspec.ValidationError:
        return []


def _delay(details: list[_Detail]) -> float | None:
    """Seconds, from a google.rpc.RetryInfo: it stands in the body, not in a header."""
    for detail in details:
        try:
            return float(detail.retry_delay.removesuffix("s"))
        except ValueError:
            continue
    return None
