"""What each provider sends, built from the same few facts, so that one test serves all four."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from msgspec import Struct
from tests.interaction.llm.fake_provider import (
    Reply,
    check_anthropic,
    check_chat,
    check_google,
    check_responses,
)


class Call(NamedTuple):
    """A tool call in an answer; `arguments` is JSON text, whatever it holds."""

    name: str
    arguments: str
    id: str


class Wire(Struct, frozen=True, kw_only=True):
    """One wire form. `answer` and `calls` end well; the others are what their names say.

    Every answer reports the same usage: 12 tokens in, 2 of them from a cache, 5 out, 1 of
    them for reasoning.
    """

    provider: str
    path: str
    key_variable: str
    check: Callable[[Any], None]
    answer: Callable[[str], Any]
    calls: Callable[[Sequence[Call]], Any]
    cut_off: Callable[[str, Sequence[Call]], Any]
    refusal: Callable[[str], Any]
    without_usage: Callable[[str], Any]
    empty: Any
    overflow: Reply
    bad_key: Reply
    version: str = ""

    def __repr__(self) -> str:
        return self.provider


# --- OpenAI Chat Completions --------------------------------------------------------------


def chat(message: dict[str, Any], finish: str = "stop", *, usage: bool = True) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m-2026",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": None, **message},
            }
        ],
    }
    if usage:
        body["usage"] = {
            "prompt_tokens": 12,
            "completion_tokens": 5,
            "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 1},
        }
    return body


def _chat_calls(calls: Sequence[Call]) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in calls
    ]


def _openai_error(status: int, code: str | None, message: str) -> Reply:
    body = {"error": {"message": message, "type": "x", "code": code, "param": None}}
    return Reply(body, status)


CHAT = Wire(
    provider="openai-compatible",
    path="/v1/chat/completions",
    key_variable="LOCAL_KEY",
    version="/v1",
    check=check_chat,
    answer=lambda text: chat({"content": text}),
    calls=lambda calls: chat({"tool_calls": _chat_calls(calls)}, "tool_calls"),
    cut_off=lambda text, calls: chat(
        {"content": text, **({"tool_calls": _chat_calls(calls)} if calls else {})}, "length"
    ),
    refusal=lambda text: chat({"refusal": text}),
    without_usage=lambda text: chat({"content": text}, usage=False),
    empty={**chat({}), "choices": []},
    overflow=_openai_error(400, None, "This model's maximum context length is 8192 tokens"),
    bad_key=_openai_error(401, "invalid_api_key", "Incorrect API key provided: sk-secret"),
)


# --- OpenAI Responses ---------------------------------------------------------------------


def response(*output: dict[str, Any], usage: bool = True, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1.0,
        "status": "completed",
        "model": "m-2026",
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    if usage:
        body["usage"] = {
            "input_tokens": 12,
            "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 17,
        }
    return body | changes


def said(text: str, **changes: Any) -> dict[str, Any]:
    content = {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [content],
    } | changes


def called(call: Call) -> dict[str, Any]:
    return {
        "id": f"fc_{call.id}",
        "type": "function_call",
        "status": "completed",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }


def _incomplete(text: str, calls: Sequence[Call]) -> dict[str, Any]:
    items = [said(text)] if text else []
    return response(
        *items,
        *map(called, calls),
        status="incomplete",
        incomplete_details={"reason": "max_output_tokens"},
    )


RESPONSES = Wire(
    provider="openai",
    path="/v1/responses",
    key_variable="OPENAI_API_KEY",
    version="/v1",
    check=check_responses,
    answer=lambda text: response(said(text)),
    calls=lambda calls: response(*map(called, calls)),
    cut_off=_incomplete,
    refusal=lambda text: response(said("", content=[{"type": "refusal", "refusal": text}])),
    without_usage=lambda text: response(said(text), usage=False),
    empty=response(),
    overflow=_openai_error(400, "context_length_exceeded", "Your input is too long."),
    bad_key=_openai_error(401, "invalid_api_key", "Incorrect API key provided: sk-secret"),
)


# --- Anthropic Messages -------------------------------------------------------------------


def anthropic_message(
    *content: dict[str, Any], stop: str = "end_turn", usage: bool = True, **changes: Any
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m-2026",
        "content": list(content),
        "stop_reason": stop,
        "stop_sequence": None,
    }
    if usage:
        body["usage"] = {
            "input_tokens": 10,
            "cache_read_input_tokens": 2,
            "output_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 1},
        }
    return body | changes


def text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def tool_use(call: Call) -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        arguments = call.arguments
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _anthropic_error(status: int, kind: str, message: str) -> Reply:
    return Reply({"type": "error", "error": {"type": kind, "message": message}}, status)


ANTHROPIC = Wire(
    provider="anthropic",
    path="/v1/messages",
    key_variable="ANTHROPIC_API_KEY",
    check=check_anthropic,
    answer=lambda text: anthropic_message(text_block(text)),
    calls=lambda calls: anthropic_message(*map(tool_use, calls), stop="tool_use"),
    cut_off=lambda text, calls: anthropic_message(
        *([text_block(text)] if text else []), *map(tool_use, calls), stop="max_tokens"
    ),
    refusal=lambda text: anthropic_message(
        stop="refusal", stop_details={"type": "refusal", "category": None, "explanation": text}
    ),
    without_usage=lambda text: anthropic_message(text_block(text), usage=False),
    empty=anthropic_message(),
    overflow=_anthropic_error(
        400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"
    ),
    bad_key=_anthropic_error(401, "authentication_error", "invalid x-api-key"),
)


# --- Gemini -------------------------------------------------------------------------------


def gemini(
    *parts: dict[str, Any], finish: str = "STOP", usage: bool = True, **changes: Any
) -> dict[str, Any]:
    candidate: dict[str, Any] = {
        "index": 0,
        "finishReason": finish,
        "content": {"role": "model", "parts": list(parts)},
    }
    body: dict[str, Any] = {
        "candidates": [candidate | changes],
        "modelVersion": "m-2026",
        "responseId": "r1",
    }
    if usage:
        body["usageMetadata"] = {
            "promptTokenCount": 12,
            "cachedContentTokenCount": 2,
            "candidatesTokenCount": 4,
            "thoughtsTokenCount": 1,
            "totalTokenCount": 17,
        }
    return body


def function_call(call: Call) -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        arguments = call.arguments
    given: dict[str, Any] = {"name": call.name, "args": arguments}
    return {"functionCall": given | ({"id": call.id} if call.id else {})}


def gemini_error(status: int, name: str, message: str, *details: dict[str, Any]) -> Reply:
    error = {"code": status, "status": name, "message": message, "details": list(details)}
    return Reply({"error": error}, status)


GEMINI = Wire(
    provider="google",
    path="/v1/models/m:generateContent",
    key_variable="GEMINI_API_KEY",
    check=check_google,
    answer=lambda text: gemini({"text": text}),
    calls=lambda calls: gemini(*map(function_call, calls)),
    cut_off=lambda text, calls: gemini(
        *([{"text": text}] if text else []), *map(function_call, calls), finish="MAX_TOKENS"
    ),
    refusal=lambda text: gemini(finish="SAFETY", finishMessage=text),
    without_usage=lambda text: gemini({"text": text}, usage=False),
    empty={"modelVersion": "m-2026", "responseId": "r1"},
    overflow=gemini_error(
        400,
        "INVALID_ARGUMENT",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    ),
    bad_key=gemini_error(
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
        },
    ),
)

WIRES = (CHAT, RESPONSES, ANTHROPIC, GEMINI)
