"""The event log: who may append to it, and how it is read in its two orders."""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from stepwell_storage.errors import Conflict, Duplicate, Fenced, KeyTaken, StorageError
from stepwell_storage.heads import LogHeads
from stepwell_storage.records import Append, Logged, NewRun, Record
from stepwell_storage.sql.ids import packed_or_none, unpacked
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.rows import MOST_EVENTS, joined, split
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import events, leases, log_heads, requests, runs
from stepwell_storage.sql.writer import Writer

_NAMESPACE = sa.bindparam("namespace", type_=sa.Text)
_RUN = sa.bindparam("run", type_=sa.LargeBinary)
_AFTER = sa.bindparam("after", type_=sa.BigInteger)
_LIMIT = sa.bindparam("most", type_=sa.Integer)

_ADVANCE = (
    sa.update(log_heads)
    .where(log_heads.c.namespace == sa.bindparam("of"))
    .values(position=log_heads.c.position + sa.bindparam("count", type_=sa.BigInteger))
    .returning(log_heads.c.position)
)
_BEGIN_LOG = sa.insert(log_heads)
_REQUEST = sa.select(requests.c.run, requests.c.digest).where(
    requests.c.namespace == _NAMESPACE,
    requests.c.principal == sa.bindparam("principal"),
    requests.c.request_id == sa.bindparam("request_id"),
)
_OPEN_WITH_KEY = sa.select(runs.c.run).where(
    runs.c.namespace == _NAMESPACE,
    runs.c.run_key == sa.bindparam("run_key", type_=sa.Text),
    runs.c.ended_at.is_(None),
)
_KEY_OF_RUN = sa.select(runs.c.run_key).where(runs.c.namespace == _NAMESPACE, runs.c.run == _RUN)
_RUN_EXISTS = sa.select(sa.literal(1)).where(runs.c.namespace == _NAMESPACE, runs.c.run == _RUN)
_LEASE = sa.select(leases.c.epoch, leases.c.expires_at, leases.c.sequence, leases.c.owner).where(
    leases.c.namespace == _NAMESPACE, leases.c.run == _RUN
)

_RECORD = (events.c.sequence, events.c.kind, events.c.principal, events.c.body)
_ROW = sa.select(events.c.position, *_RECORD).where(
    events.c.namespace == _NAMESPACE,
    events.c.run == _RUN,
    events.c.sequence == sa.bindparam("sequence", type_=sa.BigInteger),
)
_READ = (
    sa.select(*_RECORD)
    .where(
        events.c.namespace == _NAMESPACE,
        events.c.run == _RUN,
        events.c.sequence > _AFTER,
        # A run has no gap, so this is a limit too, and one that counts events instead of rows.
        events.c.sequence < sa.bindparam("end", type_=sa.BigInteger),
    )
    .order_by(events.c.sequence)
)
_READ_LOG = (
    sa.select(events.c.run, events.c.position, *_RECORD)
    .where(events.c.namespace == _NAMESPACE, events.c.position > _AFTER)
    .order_by(events.c.position)
    .limit(_LIMIT)
)
_READ_LOG_OF_RUN = (
    sa.select(events.c.run, events.c.position, *_RECORD)
    .where(
        events.c.namespace == _NAMESPACE,
        events.c.run == _RUN,
        # A sum has no index. SQLite would take that of positions, and read what all runs wrote.
        events.c.position + 0 > _AFTER,
    )
    # In a run both orders agree; this one has the index.
    .order_by(events.c.sequence)
    .limit(_LIMIT)
)
_LAST_POSITION = sa.select(log_heads.c.position).where(log_heads.c.namespace == _NAMESPACE)


def _logged(run: bytes, position: int, sequence: int, *row: Any) -> list[Logged]:
    """The records of one row, each with its position: in a row both numbers count together."""
    name, before = unpacked(run), position - sequence
    return [Logged(name, before + it.sequence, it) for it in split(sequence, *row)]


def advance(session: Session, appends: Sequence[Append]) -> dict[str, int]:
    """Gives the records of these appends their positions; tells the last ones before."""
    counts: dict[str, int] = {}
    for append in appends:
        counts[append.namespace] = counts.get(append.namespace, 0) + len(append.records)
    before = {}
    for namespace, count in counts.items():
        found = session.rows(_ADVANCE, of=namespace, count=count)
        if not found:
            session.change(_BEGIN_LOG, namespace=namespace, position=count)
        before[namespace] = found[0][0] - count if found else 0
    return before


def written_before(session: Session, append: Append) -> int | None:
    """The position of an append's last record where the log ends with just this append."""
    where = {"namespace": append.namespace, "run": packed_or_none(append.run)}
    lease = session.rows(_LEASE, **where)
    if not lease or lease[0][0] != append.then_epoch or lease[0][2] != append.last:
        return None
    taker = append.new or append.reopened
    if taker is not None and lease[0][3] not in (None, taker.owner):
        return None
    for position, *row in session.rows(_ROW, **where, sequence=append.last):
        return position if tuple(row) == joined(append.records)[-1] else None
    return None


def why_refused(session: Session, append: Append) -> StorageError | None:
    """What stands against an append; None when nothing does."""
    where = {"namespace": append.namespace, "run": packed_or_none(append.run)}
    if append.new is not None:
        return _why_not_begun(session, append.new, where)
    lease = session.rows(_LEASE, **where)
    if not lease or lease[0][0] != append.epoch:
        return Fenced()
    has_ended, is_held = lease[0][1] is None, lease[0][3] is not None
    if not (has_ended if append.reopened is not None else is_held):
        return Fenced()
    if lease[0][2] != append.after:
        return Conflict(f"The log ends at {lease[0][2]}, not at {append.after}.")
    if append.reopened is not None:
        run_key = session.rows(_KEY_OF_RUN, **where)[0][0]
        return who_has_key(session, append.namespace, run_key)
    return None


def _why_not_begun(session: Session, new: NewRun, where: dict[str, Any]) -> StorageError | None:
    if new.request_id is not None:
        found = session.rows(
            _REQUEST,
            namespace=where["namespace"],
            principal=new.principal,
            request_id=new.request_id,
        )
        if found:
            return Duplicate(unpacked(found[0][0]), found[0][1])
    if session.rows(_RUN_EXISTS, **where):
        return Conflict("The run exists already.")
    return who_has_key(session, where["namespace"], new.run_key)


def who_has_key(session: Session, namespace: str, run_key: str | None) -> KeyTaken | None:
    """The run that has not ended and has this key, as what refuses another one."""
    if run_key is None:
        return None
    found = session.rows(_OPEN_WITH_KEY, namespace=namespace, run_key=run_key)
    return KeyTaken(unpacked(found[0][0])) if found else None


class SqlLog:
    """The log."""

    def __init__(self, writer: Writer, reader: Reader, heads: LogHeads) -> None:
        self._writer = writer
        self._reader = reader
        self._heads = heads

    def append(self, append: Append) -> asyncio.Future[int]:
        return self._writer.append(append)

    async def read(
        self, namespace: str, run: str, *, after: int = 0, limit: int = 1000
    ) -> list[Record]:
        rows = await self._reader.rows(
            _READ,
            namespace=namespace,
            run=packed_or_none(run),
            after=after,
            end=min(after + limit + MOST_EVENTS, 2**63 - 1),
        )
        found = (it for row in rows for it in split(*row) if it.sequence > after)
        return list(islice(found, limit))

    async def read_log(
        self, namespace: str, *, after: int, limit: int = 1000, run: str | None = None
    ) -> list[Logged]:
        if run is None:
            rows = await self._reader.rows(_READ_LOG, namespace=namespace, after=after, most=limit)
        else:
            rows = await self._reader.rows(
                _READ_LOG_OF_RUN,
                namespace=namespace,
                run=packed_or_none(run),
                after=after,
                most=limit,
            )
        # As many rows as events were wanted: each has at least one.
        found = (it for row in rows for it in _logged(*row) if it.position > after)
        return list(islice(found, limit))

    async def last_position(self, namespace: str) -> int:
        rows = await self._reader.rows(_LAST_POSITION, namespace=namespace)
        return rows[0][0] if rows else 0

    async def wait_past(self, namespace: str, position: int, *, timeout: float) -> bool:
        if await self._heads.wait_past(namespace, position, timeout=timeout):
            return True
        # Another process may have written: nothing wakes us then, but the table tells.
        return await self.last_position(namespace) > position
