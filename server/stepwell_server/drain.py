"""How a server that is about to stop gets rid of those who wait, before it stops."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

_Result = TypeVar("_Result")


class Draining(Exception):
    """The server is about to stop; answer with what there is."""


class Drain:
    """Interrupts waits when the server is about to stop, and tells when the streams have ended.

    `begun` and `open_streams` are for reading.
    """

    def __init__(self) -> None:
        self.begun = False
        self._waits: set[asyncio.Timeout] = set()
        self.open_streams = 0
        self._no_stream = asyncio.Event()
        self._no_stream.set()

    def begin(self) -> None:
        """Interrupts every wait, and every later one at once."""
        self.begun = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            wait.reschedule(now)

    async def interruptible(self, awaitable: Awaitable[_Result]) -> _Result:
        """The result of something that may take long.

        Raises:
            Draining: the server begins to stop before the result is there.
        """
        wait = asyncio.timeout(0 if self.begun else None)
        try:
            async with wait:
                self._waits.add(wait)
                return await awaitable
        except TimeoutError:
            if wait.expired():
                raise Draining from None
            raise
        finally:
            self._waits.discard(wait)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Counts a stream as open."""
        self.open_streams += 1
        self._no_stream.clear()
        try:
            yield
        finally:
            self.open_streams -= 1
            if not self.open_streams:
                self._no_stream.set()

    async def streams_ended(self, timeout: timedelta) -> bool:
        """Waits until no stream is open; False when one still is after `timeout`."""
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await self._no_stream.wait()
        except TimeoutError:
            return False
        return True
