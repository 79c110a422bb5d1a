"""The daemon: one process that serves a home over gRPC, HTTP and a socket, until it is told to stop.

Start: the home is locked, ports are bound, the runtime opens and recovers, the doors open,
`endpoints.json` is written, health says SERVING. Stop is the way back: health says so first,
streams end, runs are handed over as soon as nothing of them is in flight, calls in flight finish,
the runtime stops, the store closes, the lock is given up.
A second signal ends the process at once, and so does a stop that takes too long.
"""

import asyncio
import ctypes
import gc
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import Any, Final

from starlette.types import ASGIApp

from stepwell.bootstrap import Runtime, open_runtime
from stepwell.clock import Clock, SystemClock
from stepwell.config import MCP_PATH, ServerSettings, Settings
from stepwell.orchestrator.authentication import Authentication
from stepwell.orchestrator.service import Service
from stepwell.vault.state_key import open_state_boxes
from stepwell_mcp.called import Called
from stepwell_mcp.callers import allowed_hosts, is_keyless
from stepwell_mcp.http import McpHttp
from stepwell_mcp.limits import Limits
from stepwell_mcp.places import places
from stepwell_mcp.selection import Offering
from stepwell_mcp.server import McpServer, build_server
from stepwell_mcp.socket import SocketDoor, serve_loopback, serve_socket
from stepwell_server import ports
from stepwell_server.grpc_server import GrpcServer
from stepwell_server.home import Endpoints, Home
from stepwell_server.http import HttpServer, MetricsPage, Probes
from stepwell_server.product_icon import product_icon
from stepwell_server.signals import stop_on_signals
from stepwell_server.web.lazily import mounted

CLOSING: Final = timedelta(seconds=15)
"""What stopping may take besides `server.drain`; with its default the daemon is gone after 25 s,
before Kubernetes (30 s) or systemd (90 s) would kill it."""

_log = logging.getLogger(__name__)


class Doors:
    """The open front ends of a daemon."""

    def __init__(self, grpc: GrpcServer, http: HttpServer, mcp: SocketDoor) -> None:
        self._grpc = grpc
        self._http = http
        self._mcp = mcp

    @property
    def idle(self) -> bool:
        """Whether nobody is connected."""
        return not (self._grpc.streams or self._http.connections or self._mcp.connections)


async def serve(
    settings: Settings,
    *,
    on_demand: bool = False,
    movable_ports: Collection[str] = (),
    announce: Callable[[Endpoints], None],
    welcome: Callable[[Service], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Serves a home until a signal comes, or, `on_demand`, until nobody has used it for a while.

    `movable_ports` are the settings of ports that may become any free one when they are taken.
    `announce` is told where it listens, once requests are answered; `welcome` then goes on beside
    the rest, and is cancelled at the end.

    Raises:
        SetupError: HOME_IN_USE, PORT_IN_USE, or what is wrong with a setting.
    """
    os.umask(0o077)  # the database, its log and whatever else comes: the owner's alone
    home = Home(settings.home)
    home.create()
    clock = SystemClock()
    started = clock.now()
    with home.hold(since=started), _ungrouped():
        stop = stop_on_signals(settings.server.drain + CLOSING)
        async with _open_doors(settings, home, started, movable_ports, announce) as (
            runtime,
            doors,
        ):
            async with asyncio.TaskGroup() as tasks:
                greeting = tasks.create_task(welcome(runtime.service)) if welcome else None
                if on_demand:
                    await _until_idle(
                        stop, lambda: not runtime.is_busy and doors.idle, clock, settings
                    )
                else:
                    await stop.wait()
                if greeting is not None:
                    greeting.cancel()
            _log.info("stopping")


@asynccontextmanager
async def _open_doors(
    settings: Settings,
    home: Home,
    started: int,
    movable_ports: Collection[str],
    announce: Callable[[Endpoints], None],
) -> AsyncIterator[tuple[Runtime, Doors]]:
    """Everything that serves; the order of leaving is the order of stopping."""
    server = settings.server
    async with AsyncExitStack() as stack:
        http_socket = ports.bind(
            server.http_host,
            server.http_port,
            setting="http_port",
            movable="server.http_port" in movable_ports,
        )
        stack.callback(http_socket.close)
        is_grpc_movable = "server.grpc_port" in movable_ports
        if not is_grpc_movable:
            _check_port(server)
        http_port = http_socket.getsockname()[1]
        runtime = await stack.enter_async_context(open_runtime(settings, http_port=http_port))
        oauth = runtime.oauth
        authentication = Authentication(
            runtime.service.api_keys.identify,
            home.owner_token(),
            bearer=oauth.bearer if oauth else None,
        )
        probes = Probes(runtime.service)
        url = settings.page_url(http_port)
        mcp_server = build_server(
            runtime.service,
            wait=settings.mcp.wait,
            task_after=settings.mcp.task_after,
            offering=Offering.of(settings),
            states=open_state_boxes(settings.mcp.state_key, settings.home, os.environ),
            website=url,
            icons=(product_icon(),),
        )
        mcp_http = McpHttp(
            mcp_server,
            authentication,
            places=places(
                (*allowed_hosts(url, oauth.resource if oauth else ""), *settings.mcp.hosts),
                settings.mcp.origins,
            ),
            limits=Limits(rate=settings.mcp.rate, streams=settings.mcp.streams),
            oauth=oauth,
            called=Called(runtime.service),
            keyless=is_keyless(settings.mcp),
        )
        metrics = MetricsPage(runtime.survey)
        pages = partial(
            _pages, runtime.service, authentication, origin=url, owner_token=home.owner_token()
        )
        routes = [*probes.routes(), *metrics.routes(), *mcp_http.routes, *mounted(pages)]
        http = HttpServer(routes, drain=server.drain)
        await stack.enter_async_context(http.draining())
        await stack.enter_async_context(mcp_http.running())
        door = await stack.enter_async_context(_mcp_socket(mcp_server, home))
        grpc = GrpcServer(
            runtime.service,
            host=server.grpc_host,
            port=server.grpc_port,
            is_port_movable=is_grpc_movable,
            authentication=authentication,
        )
        grpc_port = await grpc.start()
        stack.push_async_callback(grpc.stop, server.drain)
        await http.listen(http_socket)
        endpoints = _endpoints(server, started, grpc_port, http_socket, door, url)
        stack.callback(home.withdraw)
        home.publish(endpoints)
        probes.ready = True
        _give_back_memory()
        announce(endpoints)
        try:
            yield runtime, Doors(grpc, http, door)
        finally:
            probes.ready = False
            await grpc.drain()
            await runtime.drain(server.drain)


def _pages(
    service: Service, authentication: Authentication, *, origin: str, owner_token: str
) -> ASGIApp:
    from stepwell_server.web.app import make_app  # templates and all: at the first page

    return make_app(
        service, authentication, origin=origin, owner_token=owner_token, clock=SystemClock()
    )


@contextmanager
def _ungrouped() -> Iterator[None]:
    """The error itself, where task groups on its way have wrapped it and nothing else."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from error.__cause__


def _check_port(server: ServerSettings) -> None:
    """Refuses a taken gRPC port before the runtime starts to work on runs."""
    if server.grpc_port:
        ports.bind(server.grpc_host, server.grpc_port, setting="grpc_port").close()


@asynccontextmanager
async def _mcp_socket(server: McpServer, home: Home) -> AsyncIterator[SocketDoor]:
    if hasattr(socket, "AF_UNIX"):
        async with serve_socket(server, home.socket_path()) as door:
            yield door
    else:
        async with serve_loopback(server, home.path / "mcp.token") as door:
            yield door


def _endpoints(
    server: ServerSettings,
    started: int,
    grpc_port: int,
    http_socket: socket.socket,
    door: SocketDoor,
    page: str,
) -> Endpoints:
    http = f"http://{_authority(server.http_host, http_socket.getsockname()[1])}"
    return Endpoints(
        pid=os.getpid(),
        started_at=started,
        version=version("stepwell"),
        grpc=_authority(server.grpc_host, grpc_port),
        http=http,
        mcp=http + MCP_PATH,
        socket=door.address,
        page=page,
    )


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _give_back_memory() -> None:
    """Returns what starting needed and serving does not: about 5 MB, where the C library can.

    From here on garbage is looked for, but never among what has been loaded.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


async def _until_idle(
    stop: asyncio.Event, is_idle: Callable[[], bool], clock: Clock, settings: Settings
) -> None:
    """Ends at a signal, or when there was nothing to do for `server.idle_timeout`."""
    timeout = settings.server.idle_timeout
    busy_at = clock.now()
    while not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout.total_seconds() / 10):
                await stop.wait()
        if not is_idle():
            busy_at = clock.now()
        elif clock.now() - busy_at >= timeout / timedelta(microseconds=1):
            _log.info("nothing to do, ending")
            return
