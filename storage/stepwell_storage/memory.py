"""A store in the memory of the process: for tests, for trying things out, and for the simulation.

It keeps every promise of the ports but to outlive the process. It owns no thread, socket or
clock, so it runs as well on an event loop whose time is virtual.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from stepwell_storage.errors import (
    Conflict,
    Duplicate,
    Exists,
    Fenced,
    Missing,
    StorageError,
    Unavailable,
)
from stepwell_storage.heads import LogHeads
from stepwell_storage.records import (
    Append,
    Blob,
    DatasourceRow,
    DefinitionRow,
    Head,
    Lease,
    Logged,
    NewRun,
    Record,
    RunRow,
)


class _Run(Struct):
    """All that belongs to one run. `expires_at` is None when it has ended."""

    row: RunRow
    owner: str | None
    expires_at: int | None
    epoch: int
    records: list[Logged]
    blobs: dict[str, Blob]


class _Namespace(Struct):
    """All that belongs to one tenant."""

    runs: dict[str, _Run] = {}
    log: list[Logged] = []
    requests: dict[tuple[str, str], tuple[str, str]] = {}
    definitions: dict[str, dict[str, DefinitionRow]] = {}
    newest: dict[str, str] = {}
    datasources: dict[str, DatasourceRow] = {}


class _Database:
    """What is stored, by namespace."""

    def __init__(self) -> None:
        self._namespaces: dict[str, _Namespace] = {}

    def __getitem__(self, namespace: str) -> _Namespace:
        found = self._namespaces.get(namespace)
        if found is None:
            found = self._namespaces[namespace] = _Namespace()
        return found

    def live(self) -> list[tuple[str, str, _Run]]:
        """The runs that have not ended, of every namespace."""
        return [
            (name, run, kept)
            for name, namespace in self._namespaces.items()
            for run, kept in namespace.runs.items()
            if kept.expires_at is not None
        ]


class MemoryLog:
    """The log. What was queued before the loop comes round is one group."""

    def __init__(self, database: _Database) -> None:
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
            return self._database[namespace].log[after : after + limit]
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
            else:
                positions[append.namespace] = position
                if not future.done():
                    future.set_result(position)
        self._heads.advance(positions)


def _write(namespace: _Namespace, append: Append) -> int:
    """Adds an append to the log, or raises what refuses it; tells its last position."""
    if append.new is not None:
        kept = _begin(namespace, append, append.new)
    else:
        kept = _fenced(namespace, append)
    for record in append.records:
        logged = Logged(append.run, len(namespace.log) + 1, record)
        namespace.log.append(logged)
        kept.records.append(logged)
    for blob in append.blobs:
        kept.blobs.setdefault(blob.digest, blob)
    if append.head is not None:
        _show(kept, append.head)
    return len(namespace.log)


def _begin(namespace: _Namespace, append: Append, new: NewRun) -> _Run:
    if new.request_id is not None:
        key = new.principal, new.request_id
        if key in namespace.requests:
            raise Duplicate(*namespace.requests[key])
    if append.run in namespace.runs:
        raise Conflict(f"The run {append.run} exists already.")
    if new.request_id is not None:
        namespace.requests[new.principal, new.request_id] = append.run, new.request_digest
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
    )
    kept = _Run(row, new.owner, new.lease_expires_at, append.epoch, [], {})
    namespace.runs[append.run] = kept
    return kept


def _fenced(namespace: _Namespace, append: Append) -> _Run:
    kept = namespace.runs.get(append.run)
    if kept is None or kept.expires_at is None or kept.epoch != append.epoch:
        raise Fenced
    if len(kept.records) != append.after:
        raise Conflict(f"The log ends at {len(kept.records)}, not at {append.after}.")
    return kept


def _show(kept: _Run, head: Head) -> None:
    kept.row = replace(
        kept.row,
        status=head.status,
        updated_at=head.at,
        ended_at=head.ended_at,
        detail=head.detail,
    )
    if head.ended_at is not None:
        kept.owner = kept.expires_at = None


class MemoryClaims:
    """The leases."""

    def __init__(self, database: _Database) -> None:
        self._database = database

    async def claim(self, owner: str, *, now: int, expires_at: int, limit: int) -> list[Lease]:
        expired = [
            (kept.expires_at, run, namespace, kept)
            for namespace, run, kept in self._database.live()
            if kept.expires_at is not None and kept.expires_at <= now and kept.owner != owner
        ]
        expired.sort(key=lambda found: found[:3])
        leases = []
        for _, run, namespace, kept in expired[:limit]:
            kept.owner, kept.expires_at = owner, expires_at
            kept.epoch += 1
            leases.append(Lease(namespace, run, kept.epoch))
        return leases

    async def heartbeat(self, owner: str, *, expires_at: int) -> int:
        held = self._held(owner)
        for kept in held:
            kept.expires_at = expires_at
        return len(held)

    async def release(self, owner: str, *, now: int) -> int:
        held = self._held(owner)
        for kept in held:
            kept.owner, kept.expires_at = None, now
        return len(held)

    def _held(self, owner: str) -> list[_Run]:
        return [kept for _, _, kept in self._database.live() if kept.owner == owner]


class MemoryBlobs:
    """The blobs of runs."""

    def __init__(self, database: _Database) -> None:
        self._database = database

    async def get(self, namespace: str, run: str, digests: Sequence[str]) -> dict[str, Blob]:
        kept = self._database[namespace].runs.get(run)
        found = {} if kept is None else kept.blobs
        return {digest: found[digest] for digest in digests if digest in found}


class MemoryRuns:
    """The list of runs."""

    def __init__(self, database: _Database) -> None:
        self._database = database

    async def get(self, namespace: str, run: str) -> RunRow:
        kept = self._database[namespace].runs.get(run)
        if kept is None:
            raise Missing(f"There is no run {run}.")
        return kept.row

    async def list(
        self,
        namespace: str,
        *,
        limit: int,
        before: tuple[int, str] | None = None,
        status: str | None = None,
        workflow: str | None = None,
    ) -> list[RunRow]:
        rows = [
            kept.row
            for kept in self._database[namespace].runs.values()
            if (before is None or (kept.row.created_at, kept.row.run) < before)
            and (status is None or kept.row.status == status)
            and (workflow is None or kept.row.workflow == workflow)
        ]
        rows.sort(key=lambda row: (row.created_at, row.run), reverse=True)
        return rows[:limit]


class MemoryDefinitions:
    """The workflow versions."""

    def __init__(self, database: _Database) -> None:
        self._database = database

    async def put(self, namespace: str, row: DefinitionRow) -> bool:
        kept = self._database[namespace]
        versions = kept.definitions.setdefault(row.name, {})
        is_new = row.version not in versions
        versions.setdefault(row.version, row)
        kept.newest[row.name] = row.version
        return is_new

    async def get(self, namespace: str, name: str, version: str | None = None) -> DefinitionRow:
        kept = self._database[namespace]
        wanted = kept.newest.get(name) if version is None else version
        row = kept.definitions.get(name, {}).get(wanted or "")
        if row is None:
            raise Missing(f"There is no workflow {name!r}, or not in this version.")
        return row

    async def list(self, namespace: str) -> list[DefinitionRow]:
        kept = self._database[namespace]
        return [kept.definitions[name][kept.newest[name]] for name in sorted(kept.newest)]


class MemoryDatasources:
    """The datasources."""

    def __init__(self, database: _Database) -> None:
        self._database = database

    async def add(self, namespace: str, row: DatasourceRow) -> None:
        kept = self._database[namespace].datasources
        if row.name in kept:
            raise Exists(f"There is a datasource {row.name!r} already.")
        kept[row.name] = row

    async def get(self, namespace: str, name: str) -> DatasourceRow:
        row = self._database[namespace].datasources.get(name)
        if row is None:
            raise Missing(f"There is no datasource {name!r}.")
        return row

    async def list(self, namespace: str) -> list[DatasourceRow]:
        kept = self._database[namespace].datasources
        return [kept[name] for name in sorted(kept)]

    async def remove(self, namespace: str, name: str) -> None:
        if self._database[namespace].datasources.pop(name, None) is None:
            raise Missing(f"There is no datasource {name!r}.")


class MemoryStorage:
    """All ports over the memory of the process; see `ports.Storage`.

    Closed and opened again it still has what it had, as a database would.
    """

    def __init__(self) -> None:
        database = _Database()
        self.id = secrets.token_hex(16)
        self.log = MemoryLog(database)
        self.claims = MemoryClaims(database)
        self.blobs = MemoryBlobs(database)
        self.runs = MemoryRuns(database)
        self.definitions = MemoryDefinitions(database)
        self.datasources = MemoryDatasources(database)

    async def open(self) -> None:
        self.log.open()

    async def ping(self) -> None:
        """Memory always answers."""

    async def close(self) -> None:
        self.log.close()
