"""Who waits for a call, and is told meanwhile what its tools say."""

from collections.abc import Callable

from stepwell.tools.relay import Message, Progress


class CallAudience:
    """One request of a client that waits for a run."""

    def __init__(self) -> None:
        self._listener: Callable[[Progress | Message], None] | None = None

    def listen(self, listener: Callable[[Progress | Message], None]) -> None:
        """Hands what tools say to `listener` from now on."""
        self._listener = listener

    def heard(self, said: Progress | Message) -> None:
        """Takes note of what a tool says."""
        if self._listener is not None:
            self._listener(said)
