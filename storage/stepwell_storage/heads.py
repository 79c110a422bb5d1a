"""How far the logs go, as this process knows, and who waits for them to go further."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class _Waiter(NamedTuple):
    """Somebody who has seen a log up to a position."""

    position: int
    is_past: asyncio.Future[None]


class LogHeads:
    """The last position of each namespace, which a reader can wait to see passed.

    Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}
        self._waiting: dict[str, set[_Waiter]] = {}
        self._is_waited_for = asyncio.Event()

    @property
    def waited_for(self) -> Sequence[str]:
        """The namespaces whose logs somebody waits for."""
        return tuple(self._waiting)

    async def until_waited_for(self) -> None:
        """Ends as soon as somebody waits for any log."""
        await self._is_waited_for.wait()

    def advance(self, positions: Mapping[str, int]) -> None:
        """Notes how far logs go, and wakes whoever waits for one that has come further."""
        for namespace, position in positions.items():
            if position > self._positions.get(namespace, 0):
                self._positions[namespace] = position
                for waiter in self._waiting.get(namespace, ()):
                    if position > waiter.position and not waiter.is_past.done():
                        waiter.is_past.set_result(None)

    async def wait_past(self, namespace: str, position: int, *, timeout: float) -> bool:
        """Ends when the log may hold more than `position`; False after `timeout` seconds."""
        if self._positions.get(namespace, 0) > position:
            return True
        waiter = _Waiter(position, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(namespace, set()).add(waiter)
        self._is_waited_for.set()
        try:
            done, _ = await asyncio.wait([waiter.is_past], timeout=timeout)
        finally:
            self._leave(namespace, waiter)
        return bool(done)

    def _leave(self, namespace: str, waiter: _Waiter) -> None:
        waiting = self._waiting[namespace]
        waiting.discard(waiter)
        if not waiting:
            del self._waiting[namespace]
        if not self._waiting:
            self._is_waited_for.clear()
