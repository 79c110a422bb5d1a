"""The state of a run for those who only look: one fold at a time, shared by all who wait for it.

The log of a run that has rested for long may be long too, and many may tell it something at once.
Nobody is given a fold that had begun before they asked: it may lack what they know of.
"""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct, field

from stepwell.engine.state import RunState


class _Turn(Struct):
    """Whoever waits for the state of one run."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    begun: int = 0
    """How many folds have begun."""
    last: int = 0
    """Which of them gave `state`."""
    state: RunState | None = None


class SharedFolds:
    """Folds logs. What it gives is others' too: nobody may fold anything into it."""

    def __init__(self, fold: Callable[[str, str], Awaitable[RunState]]) -> None:
        """`fold` takes the namespace and the run."""
        self._fold = fold
        self._turns: dict[tuple[str, str], _Turn] = {}

    async def state(self, namespace: str, run: str) -> RunState:
        """The state that the log of a run leads to, not older than this call.

        Raises:
            Whatever `fold` raises.
        """
        turn = self._turns.setdefault((namespace, run), _Turn())
        begun_before = turn.begun
        turn.waiting += 1
        try:
            async with turn.lock:
                if turn.state is None or turn.last <= begun_before:
                    turn.begun += 1
                    this = turn.begun
                    turn.state = await self._fold(namespace, run)
                    turn.last = this
                return turn.state
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[namespace, run]
