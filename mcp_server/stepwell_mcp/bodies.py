"""The body of a request, read before it is answered, and given to the application again."""

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from stepwell_mcp.lines import MESSAGE_LIMIT


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
