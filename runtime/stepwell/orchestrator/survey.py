"""What is measured by looking, when somebody asks: how much there is, in the store and in our hands."""

import asyncio
from typing import Final

from stepwell.orchestrator.views import RunStatus
from stepwell.orchestrator.worker import Worker
from stepwell.telemetry.metrics import Metrics
from stepwell.telemetry.prometheus import Exposition
from stepwell_storage.errors import StorageError
from stepwell_storage.ports import Storage

PATIENCE: Final = 2.0
"""Seconds for the database to answer; the other numbers are told without it."""

OPEN: Final = tuple(status for status in RunStatus if not status.ended)


class Survey:
    """Looks, then writes all that is measured as Prometheus reads it."""

    def __init__(self, storage: Storage, worker: Worker, metrics: Metrics) -> None:
        self._storage = storage
        self._worker = worker
        self._metrics = metrics
        self._exposition: Exposition | None = None

    async def text(self, accept: str = "") -> tuple[bytes, str]:
        """The text and its media type, in the format that `accept` asks for."""
        self._metrics.runs_held.set(self._worker.open_runs)
        await self._count()
        if self._exposition is None:
            self._exposition = Exposition(self._metrics)
        return self._exposition.text(accept)

    async def _count(self) -> None:
        metrics = self._metrics
        counted = metrics.runs_open, metrics.letters_waiting
        for gauge in (*counted, metrics.queue_running, metrics.queue_waiting):
            gauge.clear()  # an old number is worse than none
        try:
            async with asyncio.timeout(PATIENCE):
                census = await self._storage.counts.take(OPEN)
        except (StorageError, TimeoutError):
            return
        for status, number in census.runs.items():
            metrics.runs_open.set(number, status)
        metrics.letters_waiting.set(census.letters)
        for namespace, load in census.queues:
            metrics.queue_running.set(load.running, namespace, load.queue.name)
            metrics.queue_waiting.set(load.waiting, namespace, load.queue.name)
