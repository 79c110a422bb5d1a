"""A scripted model provider on loopback, for driving the real SDKs.

It answers in the wire forms of OpenAI (Chat and Responses), Anthropic and Gemini. What it
answers with status 200 is first checked against the SDK's own response type with unknown
fields refused, so that a test cannot pass on an answer that no provider gives.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pydantic
from anthropic.types import Message as AnthropicMessage
from google.genai.types import GenerateContentResponse
from msgspec import Struct
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

WAIT = 5.0
"""Seconds that anything here may take before it counts as hanging."""


class Reply(Struct, frozen=True):
    """One scripted answer. `stalls` sends nothing until the client gives up."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = {}
    unchecked: bool = False
    stalls: bool = False


class Seen(Struct, frozen=True):
    """One request as the server saw it."""

    path: str
    headers: Mapping[str, str]
    body: Any


class FakeProvider:
    """Answers with `replies`, in order; `seen` is what was asked.

    `asked` is set by the first request, `hung_up` when a client leaves a reply that stalls.
    """

    def __init__(self, check: Callable[[Any], None]) -> None:
        self.replies: deque[Reply] = deque()
        self.seen: list[Seen] = []
        self.asked = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.url = ""
        self._check = check

    def will(self, *replies: Reply) -> None:
        """Scripts the next answers."""
        for reply in replies:
            if reply.status == HTTPStatus.OK and not (reply.unchecked or reply.stalls):
                self._check(reply.body)
            self.replies.append(reply)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection with one request."""
        try:
            async with asyncio.timeout(WAIT):
                seen = await _read_request(reader)
                self.seen.append(seen)
                self.asked.set()
                reply = self.replies.popleft()
                if reply.stalls:
                    await reader.read()  # ends when the client has closed the connection
                    self.hung_up.set()
                else:
                    writer.write(_encoded(reply))
                    await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def serving(check: Callable[[Any], None]) -> AsyncIterator[FakeProvider]:
    """A provider on a free port of loopback, while the block lasts."""
    provider = FakeProvider(check)
    server = await asyncio.start_server(provider.handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    provider.url = f"http://{host}:{port}"
    try:
        yield provider
    finally:
        server.close()
        await server.wait_closed()


def check_chat(body: Any) -> None:
    """Refuses what is not a ChatCompletion."""
    _check_openai(ChatCompletion, body)


def check_responses(body: Any) -> None:
    """Refuses what is not a Response."""
    _check_openai(Response, body)


def check_anthropic(body: Any) -> None:
    """Refuses what is not a Message."""
    _check_openai(AnthropicMessage, body)


def check_google(body: Any) -> None:
    """Refuses what is not a GenerateContentResponse; its models forbid unknown fields."""
    GenerateContentResponse.model_validate_json(json.dumps(body))


def _check_openai(kind: type[pydantic.BaseModel], body: Any) -> None:
    _refuse_unknown(kind.model_validate(body), kind.__name__)


def _refuse_unknown(value: object, place: str) -> None:
    """The models of OpenAI and Anthropic keep unknown fields, so they are looked for."""
    if isinstance(value, pydantic.BaseModel):
        assert not value.model_extra, f"{place} has no {sorted(value.model_extra or ())}"
        for name, part in value:
            _refuse_unknown(part, f"{place}.{name}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            _refuse_unknown(part, f"{place}[{index}]")


async def _read_request(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(path=first.split()[1], headers=headers, body=json.loads(body))


def _encoded(reply: Reply) -> bytes:
    content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(content)),
        "connection": "close",
        **reply.headers,
    }
    lines = [f"HTTP/1.1 {reply.status} Scripted"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + content
