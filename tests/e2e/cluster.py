"""Daemons on one database, and callers who ask whichever of them listens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from tests.e2e.daemon import BOUND, TOOLS, Daemon
from tests.e2e.ledger import Ledger

from stepwell.client import Client
from stepwell.errors import Code, StepwellError, Unavailable

T = TypeVar("T")

NAMES = ("one", "two")
SOON = timedelta(seconds=1)
"""How long a caller stays with a daemon that is gone: there may be another."""

CALL = timedelta(seconds=10)
BREATH = 0.05
"""Seconds until a caller who was refused asks again."""

TRIES_BOUND = 4 * BOUND


class Cluster:
    """Some daemons, on `url`. They write to one ledger."""

    def __init__(self, daemons: list[Daemon], url: str, ledger: Ledger) -> None:
        self.daemons = daemons
        self.url = url
        self.ledger = ledger
        self.refusals: list[StepwellError] = []
        """What callers were told instead of an answer."""
        self._clients: list[tuple[Daemon, Client]] = []
        self._turn = 0

    @property
    def log(self) -> str:
        """What all of them wrote about themselves."""
        return "".join(daemon.log for daemon in self.daemons)

    async def ask(self, what: Callable[[Client], Awaitable[T]]) -> T:
        """What the next one answers; if it cannot, another is asked, or the same one again.

        Raises:
            StepwellError: what is refused for good.
        """
        async with asyncio.timeout(TRIES_BOUND):
            while True:
                try:
                    return await what(await self._next())
                except StepwellError as error:
                    if not (isinstance(error, Unavailable) or error.code is Code.LEASE_LOST):
                        raise
                    self.refusals.append(error)
                await asyncio.sleep(BREATH)

    async def connect(self, connected: AsyncExitStack) -> None:
        """Opens a connection to each of them."""
        for daemon in self.daemons:
            client = daemon.client(timeout=CALL, patience=SOON)
            self._clients.append((daemon, await connected.enter_async_context(client)))

    async def _next(self) -> Client:
        """A client of the next one that listens, once there is one."""
        while True:
            for _ in self._clients:
                self._turn = (self._turn + 1) % len(self._clients)
                daemon, client = self._clients[self._turn]
                if daemon.is_listening:
                    return client
            await asyncio.sleep(BREATH)


@asynccontextmanager
async def running(
    folder: Path,
    settings: str = "",
    *,
    url: str = "",
    way: str = "",
    size: int = 1,
    tools: Sequence[Path] = (TOOLS,),
) -> AsyncIterator[Cluster]:
    """Daemons that run, and are stopped at the end of the block; without a `url` one on SQLite.

    `way` is the URL by which they get there, if it is another.
    """
    ledger = Ledger(folder / "ledger.txt")
    given = f'storage.url = "{way or url}"\n{settings}' if url else settings
    daemons = [
        Daemon(_folder(folder / name), given, name=name, ledger=ledger, tools=tools)
        for name in NAMES[:size]
    ]
    cluster = Cluster(daemons, url or f"sqlite:///{daemons[0].database}", ledger)
    try:
        async with AsyncExitStack() as connected:
            for daemon in daemons:
                await daemon.start()
            await cluster.connect(connected)
            yield cluster
    finally:
        for daemon in daemons:
            await daemon.leave()  # its way to the database may lead through this very loop


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path
