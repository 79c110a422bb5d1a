"""The HTTP side of the daemon: probes, and the applications mounted beside them, on uvicorn.

uvicorn is embedded: it leaves signals to the daemon, and h11 (`Connection`) parses its headers because
httptools mangles names such as `Mcp-Name`.
"""

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from stepwell.errors import StepwellError
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.survey import Survey
from stepwell_server.slow_clients import Connection, Patience, SlowClients


class Probes:
    """`/livez` answers while the loop runs, `/readyz` while requests can be served."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.ready = False

    def routes(self) -> list[BaseRoute]:
        """Where the probes are asked."""
        return [Route("/livez", self._live), Route("/readyz", self._ready)]

    async def _live(self, _: Request) -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    async def _ready(self, _: Request) -> PlainTextResponse:
        if not self.ready:
            return PlainTextResponse("starting or stopping\n", 503)
        try:
            await self._service.ping()
        except StepwellError as error:
            return PlainTextResponse(f"{error.message}\n", 503)
        return PlainTextResponse("ok\n")


class MetricsPage:
    """`/metrics` is what Prometheus reads."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey

    def routes(self) -> list[BaseRoute]:
        """Where it is asked for."""
        return [Route("/metrics", self._metrics)]

    async def _metrics(self, request: Request) -> Response:
        text, media_type = await self._survey.text(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": media_type})


class HttpServer(uvicorn.Server):
    """uvicorn inside a program that has signals and other servers of its own."""

    def __init__(
        self, routes: Sequence[BaseRoute], *, drain: timedelta, patience: Patience | None = None
    ) -> None:
        """`drain` is how long requests may take to end, `patience` how long clients may be stuck."""
        super().__init__(
            uvicorn.Config(
                Starlette(routes=routes),
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=math.ceil(drain.total_seconds()),
            )
        )
        self._listening = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._slow = SlowClients(patience or Patience())

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self.server_state.connections)

    @asynccontextmanager
    async def draining(self) -> AsyncIterator[None]:
        """At the end of the block nothing new is accepted, and what is in flight may finish.

        `listen` is called inside of it, once what the routes need is there.
        """
        async with self._tasks:
            try:
                yield
            finally:
                self.should_exit = True

    async def listen(self, bound: socket.socket) -> None:
        """Accepts on a bound socket from now on."""
        self._tasks.create_task(self.serve([bound]))
        await self._listening.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to accept, and tells `listen` so."""
        await super().startup(sockets)
        self._listening.set()

    async def on_tick(self, counter: int) -> bool:
        """Looks after slow clients once a second; uvicorn calls this ten times."""
        if counter % 10 == 0:
            self._slow.look(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to the daemon."""
        yield
