"""Lets runs go on that had spent what a day or a month allows, once the next one has come."""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from stepwell.clock import Clock
from stepwell.errors import Unavailable
from stepwell.orchestrator.budgets import Budgets
from stepwell.orchestrator.spending import begun_at
from stepwell.principals import Caller
from stepwell_storage.errors import StorageError
from stepwell_storage.ports import Storage

BUDGETS: Final = "service:budgets"
"""Who lets them go on."""

log = logging.getLogger(__name__)


class BudgetLoop:
    """Looks whether a day or a month has begun, until it is cancelled."""

    def __init__(
        self, storage: Storage, budgets: Budgets, *, clock: Clock, every: timedelta
    ) -> None:
        """`every` is how often it looks."""
        self._storage = storage
        self._budgets = budgets
        self._clock = clock
        self._every = every.total_seconds()
        self._eased: dict[tuple[str, str], int] = {}
        """Since when what waits for a scope has been told, by namespace and scope."""

    async def run(self) -> None:
        """Looks, also for what has begun while no process was there; for ever."""
        while True:
            try:
                await self._look()
            except (StorageError, Unavailable) as error:
                log.warning("runs that wait for a budget cannot be told, trying again: %s", error)
            await asyncio.sleep(self._every)

    async def _look(self) -> None:
        scopes = {(name, row.scope) for name, row in await self._storage.budgets.shared()}
        for namespace, scope in sorted(scopes):
            begun = begun_at(scope, self._clock.now())
            if self._eased.get((namespace, scope)) != begun:
                await self._budgets.ease(Caller(namespace, BUDGETS), scope, paused_before=begun)
                self._eased[namespace, scope] = begun
