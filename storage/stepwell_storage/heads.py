"""How far the logs go, as this process knows, and who waits for them to go further."""

import asyncio
from collections.abc import Mapping


class LogHeads:
    """The last position of each namespace, which a reader can wait to see passed.

    Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def advance(self, positions: Mapping[str, int]) -> None:
        """Notes how far logs go, and wakes whoever waits for one that goes further than known."""
        for namespace, position in positions.items():
            if position > self._positions.get(namespace, 0):
                self._positions[namespace] = position
                for waiter in self._waiting.pop(namespace, ()):
                    if not waiter.done():
                        waiter.set_result(None)

    async def wait_past(self, namespace: str, position: int, *, timeout: float) -> bool:
        """Ends when the log may hold more than `position`; False after `timeout` seconds."""
        if self._positions.get(namespace, 0) > position:
            return True
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(namespace, set()).add(waiter)
        try:
            done, _ = await asyncio.wait([waiter], timeout=timeout)
        finally:
            if waiters := self._waiting.get(namespace):
                waiters.discard(waiter)
        return bool(done)
