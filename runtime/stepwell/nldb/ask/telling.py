"""What the log is told of a question: `custom` events of its run, and never a row or a value in them."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from stepwell.engine.values import Json
from stepwell.tools.port import CallContext

PREFIX: Final = "nldb."

Tell: TypeAlias = Callable[[CallContext, str, Json], Awaitable[None]]
"""Writes a `custom` event of a type into the log of the run that calls."""


async def untold(context: CallContext, type: str, payload: Json) -> None:
    """Nobody is told."""


class Log:
    """What one call tells; it is written when the call has its answer."""

    def __init__(self, tell: Tell, context: CallContext) -> None:
        self._tell = tell
        self._context = context
        self._said: list[tuple[str, Json]] = []

    def say(self, type: str, **payload: Json) -> None:
        """Notes what happened."""
        self._said.append((PREFIX + type, payload))

    async def write(self) -> None:
        """Writes all of it, in order."""
        said, self._said = self._said, []
        for type, payload in said:
            await self._tell(self._context, type, payload)
