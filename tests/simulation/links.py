"""A worker's way to the store: slow, refusing for a while, losing answers, or cut off."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from tests.simulation.ledger import Ledger

from stepwell.engine.state import RunState
from stepwell_storage.bell import Bell
from stepwell_storage.errors import Full, StorageError, Unavailable
from stepwell_storage.memory import (
    MemoryBlobs,
    MemoryClaims,
    MemoryInbox,
    MemoryLog,
    MemoryQueues,
    MemoryRuns,
    MemoryStorage,
)
from stepwell_storage.records import (
    Append,
    Blob,
    Condition,
    Lease,
    Letter,
    Logged,
    QueueLoad,
    QueueRow,
    Record,
    Rest,
    RunRow,
    Ticket,
)

T = TypeVar("T")
TICK = 1e-6
"""Seconds between two things that are written at once."""


class Mood(Enum):
    """What the store says."""

    WELL = "well"
    AWAY = "away"
    """Every call is refused."""
    FULL = "full"
    """Whatever writes is refused."""
    FLAKY = "flaky"
    """Every second call is refused."""
    MUTE = "mute"
    """Whatever writes is done, and every second time nobody is told."""


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
        self.bell = Bell()
        """Processes hear only what they do themselves; the rest they find when they look."""
        self._dice = dice
        self._latency = latency
        self._last = 0.0
        """When what was queued last is written."""
        self.id = store.id
        self.is_shared = store.is_shared
        self.log = LinkedLog(self, store.log, ledger, live)
        self.claims = LinkedClaims(self, store.claims, ledger)
        self.inbox = LinkedInbox(self, store.inbox)
        self.queues = LinkedQueues(self, store.queues)
        self.blobs = LinkedBlobs(self, store.blobs)
        self.runs = LinkedRuns(self, store.runs)
        # Nothing goes wrong with these: a run in progress does not ask them.
        self.approvals = store.approvals
        self.audit = store.audit
        self.budgets = store.budgets
        self.api_keys = store.api_keys
        self.counts = store.counts
        self.datasources = store.datasources
        self.pins = store.pins
        self.definitions = store.definitions
        self.policies = store.policies
        self.factors = store.factors
        self.keys = store.keys
        self.retention = store.retention
        self.schedules = store.schedules

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

    def loses_answer(self) -> bool:
        """Whether nobody is told of what was just written."""
        return self.is_cut or (self.mood is Mood.MUTE and self._dice.random() < 0.5)

    async def pass_through(self, *, writes: bool) -> None:
        """The way to the store."""
        self.refuse(writes=writes)
        if delay := self.delay():
            await asyncio.sleep(delay)
            self.refuse(writes=writes)

    async def read(self, act: Callable[[], Awaitable[T]]) -> T:
        """Something that changes nothing."""
        await self.pass_through(writes=False)
        return await act()

    async def write(self, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Something that is written, whether anybody waits for the answer and gets it or not."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.queue(partial(self._write, act, answer))
        return await answer

    def queue(self, act: Callable[[], None]) -> None:
        """A process writes one thing after the other; cancelling takes nothing back."""
        loop = asyncio.get_running_loop()
        # Timers of the same time may come in any order.
        self._last = max(self._last + TICK, loop.time() + self.delay())
        loop.call_at(self._last, act)

    def _write(self, act: Callable[[], Coroutine[Any, Any, T]], answer: asyncio.Future[T]) -> None:
        try:
            if not self.delivers:
                self.refuse(writes=True)
            written = _at_once(act())
            if self.loses_answer():
                raise Unavailable
        except StorageError as error:
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(written)


def _at_once(act: Coroutine[Any, Any, T]) -> T:
    """What a store in memory answers, which waits for nothing."""
    try:
        act.send(None)
    except StopIteration as done:
        answer: T = done.value
        return answer
    raise AssertionError("a store in memory waits for something")


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

    def append(self, append: Append) -> asyncio.Future[int]:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._link.queue(partial(self._write, append, answer))
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
        self._log._commit()  # now: nothing else may be told to the ledger before it
        self._answer(append, answer, written)

    def _answer(
        self, append: Append, answer: asyncio.Future[int], written: asyncio.Future[int]
    ) -> None:
        error = written.exception()
        if error is None:
            self._ledger.committed(append, self._live(append.run, append.then_epoch))
            if append.letters:
                self._link.bell.ring()
        if answer.done() or self._link.is_cut:
            return  # it died between append and act
        if error is not None:
            answer.set_exception(error)
        elif self._link.loses_answer():
            answer.set_exception(Unavailable())
        else:
            answer.set_result(written.result())

    async def read(
        self, namespace: str, run: str, *, after: int = 0, limit: int = 1000
    ) -> list[Record]:
        return await self._link.read(
            partial(self._log.read, namespace, run, after=after, limit=limit)
        )

    async def read_log(
        self, namespace: str, *, after: int, limit: int = 1000, run: str | None = None
    ) -> list[Logged]:
        return await self._link.read(
            partial(self._log.read_log, namespace, after=after, limit=limit, run=run)
        )

    async def last_position(self, namespace: str) -> int:
        return await self._link.read(partial(self._log.last_position, namespace))

    async def wait_past(self, namespace: str, position: int, *, timeout: float) -> bool:
        return await self._log.wait_past(namespace, position, timeout=timeout)


class LinkedClaims:
    """The leases; what is claimed is told to the ledger."""

    def __init__(self, link: Link, claims: MemoryClaims, ledger: Ledger) -> None:
        self._link = link
        self._claims = claims
        self._ledger = ledger

    async def claim(
        self, owner: str, *, now: int, expires_at: int, limit: int, only_free: bool = False
    ) -> list[Lease]:
        async def claim() -> list[Lease]:
            leases = await self._claims.claim(
                owner, now=now, expires_at=expires_at, limit=limit, only_free=only_free
            )
            self._ledger.claimed(leases)
            return leases

        return await self._write(claim)

    async def evict(self, owner: str, *, now: int) -> int:
        return await self._write(partial(self._claims.evict, owner, now=now))

    async def last(self, namespace: str, run: str) -> Lease:
        return await self._link.read(partial(self._claims.last, namespace, run))

    async def held(self, owner: str) -> list[Lease]:
        return await self._link.read(partial(self._claims.held, owner))

    async def heartbeat(self, owner: str, *, expires_at: int) -> int:
        return await self._write(partial(self._claims.heartbeat, owner, expires_at=expires_at))

    async def park(self, owner: str, rests: Sequence[Rest]) -> list[Rest]:
        parked = await self._write(partial(self._claims.park, owner, rests))
        if len(parked) < len(rests):
            self._link.bell.ring()
        return parked

    async def next_wake(self) -> int | None:
        return await self._link.read(self._claims.next_wake)

    async def release(self, owner: str, *, now: int) -> int:
        return await self._write(partial(self._claims.release, owner, now=now))

    async def _write(self, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if not self._link.keeps_leases:
            raise Unavailable
        return await self._link.write(act)


class LinkedInbox:
    """The letters."""

    def __init__(self, link: Link, inbox: MemoryInbox) -> None:
        self._link = link
        self._inbox = inbox

    async def send(self, namespace: str, letter: Letter) -> bool:
        is_left = await self._link.write(partial(self._inbox.send, namespace, letter))
        if is_left:
            self._link.bell.ring()
        return is_left

    async def fetch(self, owner: str, *, limit: int) -> list[tuple[str, Letter]]:
        return await self._link.read(partial(self._inbox.fetch, owner, limit=limit))

    async def drop(self, namespace: str, run: str, ids: Sequence[str]) -> None:
        await self._link.write(partial(self._inbox.drop, namespace, run, ids))

    async def is_waiting(self, namespace: str, run: str, id: str) -> bool:
        return await self._link.read(partial(self._inbox.is_waiting, namespace, run, id))

    async def wait(self, *, timeout: float) -> bool:
        return await self._link.bell.wait(timeout=timeout)


class LinkedQueues:
    """The queues."""

    def __init__(self, link: Link, queues: MemoryQueues) -> None:
        self._link = link
        self._queues = queues

    async def put(self, namespace: str, row: QueueRow) -> bool:
        return await self._link.write(partial(self._queues.put, namespace, row))

    async def get(self, namespace: str, name: str) -> QueueLoad:
        return await self._link.read(partial(self._queues.get, namespace, name))

    async def remove(self, namespace: str, name: str) -> None:
        await self._link.write(partial(self._queues.remove, namespace, name))

    async def enter(self, namespace: str, tickets: Sequence[Ticket], *, now: int) -> list[Ticket]:
        return await self._link.write(partial(self._queues.enter, namespace, tickets, now=now))

    async def admit(self, *, now: int) -> int | None:
        return await self._link.write(partial(self._queues.admit, now=now))

    async def list(self, namespace: str) -> list[QueueLoad]:
        return await self._link.read(partial(self._queues.list, namespace))


class LinkedBlobs:
    """The blobs of runs."""

    def __init__(self, link: Link, blobs: MemoryBlobs) -> None:
        self._link = link
        self._blobs = blobs

    async def get(self, namespace: str, run: str, digests: Sequence[str]) -> dict[str, Blob]:
        return await self._link.read(partial(self._blobs.get, namespace, run, digests))


class LinkedRuns:
    """The list of runs."""

    def __init__(self, link: Link, runs: MemoryRuns) -> None:
        self._link = link
        self._runs = runs

    async def get(self, namespace: str, run: str) -> RunRow:
        return await self._link.read(partial(self._runs.get, namespace, run))

    async def list(
        self,
        namespace: str,
        *,
        limit: int,
        before: tuple[int, str] | None = None,
        where: Sequence[Condition] = (),
    ) -> list[RunRow]:
        return await self._link.read(
            partial(self._runs.list, namespace, limit=limit, before=before, where=where)
        )
