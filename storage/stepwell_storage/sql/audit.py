"""What was done, in one chain of hashes per namespace."""

from functools import partial
from typing import Any

import sqlalchemy as sa
from msgspec import structs

from stepwell_storage.chain import NOTHING, link
from stepwell_storage.records import AuditEntry, AuditHead, Deed, StoredRow, Unnoted
from stepwell_storage.sql.ids import unpacked
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import audit, audit_heads, events, log_heads
from stepwell_storage.sql.writer import Writer

_NAMESPACE = sa.bindparam("in_namespace", type_=sa.Text)
_AFTER = sa.bindparam("after", type_=sa.BigInteger)
_LIMIT = sa.bindparam("most", type_=sa.Integer)

_HEAD = sa.select(audit_heads.c.sequence, audit_heads.c.hash, audit_heads.c.noted).where(
    audit_heads.c.namespace == _NAMESPACE
)
# Whoever appends holds the end of the chain until the commit: the next one waits, and follows.
_LOCK = _HEAD.with_for_update()
_ADVANCE = (
    sa.update(audit_heads)
    .where(audit_heads.c.namespace == _NAMESPACE)
    .values(
        sequence=sa.bindparam("as_sequence", type_=sa.BigInteger),
        hash=sa.bindparam("as_hash", type_=sa.Text),
        noted=sa.bindparam("as_noted", type_=sa.BigInteger),
    )
)
_ADD = sa.insert(audit)
_READ = (
    sa.select(
        audit.c.sequence,
        audit.c.at,
        audit.c.principal,
        audit.c.action,
        audit.c.resource,
        audit.c.detail,
        audit.c.previous,
        audit.c.hash,
    )
    .where(audit.c.namespace == _NAMESPACE, audit.c.sequence > _AFTER)
    .order_by(audit.c.sequence)
    .limit(_LIMIT)
)
_noted = sa.func.coalesce(audit_heads.c.noted, 0)
_UNNOTED = (
    sa.select(log_heads.c.namespace, _noted, log_heads.c.position)
    .select_from(log_heads.outerjoin(audit_heads, log_heads.c.namespace == audit_heads.c.namespace))
    .where(log_heads.c.position > _noted)
    .order_by(log_heads.c.namespace)
    .limit(_LIMIT)
)
_ROWS = (
    sa.select(
        events.c.run,
        events.c.sequence,
        events.c.position,
        events.c.kind,
        events.c.principal,
        events.c.body,
    )
    .where(
        events.c.namespace == _NAMESPACE,
        events.c.position > _AFTER,
        events.c.position <= sa.bindparam("to", type_=sa.BigInteger),
    )
    .order_by(events.c.position)
    .limit(_LIMIT)
)
_NAMESPACES = sa.select(audit_heads.c.namespace).order_by(audit_heads.c.namespace)


def append(namespace: str, deed: Deed, session: Session) -> int:
    """Puts a deed at the end of the chain, in the transaction of a session."""
    head = _lock(session, namespace)
    return _extend(session, namespace, deed, head, noted=head.noted)


def _note(namespace: str, deed: Deed, after: int, to: int, session: Session) -> int | None:
    head = _lock(session, namespace)
    if head.noted != after:
        return None
    return _extend(session, namespace, deed, head, noted=to)


def _lock(session: Session, namespace: str) -> AuditHead:
    """Where the chain ends, which nobody else changes until the commit."""
    found = session.rows(_LOCK, in_namespace=namespace)
    if not found:
        session.add_missing(audit_heads, [namespace, 0, NOTHING, 0])
        found = session.rows(_LOCK, in_namespace=namespace)
    return AuditHead(*found[0])


def _extend(session: Session, namespace: str, deed: Deed, head: AuditHead, *, noted: int) -> int:
    entry = link(namespace, deed, after=head.sequence, previous=head.hash)
    session.change(_ADD, namespace=namespace, **structs.asdict(entry))
    session.change(
        _ADVANCE,
        in_namespace=namespace,
        as_sequence=entry.sequence,
        as_hash=entry.hash,
        as_noted=noted,
    )
    return entry.sequence


def _name(run: Any) -> str:
    """The id of a run, or whatever somebody has put in its place."""
    return unpacked(run) if isinstance(run, bytes) else repr(run)


class SqlAudit:
    """The chains."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def append(self, namespace: str, deed: Deed) -> int:
        return await self._writer.call(partial(append, namespace, deed))

    async def note(self, namespace: str, deed: Deed, *, after: int, to: int) -> int | None:
        return await self._writer.call(partial(_note, namespace, deed, after, to))

    async def head(self, namespace: str) -> AuditHead:
        rows = await self._reader.rows(_HEAD, in_namespace=namespace)
        return AuditHead(*rows[0]) if rows else AuditHead(0, NOTHING, 0)

    async def read(self, namespace: str, *, after: int = 0, limit: int = 1000) -> list[AuditEntry]:
        rows = await self._reader.rows(_READ, in_namespace=namespace, after=after, most=limit)
        return [AuditEntry(*row) for row in rows]

    async def unnoted(self, *, limit: int) -> list[Unnoted]:
        return [Unnoted(*row) for row in await self._reader.rows(_UNNOTED, most=limit)]

    async def rows(
        self, namespace: str, *, after: int, to: int, limit: int = 1000
    ) -> list[StoredRow]:
        rows = await self._reader.rows(
            _ROWS, in_namespace=namespace, after=after, to=to, most=limit
        )
        return [StoredRow(_name(run), *row) for run, *row in rows]

    async def namespaces(self) -> list[str]:
        return [name for (name,) in await self._reader.rows(_NAMESPACES)]
