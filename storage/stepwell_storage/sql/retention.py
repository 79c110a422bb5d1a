"""How long ended runs are kept, and how they are forgotten: the one place that deletes events."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import sqlalchemy as sa

from stepwell_storage.ports import Farewell
from stepwell_storage.sql import audit, tables
from stepwell_storage.sql.ids import unpacked
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import keys, leases, retention, runs
from stepwell_storage.sql.writer import Writer

MOST_RUNS = 100
"""In one transaction."""

MOST_EVENTS = 10_000
"""In one transaction, unless a single run has more: others want to write too."""

_NAMESPACE = sa.bindparam("in_namespace", type_=sa.Text)
_UNTIL = sa.bindparam("until", type_=sa.BigInteger)
_RUNS = sa.bindparam("of", type_=sa.LargeBinary, expanding=True)

_POLICIES = sa.select(retention.c.namespace, retention.c.keep_us)
_KEPT = sa.select(retention.c.keep_us).where(retention.c.namespace == _NAMESPACE)
_KEEP = sa.insert(retention)
_KEEP_ALL = sa.delete(retention).where(retention.c.namespace == _NAMESPACE)

_near = runs.alias("near")
_KEEPS_IT = sa.and_(
    _near.c.namespace == runs.c.namespace,
    sa.or_(_near.c.ended_at.is_(None), _near.c.ended_at > _UNTIL),
)
_OVER = (
    runs.c.namespace == _NAMESPACE,
    runs.c.ended_at.is_not(None),
    runs.c.ended_at <= _UNTIL,
    ~sa.exists().where(_KEEPS_IT, _near.c.run == runs.c.parent),
    ~sa.exists().where(_KEEPS_IT, _near.c.parent == runs.c.run),
    ~sa.exists().where(_KEEPS_IT, _near.c.forked_from == runs.c.run),
)
_LEASE_OF_RUN = sa.and_(leases.c.namespace == runs.c.namespace, leases.c.run == runs.c.run)
_OLDEST = (
    sa.select(runs.c.ended_at, runs.c.run, leases.c.sequence)
    .select_from(runs.join(leases, _LEASE_OF_RUN))
    .where(*_OVER)
    .order_by(runs.c.ended_at, runs.c.run)
    .limit(sa.bindparam("most"))
)
# Whoever reopens a run changes its lease: it does so before us, or finds nothing any more.
_LOCK = (
    sa.select(leases.c.run)
    .where(leases.c.namespace == _NAMESPACE, leases.c.run.in_(_RUNS))
    .order_by(leases.c.run)
    .with_for_update()
)
_STILL_OVER = sa.select(runs.c.run).where(*_OVER, runs.c.run.in_(_RUNS))
_FORGET_KEYS = sa.delete(keys).where(
    keys.c.namespace == _NAMESPACE,
    keys.c.subject.in_(sa.bindparam("subjects", type_=sa.Text, expanding=True)),
)
_FORGET = [
    sa.delete(table).where(table.c.namespace == _NAMESPACE, table.c.run.in_(_RUNS))
    for table in tables.metadata.sorted_tables
    if "run" in table.c
]


class _Old(NamedTuple):
    """A run whose time is over; `until` is when it had to have ended."""

    ended_at: int
    namespace: str
    run: bytes
    events: int
    until: int


class SqlRetention:
    """The retention of runs."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def keep(self, namespace: str, keep_us: int | None) -> None:
        def replace(session: Session) -> None:
            session.change(_KEEP_ALL, in_namespace=namespace)
            if keep_us is not None:
                session.change(_KEEP, namespace=namespace, keep_us=keep_us)

        await self._writer.call(replace)

    async def kept(self, namespace: str) -> int | None:
        rows = await self._reader.rows(_KEPT, in_namespace=namespace)
        return rows[0][0] if rows else None

    async def purge(self, *, now: int, limit: int, farewell: Farewell | None = None) -> int:
        # Read beside the writer: where much is kept for its relatives, many are looked at.
        found: list[_Old] = []
        for namespace, keep_us in await self._reader.rows(_POLICIES):
            until = now - keep_us
            rows = await self._reader.rows(_OLDEST, in_namespace=namespace, until=until, most=limit)
            found += (_Old(at, namespace, run, events, until) for at, run, events in rows)
        found.sort()
        forgotten = 0
        for share in _shares(found[:limit]):
            forgotten += await self._writer.call(partial(_forget, share, farewell))
        return forgotten


def _shares(found: Sequence[_Old]) -> Iterator[list[_Old]]:
    """What goes in one transaction each: runs of one namespace, and not too much of them."""
    share: list[_Old] = []
    events = 0
    for old in found:
        is_full = len(share) == MOST_RUNS or events + old.events > MOST_EVENTS
        if share and (is_full or old.namespace != share[0].namespace):
            yield share
            share, events = [], 0
        share.append(old)
        events += old.events
    if share:
        yield share


def _forget(share: Sequence[_Old], farewell: Farewell | None, session: Session) -> int:
    """Deletes runs of one namespace, if their time is still over; tells how many."""
    namespace, until = share[0].namespace, share[0].until
    asked = [old.run for old in share]
    session.rows(_LOCK, in_namespace=namespace, of=asked)
    over = session.rows(_STILL_OVER, in_namespace=namespace, of=asked, until=until)
    of = [run for (run,) in over]
    if of:
        subjects = [f"run:{unpacked(run)}" for run in of]
        session.change(_FORGET_KEYS, in_namespace=namespace, subjects=subjects)
        for forget in _FORGET:
            session.change(forget, in_namespace=namespace, of=of)
        if farewell is not None:
            audit.append(namespace, farewell([unpacked(run) for run in of]), session)
    return len(of)
