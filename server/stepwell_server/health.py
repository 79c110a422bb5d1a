"""The standard health service, which tells the truth about the database.

A service is SERVING while the database can be used and the server is not about to stop. The
database is asked in intervals, and at once when a call had trouble with it.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckResponse

from stepwell.errors import StepwellError
from stepwell.orchestrator.service import Service

logger = logging.getLogger(__name__)

WHOLE_SERVER = ""


class Health:
    """Probes the database and keeps the statuses; `servicer` answers for them."""

    def __init__(self, service: Service, names: Sequence[str], *, interval: timedelta) -> None:
        self.servicer = health.aio.HealthServicer()  # pyright: ignore[reportAttributeAccessIssue]
        self._service = service
        self._names = (WHOLE_SERVER, *names)
        self._interval = interval.total_seconds()
        self._suspicion = asyncio.Event()
        self._healthy: bool | None = None

    async def run(self) -> None:
        """Probes until it is cancelled."""
        while True:
            self._suspicion.clear()
            await self.probe()
            try:
                async with asyncio.timeout(self._interval):
                    await self._suspicion.wait()
            except TimeoutError:
                continue

    async def probe(self) -> None:
        """Asks the database once, and tells the servicer when the answer is a new one."""
        try:
            async with asyncio.timeout(self._interval):
                await self._service.ping()
        except (StepwellError, TimeoutError) as error:
            await self._set(healthy=False, why=str(error) or "no answer in time")
        else:
            await self._set(healthy=True)

    def suspect(self) -> None:
        """Has the database probed now: a call had trouble with it."""
        self._suspicion.set()

    async def drain(self) -> None:
        """NOT_SERVING from now on, whatever the database says."""
        await self.servicer.enter_graceful_shutdown()

    async def _set(self, *, healthy: bool, why: str = "") -> None:
        if healthy == self._healthy:
            return
        if not healthy:
            logger.warning("the database cannot be used, health is NOT_SERVING: %s", why)
        elif self._healthy is False:
            logger.info("the database can be used again, health is SERVING")
        self._healthy = healthy
        status = HealthCheckResponse.SERVING if healthy else HealthCheckResponse.NOT_SERVING
        for name in self._names:
            await self.servicer.set(name, status)
