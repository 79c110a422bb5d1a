"""Connections of clients that do not go on: no request comes, or no end of one, or nobody reads.

Each of them holds memory for nothing, so it is hung up on, without a word that nobody would read. Who
goes on, however slowly, is left alone.
"""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Final, Literal, TypeAlias

import h11
from msgspec import Struct
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_UNREAD: Final = 16 * 1024 * 1024
"""Bytes of a body that are thrown away after its answer."""
LINGER: Final = 1.0

Waits: TypeAlias = Literal["request", "body", "reader"]
"""What a connection is stuck for."""


class Patience(Struct, frozen=True, kw_only=True):
    """How long a client may take for nothing: to begin, to go on with a body, to read on."""

    request: timedelta = timedelta(seconds=30)
    body: timedelta = timedelta(seconds=30)
    reader: timedelta = timedelta(seconds=30)

    def for_(self, waits: Waits) -> float:
        """In seconds."""
        found: timedelta = getattr(self, waits)
        return found.total_seconds()


class SlowClients:
    """Looks at the connections of a server from time to time."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._stuck: dict[asyncio.Protocol, tuple[Waits, int, float]] = {}

    def look(self, connections: Iterable[asyncio.Protocol], now: float) -> None:
        """Hangs up on those that have not moved for longer than they may."""
        stuck: dict[asyncio.Protocol, tuple[Waits, int, float]] = {}
        for connection in connections:
            if not isinstance(connection, H11Protocol):
                continue
            found = _waits(connection)
            if found is None:
                continue
            waits, left = found
            before = self._stuck.get(connection)
            since = before[2] if before and before[:2] == (waits, left) else now
            if now - since > self._patience.for_(waits):
                connection.transport.abort()
            else:
                stuck[connection] = (waits, left, since)
        self._stuck = stuck


class Connection(H11Protocol):
    """A connection that does not read a body to its end which is answered already, if it is long.

    So much of it is thrown away as many a client sends before it looks for an answer. Then nothing is
    read any more, and the client has `LINGER` seconds to read its answer before it is hung up on.
    """

    _left: int | None = None
    """How much more is thrown away."""

    def on_response_complete(self) -> None:
        """Goes on with the next request, or with what is left of this one."""
        self._left = MOST_UNREAD if self.conn.their_state is h11.SEND_BODY else None
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        """Reads a request, or throws away what is left of one."""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self.flow.pause_reading()
                self.loop.call_later(LINGER, self.transport.abort)
                return
        super().data_received(data)
        if self.conn.their_state is not h11.SEND_BODY:
            self._left = None


def _waits(connection: H11Protocol) -> tuple[Waits, int] | None:
    """What a connection waits for, with a number that changes when the client does something."""
    if connection.flow is None or connection.transport.is_closing():
        # What is written to a closing connection may wait for its reader for ever.
        return ("reader", _unsent(connection)) if connection.flow else None
    cycle = connection.cycle
    if cycle is None or cycle.response_complete:
        return "request", 0
    if connection.flow.write_paused:
        return "reader", _unsent(connection)
    if cycle.more_body and not connection.flow.read_paused:
        return "body", len(cycle.body)
    return None


def _unsent(connection: H11Protocol) -> int:
    return connection.transport.get_write_buffer_size()
