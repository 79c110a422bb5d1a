"""How often a tool may be called: so many calls a minute, a few of them at once."""

import asyncio
from datetime import timedelta
from typing import Final

from stepwell.errors import Code
from stepwell.tools.port import ToolFailed

PATIENCE: Final = timedelta(seconds=10)
"""How long a call waits for its turn before it is refused."""
AT_ONCE: Final = timedelta(seconds=10)
"""The calls of so long a time may come all at once."""


class Rate:
    """The calls of one tool in this process; 0 a minute is no limit."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._interval = 60 / per_minute if per_minute else 0.0
        self._ahead = max(AT_ONCE.total_seconds() - self._interval, 0.0)
        self._next = 0.0

    async def turn(self, tool: str) -> None:
        """Waits for the turn of a call.

        Raises:
            ToolFailed: TOOL_RATE_LIMITED, it would be too long; `retry_after` says how long.
        """
        if not self._interval:
            return
        now = asyncio.get_running_loop().time()
        turn = max(self._next, now - self._ahead)
        wait = turn - now
        if wait > PATIENCE.total_seconds():
            raise ToolFailed(
                f"{tool} may be called {self._per_minute} times a minute; its next turn is in "
                f"{wait:.0f} s",
                code=Code.TOOL_RATE_LIMITED,
                detail={"retry_after": f"{wait:.3f}"},
            )
        self._next = turn + self._interval
        if wait > 0:
            await asyncio.sleep(wait)
