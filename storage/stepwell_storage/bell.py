"""Tells who waits in this process that there may be something to do."""

import asyncio


class Bell:
    """Rung after a commit. Rung while nobody waits, it is heard by the next who does.

    Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._is_rung = asyncio.Event()

    def ring(self) -> None:
        """Ends the wait of all who wait."""
        self._is_rung.set()

    async def wait(self, *, timeout: float) -> bool:
        """Ends when it is rung; False after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._is_rung.wait()
        except TimeoutError:
            return False
        self._is_rung.clear()
        return True
