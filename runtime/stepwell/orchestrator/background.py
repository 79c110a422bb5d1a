"""Work that goes on beside what anybody asks for: schedules, retention."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final

REST: Final = 60.0
"""Seconds until something begins again that has failed in a way that nobody foresaw."""

log = logging.getLogger(__name__)


class Background:
    """Runs loops for as long as its block; a defect in one takes nothing else with it."""

    def __init__(self, **loops: Callable[[], Awaitable[None]]) -> None:
        """Each loop has a name, by which its failures are known."""
        self._loops = loops
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Background":
        self._tasks = [
            asyncio.create_task(_for_ever(name, loop), name=name)
            for name, loop in self._loops.items()
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Ends what is going on; what it has begun is committed, or is not."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _for_ever(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await loop()
        except Exception:
            log.exception("%s failed, and begins again in %g s", name, REST)
        await asyncio.sleep(REST)
