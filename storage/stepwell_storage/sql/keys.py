"""Wrapped data keys, with which blobs are encrypted."""

from collections.abc import Sequence

import sqlalchemy as sa
from msgspec import structs

from stepwell_storage.errors import Exists
from stepwell_storage.records import KeyRow, RingUse
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.shares import shares
from stepwell_storage.sql.tables import keys
from stepwell_storage.sql.writer import Writer

_NAMESPACE = sa.bindparam("in_namespace", type_=sa.Text)
_SUBJECT = sa.bindparam("whose", type_=sa.Text)
_RING = sa.bindparam("by", type_=sa.Text)
_WRAPPED = sa.bindparam("as_wrapped", type_=sa.LargeBinary)

_ROW = (
    keys.c.id,
    keys.c.subject,
    keys.c.ring,
    keys.c.wrapped,
    keys.c.created_at,
    keys.c.destroyed_at,
)
_IN_USE = keys.c.destroyed_at.is_(None)
_OF_SUBJECT = (keys.c.namespace == _NAMESPACE, keys.c.subject == _SUBJECT, _IN_USE)
_OF_IDS = sa.select(*_ROW).where(
    keys.c.namespace == _NAMESPACE,
    keys.c.id.in_(sa.bindparam("ids", type_=sa.Text, expanding=True)),
)
_CURRENT = sa.select(*_ROW).where(*_OF_SUBJECT)
_DESTROY = (
    sa.update(keys)
    .where(*_OF_SUBJECT)
    .values(wrapped=_WRAPPED, destroyed_at=sa.bindparam("now", type_=sa.BigInteger))
)
_REWRAP = (
    sa.update(keys)
    .where(keys.c.namespace == _NAMESPACE, keys.c.id == sa.bindparam("of"), _IN_USE)
    .values(ring=_RING, wrapped=_WRAPPED)
)
_LIST = (
    sa.select(*_ROW)
    .where(
        keys.c.namespace == _NAMESPACE,
        keys.c.subject >= _SUBJECT,
        sa.or_(keys.c.subject > _SUBJECT, keys.c.id > sa.bindparam("after_id", type_=sa.Text)),
    )
    .order_by(keys.c.subject, keys.c.id)
    .limit(sa.bindparam("most"))
)
_RINGS = (
    sa.select(keys.c.ring, sa.func.count())
    .where(_IN_USE)
    .group_by(keys.c.ring)
    .order_by(keys.c.ring)
)
_OF_RING = sa.select(keys.c.namespace, *_ROW).where(keys.c.ring == _RING, _IN_USE).limit(1)
_BY_RING = (
    sa.select(keys.c.namespace, *_ROW)
    .where(_IN_USE)
    .order_by(keys.c.ring, keys.c.namespace, keys.c.id)
    .limit(sa.bindparam("most"))
)
_OTHERS = (_BY_RING.where(keys.c.ring < _RING), _BY_RING.where(keys.c.ring > _RING))
"""Those of all other rings, in two parts of the index."""


class SqlKeys:
    """The keys."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def add(self, namespace: str, row: KeyRow) -> KeyRow:
        def add_if_first(session: Session) -> KeyRow:
            session.add_missing(keys, [namespace, *structs.astuple(row)])
            found = session.rows(_CURRENT, in_namespace=namespace, whose=row.subject)
            if not found:
                raise Exists(f"There is a key {row.id!r} already.")
            return KeyRow(*found[0])

        return await self._writer.call(add_if_first)

    async def get(self, namespace: str, ids: Sequence[str]) -> dict[str, KeyRow]:
        found: dict[str, KeyRow] = {}
        for share in shares(ids):
            rows = await self._reader.rows(_OF_IDS, in_namespace=namespace, ids=share)
            found.update((row[0], KeyRow(*row)) for row in rows)
        return found

    async def of_subject(self, namespace: str, subject: str) -> KeyRow | None:
        rows = await self._reader.rows(_CURRENT, in_namespace=namespace, whose=subject)
        return KeyRow(*rows[0]) if rows else None

    async def destroy(self, namespace: str, subject: str, *, now: int) -> int:
        return await self._writer.call(
            lambda session: session.change(
                _DESTROY, in_namespace=namespace, whose=subject, as_wrapped=b"", now=now
            )
        )

    async def rings(self) -> list[RingUse]:
        found: list[RingUse] = []
        for ring, number in await self._reader.rows(_RINGS):
            for namespace, *row in await self._reader.rows(_OF_RING, by=ring):
                found.append(RingUse(ring, number, namespace, KeyRow(*row)))
        return found

    async def not_wrapped_with(self, ring: str, *, limit: int) -> list[tuple[str, KeyRow]]:
        found: list[tuple[str, KeyRow]] = []
        for others in _OTHERS:
            rows = await self._reader.rows(others, by=ring, most=limit - len(found))
            found += ((namespace, KeyRow(*row)) for namespace, *row in rows)
        return found

    async def rewrap(self, namespace: str, row: KeyRow) -> bool:
        changed = await self._writer.call(
            lambda session: session.change(
                _REWRAP, in_namespace=namespace, of=row.id, by=row.ring, as_wrapped=row.wrapped
            )
        )
        return bool(changed)

    async def list(
        self, namespace: str, *, limit: int, after: tuple[str, str] = ("", "")
    ) -> list[KeyRow]:
        subject, id = after
        rows = await self._reader.rows(
            _LIST, in_namespace=namespace, whose=subject, after_id=id, most=limit
        )
        return [KeyRow(*row) for row in rows]
