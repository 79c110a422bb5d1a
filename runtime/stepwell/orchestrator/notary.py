"""The notary: vouches in the audit chain for what is in the event log.

It follows the log a moment behind, and for each stretch puts one entry into the chain: which events of
which runs it has, and the SHA-256 of their rows as they are stored. Nothing waits for it, and where much
is written it takes a tenth of the time at most, and catches up afterwards. However many processes do
this, each stretch is vouched for once.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from time import perf_counter
from typing import Final

from msgspec import Struct

from stepwell.clock import Clock
from stepwell.orchestrator.audit import detail_text
from stepwell_storage.chain import Digest, Digests
from stepwell_storage.errors import StorageError
from stepwell_storage.ports import Storage
from stepwell_storage.records import Deed, Unnoted

NOTARY: Final = "service:notary"
"""Who vouches."""
LOG_NOTED: Final = "log.note"
"""The action of an entry that vouches for a stretch of the log."""
LOG: Final = "log"

PAGE: Final = 256
"""Rows that are read at once."""
MOST_ROWS: Final = 4096
"""That one entry vouches for."""
NAMESPACES: Final = 100
"""That are looked at in one round."""
LAST_MOMENT: Final = 1.0
"""Seconds."""
REST: Final = 9
"""How often the time of the work is rested afterwards."""

log = logging.getLogger(__name__)


class Noted(Struct, frozen=True):
    """The detail of an entry that vouches for the positions above `after` up to `to`."""

    after: int
    to: int
    events: int
    runs: dict[str, tuple[int, int, str]]
    """By run: the first and the last sequence, and the SHA-256 of the rows."""

    def digests(self) -> dict[str, Digest]:
        """What the rows of each run must be."""
        return {run: Digest(*it) for run, it in self.runs.items()}


class Notary:
    """Follows the logs of all namespaces."""

    def __init__(self, storage: Storage, *, clock: Clock, every: timedelta) -> None:
        """`every` is how often it looks."""
        self._storage = storage
        self._clock = clock
        self._every = every.total_seconds()

    async def run(self) -> None:
        """Vouches for what is new; for ever."""
        while True:
            try:
                await self.catch_up(rest=REST)
            except StorageError as error:
                log.warning("the log cannot be vouched for, trying again: %s", error)
            await asyncio.sleep(self._every)

    async def catch_up(self, *, rest: float = 0) -> None:
        """Vouches for all that is there; rests between stretches so many times as long as each took.

        Raises:
            StorageError: the store cannot be used.
        """
        while found := await self._storage.audit.unnoted(limit=NAMESPACES):
            for one in found:
                begun = perf_counter()
                await self._note(one)
                await asyncio.sleep(rest * (perf_counter() - begun))

    async def end(self) -> None:
        """Vouches for what the last moment brought, if that takes no longer than a moment."""
        with suppress(TimeoutError, StorageError):
            async with asyncio.timeout(LAST_MOMENT):
                await self.catch_up()

    async def _note(self, one: Unnoted) -> None:
        digests, to = Digests(), one.noted
        for _ in range(MOST_ROWS // PAGE):
            rows = await self._storage.audit.rows(
                one.namespace, after=to, to=one.position, limit=PAGE
            )
            digests.add(rows)
            if len(rows) < PAGE:
                to = one.position
                break
            to = rows[-1].position
        runs = {run: (it.first, it.last, it.hash) for run, it in digests.result().items()}
        detail = {"after": one.noted, "to": to, "events": digests.events, "runs": runs}
        deed = Deed(self._clock.now(), NOTARY, LOG_NOTED, LOG, detail_text(detail))
        await self._storage.audit.note(one.namespace, deed, after=one.noted, to=to)
