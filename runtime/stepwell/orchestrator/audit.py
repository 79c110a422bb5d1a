"""The audit log: who changed or decided what, in one chain of hashes per namespace.

An entry is written after what it tells of, and before the caller is answered. It never has free text
or values of runs: what is in the chain stays for ever, also when a key is destroyed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from stepwell.clock import Clock
from stepwell.orchestrator.refusals import refusals
from stepwell_storage import errors as storage_errors
from stepwell_storage.ports import Farewell, Storage
from stepwell_storage.records import Deed

ATTEMPTS: Final = 3
PAUSE: Final = 0.05
"""Seconds before another attempt: two processes may have stood in each other's way."""

RETENTION: Final = "service:retention"
"""Who deletes runs whose time is over."""

RUNS_DELETED: Final = "run.delete"
"""The action of an entry whose detail has the deleted `runs`."""


class Audit:
    """Writes entries; `action` is a noun and a verb (`queue.put`), `resource` names one thing."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def record(
        self,
        namespace: str,
        principal: str,
        action: str,
        resource: str,
        detail: Mapping[str, str] = {},
    ) -> int:
        """Puts an entry at the end of the namespace's chain; tells its sequence.

        Raises:
            Unavailable: STORAGE_FULL or STORAGE_UNAVAILABLE; there is no entry.
        """
        deed = Deed(self._clock.now(), principal, action, resource, detail_text(detail))
        with refusals():
            for _ in range(ATTEMPTS - 1):
                try:
                    return await self._storage.audit.append(namespace, deed)
                except storage_errors.Unavailable:
                    await asyncio.sleep(PAUSE)
            return await self._storage.audit.append(namespace, deed)


def detail_text(detail: Mapping[str, object]) -> str:
    """The JSON of an entry's detail, always the same for the same detail."""
    return msgspec.json.encode(detail, order="deterministic").decode()


def farewell(now: int) -> Farewell:
    """Makes the entry of runs that retention deletes: without it they would be missing."""

    def deed(runs: Sequence[str]) -> Deed:
        detail = detail_text({"runs": sorted(runs)})
        return Deed(now, RETENTION, RUNS_DELETED, "retention", detail)

    return deed
