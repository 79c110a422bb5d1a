"""The log: what was queued before the loop comes round is one group."""

import asyncio
from collections import deque
from itertools import islice

from msgspec.structs import replace

from stepwell_storage.errors import (
    Conflict,
    Duplicate,
    Fenced,
    KeyTaken,
    StorageError,
    Unavailable,
)
from stepwell_storage.heads import LogHeads
from stepwell_storage.memory import budgets
from stepwell_storage.memory.approvals import note
from stepwell_storage.memory.database import Database, KeptNamespace, KeptRun
from stepwell_storage.memory.inbox import deliver, drop, drop_all
from stepwell_storage.records import Append, Head, Logged, NewRun, Record, Reopened, RunRow


class MemoryLog:
    """The log. What was queued before the loop comes round is one group."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._heads = LogHeads()
        self._queue: deque[tuple[Append, asyncio.Future[int]]] = deque()
        self._is_open = False

    def open(self) -> None:
        """Begins to take appends."""
        self._is_open = True

    def close(self) -> None:
        """Commits what is queued and takes no more."""
        self._is_open = False
        self._commit()

    def append(self, append: Append) -> asyncio.Future[int]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        if not self._is_open:
            future.set_exception(Unavailable("The store is closed; nothing was written."))
            return future
        if not self._queue:
            loop.call_soon(self._commit)
        self._queue.append((append, future))
        return future

    async def read(
        self, namespace: str, run: str, *, after: int = 0, limit: int = 1000
    ) -> list[Record]:
        kept = self._database[namespace].runs.get(run)
        return [] if kept is None else [it.record for it in kept.records[after : after + limit]]

    async def read_log(
        self, namespace: str, *, after: int, limit: int = 1000, run: str | None = None
    ) -> list[Logged]:
        if run is None:
            rest = islice(self._database[namespace].log, after, None)
            return list(islice((it for it in rest if it is not None), limit))
        kept = self._database[namespace].runs.get(run)
        found = () if kept is None else kept.records
        return [it for it in found if it.position > after][:limit]

    async def last_position(self, namespace: str) -> int:
        return len(self._database[namespace].log)

    async def wait_past(self, namespace: str, position: int, *, timeout: float) -> bool:
        return await self._heads.wait_past(namespace, position, timeout=timeout)

    def _commit(self) -> None:
        positions: dict[str, int] = {}
        while self._queue:
            append, future = self._queue.popleft()
            try:
                position = _write(self._database[append.namespace], append)
            except StorageError as error:
                if not future.done():
                    future.set_exception(error)
                continue
            positions[append.namespace] = position
            if not future.done():
                future.set_result(position)
            for letter in append.letters:
                deliver(self._database, append.namespace, letter)
            if append.left:
                self._database.bell.ring()
        self._heads.advance(positions)


def _write(namespace: KeptNamespace, append: Append) -> int:
    """Adds an append to the log, or raises what refuses it; tells its last position."""
    if (before := _written_before(namespace, append)) is not None:
        return before
    if append.new is not None:
        kept = _begin(namespace, append, append.new)
    elif append.reopened is not None:
        kept = _reopen(namespace, append, append.reopened)
    else:
        kept = _fenced(namespace, append)
    for record in append.records:
        logged = Logged(append.run, len(namespace.log) + 1, record)
        namespace.log.append(logged)
        kept.records.append(logged)
    for blob in append.blobs:
        kept.blobs.setdefault(blob.digest, blob)
    for id in append.taken:
        drop(namespace, append.run, id)
    for step in append.left:
        namespace.tickets.pop((append.run, step), None)
    note(namespace, append)
    if append.spent or append.frees or append.budgets:
        budgets.settle(namespace, append)
    if append.head is not None:
        _show(namespace, kept, append.head)
    return len(namespace.log)


def _written_before(namespace: KeptNamespace, append: Append) -> int | None:
    """The position of an append's last record where the log ends with just this append."""
    kept = namespace.runs.get(append.run)
    if kept is None or kept.epoch != append.then_epoch or len(kept.records) != append.last:
        return None
    taker = append.new or append.reopened
    if taker is not None and kept.owner not in (None, taker.owner):
        return None
    written = kept.records[append.after :]
    is_same = tuple(it.record for it in written) == append.records
    return written[-1].position if is_same else None


def _begin(namespace: KeptNamespace, append: Append, new: NewRun) -> KeptRun:
    request = new.principal, new.request_id or ""
    if new.request_id is not None and request in namespace.requests:
        raise Duplicate(*namespace.requests[request])
    if append.run in namespace.runs:
        raise Conflict(f"The run {append.run} exists already.")
    _take_key(namespace, new.run_key, append.run)
    if new.request_id is not None:
        namespace.requests[request] = append.run, new.request_digest
    row = RunRow(
        namespace=append.namespace,
        run=append.run,
        workflow=new.workflow,
        version=new.version,
        principal=new.principal,
        status="",
        created_at=new.created_at,
        updated_at=new.created_at,
        ended_at=None,
        labels=dict(new.labels),
        detail=b"",
        run_key=new.run_key,
        parent=new.parent,
        forked_from=new.forked_from,
    )
    kept = KeptRun(row, new.owner, new.lease_expires_at, append.epoch, [], {})
    namespace.runs[append.run] = kept
    return kept


def _reopen(namespace: KeptNamespace, append: Append, reopened: Reopened) -> KeptRun:
    kept = namespace.runs.get(append.run)
    if kept is None or kept.expires_at is not None or kept.epoch != append.epoch:
        raise Fenced
    _check_end(kept, append)
    _take_key(namespace, kept.row.run_key, append.run)
    kept.owner, kept.expires_at = reopened.owner, reopened.lease_expires_at
    kept.epoch += 1
    return kept


def _fenced(namespace: KeptNamespace, append: Append) -> KeptRun:
    kept = namespace.runs.get(append.run)
    if kept is None or kept.owner is None or kept.epoch != append.epoch:
        raise Fenced
    _check_end(kept, append)
    return kept


def _check_end(kept: KeptRun, append: Append) -> None:
    if len(kept.records) != append.after:
        raise Conflict(f"The log ends at {len(kept.records)}, not at {append.after}.")


def _take_key(namespace: KeptNamespace, run_key: str | None, run: str) -> None:
    if run_key is None:
        return
    if run_key in namespace.run_keys:
        raise KeyTaken(namespace.run_keys[run_key])
    namespace.run_keys[run_key] = run


def _show(namespace: KeptNamespace, kept: KeptRun, head: Head) -> None:
    kept.row = replace(
        kept.row,
        status=head.status,
        updated_at=head.at,
        ended_at=head.ended_at,
        detail=head.detail,
    )
    if head.ended_at is not None:
        kept.owner = kept.expires_at = None
        if kept.row.run_key is not None:
            del namespace.run_keys[kept.row.run_key]
        drop_all(namespace, kept.row.run)
