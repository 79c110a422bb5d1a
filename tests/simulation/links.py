"""A worker's way to the store: slow, refusing for a while, or cut off."""

import asyncio
import random
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial

from tests.simulation.ledger import Ledger

from stepwell.engine.state import RunState
from stepwell_storage.errors import Full, Unavailable
from stepwell_storage.memory import (
    MemoryBlobs,
    MemoryClaims,
    MemoryDatasources,
    MemoryDefinitions,
    MemoryInbox,
    MemoryKeys,
    MemoryLog,
    MemoryQueues,
    MemoryRetention,
    MemoryRuns,
    MemorySchedules,
    MemoryStorage,
)
from stepwell_storage.records import Append, Blob, Lease, Logged, Record, Rest


class Mood(Enum):
    """What the store says."""

    WELL = "well"
    AWAY = "away"
    """Every call is refused."""
    FULL = "full"
    """Whatever writes is refused."""
    FLAKY = "flaky"
    """Every second call is refused."""


class Link:
    """One process's connection to the shared store. It is cut when the process is gone."""

    def __init__(
        self,
        store: MemoryStorage,
        ledger: Ledger,
        dice: random.Random,
        *,
        latency: float,
        live: Callable[[str, int], RunState | None],
    ) -> None:
        """`latency` in seconds; `live` finds the state of the run that this worker holds."""
        self.mood = Mood.WELL
        self.is_cut = False
        self.delivers = False
        """Whether what was queued before the cut reaches the store all the same."""
        self.keeps_leases = True
        """A process that hangs writes no heartbeat, and what it has queued still goes out."""
        self._dice = dice
        self._latency = latency
        self.id = store.id
        self.is_shared = store.is_shared
        self.log = LinkedLog(self, store.log, ledger, live)
        self.claims = LinkedClaims(self, store.claims, ledger)
        self.inbox: MemoryInbox = store.inbox
        self.queues: MemoryQueues = store.queues
        self.schedules: MemorySchedules = store.schedules
        self.retention: MemoryRetention = store.retention
        self.keys: MemoryKeys = store.keys
        self.blobs = LinkedBlobs(self, store.blobs)
        self.runs: MemoryRuns = store.runs
        self.definitions: MemoryDefinitions = store.definitions
        self.datasources: MemoryDatasources = store.datasources

    def cut(self, *, delivers: bool) -> None:
        """The process is gone."""
        self.is_cut = True
        self.delivers = delivers

    async def open(self) -> None:
        """The store is open already."""

    async def close(self) -> None:
        """The store stays open for the others."""

    async def ping(self) -> None:
        await self.pass_through(writes=True)

    def delay(self) -> float:
        """Seconds until the store has answered."""
        return self._latency * self._dice.choice((0.0, 0.1, 1.0, 3.0))

    def refuse(self, *, writes: bool) -> None:
        """Raises what the store refuses with."""
        if self.is_cut or self.mood is Mood.AWAY:
            raise Unavailable
        if writes and self.mood is Mood.FULL:
            raise Full
        if self.mood is Mood.FLAKY and self._dice.random() < 0.5:
            raise Unavailable

    async def pass_through(self, *, writes: bool) -> None:
        """The way to the store."""
        self.refuse(writes=writes)
        if delay := self.delay():
            await asyncio.sleep(delay)
        self.refuse(writes=writes)


class LinkedLog:
    """The log, in the order in which this process queued; each commit is told to the ledger."""

    def __init__(
        self,
        link: Link,
        log: MemoryLog,
        ledger: Ledger,
        live: Callable[[str, int], RunState | None],
    ) -> None:
        self._link = link
        self._log = log
        self._ledger = ledger
        self._live = live
        self._last = 0.0

    def append(self, append: Append) -> asyncio.Future[int]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()
        self._last = max(self._last, loop.time() + self._link.delay())
        loop.call_at(self._last, self._write, append, answer)
        return answer

    def _write(self, append: Append, answer: asyncio.Future[int]) -> None:
        try:
            if not self._link.delivers:
                self._link.refuse(writes=True)
        except (Full, Unavailable) as error:
            if not answer.done():
                answer.set_exception(error)
            return
        written = self._log.append(append)
        written.add_done_callback(partial(self._answer, append, answer))

    def _answer(
        self, append: Append, answer: asyncio.Future[int], written: asyncio.Future[int]
    ) -> None:
        error = written.exception()
        if error is None:
            self._ledger.committed(append, self._live(append.run, append.epoch))
        if answer.done() or self._link.is_cut:
            return  # it died between append and act
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(written.result())

    async def read(
        self, namespace: str, run: str, *, after: int = 0, limit: int = 1000
    ) -> list[Record]:
        await self._link.pass_through(writes=False)
        return await self._log.read(namespace, run, after=after, limit=limit)

    async def read_log(
        self, namespace: str, *, after: int, limit: int = 1000, run: str | None = None
    ) -> list[Logged]:
        await self._link.pass_through(writes=False)
        return await self._log.read_log(namespace, after=after, limit=limit, run=run)

    async def last_position(self, namespace: str) -> int:
        await self._link.pass_through(writes=False)
        return await self._log.last_position(namespace)

    async def wait_past(self, namespace: str, position: int, *, timeout: float) -> bool:
        return await self._log.wait_past(namespace, position, timeout=timeout)


class LinkedClaims:
    """The leases; what is claimed is told to the ledger."""

    def __init__(self, link: Link, claims: MemoryClaims, ledger: Ledger) -> None:
        self._link = link
        self._claims = claims
        self._ledger = ledger

    async def claim(self, owner: str, *, now: int, expires_at: int, limit: int) -> list[Lease]:
        await self._reach()
        leases = await self._claims.claim(owner, now=now, expires_at=expires_at, limit=limit)
        self._ledger.claimed(leases)
        return leases

    async def heartbeat(self, owner: str, *, expires_at: int) -> int:
        await self._reach()
        return await self._claims.heartbeat(owner, expires_at=expires_at)

    async def park(self, owner: str, rests: Sequence[Rest]) -> list[Rest]:
        await self._reach()
        return await self._claims.park(owner, rests)

    async def next_wake(self) -> int | None:
        await self._link.pass_through(writes=False)
        return await self._claims.next_wake()

    async def release(self, owner: str, *, now: int) -> int:
        await self._reach()
        return await self._claims.release(owner, now=now)

    async def _reach(self) -> None:
        if not self._link.keeps_leases:
            raise Unavailable
        await self._link.pass_through(writes=True)


class LinkedBlobs:
    """The blobs of runs."""

    def __init__(self, link: Link, blobs: MemoryBlobs) -> None:
        self._link = link
        self._blobs = blobs

    async def get(self, namespace: str, run: str, digests: Sequence[str]) -> dict[str, Blob]:
        await self._link.pass_through(writes=False)
        return await self._blobs.get(namespace, run, digests)
