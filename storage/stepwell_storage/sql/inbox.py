"""Letters to runs, from whoever does not own them.

On PostgreSQL a run may be parked while a letter to it is written elsewhere. Both lock the row of
its lease first and look only then: whoever comes second sees what the first one did. A letter takes
the weakest lock that parking does not pass, KEY SHARE, for that one lets the run's owner write on.
"""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from stepwell_storage.bell import Bell
from stepwell_storage.records import Letter, is_run_id
from stepwell_storage.sql.ids import packed, packed_or_none, unpacked
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.shares import shares
from stepwell_storage.sql.tables import leases, letters
from stepwell_storage.sql.writer import Writer

_NAMESPACE = sa.bindparam("in_namespace", type_=sa.Text)
_RUNS = sa.bindparam("of", type_=sa.LargeBinary, expanding=True)
_IDS = sa.bindparam("ids", type_=sa.Text, expanding=True)

_LIVE = (
    sa.select(leases.c.run)
    .where(
        leases.c.namespace == _NAMESPACE,
        leases.c.run.in_(_RUNS),
        leases.c.expires_at.is_not(None),
    )
    .order_by(leases.c.run)
    .with_for_update(read=True, key_share=True)
)
_FIRST = (
    sa.select(sa.func.min(letters.c.at))
    .where(letters.c.namespace == leases.c.namespace, letters.c.run == leases.c.run)
    .scalar_subquery()
)
_WAKE = (
    sa.update(leases)
    .where(
        leases.c.namespace == _NAMESPACE,
        leases.c.run.in_(_RUNS),
        leases.c.owner.is_(None),
        leases.c.expires_at > _FIRST,
    )
    .values(expires_at=_FIRST)
)
_WITH_LETTERS = (
    sa.select(letters.c.run)
    .where(letters.c.namespace == _NAMESPACE, letters.c.run.in_(_RUNS))
    .distinct()
)
_LEASE_OF_LETTER = sa.and_(leases.c.namespace == letters.c.namespace, leases.c.run == letters.c.run)
_LETTER = (
    letters.c.id,
    letters.c.run,
    letters.c.kind,
    letters.c.principal,
    letters.c.body,
    letters.c.at,
)
# Outer, so that what has no lease any more is seen, and because it keeps SQLite from going
# through all leases of the owner.
_FOR_OWNER_OR_NOBODY = (
    sa.select(leases.c.owner, letters.c.namespace, *_LETTER)
    .select_from(letters.outerjoin(leases, _LEASE_OF_LETTER))
    .where(sa.or_(leases.c.owner == sa.bindparam("holder"), leases.c.expires_at.is_(None)))
    .order_by(letters.c.at, letters.c.namespace, letters.c.id)
    .limit(sa.bindparam("most"))
)
_IS_WAITING = (
    sa.select(sa.literal(1))
    .select_from(letters.join(leases, _LEASE_OF_LETTER))
    .where(
        letters.c.namespace == _NAMESPACE,
        letters.c.run == sa.bindparam("of"),
        letters.c.id == sa.bindparam("id"),
        leases.c.expires_at.is_not(None),
    )
)
_OF_RUN = (letters.c.namespace == _NAMESPACE, letters.c.run == sa.bindparam("of"))
_DROP = sa.delete(letters).where(*_OF_RUN, letters.c.id.in_(_IDS))
_DROP_ALL = sa.delete(letters).where(*_OF_RUN)
_DROP_IF_ENDED = _DROP.where(~sa.exists().where(_LEASE_OF_LETTER, leases.c.expires_at.is_not(None)))


def deliver(session: Session, namespace: str, sent: Sequence[Letter]) -> set[str]:
    """Leaves letters for runs; tells which of these have not ended, as the others get none."""
    alive = _lock_live(session, namespace, {it.run for it in sent})
    rows: list[Any] = []
    for it in sent:
        if it.run in alive:
            rows += (namespace, packed(it.run), it.id, it.kind, it.principal, it.body, it.at)
    session.add_missing(letters, rows)
    for share in shares(alive):
        session.change(_WAKE, in_namespace=namespace, of=[packed(run) for run in share])
    if alive:
        session.announce()
    return alive


def _lock_live(session: Session, namespace: str, runs: Collection[str]) -> set[str]:
    """Which of these runs have not ended; none of them is parked before we commit."""
    of = sorted(packed(run) for run in runs if is_run_id(run))
    locked = [session.rows(_LIVE, in_namespace=namespace, of=share) for share in shares(of)]
    return {unpacked(run) for rows in locked for (run,) in rows}


def drop(session: Session, namespace: str, run: bytes | None, ids: Sequence[str]) -> None:
    """Removes letters to a run."""
    for share in shares(ids):
        session.change(_DROP, in_namespace=namespace, of=run, ids=share)


def drop_all(session: Session, namespace: str, run: bytes) -> None:
    """Removes all letters to a run."""
    session.change(_DROP_ALL, in_namespace=namespace, of=run)


def with_letters(session: Session, namespace: str, runs: Collection[bytes]) -> set[bytes]:
    """Which of these runs have letters."""
    rows = session.rows(_WITH_LETTERS, in_namespace=namespace, of=list(runs))
    return {run for (run,) in rows}


class SqlInbox:
    """The letters."""

    def __init__(self, writer: Writer, reader: Reader, bell: Bell) -> None:
        self._writer = writer
        self._reader = reader
        self._bell = bell

    async def send(self, namespace: str, letter: Letter) -> bool:
        return await self._writer.call(
            lambda session: letter.run in deliver(session, namespace, [letter])
        )

    async def fetch(self, owner: str, *, limit: int) -> list[tuple[str, Letter]]:
        while True:
            rows = await self._reader.rows(_FOR_OWNER_OR_NOBODY, holder=owner, most=limit)
            ours = [_letter(row) for row in rows if row[0] is not None]
            orphans = [_letter(row) for row in rows if row[0] is None]
            if orphans:
                await self._writer.call(partial(_drop_orphans, orphans))
            if ours or not orphans:
                return ours

    async def drop(self, namespace: str, run: str, ids: Sequence[str]) -> None:
        await self._writer.call(lambda session: drop(session, namespace, packed_or_none(run), ids))

    async def is_waiting(self, namespace: str, run: str, id: str) -> bool:
        found = await self._reader.rows(
            _IS_WAITING, in_namespace=namespace, of=packed_or_none(run), id=id
        )
        return bool(found)

    async def wait(self, *, timeout: float) -> bool:
        return await self._bell.wait(timeout=timeout)


def _letter(row: tuple[Any, ...]) -> tuple[str, Letter]:
    _, namespace, id, run, *rest = row
    return namespace, Letter(id, unpacked(run), *rest)


def _drop_orphans(orphans: Sequence[tuple[str, Letter]], session: Session) -> None:
    for namespace, it in orphans:
        session.change(_DROP_IF_ENDED, in_namespace=namespace, of=packed(it.run), ids=[it.id])
