"""What a call costs at the door for MCP clients, beside the least that a server can be.

`alone` is the door with a runtime that answers at once, against a bare lowlevel server; `governed` is
all of it, under rules and a budget and committed, against a bare server that makes one such commit
itself. Figures are the processor time of whoever answers, for each call, in the best block of each;
all take turns, so that whatever else the machine does falls on all of them. Figures named `session`
are those of older clients, `single` those of a client alone, `http` those of processes over sockets.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from starlette.applications import Starlette

from bench.bare import Commits, bare_server, served
from bench.calls import App, Calls, InProcess, Wire, best_us
from bench.databases import Place, place_for
from bench.door_processes import bare_process, daemon
from bench.governed import AMPLE
from stepwell.bootstrap import open_runtime
from stepwell.config import load_settings
from stepwell.orchestrator.authentication import Authentication
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.spending import ANYBODY_DAY
from stepwell.orchestrator.views import Run
from stepwell.policy.source import PolicyFile
from stepwell.principals import LOCAL_AGENT, LOCAL_USER
from stepwell_mcp.http import McpHttp
from stepwell_mcp.selection import Offering
from stepwell_mcp.server import build_server

TOOLS: Final = Path(__file__).with_name("door_tools.py")
THOUSAND: Final = Path(__file__).with_name("door_thousand.py")
RULES: Final = Path(__file__).with_name("door.cedar")
FULL: Final = Calls(each=200, blocks=15, in_flight=16)
LISTS: Final = Calls(each=3, blocks=10, in_flight=1)
QUICK: Final = Calls(each=2, blocks=1, in_flight=2)


class _Answering:
    """The service, but for the call of a tool: that is answered at once, with what it once was."""

    def __init__(self, service: Service, run: Run) -> None:
        self._service = service
        self._run = run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    async def call_tool(self, *given: object, **named: object) -> Run:
        """What a run was that has ended."""
        return self._run


async def measure_door(database: str, *, quick: bool) -> dict[str, float]:
    """The processor time of a call at each, and the ratios between them."""
    calls = QUICK if quick else FULL
    with place_for(database) as place:
        figures = await _in_process(place, calls)
        figures |= await _over_http(place, calls)
        return figures | await _listing(place, QUICK if quick else LISTS)


async def _in_process(place: Place, calls: Calls) -> dict[str, float]:
    async with AsyncExitStack() as stack:
        overrides = {"storage.url": place.new_url("door"), "tools.paths": [str(TOOLS)]}
        settings = load_settings(place.new_home("home"), {}, overrides)
        service = (await stack.enter_async_context(open_runtime(settings))).service
        await service.policies.apply(LOCAL_USER, [PolicyFile("door.cedar", RULES.read_text())])
        await service.budgets.set_budget(LOCAL_USER, ANYBODY_DAY, AMPLE)
        once = await service.call_tool(LOCAL_AGENT, "echo", {"text": "once"})
        once = await service.wait_run(LOCAL_AGENT, once.id, settings.mcp.wait)
        apps = {
            "bare": await stack.enter_async_context(served(bare_server())),
            "alone": await stack.enter_async_context(
                _door(cast("Service", _Answering(service, once)))
            ),
            "bare_commit": await stack.enter_async_context(
                served(bare_server(Commits(place.folder / "bare.db")))
            ),
            "governed": await stack.enter_async_context(_door(service)),
        }
        figures: dict[str, float] = {}
        for era in ("", "session_"):
            wires = {name: Wire(InProcess(app)) for name, app in apps.items()}
            if era:
                for wire in wires.values():
                    await wire.begin()
            senders = {name: wire.echo for name, wire in wires.items()}
            figures |= _named(era, await best_us(senders, calls))
        singles = {name: Wire(InProcess(apps[name])).echo for name in ("bare_commit", "governed")}
        return figures | _named("single_", await best_us(singles, calls._replace(in_flight=1)))


async def _over_http(place: Place, calls: Calls) -> dict[str, float]:
    """The same, each in a process of its own."""
    tools = f"[tools]\npaths = [{str(TOOLS)!r}]\n"
    with (
        bare_process() as bare,
        bare_process(place.folder / "bare_process.db") as bare_commit,
        daemon(place.folder / "daemon", tools, RULES) as governed,
    ):
        servers = {"bare": bare, "bare_commit": bare_commit, "governed": governed}
        senders = {name: Wire(server.carrier).echo for name, server in servers.items()}
        spent = {name: server.spent for name, server in servers.items()}
        return _named("http_", await best_us(senders, calls, spent))


async def _listing(place: Place, calls: Calls) -> dict[str, float]:
    """What it costs to list a thousand tools, page by page, to a client that wants them all."""
    async with AsyncExitStack() as stack:
        overrides = {
            "storage.url": "memory:",
            "tools.paths": [str(THOUSAND)],
            "mcp.most_listed": 2000,
        }
        settings = load_settings(place.new_home("thousand"), {}, overrides)
        service = (await stack.enter_async_context(open_runtime(settings))).service
        doors = {
            "bare_list_1000": await stack.enter_async_context(served(bare_server(tools=1000))),
            "list_1000": await stack.enter_async_context(_door(service)),
        }
        senders = {name: partial(_list_all, Wire(InProcess(app))) for name, app in doors.items()}
        best = await best_us(senders, calls)
    return {f"door.{name}_cpu_ms": us / 1000 for name, us in best.items()}


async def _list_all(wire: Wire) -> None:
    page = await wire.ask("tools/list", {})
    listed = len(page["tools"])
    while "nextCursor" in page:
        page = await wire.ask("tools/list", {"cursor": page["nextCursor"]})
        listed += len(page["tools"])
    assert listed >= 1000, listed


def _named(prefix: str, best: dict[str, float]) -> dict[str, float]:
    figures = {f"door.{prefix}{name}_cpu_us": us for name, us in best.items()}
    if "alone" in best:
        figures[f"door.{prefix}alone_ratio"] = best["alone"] / best["bare"]
    return {**figures, f"door.{prefix}governed_ratio": best["governed"] / best["bare_commit"]}


@asynccontextmanager
async def _door(service: Service) -> AsyncIterator[App]:
    server = build_server(service, offering=Offering(surface="full"))
    door = McpHttp(server, Authentication(service.api_keys.identify, None))
    async with door.running():
        yield Starlette(routes=door.routes)
