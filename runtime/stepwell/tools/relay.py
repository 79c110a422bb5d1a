"""What is said between a call in flight and whoever waits for it. Nothing of it is stored.

A run may be worked on where nobody waits for it: then nobody hears. What a call asks is kept by its run.
"""

from collections.abc import Callable
from typing import Protocol

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


class Audience(Protocol):
    """Who waits for a run, and is told what its calls say."""

    def heard(self, said: Progress | Message) -> None:
        """Takes note of progress, or of a message."""
        ...


class CallRelay:
    """Brings the two together, by the run."""

    def __init__(self) -> None:
        self._audiences: dict[tuple[str, str], list[Audience]] = {}

    def attend(self, namespace: str, run: str, audience: Audience) -> Callable[[], None]:
        """Tells this one what the calls of a run say, until what is answered is called."""
        key = (namespace, run)
        self._audiences.setdefault(key, []).append(audience)

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
