"""What a peer's process is told to do, and how it answers: one JSON line each way."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.trial import SQLITE, Load, Subject, measure, measure_fan_out


class Assignment(NamedTuple):
    """One peer on one database."""

    url: str
    load: Load
    items: int
    """Steps of the fan-out."""
    server: int | None
    """The database's process, if it is a server."""

    @property
    def file(self) -> Path | None:
        """The database, if it is a file."""
        return Path(self.url.removeprefix(SQLITE)) if self.url.startswith(SQLITE) else None


class Peer(Subject, Protocol):
    """A subject that can do steps side by side."""

    async def fan_out(self, items: int) -> None: ...


def written(assignment: Assignment) -> str:
    """As an argument of the process."""
    return json.dumps(assignment)


def carry_out(opened: Callable[[Assignment], AbstractAsyncContextManager[Peer]]) -> None:
    """Measures a peer as the command line says, and prints its figures."""
    url, load, items, server = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(_figures(opened, Assignment(url, Load(*load), items, server)))))
    sys.stdout.flush()
    os._exit(0)  # a peer's threads are not waited for: what was measured is durable


async def _figures(
    opened: Callable[[Assignment], AbstractAsyncContextManager[Peer]], assignment: Assignment
) -> dict[str, float]:
    async with opened(assignment) as peer:
        figures = await measure(peer, assignment.load, server=assignment.server)
        fan_out = await measure_fan_out(peer.fan_out, assignment.items)
    return {**figures.named(""), "fanout_s": fan_out}
