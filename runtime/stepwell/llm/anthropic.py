"""Anthropic's models by the Messages API."""

import asyncio
from typing import Any, Final

import anthropic
import httpx2
import msgspec
from msgspec import Struct

from stepwell.engine.messages import Message, Usage
from stepwell.engine.values import Json
from stepwell.llm.answers import AnswerReader, with_kept
from stepwell.llm.failures import (
    CONTEXT_EXCEEDED,
    KEY_REFUSED,
    NO_SUCH_MODEL,
    QUOTA_USED_UP,
    RATE_LIMITED,
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
from stepwell.llm.schemas import closed, in_words
from stepwell.llm.tool_names import ToolNames

_ERRORS: Final = (anthropic.AnthropicError, httpx2.HTTPError, TimeoutError)

_BY_CODE: Final[dict[str | None, Kind]] = {
    "contract_spend_limit_reached": QUOTA_USED_UP,
    "enforced_spend_limit_reached": QUOTA_USED_UP,
    "rate_limit_error": RATE_LIMITED,
    "billing_error": QUOTA_USED_UP,
    "authentication_error": KEY_REFUSED,
    "permission_error": KEY_REFUSED,
    "not_found_error": NO_SUCH_MODEL,
    "overloaded_error": UNAVAILABLE,
    "timeout_error": UNAVAILABLE,
    "api_error": UNAVAILABLE,
}
"""By the `error_code` of an error, or its `type`."""

_FINISH: Final[dict[str | None, Finish]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tools",
    "max_tokens": "length",
    "refusal": "refusal",
}


class _StopDetails(Struct, frozen=True):
    explanation: str | None = None


class _OutputDetails(Struct, frozen=True):
    thinking_tokens: int | None = None


class _Usage(Struct, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _Answer(Struct, frozen=True):
    content: list[dict[str, Json]]
    model: str = ""
    stop_reason: str | None = None
    stop_details: _StopDetails | None = None
    usage: _Usage | None = None


class _TextBlock(Struct, frozen=True):
    text: str


class _ToolUseBlock(Struct, frozen=True):
    name: str
    input: Json = None
    id: str = ""


class AnthropicMessages:
    """Anthropic."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = anthropic.AsyncAnthropic(
            api_key=endpoint.api_key,
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=httpx2.Timeout(endpoint.timeout.total_seconds(), connect=CONNECT_TIMEOUT),
        )
        self._messages = self._client.messages.with_raw_response

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        """Asks once, without streaming.

        Raises:
            ModelError: as `stepwell.llm.port.Model.complete`.
        """
        names = ToolNames(request)
        body = _body(model, request, self._endpoint, names)
        try:
            async with asyncio.timeout(self._endpoint.timeout.total_seconds()):
                answer = await self._messages.create(**body)
        except _ERRORS as error:
            raise _failure_of(error, self._endpoint) from error
        reader = AnswerReader(request, self._endpoint, names)
        return _read(answer.http_response.content, model, self._endpoint, reader)

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._client.close()


def connect(endpoint: Endpoint) -> Provider:
    """A new client of this endpoint."""
    return AnthropicMessages(endpoint)


def _body(
    model: str, request: ModelRequest, endpoint: Endpoint, names: ToolNames
) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "max_tokens": request.max_tokens}
    if request.output is not None:
        schema = _enforceable(request.output)
        if schema is None:
            request = in_words(request)
        else:
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    system = [message.text for message in request.messages if message.role == "system"]
    if system:
        body["system"] = "\n\n".join(system)
    body["messages"] = _shown(request, endpoint, names)
    if request.tools:
        body["tools"] = [
            {
                "name": names.outward(tool.name),
                "description": tool.description,
                "input_schema": tool.schema,
            }
            for tool in request.tools
        ]
    return body


def _enforceable(output: Any) -> dict[str, Json] | None:
    """The schema in the subset that the API enforces; None where there is no such form."""
    schema = closed(output, all_required=False)
    if schema is None:
        return None
    try:
        return anthropic.transform_schema(schema)
    except ValueError:  # a part of it has no type
        return None


def _shown(request: ModelRequest, endpoint: Endpoint, names: ToolNames) -> list[Json]:
    """The conversation; the results of parallel calls have to stand in one message."""
    shown: list[dict[str, Json]] = []
    for message in request.messages:
        if message.role == "system":
            continue
        blocks = _blocks(message, endpoint, names)
        role = "assistant" if message.role == "assistant" else "user"
        if shown and shown[-1]["role"] == role:
            shown[-1]["content"] += blocks
        elif blocks:
            shown.append({"role": role, "content": blocks})
    return shown


def _blocks(message: Message, endpoint: Endpoint, names: ToolNames) -> list[Json]:
    # An empty text block is refused, so a message without text has none.
    text: list[Json] = [{"type": "text", "text": message.text}] if message.text else []
    if message.role == "tool":
        result: dict[str, Json] = {"type": "tool_result", "tool_use_id": message.call}
        if text:
            result["content"] = message.text
        if message.is_error:
            result["is_error"] = True
        return [result]
    if message.role == "assistant":
        calls = [
            {
                "type": "tool_use",
                "id": tool.id,
                "name": names.outward(tool.name),
                "input": tool.arguments,
            }
            for tool in message.tools
        ]
        return with_kept([*text, *calls], message, endpoint)
    return text


def _read(content: bytes, model: str, endpoint: Endpoint, reader: AnswerReader) -> ModelReply:
    try:
        answer = msgspec.json.decode(content, type=_Answer)
        if answer.stop_reason == "model_context_window_exceeded":
            raise failure(CONTEXT_EXCEEDED, endpoint, "the answer filled the context window")
        _read_blocks(answer.content, reader)
    except msgspec.DecodeError as error:
        raise unusable(endpoint, str(error)) from error
    finish = _FINISH.get(answer.stop_reason)
    if finish is None:
        raise unusable(endpoint, f"it stopped for the reason {answer.stop_reason!r}")
    if finish == "stop" and not answer.content:
        raise unusable(endpoint, "it has no content")
    if finish == "refusal" and not reader.parts and answer.stop_details is not None:
        reader.text(answer.stop_details.explanation or "")
    return reader.reply(finish, model=answer.model or model, usage=_usage(answer.usage))


def _read_blocks(blocks: list[dict[str, Json]], reader: AnswerReader) -> None:
    for block in blocks:
        match block.get("type"):
            case "text":
                reader.text(msgspec.convert(block, _TextBlock).text)
            case "tool_use":
                call = msgspec.convert(block, _ToolUseBlock)
                reader.tool(call.name, call.input, given_id=call.id)
            case _:  # thinking, with its signature
                reader.keep(block)


def _usage(usage: _Usage | None) -> Usage:
    """Anthropic counts what the cache read and wrote apart from the input; we do not."""
    if usage is None:
        return Usage()
    details = usage.output_tokens_details or _OutputDetails()
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return Usage(
        input=(usage.input_tokens or 0) + read + written,
        output=usage.output_tokens or 0,
        cache_read=read,
        cache_write=written,
        reasoning=details.thinking_tokens or 0,
    )


def _failure_of(error: BaseException, endpoint: Endpoint) -> ModelError:
    match error:
        case anthropic.APIStatusError():
            message = error.api_message or error.message
            known = _BY_CODE.get(error.error_code) or _BY_CODE.get(error.type)
            return failure(
                known or by_status(error.status_code, message),
                endpoint,
                message,
                retry_after=retry_after(error.response.headers),
            )
        case anthropic.APITimeoutError() | httpx2.TimeoutException() | TimeoutError():
            return timed_out(endpoint)
        case anthropic.APIConnectionError() | httpx2.HTTPError():
            return unreachable(endpoint, error.__cause__ or error)
        case _:
            return unusable(endpoint, str(error))
