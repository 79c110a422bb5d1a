"""How much of the databases one principal may use at once, so that others need not wait for him."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Hashable
from typing import Final

AT_ONCE: Final = 3
"""Statements of one principal that run at once. There is room for four of all of them: the children
that read SQLite files, and the connections to a PostgreSQL."""


class Shares:
    """Lets nobody run more than his share; what is more waits for its own to end."""

    def __init__(self, *, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._used: dict[Hashable, _Used] = {}

    @contextlib.asynccontextmanager
    async def of(self, who: Hashable) -> AsyncIterator[None]:
        """A part of somebody's share, for as long as the block takes."""
        used = self._used.setdefault(who, _Used(self._at_once))
        used.users += 1
        try:
            async with used.places:
                yield
        finally:
            used.users -= 1
            if not used.users:
                del self._used[who]


class _Used:
    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.users = 0
