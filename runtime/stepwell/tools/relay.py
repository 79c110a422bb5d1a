"""What is said between a call in flight and whoever waits for it. Nothing of it is stored.

A run may be worked on where nobody waits for it: then nobody hears, and nobody is asked.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Literal, Protocol

from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.tools.asking import Level


class Progress(Struct, frozen=True):
    """How far a call has come, in the tool's own measure."""

    step: str
    done: float
    total: float | None = None
    words: str = ""


class Message(Struct, frozen=True):
    """What a tool says to a client that wants to know."""

    step: str
    level: Level
    data: Json
    logger: str = ""


class Question(Struct, frozen=True):
    """What a tool asks of the person behind its caller: a form, or a page to be visited."""

    tool: str
    message: str
    schema: dict[str, Any] | None = None
    url: str = ""


class Reply(Struct, frozen=True):
    """What the person did: `accept` with what was asked for, `decline` or `cancel`."""

    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Any] | None = None


ARRIVAL: Final = timedelta(seconds=1)
"""How long a question waits for somebody who waits for the run."""


class Audience(Protocol):
    """Who waits for a run, and what they can be told."""

    def heard(self, said: Progress | Message) -> None:
        """Takes note of progress, or of a message."""
        ...

    async def ask(self, question: Question) -> Reply | None:
        """Asks; None when this one cannot be asked."""
        ...


class CallRelay:
    """Brings the two together, by the run."""

    def __init__(self) -> None:
        self._audiences: dict[tuple[str, str], list[Audience]] = {}
        self._arrival = asyncio.Event()

    def attend(self, namespace: str, run: str, audience: Audience) -> Callable[[], None]:
        """Tells this one what the calls of a run say, until what is answered is called."""
        key = (namespace, run)
        self._audiences.setdefault(key, []).append(audience)
        self._arrival.set()
        self._arrival = asyncio.Event()

        def leave() -> None:
            there = self._audiences.get(key, [])
            if audience in there:
                there.remove(audience)
            if not there:
                self._audiences.pop(key, None)

        return leave

    def tell(self, namespace: str, run: str, said: Progress | Message) -> None:
        """Tells whoever waits for the run."""
        for audience in tuple(self._audiences.get((namespace, run), ())):
            audience.heard(said)

    async def ask(self, namespace: str, run: str, question: Question) -> Reply | None:
        """Asks the first of those who wait that can be asked; None when nobody can.

        Who begins a run begins to wait for it a moment later.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(ARRIVAL.total_seconds()):
                while (namespace, run) not in self._audiences:
                    await self._arrival.wait()
        for audience in tuple(self._audiences.get((namespace, run), ())):
            reply = await audience.ask(question)
            if reply is not None:
                return reply
        return None
