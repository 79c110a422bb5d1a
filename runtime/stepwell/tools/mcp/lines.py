"""Lines of a server that may write anything: what is too long is cut, and told by its beginning."""

import re
from collections.abc import Iterator
from typing import Any, Final

import mcp_types
import pydantic_core
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCResponse, jsonrpc_message_adapter
from msgspec import Struct
from pydantic import ValidationError

from stepwell.tools.answers import TRUNCATED

MESSAGE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of a message that are read; of a longer one the beginning is all that is kept."""
TAIL: Final = 256
"""Bytes kept of the end of a line that is too long: some servers write the id there."""

_ID = re.compile(rb'"id"\s*:\s*(-?\d{1,18}|"[^"\\]{0,128}")\s*[,}]')


class Line(Struct, frozen=True):
    """One line: all of it, or its beginning and its end and how long it was."""

    data: bytes
    size: int
    tail: bytes = b""

    @property
    def is_cut(self) -> bool:
        """Whether something is missing."""
        return self.size > len(self.data)


class LineReader:
    """Makes lines of chunks, and never holds more than `limit` bytes of one."""

    def __init__(self, limit: int = MESSAGE_LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._kept = 0
        self._size = 0
        self._tail = b""

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in this chunk."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._take(end)
            yield self._line()
        self._take(rest)

    def _take(self, part: bytes) -> None:
        self._size += len(part)
        fits = part[: self._limit - self._kept]
        if fits:
            self._parts.append(fits)
            self._kept += len(fits)
        if self._size > self._limit:
            self._tail = (self._tail + part)[-TAIL:]

    def _line(self) -> Line:
        line = Line(b"".join(self._parts), self._size, self._tail)
        self._parts, self._kept, self._size, self._tail = [], 0, 0, b""
        return line


def message_of(line: Line) -> JSONRPCMessage | None:
    """The message of a line; None when it is none, and nothing can be made of it."""
    if line.is_cut:
        return salvaged(line)
    try:
        return jsonrpc_message_adapter.validate_json(line.data, by_name=False)
    except (ValidationError, ValueError, RecursionError):
        return _unreadable(line.data)


def _unreadable(data: bytes) -> JSONRPCMessage | None:
    """The error for a request whose answer cannot be read, such as one that lies too deep."""
    found = _ID.findall(data)
    if not found or b'"method"' in data or not data.lstrip().startswith(b"{"):
        return None
    # A nested id comes before the message's own where that is last, and after it where it is first.
    request = found[-1] if data.rstrip().endswith(found[-1] + b"}") else found[0]
    return JSONRPCError(
        jsonrpc="2.0",
        id=pydantic_core.from_json(request),
        error=mcp_types.ErrorData(
            code=mcp_types.PARSE_ERROR, message="the answer is no JSON that can be read"
        ),
    )


def salvaged(line: Line) -> JSONRPCMessage | None:
    """The answer that a line began which was too long: its text as far as it was kept.

    What is no result of a call becomes an error. None when nobody can tell what it answers.
    """
    try:
        begun = pydantic_core.from_json(line.data, allow_partial="trailing-strings")
    except ValueError:
        return None
    if not isinstance(begun, dict) or "method" in begun:
        return None
    request = begun.get("id")
    if not isinstance(request, int | str) or isinstance(request, bool):
        found = _ID.findall(line.tail)
        if not found:
            return None
        request = pydantic_core.from_json(found[-1])
    result = begun.get("result")
    if not isinstance(result, dict) or not isinstance(result.get("content"), list):
        return JSONRPCError(jsonrpc="2.0", id=request, error=_too_long(line.size))
    cut: dict[str, Any] = {"content": _whole(result["content"]), "_meta": {TRUNCATED: line.size}}
    if result.get("isError") is True:
        cut["isError"] = True
    return JSONRPCResponse(jsonrpc="2.0", id=request, result=cut)


def _whole(blocks: list[Any]) -> list[Any]:
    """What is sure to be complete: every block but the last, and of that one its text."""
    *whole, last = blocks or [None]
    if isinstance(last, dict) and last.get("type") == "text" and isinstance(last.get("text"), str):
        whole.append({"type": "text", "text": last["text"]})
    return whole


def _too_long(size: int) -> mcp_types.ErrorData:
    return mcp_types.ErrorData(
        code=mcp_types.INTERNAL_ERROR,
        message=f"the answer has {size} bytes, and {MESSAGE_LIMIT} are read",
    )
