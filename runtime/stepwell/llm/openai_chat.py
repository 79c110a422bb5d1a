"""Chat Completions: what every OpenAI-compatible server speaks (Ollama, vLLM, llama.cpp, ...).

The answer is read from the bytes into our own structs: these servers leave out, add and
misname enough that the SDK's types promise too much.
"""

import asyncio
from typing import Any, Final

import msgspec
from msgspec import Struct

from stepwell.engine.messages import Message, Usage
from stepwell.engine.values import Json
from stepwell.llm.answers import AnswerReader, notes
from stepwell.llm.failures import unusable
from stepwell.llm.openai_client import ERRORS, failure_of, make_client
from stepwell.llm.port import Finish, ModelReply, ModelRequest
from stepwell.llm.provider import Endpoint, Provider
from stepwell.llm.schemas import closed
from stepwell.llm.tool_names import ToolNames

_FINISH: Final[dict[str | None, Finish]] = {
    "stop": "stop",
    "tool_calls": "tools",
    "function_call": "tools",
    "length": "length",
    "content_filter": "refusal",
}


class _Function(Struct, frozen=True):
    name: str
    arguments: Json = None


class _ToolCall(Struct, frozen=True):
    function: _Function
    id: str | None = None
    extra_content: Json = None


class _Message(Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    reasoning_content: Json = None
    reasoning_details: Json = None


class _Choice(Struct, frozen=True):
    message: _Message
    finish_reason: str | None = None


class _PromptDetails(Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(Struct, frozen=True):
    reasoning_tokens: int | None = None


class _Usage(Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Completion(Struct, frozen=True):
    choices: list[_Choice] | None = None
    model: str = ""
    usage: _Usage | None = None


class OpenAIChat:
    """One OpenAI-compatible server."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = make_client(endpoint)
        self._completions = self._client.chat.completions.with_raw_response

    async def complete(self, model: str, request: ModelRequest) -> ModelReply:
        """Asks once, without streaming.

        Raises:
            ModelError: as `stepwell.llm.port.Model.complete`.
        """
        names = ToolNames(request)
        body = _body(model, request, self._endpoint, names)
        try:
            async with asyncio.timeout(self._endpoint.timeout.total_seconds()):
                answer = await self._completions.create(**body)
        except ERRORS as error:
            raise failure_of(error, self._endpoint) from error
        reader = AnswerReader(request, self._endpoint, names)
        return _read(answer.content, model, self._endpoint, reader)

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._client.close()


def connect(endpoint: Endpoint) -> Provider:
    """A new client of this endpoint."""
    return OpenAIChat(endpoint)


def _body(
    model: str, request: ModelRequest, endpoint: Endpoint, names: ToolNames
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": [_shown(message, endpoint, names) for message in request.messages],
        # The newer max_completion_tokens is not known to every server.
        "max_tokens": request.max_tokens,
    }
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": names.outward(tool.name),
                    "description": tool.description,
                    "parameters": tool.schema,
                },
            }
            for tool in request.tools
        ]
    if request.output is not None:
        strict = closed(request.output, all_required=True)
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "schema": strict or request.output,
                "strict": strict is not None,
            },
        }
    return body


def _shown(message: Message, endpoint: Endpoint, names: ToolNames) -> dict[str, Json]:
    match message.role:
        case "tool":
            return {"role": "tool", "tool_call_id": message.call, "content": message.text}
        case "assistant":
            return _shown_answer(message, endpoint, names)
        case _:
            return {"role": message.role, "content": message.text}


def _shown_answer(message: Message, endpoint: Endpoint, names: ToolNames) -> dict[str, Json]:
    shown: dict[str, Json] = {"role": "assistant", "content": message.text or None}
    calls: list[dict[str, Json]] = [
        {
            "id": tool.id,
            "type": "function",
            "function": {
                "name": names.outward(tool.name),
                "arguments": msgspec.json.encode(tool.arguments).decode(),
            },
        }
        for tool in message.tools
    ]
    for note in notes(message, endpoint):
        if "tool" in note:
            calls[note["tool"]]["extra_content"] = note["extra_content"]
        else:
            shown |= note
    if calls:
        shown["tool_calls"] = calls
    return shown


def _read(content: bytes, model: str, endpoint: Endpoint, reader: AnswerReader) -> ModelReply:
    try:
        completion = msgspec.json.decode(content, type=_Completion)
    except msgspec.DecodeError as error:
        raise unusable(endpoint, str(error)) from error
    if not completion.choices:
        raise unusable(endpoint, "it has no choices")
    choice = completion.choices[0]
    finish = _FINISH.get(choice.finish_reason)
    if finish is None:
        raise unusable(endpoint, f"it stopped for the reason {choice.finish_reason!r}")
    said = choice.message
    reader.text(said.refusal or said.content or "")
    for index, call in enumerate(said.tool_calls or ()):
        reader.tool(call.function.name, call.function.arguments, given_id=call.id or "")
        if call.extra_content is not None:  # Gemini's signatures, behind its compatible door
            reader.note({"tool": index, "extra_content": call.extra_content})
    for key in ("reasoning_content", "reasoning_details"):
        if (value := getattr(said, key)) is not None:
            reader.note({key: value})
    return reader.reply(
        "refusal" if said.refusal else finish,
        model=completion.model or model,
        usage=_usage(completion.usage),
    )


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    prompt = usage.prompt_tokens_details or _PromptDetails()
    completion = usage.completion_tokens_details or _CompletionDetails()
    return Usage(
        input=usage.prompt_tokens or 0,
        output=usage.completion_tokens or 0,
        cache_read=prompt.cached_tokens or 0,
        cache_write=prompt.cache_write_tokens or 0,
        reasoning=completion.reasoning_tokens or 0,
    )
