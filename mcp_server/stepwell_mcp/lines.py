"""Newline-delimited messages: how JSON-RPC is framed on stdio and on the socket.

Standard library only, because the relay needs it before anything else is loaded.
"""

from collections.abc import Iterator
from typing import Final

MESSAGE_LIMIT: Final = 16 * 1024 * 1024
"""The longest message that a client may send, in bytes."""


class LineSplitter:
    """Cuts a stream of bytes into lines. The cost of a long line is linear in its length."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes | None]:
        """The lines that `chunk` completes, without their newline; None is one over the limit."""
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            self._keep(piece)
            yield self.end()
        self._keep(rest)

    def end(self) -> bytes | None:
        """The line as it is so far, b"" when there is none; None is one over the limit."""
        line = b"".join(self._parts) if self._size <= self._limit else None
        self._parts.clear()
        self._size = 0
        return line

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._limit:
            self._parts.append(piece)
        else:
            self._parts.clear()
