"""A runtime before an MCP server of ours, which does as it is told."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from stepwell.bootstrap import open_runtime
from stepwell.config import load_settings
from stepwell.engine.values import Failure
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run
from stepwell.policy.source import PolicyFile
from stepwell.principals import LOCAL_AGENT, LOCAL_USER
from stepwell.tools.mcp import server as timing
from stepwell.tools.mcp.server import Health

SHOP = Path(__file__).parents[2] / "mcp_shop.py"
Open = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder of the shop."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "note").write_text("buy milk")
    return folder


@pytest.fixture
def opened(tmp_path: Path, shop: Path) -> Open:
    """`opened(rate=10, ...)` is the service of a home whose config has the shop with these settings.

    Nothing is held, unless `holds` leaves it to the policy that is in force by itself.
    """

    @asynccontextmanager
    async def open_home(
        environ: dict[str, str] | None = None, *, holds: bool = False, **more: Any
    ) -> AsyncIterator[Service]:
        settings = {"command": sys.executable, "args": ("-S", str(SHOP), str(shop)), **more}
        overrides = {f"tools.servers.shop.{key}": value for key, value in settings.items()}
        overrides["storage.url"] = f"sqlite:///{tmp_path / 'runs.db'}"
        overrides["worker.poll"] = timedelta(milliseconds=50)
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        loaded = load_settings(home, {}, overrides)
        async with open_runtime(loaded, environ=environ or {}) as runtime:
            if not holds:
                await allow_all(runtime.service)
            yield runtime.service

    return open_home


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was lost is started again at once."""
    monkeypatch.setattr(timing, "FIRST_DELAY", timedelta(milliseconds=10))
    monkeypatch.setattr(timing, "LIST_AGAIN", timedelta(milliseconds=10))


async def allow_all(service: Service) -> None:
    """Has nothing held: what tools do is what these tests are about."""
    allow = PolicyFile("all.cedar", '@id("all") permit(principal, action, resource);')
    await service.policies.apply(LOCAL_USER, [allow])


async def call(service: Service, tool: str, **arguments: Any) -> Any:
    """What a tool answers: its value, or its failure."""
    run = await service.call_tool(LOCAL_AGENT, tool, arguments)
    ended = await service.wait_run(LOCAL_AGENT, run.id, timedelta(seconds=30))
    assert ended.status.ended, ended
    return outcome(ended)


def outcome(run: Run) -> Any:
    if run.failure is not None:
        return run.failure
    assert run.output is not None
    return run.output.value


async def act(service: Service, words: str) -> Any:
    """What `act` answers: its first text, or its failure."""
    answered = await call(service, "act", text=words)
    return answered if isinstance(answered, Failure) else answered["content"][0]["text"]


async def health(service: Service) -> Health:
    (found,) = await service.tools.list_servers(LOCAL_USER)
    return found


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    """Looks until it is so, for ten seconds."""
    with anyio.fail_after(10):
        while not await check():
            await anyio.sleep(0.01)


@contextmanager
def taking(seconds: float) -> Iterator[None]:
    with anyio.fail_after(seconds):
        yield
