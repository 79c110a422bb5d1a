"""What calls have answered before: pages of it are shown again, and previews are found in it."""

from typing import Protocol

from stepwell.engine.values import Data


class Results(Protocol):
    """The answers of calls, as their runs keep them."""

    async def find(
        self, namespace: str, principal: str, key: str, tools: frozenset[str]
    ) -> Data | None:
        """What the call of one of these tools with this idempotency key has answered.

        None where there is none, or its run is another principal's.

        Raises:
            KeyDestroyed: it was erased.
        """
        ...
