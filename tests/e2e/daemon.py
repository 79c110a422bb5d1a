"""A daemon with a ledger beside its home, to be killed and started again under load."""

import asyncio
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import NamedTuple

import pytest

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
tools.paths = ["{tools}"]
tools.processes = 2
"""
"""Without tables, so that more can be said of each."""

LOG = "SELECT lower(hex(run)), kind, sequence, position FROM events ORDER BY position"
"""A row holds consecutive events: their kinds, and the numbers of the last."""


class Line(NamedTuple):
    """What one call left in the ledger: in which life of the daemon, at which attempt."""

    life: int
    attempt: int
    key: str


class Entry(NamedTuple):
    """One event as the database has it; `run` is in hexadecimal digits."""

    position: int
    run: str
    sequence: int
    kind: str


class Daemon:
    """`stepwell up` on a home of its own, always at the same port. Lives count from 1."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        """`settings` is TOML that is added to the home's."""
        self.home = Home(folder / "home")
        self.home.create()
        self.target = f"127.0.0.1:{_free_port()}"
        self.life = 0
        self.launched_at: list[int] = []
        self.killed_at: list[int] = []
        """When each life began, and when it was over for sure; UTC microseconds."""
        self._ledger = folder / "ledger.txt"
        self._ledger.touch()
        self._child = ChildDaemon(self.home)
        self._listening = asyncio.Event()
        self._clock = SystemClock()
        self.configure(settings)

    @property
    def database(self) -> Path:
        """The file of its store."""
        return self.home.path / "stepwell.db"

    @property
    def log(self) -> str:
        """What it wrote about itself, in all its lives."""
        return self.home.log_file.read_text()

    def configure(self, settings: str) -> None:
        """Gives it other settings, from its next life on."""
        port = self.target.rpartition(":")[2]
        common = SETTINGS.format(port=port, tools=TOOLS.as_posix())
        self.home.config_file.write_text(common + settings)

    async def start(self) -> None:
        """Begins a life."""
        self.life += 1
        self.launched_at.append(self._clock.now())
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("DAEMON_LIFE", str(self.life))
            environment.setenv("LEDGER", str(self._ledger))
            environment.setenv("LOCAL_KEY", "sk-local")
            await self._child.start()
        self._listening.set()

    def kill(self) -> None:
        """`kill -9`; the process is gone when this returns."""
        self._listening.clear()
        self._child.kill()
        self.killed_at.append(self._clock.now())

    def stop(self) -> None:
        """Asks it to stop, if it runs, and waits for it."""
        self._listening.clear()
        self._child.stop()

    async def listening(self) -> None:
        """Waits until it listens."""
        async with asyncio.timeout(BOUND):
            await self._listening.wait()

    def client(self) -> Client:
        """A client that acts as the home's owner."""
        return Client(self.target, token=self.home.owner_token())

    def lines(self) -> list[Line]:
        """The ledger: one line for each call that had its effect."""
        parts = (line.split() for line in self._ledger.read_text().splitlines())
        return [Line(int(life), int(attempt), key) for life, attempt, key in parts]

    def size(self) -> int:
        """How many lines the ledger has; an orphan may be writing one more."""
        return self._ledger.read_bytes().count(b"\n")

    def recorded(self) -> int:
        """How many tool calls its log has."""
        return sum(entry.kind == "tool_call" for entry in self.entries())

    def entries(self) -> list[Entry]:
        """Its log in the order of positions, looked up behind its back."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return [entry for row in database.execute(LOG) for entry in _events_of(*row)]


@asynccontextmanager
async def started(folder: Path, settings: str = "") -> AsyncIterator[Daemon]:
    """A daemon that runs, and is stopped at the end of the block."""
    daemon = Daemon(folder, settings)
    try:
        await daemon.start()
        yield daemon
    finally:
        daemon.stop()


async def until(fact: Callable[[], bool], what: str) -> None:
    """Waits until a fact of another process is there to be seen.

    Raises:
        AssertionError: it is not, after `BOUND`.
    """
    try:
        async with asyncio.timeout(BOUND):
            while not fact():
                await asyncio.sleep(LOOK_AGAIN)
    except TimeoutError:
        raise AssertionError(f"in vain waited for: {what}") from None


def _events_of(run: str, kinds: str, sequence: int, position: int) -> Iterator[Entry]:
    names = kinds.split(" ")
    for before, kind in zip(range(len(names) - 1, -1, -1), names, strict=True):
        yield Entry(position - before, run, sequence - before, kind)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
