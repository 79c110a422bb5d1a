"""The way from a command to the daemon of its home: gRPC, with the owner's token."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from stepwell.client import Client, Event
from stepwell.errors import Code, StepwellError
from stepwell_server.home import Endpoints, Home

PATIENCE: Final = timedelta(minutes=5)
"""How long a command that follows something waits for a daemon that is gone to come back."""
LOOK_AGAIN: Final = 0.1
"""Seconds between two looks for it."""


def endpoints_of(home: Home) -> Endpoints:
    """Where the daemon of the home listens.

    Raises:
        StepwellError: DAEMON_NOT_RUNNING, with the command that starts it.
    """
    found = home.endpoints()
    if found is None:
        raise StepwellError(
            f"no daemon runs on {home.path}; start it with: stepwell up --home {home.path}",
            code=Code.DAEMON_NOT_RUNNING,
        )
    return found


@asynccontextmanager
async def connected(home: Home) -> AsyncIterator[Client]:
    """A client of the home's daemon that acts as its owner.

    Raises:
        StepwellError: DAEMON_NOT_RUNNING.
    """
    target = endpoints_of(home).grpc
    async with Client(target, token=home.owner_token(), patience=timedelta(0)) as client:
        yield client


async def follow(
    home: Home, run: str, *, gone: Callable[[], None] = lambda: None
) -> AsyncIterator[Event]:
    """The events of a run from its first to its last, also when the daemon is restarted.

    A new daemon may listen elsewhere, so the home is asked again where it is; `gone` is
    called whenever it went away.

    Raises:
        StepwellError: RUN_NOT_FOUND; DAEMON_NOT_RUNNING, when none runs to begin with or none
            comes back.
    """
    cursor = ""
    endpoints_of(home)
    while True:
        try:
            async with connected(home) as client:
                async for batch in client.watch(run=run, cursor=cursor):
                    for event in batch.events:
                        yield event
                    cursor = batch.cursor
                return
        except StepwellError as error:
            if error.code is not Code.DAEMON_NOT_RUNNING:
                raise
        gone()
        await _back(home)


async def _back(home: Home) -> None:
    """Waits until a daemon serves the home again."""
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while home.endpoints() is None:  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(LOOK_AGAIN)
    except TimeoutError:
        endpoints_of(home)
