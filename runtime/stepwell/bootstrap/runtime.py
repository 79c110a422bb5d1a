"""The runtime, and how it is put together."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from stepwell.bootstrap.databases import open_databases
from stepwell.bootstrap.ground import open_ground
from stepwell.bootstrap.loops import loops_of
from stepwell.bootstrap.service import worker_and_service
from stepwell.bootstrap.tools import tool_parts
from stepwell.config import Settings
from stepwell.garbage import rarely_collected
from stepwell.llm.router import ModelRouter
from stepwell.orchestrator.background import Background
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.resource_server import ResourceServer, resource_server
from stepwell.orchestrator.schedule_loop import ScheduleLoop
from stepwell.orchestrator.scopes import Scopes
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.survey import Survey
from stepwell.orchestrator.worker import Worker
from stepwell.telemetry.loop_lag import LoopLag
from stepwell.tools.process import ProcessPool


class Runtime:
    """What the front ends stand on."""

    def __init__(
        self,
        service: Service,
        worker: Worker,
        survey: Survey,
        *,
        schedules: ScheduleLoop,
        background: Background,
        oauth: ResourceServer | None,
    ) -> None:
        """`oauth` is what clients of an authorization server see; None where there is none."""
        self.service = service
        self.survey = survey
        self.oauth = oauth
        self._worker = worker
        self._schedules = schedules
        self._background = background

    @property
    def is_busy(self) -> bool:
        """Whether anything is in flight here, or some run begins or goes on when its time comes."""
        return self._worker.is_busy or self._schedules.is_expecting

    async def drain(self, timeout: timedelta) -> None:
        """Begins nothing new, and hands every run over once what it has in flight has ended.

        Ends when all are handed over, or after `timeout`: what is in flight then is cancelled.
        """
        await self._background.stop()
        await self._worker.drain(timeout.total_seconds())


@asynccontextmanager
async def open_runtime(
    settings: Settings, *, environ: Mapping[str, str] = os.environ, http_port: int | None = None
) -> AsyncIterator[Runtime]:
    """The runtime of a home whose lock the caller holds; open runs go on before it yields.

    Keys of the ring, and where spans go, are looked up in `environ`. `http_port` is where HTTP is
    served, where that is not what the settings say.

    Raises:
        SetupError: a setting cannot be used, a tool cannot be loaded, the database belongs to a
            newer version, or the key ring does not fit it.
        Unavailable: the database cannot be opened.
    """
    oauth = resource_server(settings.mcp.oauth, settings.mcp_url(http_port))
    async with (
        open_ground(settings, environ, http_port) as ground,
        _models(settings) as models,
        ProcessPool(size=settings.tools.processes) as processes,
        open_databases(ground, models) as databases,
    ):
        tools = tool_parts(ground, databases, processes)
        scopes = oauth.scopes if oauth else Scopes()
        worker, service = worker_and_service(ground, models, databases, tools, scopes=scopes)
        with refusals():
            await service.policies.refresh()
        loops = loops_of(ground, service)
        runtime = Runtime(
            service,
            worker,
            Survey(ground.storage, worker, ground.metrics),
            schedules=loops.schedules,
            background=loops.background,
            oauth=oauth,
        )
        async with (
            tools.servers.running(),
            worker.working(alone=not ground.storage.is_shared),
            loops.background,
        ):
            with rarely_collected(), LoopLag(ground.metrics.event_loop_lag_seconds):
                yield runtime
        await loops.notary.end()


@asynccontextmanager
async def _models(settings: Settings) -> AsyncIterator[ModelRouter]:
    models = ModelRouter(settings.models, providers=settings.providers, scripts=settings.home)
    try:
        yield models
    finally:
        await models.aclose()
