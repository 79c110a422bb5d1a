"""Group commit: the one thread of this process that writes to a database.

There is no timer. The thread takes whatever waits, commits it in one transaction, and by then
the next group has gathered: alone, an append waits for nobody, and under load a commit is shared
by hundreds. What one turn of the event loop asks for is handed over at its end, so that a turn that
computes for long makes one commit and not many small ones, beside which the loop would fight for the
interpreter. Everything is answered after the commit that holds it, by one call into the event loop for
the whole group.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from stepwell_storage.errors import StorageError, Unavailable
from stepwell_storage.ports import CommitWatch
from stepwell_storage.records import Append
from stepwell_storage.sql.session import Job

T = TypeVar("T")
_Item: TypeAlias = tuple[Append | Job[Any], asyncio.Future[Any]]

MOST_ITEMS = 4096
MOST_BYTES = 32 * 1024 * 1024
"""In one transaction. A group that a database cannot write in the time that it has is refused, is
asked for again as a whole, and would never be written."""

FULL_TURN = 32
"""How much of one turn of the event loop is handed over at once: the thread writes it meanwhile."""

log = logging.getLogger(__name__)


class Written(Struct, frozen=True):
    """What became of a group. An outcome that is an exception was refused, and only that one.

    `is_announced` says that somebody may have a letter to fetch or a run to claim now; `refusal`
    is why nothing of the group was written.
    """

    outcomes: Sequence[Any]
    heads: Mapping[str, int]
    is_announced: bool = False
    refusal: StorageError | None = None

    def among(self, appends: Sequence[Append]) -> Iterator[Append]:
        """Those of the appends with these outcomes that were not refused."""
        for append, outcome in zip(appends, self.outcomes, strict=True):
            if not isinstance(outcome, Exception):
                yield append


class Transactions(Protocol):
    """What differs between databases. Used on the writer's thread alone."""

    def write(self, group: Sequence[Append | Job[Any]]) -> Written:
        """Commits a group in one transaction: first its appends, in order, then its jobs.

        Last of all go the tickets that its appends give back.

        Raises:
            Full, Unavailable: nothing of the group was written.
        """
        ...

    def close(self) -> None:
        """Disconnects."""
        ...


class Writer:
    """Queues what is to be written, and answers after the commit.

    Belongs to the event loop that is running when it is made; `stop` ends it.
    """

    def __init__(
        self,
        database: Transactions,
        *,
        advanced: Callable[[Mapping[str, int]], None],
        announced: Callable[[], None],
        on_commit: CommitWatch | None = None,
    ) -> None:
        """All are called on the event loop, after a commit.

        `advanced` is told the new last positions; `announced` is called when something is.
        """
        self._database = database
        self._advanced = advanced
        self._announced = announced
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._gathered: list[_Item] = []
        """What this turn of the loop has asked for so far."""
        self._queue: SimpleQueue[list[_Item] | None] = SimpleQueue()
        """What turns have asked for; None is the end."""
        self._left: deque[_Item] = deque()
        """What was handed over, and is in no group yet; of the thread alone."""
        self._asked = 0
        self._taken = 0
        """What groups have taken of what was asked for; written by the thread alone."""
        self._has_ended = False
        """Whether nothing more is handed over; of the thread alone."""
        self._stopped: asyncio.Future[None] | None = None
        # A daemon: a process that ends without `stop` is a crash, and safe as one.
        self._thread = threading.Thread(target=self._work, name="stepwell-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How much is queued that no transaction has taken yet."""
        return self._asked - self._taken

    def append(self, append: Append) -> asyncio.Future[int]:
        """Queues an append; the result is the position of its last record."""
        future: asyncio.Future[int] = self._loop.create_future()
        self._put(append, future)
        return future

    def call(self, job: Job[T]) -> asyncio.Future[T]:
        """Queues anything else that writes; the result is the job's."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._put(job, future)
        return future

    async def stop(self) -> None:
        """Waits for what is queued, then disconnects. What comes later is refused."""
        if self._stopped is None:
            self._hand_over()
            self._stopped = self._loop.create_future()
            self._queue.put(None)
        await asyncio.shield(self._stopped)

    def _put(self, what: Append | Job[Any], future: asyncio.Future[Any]) -> None:
        if self._stopped is not None:
            future.set_exception(Unavailable("The store is closed; nothing was written."))
            return
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append((what, future))
        self._asked += 1
        if len(self._gathered) == FULL_TURN:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._gathered:
            gathered, self._gathered = self._gathered, []
            self._queue.put(gathered)

    # --- on the thread ------------------------------------------------------------------

    def _work(self) -> None:
        is_last = False
        while not is_last:
            group, is_last = self._take()
            if group:
                begun = time.perf_counter()
                written = self._write(group)
                self._answer(group, written, time.perf_counter() - begun)
        self._database.close()
        self._tell(self._set_stopped)

    def _take(self) -> tuple[list[_Item], bool]:
        """Whatever waits, at least one thing and not too much; and whether it is the end."""
        is_last = self._fetch()
        group: list[_Item] = []
        size = 0
        while self._left and len(group) < MOST_ITEMS and size < MOST_BYTES:
            item = self._left.popleft()
            group.append(item)
            size += _size(item[0])
        self._taken += len(group)
        return group, is_last and not self._left

    def _fetch(self) -> bool:
        """Takes what was handed over, and waits for it where nothing is left; whether it is the end."""
        with suppress(Empty):
            while not self._has_ended and len(self._left) < MOST_ITEMS:
                items = self._queue.get_nowait() if self._left else self._queue.get()
                if items is None:
                    self._has_ended = True
                else:
                    self._left += items
        return self._has_ended

    def _write(self, group: list[_Item]) -> Written:
        try:
            return self._database.write([what for what, _ in group])
        except StorageError as error:
            refusal = error
        except Exception as error:
            # The thread must outlive any mistake: without it every append would hang.
            log.exception("a group of %d could not be written", len(group))
            refusal = Unavailable(f"The store failed, nothing was written: {error!r}")
        # One exception each: a traceback grows wherever an exception is raised again.
        outcomes = [type(refusal)(str(refusal)) for _ in group]
        return Written(outcomes, {}, refusal=refusal)

    def _answer(self, group: list[_Item], written: Written, seconds: float) -> None:
        self._tell(lambda: self._settle(group, written, seconds))

    def _tell(self, callback: Callable[[], None]) -> None:
        # A loop that is closed has nobody left who waits for an answer.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    # --- on the event loop --------------------------------------------------------------

    def _settle(self, group: list[_Item], written: Written, seconds: float) -> None:
        for (_, future), outcome in zip(group, written.outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        self._advanced(written.heads)
        if written.is_announced:
            self._announced()
        if self._on_commit is not None:
            self._on_commit(len(group), seconds, written.refusal)

    def _set_stopped(self) -> None:
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)


def _size(what: Append | Job[Any]) -> int:
    """The bytes that an append brings."""
    if not isinstance(what, Append):
        return 0
    size = sum([len(record.body) for record in what.records])
    return size + sum(blob.size for blob in what.blobs) if what.blobs else size
