"""The body of a request, read before it is answered, and given to the application again."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from stepwell_mcp.lines import MESSAGE_LIMIT

INNER: Final = ("name", "tool")
"""Arguments by which one tool calls another."""


class BodyTooLarge(Exception):
    """The body has more bytes than a message may have; the rest of it was not read."""


class Body:
    """A body that was read."""

    def __init__(self, content: bytes, last: Message, receive: Receive) -> None:
        self.content = content
        self._messages = [last, {"type": "http.request", "body": content, "more_body": False}]
        if last["type"] == "http.request":
            del self._messages[0]
        self._receive = receive

    async def replay(self) -> Message:
        """The body as one message, and then whatever comes."""
        return self._messages.pop() if self._messages else await self._receive()


async def read_body(scope: Scope, receive: Receive) -> Body:
    """The whole body of a request.

    Raises:
        BodyTooLarge: it says that it has more than `MESSAGE_LIMIT` bytes, or has them.
    """
    declared = Headers(scope=scope).get("content-length", "")
    if declared.isdecimal() and int(declared) > MESSAGE_LIMIT:
        raise BodyTooLarge
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        content += message.get("body", b"")
        if len(content) > MESSAGE_LIMIT:
            raise BodyTooLarge
        if not message.get("more_body", False):
            break
    return Body(bytes(content), message, receive)


def called(content: bytes) -> tuple[str, ...]:
    """The names of the tools that a message calls, or a batch of messages, as an older client may send.

    A tool that calls another, as it is told by its arguments, counts as both. What is no message
    calls nothing.
    """
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return ()
    messages = document if isinstance(document, list) else [document]
    return tuple(dict.fromkeys(name for message in messages for name in _names(message)))


def _names(message: Any) -> Iterable[str]:
    if not isinstance(message, dict) or message.get("method") != "tools/call":
        return
    params = message.get("params")
    if not isinstance(params, dict):
        return
    arguments = params.get("arguments")
    inner = [arguments.get(key) for key in INNER] if isinstance(arguments, dict) else []
    yield from (name for name in (params.get("name"), *inner) if isinstance(name, str))
