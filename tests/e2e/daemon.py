"""A daemon with a ledger beside its home, to be killed and started again under load."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.e2e.ledger import Ledger, Line

from stepwell.client import Client
from stepwell.clock import SystemClock
from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.home import Home

TOOLS = Path(__file__).with_name("ledger_tools.py")

BOUND = 30.0
"""Seconds that anything a test waits for may take, on a machine that is busy."""

LOOK_AGAIN = 0.002

SETTINGS = """\
server.grpc_port = {port}
server.http_port = 0
tools.paths = [{tools}]
tools.processes = 2
"""
"""Without tables, so that more can be said of each."""


class Daemon:
    """`stepwell up` on a home of its own, always at the same port. Lives count from 1."""

    def __init__(
        self,
        folder: Path,
        settings: str = "",
        *,
        name: str = "one",
        ledger: Ledger | None = None,
        tools: Sequence[Path] = (TOOLS,),
    ) -> None:
        """`settings` is TOML that is added to the home's; daemons may share a `ledger`."""
        self.name = name
        self._tools = tools
        self.home = Home(folder / "home")
        self.home.create()
        self.target = f"127.0.0.1:{_free_port()}"
        self.ledger = ledger or Ledger(folder / "ledger.txt")
        self.life = 0
        self._child = ChildDaemon(self.home)
        self._listening = asyncio.Event()
        self._clock = SystemClock()
        self.configure(settings)

    @property
    def database(self) -> Path:
        """The file of its store, unless its settings name another."""
        return self.home.path / "stepwell.db"

    @property
    def log(self) -> str:
        """What it wrote about itself, in all its lives."""
        return self.home.log_file.read_text()

    @property
    def is_listening(self) -> bool:
        """Whether it is worth asking."""
        return self._listening.is_set()

    def configure(self, settings: str) -> None:
        """Gives it other settings, from its next life on."""
        port = self.target.rpartition(":")[2]
        tools = ", ".join(f'"{path.as_posix()}"' for path in self._tools)
        common = SETTINGS.format(port=port, tools=tools)
        self.home.config_file.write_text(common + settings)

    async def start(self) -> None:
        """Begins a life."""
        self.life += 1
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("DAEMON", self.name)
            environment.setenv("DAEMON_LIFE", str(self.life))
            environment.setenv("LEDGER", str(self.ledger.path))
            environment.setenv("LOCAL_KEY", "sk-local")
            await self._child.start()
        self._listening.set()

    def kill(self) -> int:
        """`kill -9`; the process is gone when this returns. Tells when it was asked for."""
        self._listening.clear()
        at = self._clock.now()
        self._child.kill()
        return at

    def stop(self) -> None:
        """Asks it to stop, if it runs, and waits for it."""
        self._listening.clear()
        self._child.stop()

    async def leave(self) -> int:
        """As `stop`, while others go on; tells when it was asked."""
        self._listening.clear()
        at = self._clock.now()
        await asyncio.to_thread(self._child.stop)
        return at

    def freeze(self) -> int:
        """Stops its process where it is; tells when."""
        self._listening.clear()
        self._signal(signal.SIGSTOP)
        return self._clock.now()

    def thaw(self) -> None:
        """Lets its process go on, which has noticed nothing."""
        self._signal(signal.SIGCONT)
        self._listening.set()

    async def listening(self) -> None:
        """Waits until it listens."""
        async with asyncio.timeout(BOUND):
            await self._listening.wait()

    def client(self, **given: timedelta) -> Client:
        """A client that acts as the home's owner."""
        return Client(self.target, token=self.home.owner_token(), **given)

    def lines(self) -> list[Line]:
        """The ledger: one line for each call that had its effect."""
        return self.ledger.lines()

    def size(self) -> int:
        """How many lines the ledger has."""
        return self.ledger.size()

    def _signal(self, number: signal.Signals) -> None:
        endpoints = self.home.endpoints()
        assert endpoints is not None, "it does not run"
        os.kill(endpoints.pid, number)


@asynccontextmanager
async def started(folder: Path, settings: str = "") -> AsyncIterator[Daemon]:
    """A daemon that runs, and is stopped at the end of the block."""
    daemon = Daemon(folder, settings)
    try:
        await daemon.start()
        yield daemon
    finally:
        daemon.stop()


async def until(fact: Callable[[], bool], what: str, *, bound: float = BOUND) -> None:
    """Waits until a fact of another process is there to be seen.

    Raises:
        AssertionError: it is not, after `bound`.
    """
    try:
        async with asyncio.timeout(bound):
            while not fact():
                await asyncio.sleep(LOOK_AGAIN)
    except TimeoutError:
        raise AssertionError(f"in vain waited for: {what}") from None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
