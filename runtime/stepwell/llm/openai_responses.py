"""OpenAI's own models by the Responses API, without state on the server.

`store=False` and never `previous_response_id`: what a server keeps for us cannot be replayed
or taken over by another process. The model's sealed reasoning comes back with each answer
instead, and is sent again in its place.
"""

import asyncio
from typing import Any, Final

import msgspec
from msgspec import Struct

from stepwell.engine.messages import Message, Usage
from stepwell.engine.values import Json
from stepwell.llm.answers import AnswerReader, notes, with_kept
from stepwell.llm.failures import UNUSABLE, failure, unusable
from stepwell.llm.openai_client import BY_CODE, ERRORS, failure_of, make_client
from stepwell.llm.port import Finish, ModelReply, ModelRequest
from stepwell.llm.provider import Endpoint, Provider
from stepwell.llm.schemas import closed
from stepwell.llm.tool_names import ToolNames

_INCOMPLETE: Final[dict[str, Finish]] = {
    "max_output_tokens": "length",
    "content_filter": "refusal",
}


class _Error(Struct, frozen=True):
    message: str
    code: str | None = None


class _IncompleteDetails(Struct, frozen=True):
    reason: str | None = None


class _InputDetails(Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(Struct, frozen=True):
    reasoning_tokens: int | None = None


class _Usage(Struct, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Response(Struct, frozen=True):
    status: str
    output: list[dict[str, Json]]
    model: str = ""
    error: _Error | None = None
    incomplete_details: _IncompleteDetails | None = None
    usage: _Usage | None = None


class OpenAIResponses:
    """OpenAI."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = make_client(endpoint)
        self._responses = self._client.responses.with_raw_response

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        """Asks once, without streaming.

        Raises:
            ModelError: as `stepwell.llm.port.Model.complete`.
        """
        names = ToolNames(request)
        body = _body(model, request, self._endpoint, names)
        try:
            async with asyncio.timeout(self._endpoint.timeout.total_seconds()):
                answer = await self._responses.create(**body)
        except ERRORS as error:
            raise failure_of(error, self._endpoint) from error
        reader = AnswerReader(request, self._endpoint, names)
        return _read(answer.content, model, self._endpoint, reader)

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._client.close()


def connect(endpoint: Endpoint) -> Provider:
    """A new client of this endpoint."""
    return OpenAIResponses(endpoint)


def _body(
    model: str, request: ModelRequest, endpoint: Endpoint, names: ToolNames
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "input": [
            item for message in request.messages for item in _shown(message, endpoint, names)
        ],
        "max_output_tokens": request.max_tokens,
        "store": False,
    }
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": names.outward(tool.name),
                "description": tool.description,
                "parameters": tool.schema,
                # The default is strict, which refuses most schemas that people write.
                "strict": False,
            }
            for tool in request.tools
        ]
    if request.output is not None:
        strict = closed(request.output, all_required=True)
        body["text"] = {
            "format": {
                "type": "json_schema",
                "name": "answer",
                "schema": strict or request.output,
                "strict": strict is not None,
            }
        }
    return body


def _shown(message: Message, endpoint: Endpoint, names: ToolNames) -> list[Json]:
    match message.role:
        case "tool":
            return [
                {"type": "function_call_output", "call_id": message.call, "output": message.text}
            ]
        case "assistant":
            return _shown_answer(message, endpoint, names)
        case _:
            return [{"role": message.role, "content": message.text}]


def _shown_answer(message: Message, endpoint: Endpoint, names: ToolNames) -> list[Json]:
    parts: list[Json] = []
    if message.text:
        said: dict[str, Json] = {"role": "assistant", "content": message.text}
        phases = [note for note in notes(message, endpoint) if "phase" in note]
        parts.append(said | phases[0] if phases else said)
    parts += [
        {
            "type": "function_call",
            "call_id": tool.id,
            "name": names.outward(tool.name),
            "arguments": msgspec.json.encode(tool.arguments).decode(),
        }
        for tool in message.tools
    ]
    return with_kept(parts, message, endpoint)


def _read(content: bytes, model: str, endpoint: Endpoint, reader: AnswerReader) -> ModelReply:
    try:
        response = msgspec.json.decode(content, type=_Response)
        finish = _finish(response, endpoint)
        refused = _read_output(response.output, reader)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise unusable(endpoint, str(error)) from error
    if finish == "stop" and not response.output:
        raise unusable(endpoint, "it has no output")
    return reader.reply(
        "refusal" if refused else finish,
        model=response.model or model,
        usage=_usage(response.usage),
    )


def _finish(response: _Response, endpoint: Endpoint) -> Finish:
    if response.status == "completed":
        return "stop"
    if response.error is not None:
        kind = BY_CODE.get(response.error.code, UNUSABLE)
        raise failure(kind, endpoint, response.error.message)
    reason = response.incomplete_details and response.incomplete_details.reason
    if response.status == "incomplete" and reason in _INCOMPLETE:
        return _INCOMPLETE[reason]
    raise unusable(endpoint, f"its status is {response.status!r} with the reason {reason!r}")


class _Content(Struct, frozen=True):
    text: str = ""
    refusal: str = ""


class _MessageItem(Struct, frozen=True):
    content: list[_Content]
    phase: str | None = None


class _CallItem(Struct, frozen=True):
    name: str
    arguments: Json = None
    call_id: str = ""


def _read_output(output: list[dict[str, Json]], reader: AnswerReader) -> bool:
    """Reads every item; tells whether the model refused.

    Where there is a final answer, commentary before it is not part of the text, and is kept.
    """
    answers = any(item.get("phase") == "final_answer" for item in output)
    refused = False
    for item in output:
        kind = item.get("type")
        if kind == "function_call":
            call = msgspec.convert(item, _CallItem)
            reader.tool(call.name, call.arguments, given_id=call.call_id)
        elif kind == "message" and not (answers and item.get("phase") == "commentary"):
            refused = _read_message(msgspec.convert(item, _MessageItem), reader) or refused
        elif kind != "reasoning" or item.get("encrypted_content"):
            # Reasoning that is not sealed is known by its id alone, and nothing was stored.
            reader.keep(_stripped(item))
    return refused


def _read_message(item: _MessageItem, reader: AnswerReader) -> bool:
    for content in item.content:
        reader.text(content.refusal or content.text)
    if item.phase is not None:
        reader.note({"phase": item.phase})
    return any(content.refusal for content in item.content)


def _stripped(item: dict[str, Json]) -> dict[str, Json]:
    """An item as the API takes it back: `status` is its own to set, and null is not taken."""
    return {key: value for key, value in item.items() if key != "status" and value is not None}


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    read = usage.input_tokens_details or _InputDetails()
    written = usage.output_tokens_details or _OutputDetails()
    return Usage(
        input=usage.input_tokens or 0,
        output=usage.output_tokens or 0,
        cache_read=read.cached_tokens or 0,
        cache_write=read.cache_write_tokens or 0,
        reasoning=written.reasoning_tokens or 0,
    )
