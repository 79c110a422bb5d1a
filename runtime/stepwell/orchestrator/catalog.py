"""What a namespace offers, and when it has changed, whichever process has changed it.

The audit chain of the namespace has every change, so one look at its end tells all of them.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from stepwell.orchestrator.policies import Policies
from stepwell.orchestrator.refusals import refusals
from stepwell.principals import Caller
from stepwell.tools.registry import ToolRegistry
from stepwell.tools.shelf import Shelf
from stepwell_storage.errors import StorageError
from stepwell_storage.ports import Storage

Kind: TypeAlias = Literal["tools", "workflows", "datasources", "policy", "resources", "prompts"]
"""What has changed."""

KINDS: Final[dict[str, Kind]] = {
    "workflow.put": "workflows",
    "datasource.add": "datasources",
    "datasource.remove": "datasources",
    "policy.apply": "policy",
    "policy.withdraw": "policy",
}
"""What a deed of the audit chain changes."""

POLL: Final = timedelta(seconds=1)
"""The longest that a change goes unnoticed."""
BATCH: Final = 200

log = logging.getLogger(__name__)


class Catalog:
    """Watches what is offered. Every method takes the caller first."""

    def __init__(
        self,
        storage: Storage,
        *,
        tools: ToolRegistry,
        policies: Policies,
        shelf: Shelf | None = None,
        poll: timedelta = POLL,
    ) -> None:
        self._storage = storage
        self._tools = tools
        self._policies = policies
        self._shelf = shelf or Shelf()
        self._poll = poll.total_seconds()

    async def watch(self, caller: Caller) -> AsyncGenerator[frozenset[Kind], None]:
        """What has changed, whenever something has; nothing at first, when it is being watched.

        A policy is followed here before its change is told. While the database cannot be read, only
        what changes in this process is told.

        Raises:
            Unavailable: at first, when the database cannot be read.
        """
        changed = _Changed()
        leaving = (
            self._tools.listen(lambda: changed.note("tools")),
            self._shelf.listen(changed.note),
        )
        try:
            with refusals():
                place = (await self._storage.audit.head(caller.namespace)).sequence
            yield frozenset()
            while True:
                found = await changed.within(self._poll)
                try:
                    place, deeds = await self._since(caller.namespace, place)
                    if "policy" in deeds:
                        await self._policies.refresh()
                    found |= deeds
                except StorageError as error:
                    log.warning("changes of what is offered cannot be read: %s", error)
                if found:
                    yield frozenset(found)
        finally:
            for leave in leaving:
                leave()

    async def _since(self, namespace: str, place: int) -> tuple[int, set[Kind]]:
        """The end of the chain, and what was changed after a place in it."""
        found: set[Kind] = set()
        while True:
            entries = await self._storage.audit.read(namespace, after=place, limit=BATCH)
            found.update(KINDS[entry.action] for entry in entries if entry.action in KINDS)
            if entries:
                place = entries[-1].sequence
            if len(entries) < BATCH:
                return place, found


class _Changed:
    """What has changed in this process since it was asked."""

    def __init__(self) -> None:
        self._kinds: set[Kind] = set()
        self._event = asyncio.Event()

    def note(self, kind: Kind) -> None:
        self._kinds.add(kind)
        self._event.set()

    async def within(self, seconds: float) -> set[Kind]:
        """As soon as there is something, or nothing after that time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        found, self._kinds = self._kinds, set()
        self._event.clear()
        return found
